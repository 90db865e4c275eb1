"""Texts as vectors, so that texts which say the same lie close to each other.

Law: a text's vector follows from the text and the embedder's name alone: not from its neighbours, and of the hashed one
not from the machine, the version of Python or the day either.
"""

import hashlib
import math
import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from .. import tensors
from ..errors import ModelNotFound, ModelRunFailed, ModelUnfit
from ..tensors import Tensor, decode_tensors, encode_tensors
from . import minilm
from .asking import Asker, Reply, Wanted
from .manifest import ModelConfig
from .store import ModelStore
from .words import FILE, Words

Vector = tuple[float, ...]

UNIT: Final = 1 << 16
"""What the numbers of a hashed vector are whole multiples of the inverse of."""

_WORD: Final = re.compile(r"[^\x00-\x2f\x3a-\x60\x7b-\x7f]+")
_LOWERED: Final = {
    place: lower for place in range(0x530) if len(lower := chr(place).lower()) == 1 and lower != chr(place)
}
_GRAMS: Final = (3, 4, 5)
_WORD_WEIGHT: Final = 4
"""A word counts as much as so many of its n-grams."""


class Embedder(Protocol):
    """Makes vectors of texts."""

    @property
    def name(self) -> str:
        """The embedder with all that its vectors follow from; vectors of other names cannot be compared."""
        ...

    @property
    def dimensions(self) -> int:
        """How many numbers every vector has."""
        ...

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Return the vector of each text, of length 1 or, where a text says nothing, all zeros. Order: as given."""
        ...


class HashedNgrams:
    """The embedder that needs no model: words and their n-grams of characters, hashed to places of the vector.

    Texts lie close that share words or parts of words; it knows no synonyms. ASCII other than letters and digits parts
    words; letters up to Cyrillic are made small, and all others are taken as they are written.

    Counts, signs and lengths are whole numbers to the end, so the vectors are the same on every machine.

    Source: Weinberger and others, "Feature hashing for large scale multitask learning", 2009; Bojanowski and others,
    "Enriching word vectors with subword information", 2017.
    """

    def __init__(self, dimensions: int = 384) -> None:
        self.dimensions = dimensions
        self.name = f"hashed-ngrams-1:{dimensions}"

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Return the vector of each text. Law: every number is ``scaled`` divided by ``UNIT``, which loses nothing."""
        return [tuple(whole / UNIT for whole in self.scaled(text)) for text in texts]

    def scaled(self, text: str) -> tuple[int, ...]:
        """Return a text's vector in whole numbers, for what is hashed or recorded. Units: 1 / ``UNIT``."""
        totals = [0] * self.dimensions
        for feature, count in Counter(_features(text)).items():
            drawn = int.from_bytes(
                hashlib.blake2b(feature.encode("utf-8", "replace"), digest_size=8).digest(), "little"
            )
            # What is said twice counts more than what is said once, and less than twice as much.
            amount = math.isqrt(count << 16)
            totals[(drawn >> 1) % self.dimensions] += amount if drawn & 1 else -amount
        length = math.isqrt(sum(total * total for total in totals) << 32)
        return tuple(_rounded(total * UNIT << 16, length) if length else 0 for total in totals)


def _features(text: str) -> Iterator[str]:
    for word in _WORD.findall(text.translate(_LOWERED)):
        yield from [word] * _WORD_WEIGHT
        framed = f"<{word}>"
        for size in _GRAMS:
            for start in range(len(framed) - size + 1):
                yield framed[start : start + size]


def _rounded(number: int, divisor: int) -> int:
    """Return the nearest whole number; a half goes away from zero, so that the sign makes no difference."""
    nearest = (2 * abs(number) + divisor) // (2 * divisor)
    return nearest if number >= 0 else -nearest


class ModelEmbedder:
    """An embedder whose vectors come from a model of token numbers and a mask.

    Every text is asked alone.

    Args:
        model: Digest of the manifest.
        config: What the model takes and gives.
    """

    def __init__(self, asker: Asker, model: bytes, config: ModelConfig, words: Words) -> None:
        self.dimensions = _dimensions(config)
        self.name = f"{config.name}:{model.hex()}"
        self._asker = asker
        self._wanted = Wanted(model)
        self._words = words
        self._inputs = [port.name for port in config.inputs]

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """Return the vector of each text.

        Raises:
            ModelError: As the asker says.
        """
        return [self._vector(self._words.tokens(text)) for text in texts]

    def _vector(self, numbers: list[int]) -> Vector:
        shape = (1, len(numbers))
        parts = (numbers, [1] * len(numbers))
        body = encode_tensors(
            Tensor(name, tensors.INT64, shape, struct.pack(f"<{len(part)}q", *part))
            for name, part in zip(self._inputs, parts, strict=True)
        )
        reply = self._asker.ask(self._wanted, body)
        if reply.code:
            raise reply.error or ModelRunFailed("the model gave no vector", why=reply.body.decode("utf-8", "replace"))
        return self._read(reply)

    def _read(self, reply: Reply) -> Vector:
        given = decode_tensors(reply.body)
        if len(given) != 1 or given[0].dtype != tensors.FLOAT32 or given[0].shape != (1, self.dimensions):
            raise ModelUnfit(
                "the model gave something else than one vector", why="an embedding gives one for each text"
            )
        return struct.unpack(f"<{self.dimensions}f", given[0].data)


def _dimensions(config: ModelConfig) -> int:
    """Return the dimensions of an embedding model's vectors, or refuse a model that is none."""
    fits = len(config.inputs) == 2 and all(port.dtype == tensors.INT64 for port in config.inputs)
    if fits and len(config.outputs) == 1 and config.outputs[0].dtype == tensors.FLOAT32:
        shape = config.outputs[0].shape
        if len(shape) == 2 and isinstance(shape[1], int) and shape[1] > 0:
            return shape[1]
    raise ModelUnfit(
        f"{config.name}:{config.version} is no model of sentence embeddings",
        why="one takes token numbers and a mask, both int64, and gives float32 of [batch, dimensions]",
        fix="name another model, or add the one that is built in: tickwork model add minilm",
    )


def open_embedder(store: ModelStore, asker: Asker, reference: str = minilm.NAME) -> ModelEmbedder:
    """Return the embedder of a model in the store.

    Raises:
        ModelNotFound: TW6001, the store has no such model, or it has no vocabulary.
        ModelUnfit: TW6015, it is no embedding model.
        ModelsMissing: TW6012, the package ``tokenizers`` is not installed.
    """
    return _open(store, asker, store.find(reference), reference)


def best_embedder(store: ModelStore, asker: Asker) -> Embedder:
    """Return MiniLM where it is in the store, and the hashed n-grams where it is not.

    Raises:
        ModelsMissing: TW6012, it is there and the package ``tokenizers`` is not: other vectors would come unnoticed.
    """
    try:
        model = store.find(minilm.NAME)
    except ModelNotFound:
        return HashedNgrams()
    return _open(store, asker, model, minilm.NAME)


def _open(store: ModelStore, asker: Asker, model: bytes, reference: str) -> ModelEmbedder:
    config = store.config(model)
    vocabulary = store.files(model).get(FILE)
    if vocabulary is None:
        raise ModelNotFound(
            f"{reference} has no {FILE}",
            why="the vocabulary of an embedding model is one of its files",
            fix="add the folder with both: tickwork model add FOLDER",
        )
    return ModelEmbedder(asker, model, config, Words(vocabulary, most=minilm.TOKENS))


def cosine(one: Iterable[float], other: Iterable[float]) -> float:
    """Return how alike two vectors are: 1 for the same direction, 0 for nothing in common or a vector of zeros.

    Each sum is rounded once, so the number does not depend on an order or a version of Python.
    """
    one, other = tuple(one), tuple(other)
    lengths = math.fsum(x * x for x in one) * math.fsum(x * x for x in other)
    return math.fsum(x * y for x, y in zip(one, other, strict=True)) / math.sqrt(lengths) if lengths else 0.0
