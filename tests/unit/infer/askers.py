"""An asker without processes, for tests of whoever asks: its models are functions of tensors."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tickwork.errors import ModelError
from tickwork.infer.asking import Incident, Inference, Reply, Wanted
from tickwork.infer.fingerprint import Fingerprint
from tickwork.infer.manifest import ModelConfig
from tickwork.infer.store import ModelStore
from tickwork.records import Encoding
from tickwork.tensors import Tensor, decode_tensors, encode_tensors

Model = Callable[[bytes, int], bytes | Reply]


def of_tensors(model: Callable[[Sequence[Tensor]], Sequence[Tensor]]) -> Model:
    return lambda body, encoding: encode_tensors(model(decode_tensors(body)))


def keep_model(store: ModelStore, folder: Path, config: ModelConfig) -> bytes:
    """Put a model into a store that is never loaded: its one file says nothing."""
    home = folder / f"{config.name}-{config.version}"
    home.mkdir(parents=True)
    (home / config.entry).write_bytes(b"nothing")
    return store.add(home, config)


def fingerprint_of(digest: bytes) -> Fingerprint:
    return Fingerprint(digest, "exact-1", "fake 1", bytes(32), "cpu", (), "linux-x86_64", "avx2", bytes(32))


class FakeAsker:
    """Answers by functions.

    Attributes:
        asked: Every question. Order: as they came.
        loaded: Digests, as they were loaded.
        unloaded: Digests, as they were unloaded.
    """

    def __init__(
        self, store: ModelStore, models: Mapping[bytes, Model], *, incidents: tuple[Incident, ...] = ()
    ) -> None:
        self.asked = list[tuple[Wanted, bytes, int, int, int]]()
        self.loaded = list[bytes]()
        self.unloaded = list[bytes]()
        self.closed = False
        self._store = store
        self._models = models
        self._incidents = incidents

    def load(self, wanted: Wanted, *, tick: int = 0) -> tuple[Fingerprint, ModelConfig]:
        self.loaded.append(wanted.model)
        return fingerprint_of(wanted.model), self._store.config(wanted.model)

    def unload(self, model: bytes) -> int:
        self.unloaded.append(model)
        return 1

    def ask(
        self,
        wanted: Wanted,
        body: bytes,
        *,
        encoding: int = Encoding.TENSOR,
        deadline_ms: int = 30_000,
        tick: int = 0,
    ) -> Reply:
        self.asked.append((wanted, body, encoding, deadline_ms, tick))
        try:
            given = self._models[wanted.model](body, encoding)
        except ModelError as error:
            return Reply(-2, encoding, str(error).encode(), error=error)
        if isinstance(given, Reply):
            return given
        took = Inference("m:1", "cpu", wanted.profile, 1, 20, 300, 400, 1 << 20)
        return Reply(0, encoding, given, None, fingerprint_of(wanted.model), took, self._incidents)

    def ask_batch(
        self,
        wanted: Wanted,
        bodies: Sequence[bytes],
        *,
        encodings: Sequence[int],
        deadline_ms: int = 30_000,
        tick: int = 0,
    ) -> list[Reply]:
        return [
            self.ask(wanted, body, encoding=encoding, deadline_ms=deadline_ms, tick=tick)
            for body, encoding in zip(bodies, encodings, strict=True)
        ]

    def close(self) -> None:
        self.closed = True
