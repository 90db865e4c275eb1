"""Models for whoever wants answers: the driver, the command line, and Python programs, from any number of threads."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ..errors import InternalError
from ..records import Encoding
from ..tensors import decode_tensors, encode_tensors
from . import wire
from .asking import Inference, Reply, Wanted
from .fingerprint import Fingerprint
from .manifest import ModelConfig
from .requester import Requester
from .residency import CPU
from .store import ModelStore
from .values import Array, Input, arrays_of, each_of, tensors_of

THREADS: Final = 16
"""Requests of ``request_inference`` that are under way at once; more wait their turn."""


class Models(Requester):
    """The models of a store, run in processes of their own.

    The first question starts the process that owns them; it ends with ``close``, or with this process.

    Args:
        store: Folder of the models.
        budget_bytes: Memory that loaded models may take together; 0 for half of the machine's. Models that have not
            been asked for the longest time are unloaded first.
        keep_alive_s: A model that nobody asked for so long is unloaded; 0 keeps it.
        queue: Requests that may wait for one model; more are refused.
        providers: What models of the profile ``fast`` run on, in the order they are tried.
        address: Socket of a service that runs already (``tickwork models serve``), instead of one of its own.
        told: Called with what each inference took, by the thread that asked.
    """

    def __init__(
        self,
        store: Path | str,
        *,
        budget_bytes: int = 0,
        keep_alive_s: int = 300,
        queue: int = 64,
        providers: Sequence[str] = (),
        address: Path | None = None,
        told: Callable[[Inference], None] | None = None,
    ) -> None:
        folder = Path(store)
        budgets = dict.fromkeys((CPU, *providers), budget_bytes) if budget_bytes else {}
        setup = wire.Setup(
            str(folder.absolute()), budgets=budgets, keep_alive_s=keep_alive_s, queue=queue, providers=tuple(providers)
        )
        super().__init__(setup, address=address, told=told)
        self._store = ModelStore(folder)
        self._configs: dict[bytes, ModelConfig] = {}
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def find(self, model: str | bytes, version: str = "", profile: str = "exact-1") -> Wanted:
        """Return what to ask for.

        Args:
            model: A name, ``NAME:VERSION``, ``NAME:ALIAS`` or a digest, as text or 32 bytes.
            version: A version or alias, where the name has none.

        Raises:
            ModelNotFound: TW6001.
        """
        if isinstance(model, bytes):
            return Wanted(model, profile)
        return Wanted(self._store.find(f"{model}:{version}" if version else str(model)), profile)

    def catalogue(self) -> list[ModelConfig]:
        """Return what there is to know of each version in the store. Order: by name, then oldest first.

        Raises:
            ModelDamaged: TW6003.
        """
        return [self._store.config(kept.digest) for kept in self._store.list()]

    def load(self, wanted: Wanted | str, *, tick: int = 0) -> tuple[Fingerprint, ModelConfig]:
        """Load a model, or find it loaded, and return what it computes with and what it takes.

        Args:
            wanted: A text is what ``find`` takes.

        Raises:
            ModelError: TW6001 to TW6015.
        """
        return super().load(self.find(wanted) if isinstance(wanted, str) else wanted, tick=tick)

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Input],
        version: str = "",
        *,
        profile: str = "exact-1",
        deadline_ms: int = 30_000,
    ) -> dict[str, Array]:
        """Return a model's outputs by name.

        Args:
            inputs: By name: nested lists, arrays of any library, or tensors.

        Raises:
            ModelError: TW6001 to TW6015.
        """
        wanted = self.find(model, version, profile)
        config = self._config(wanted)
        body = encode_tensors(tensors_of(inputs, config.inputs))
        return _outputs(self.ask(wanted, body, deadline_ms=deadline_ms))

    def batch_infer(
        self,
        model: str,
        inputs: Sequence[Mapping[str, Input]],
        version: str = "",
        *,
        profile: str = "exact-1",
        deadline_ms: int = 30_000,
    ) -> list[dict[str, Array]]:
        """Return the outputs of several requests that one run of the model answers. Order: as given.

        Raises:
            ModelError: TW6001 to TW6015, of the first request that could not be answered.
        """
        wanted = self.find(model, version, profile)
        ports = self._config(wanted).inputs
        bodies = [encode_tensors(tensors_of(one, ports)) for one in each_of(inputs)]
        encodings = [int(Encoding.TENSOR)] * len(bodies)
        return [_outputs(one) for one in self.ask_batch(wanted, bodies, encodings=encodings, deadline_ms=deadline_ms)]

    def request_inference(
        self, model_id: str, version: str, input: Mapping[str, Input], *, profile: str = "exact-1"
    ) -> "Future[dict[str, Array]]":
        """Return a promise of a model's outputs; the request is under way."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="tickwork-infer")
        return self._pool.submit(self.infer, model_id, input, version, profile=profile)

    def _config(self, wanted: Wanted) -> ModelConfig:
        """Return what a model takes: the types of what comes as lists."""
        config = self._configs.get(wanted.model)
        if config is None:
            config = self._configs[wanted.model] = self._store.config(wanted.model)
        return config

    def unload(self, model: str | bytes, version: str = "") -> int:
        """End a model's processes after what they have to answer; return how many there were.

        Raises:
            ModelNotFound: TW6001.
        """
        return _count(self.question(wire.Unload(self.find(model, version).model)))

    def pin(self, model: str | bytes, version: str = "", *, pinned: bool = True) -> int:
        """Keep a model in memory, or no longer; return how many processes that is about now.

        Raises:
            ModelNotFound: TW6001.
        """
        return _count(self.question(wire.Pin(self.find(model, version).model, pinned)))

    def list(self) -> list[wire.Worker]:
        """Return the models in memory. Order: as they were loaded."""
        return list(self.stats().workers)

    def stats(self) -> wire.Seen:
        """Return how the service is: its budgets, what has happened, and what is in memory."""
        answer = self.question(wire.Look())
        if not isinstance(answer, wire.Seen):
            raise InternalError("the host does not say how it is")
        return answer

    def close(self) -> None:
        """End what was started; requests that are under way are answered before that."""
        if self._pool is not None:
            self._pool.shutdown()
        super().close()


def _count(answer: wire.Answer) -> int:
    if not isinstance(answer, wire.Done):
        raise InternalError("the host does not say what it did")
    return answer.count


def _outputs(reply: Reply) -> dict[str, Array]:
    if reply.error is not None:
        raise reply.error
    return arrays_of(decode_tensors(reply.body))
