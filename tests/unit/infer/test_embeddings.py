"""Embeddings: what a vector follows from, who is asked, and which of them is taken."""

import hashlib
import math
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import interpreter
from tests.unit.infer.test_words import vocabulary
from tickwork import tensors
from tickwork.errors import ModelCrashed, ModelNotFound, ModelRunFailed, ModelUnfit
from tickwork.infer.asking import Reply, Wanted
from tickwork.infer.embeddings import (
    UNIT,
    Embedder,
    HashedNgrams,
    ModelEmbedder,
    best_embedder,
    cosine,
    open_embedder,
)
from tickwork.infer.fingerprint import Fingerprint
from tickwork.infer.manifest import ModelConfig, Port
from tickwork.infer.store import ModelStore
from tickwork.infer.words import Words
from tickwork.records import Encoding, Refusal
from tickwork.tensors import Tensor, decode_tensors, encode_tensors

BATCH = ("batch", "sequence")
CONFIG = ModelConfig(
    name="minilm",
    version="1",
    entry="model.onnx",
    inputs=(Port("ids", tensors.INT64, BATCH), Port("mask", tensors.INT64, BATCH)),
    outputs=(Port("embedding", tensors.FLOAT32, ("batch", 3)),),
)
SENTENCES = ("Snow delays flights at Newark", "Flights at Newark were delayed by snow", "The cat sleeps on a sofa")


class Fake:
    """Answers with the number of tokens, their sum and the sum of the mask, and keeps what it was asked."""

    def __init__(self, reply: Reply | None = None) -> None:
        self.asked = list[list[Tensor]]()
        self.reply = reply

    def load(self, wanted: Wanted, *, tick: int = 0) -> tuple[Fingerprint, ModelConfig]:
        raise AssertionError("an embedder does not ask so")

    def ask(self, wanted: Wanted, body: bytes, **_: Any) -> Reply:
        given = decode_tensors(body)
        self.asked.append(given)
        ids, mask = (struct.unpack(f"<{part.shape[1]}q", part.data) for part in given)
        data = struct.pack("<3f", len(ids), sum(ids), sum(mask))
        answer = encode_tensors([Tensor("embedding", tensors.FLOAT32, (1, 3), data)])
        return self.reply or Reply(0, Encoding.TENSOR, answer)

    def ask_batch(self, wanted: Wanted, bodies: Sequence[bytes], **_: Any) -> list[Reply]:
        raise AssertionError("an embedder does not ask so")

    def close(self) -> None: ...


def stored(folder: Path, *, config: ModelConfig = CONFIG, words: bool = True) -> ModelStore:
    """A store with an embedding model, of which nothing but its vocabulary is real."""
    model = folder / "model"
    model.mkdir()
    (model / "model.onnx").write_bytes(b"not looked at here")
    if words:
        vocabulary(model)
    store = ModelStore(folder / "store")
    store.add(model, config)
    return store


# ---- Hashed n-grams -------------------------------------------------------------------------------------------------


TEXTS = (*SENTENCES, "ÄÖÜ straße ΣΊΣΥΦΟΣ Ёлка", "東京 天気", "x" * 300, "a1b2-c3", "\ud800", "")
VECTORS = "1f4a9646865faf322f0ab50d0152ce39e7a17ccd40b18014db9a08a32fea7bd1"


def test_hashed_vectors_never_change() -> None:
    whole = [number for text in TEXTS for number in HashedNgrams().scaled(text)]
    assert hashlib.sha256(struct.pack(f"<{len(whole)}i", *whole)).hexdigest() == VECTORS


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_hashed_vectors_are_the_same_with_every_python(version: str) -> None:
    code = (
        "import struct, hashlib; from tickwork.infer.embeddings import HashedNgrams;"
        f"whole = [number for text in {TEXTS!a} for number in HashedNgrams().scaled(text)];"
        "print(hashlib.sha256(struct.pack(f'<{len(whole)}i', *whole)).hexdigest())"
    )
    told = subprocess.run([interpreter(version), "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == VECTORS


@given(st.text(max_size=60))
def test_a_hashed_vector_has_the_length_one_or_says_nothing(text: str) -> None:
    embedder = HashedNgrams(64)
    [vector] = embedder.embed([text])
    assert vector == tuple(number / UNIT for number in embedder.scaled(text))
    length = math.dist(vector, [0] * 64)
    assert length == 0 or abs(length - 1) < 1e-3


@given(st.lists(st.text(max_size=20), max_size=4))
def test_a_vector_does_not_depend_on_its_neighbours(texts: list[str]) -> None:
    embedder: Embedder = HashedNgrams(32)
    assert embedder.embed(texts) == [embedder.embed([text])[0] for text in texts]


def test_texts_that_share_words_or_parts_of_them_lie_closer() -> None:
    one, same, other = HashedNgrams().embed(SENTENCES)
    assert cosine(one, same) > 0.5 > 0.2 > cosine(one, other)
    delayed, delays, cats = HashedNgrams().embed(["delayed", "delays", "cats"])
    assert cosine(delayed, delays) > 0.4 > cosine(delayed, cats)


def test_case_and_marks_between_words_make_no_difference() -> None:
    first, *others = HashedNgrams().embed(["snow, wind", "SNOW wind!", " Wind (snow)"])
    assert others == [first, first]


def test_names_tell_vectors_apart_that_cannot_be_compared() -> None:
    assert HashedNgrams().name != HashedNgrams(64).name


# ---- Models ---------------------------------------------------------------------------------------------------------


def test_a_model_is_asked_for_each_text_alone(tmp_path: Path) -> None:
    asker = Fake()
    embedder = open_embedder(stored(tmp_path), asker)
    assert (embedder.dimensions, embedder.embed(["wind", "windy snow"])) == (3, [(3, 9, 3), (5, 20, 5)])
    assert [[(part.name, part.shape) for part in given] for given in asker.asked] == [
        [("ids", (1, 3)), ("mask", (1, 3))],
        [("ids", (1, 5)), ("mask", (1, 5))],
    ]


def test_a_long_text_is_cut_off_at_256_tokens(tmp_path: Path) -> None:
    asker = Fake()
    open_embedder(stored(tmp_path), asker).embed(["snow " * 5000])
    assert asker.asked[0][0].shape == (1, 256)


def test_what_the_asker_reports_is_raised(tmp_path: Path) -> None:
    store = stored(tmp_path)
    crashed = Reply(Refusal.FAILED, 0, b"the worker ended", error=ModelCrashed("the worker ended"))
    with pytest.raises(ModelCrashed):
        open_embedder(store, Fake(crashed)).embed(["snow"])
    with pytest.raises(ModelRunFailed):
        open_embedder(store, Fake(Reply(Refusal.FAILED, 0, b"why"))).embed(["snow"])


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [Tensor("embedding", tensors.FLOAT32, (1, 2), bytes(8))],
        [Tensor("embedding", tensors.INT32, (1, 3), bytes(12))],
    ],
)
def test_an_answer_that_is_no_vector_is_refused(tmp_path: Path, answer: list[Tensor]) -> None:
    asker = Fake(Reply(0, Encoding.TENSOR, encode_tensors(answer)))
    with pytest.raises(ModelUnfit):
        open_embedder(stored(tmp_path), asker).embed(["snow"])


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (CONFIG.inputs[:1], CONFIG.outputs),
        (CONFIG.inputs, ()),
        (CONFIG.inputs, (Port("embedding", tensors.FLOAT32, ("batch", "width")),)),
        (CONFIG.inputs, (Port("embedding", tensors.FLOAT64, ("batch", 3)),)),
        ((Port("ids", tensors.FLOAT32, BATCH), CONFIG.inputs[1]), CONFIG.outputs),
    ],
)
def test_a_model_that_gives_no_embeddings_is_refused(
    tmp_path: Path, inputs: tuple[Port, ...], outputs: tuple[Port, ...]
) -> None:
    config = ModelConfig(name="other", version="1", entry="model.onnx", inputs=inputs, outputs=outputs)
    with pytest.raises(ModelUnfit):
        ModelEmbedder(Fake(), bytes(32), config, Words(vocabulary(tmp_path), most=256))


def test_minilm_is_taken_where_the_store_has_it(tmp_path: Path) -> None:
    store = stored(tmp_path)
    assert best_embedder(store, Fake()).name == f"minilm:{store.find('minilm').hex()}"


def test_without_minilm_the_hashed_ngrams_are_taken(tmp_path: Path) -> None:
    assert isinstance(best_embedder(ModelStore(tmp_path / "store"), Fake()), HashedNgrams)


def test_a_model_without_a_vocabulary_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"tokenizer\.json"):
        best_embedder(stored(tmp_path, words=False), Fake())


# ---- Likeness -------------------------------------------------------------------------------------------------------


def test_the_cosine_of_what_says_nothing_is_zero() -> None:
    assert cosine((0.0, 0.0), (1.0, 0.0)) == 0.0
    assert cosine((1.0, 2.0), (2.0, 4.0)) == pytest.approx(1)
    assert cosine((1.0, 0.0), (-3.0, 0.0)) == -1.0
    with pytest.raises(ValueError):
        cosine((1.0,), (1.0, 2.0))
