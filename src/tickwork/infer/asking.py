"""What asking a model looks like from outside: what is asked, what comes back, and who can be asked.

Whoever asks needs to know no more than this page; ``infer/client.py`` implements it over processes.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from ..errors import TickworkError
from ..records import Encoding
from .fingerprint import Fingerprint
from .manifest import ModelConfig

PROVIDERS: Final = ("cuda", "directml", "coreml", "cpu")
"""What models can run on. Order: as the profile ``fast`` tries them where nobody has said an order."""


class Wanted(msgspec.Struct, frozen=True, array_like=True):
    """A model and how it is to be run.

    Attributes:
        model: Digest of the manifest. Shape: 32 bytes.
        profile: ``exact-1``, ``exact-portable`` or ``fast``.
        providers: In the order they are tried; empty for the host's own order. The exact profiles run on ``cpu`` alone.
        fallback: ``strict``, ``on_load`` or ``on_run``: when the next provider may take the place of one that fails.
        batch: ``row``, ``tick`` or ``certified``: what batches must be safe for. A model that its operators forbid to
            be batched so is not loaded (TW6015). A batch asked of a session for ``row`` joins what may be joined.
    """

    model: bytes
    profile: str = "exact-1"
    providers: tuple[str, ...] = ()
    fallback: str = "strict"
    batch: str = "row"


class Incident(msgspec.Struct, frozen=True, array_like=True):
    """Something that happened to a session, for the journal's notes.

    Attributes:
        kind: A ``NoteKind``: FALLBACK, CRASH or EVICTED.
        text: Why. Names no path, host or time.
    """

    kind: int
    text: str


class Inference(msgspec.Struct, frozen=True, array_like=True):
    """What one run of a model took; telemetry, never part of a journal.

    Attributes:
        model: Name and version.
        provider: What it ran on; empty where it did not run.
        rows: Requests answered by it.
        queue_us: From its arrival at the worker until it began. Units: microseconds.
        run_us: In the model. Units: microseconds.
        total_us: As the asker saw it. Units: microseconds.
        memory: Of the worker, when it was last looked at. Units: bytes.
        code: 0, or a ``Refusal``.
    """

    model: str
    provider: str
    profile: str
    rows: int
    queue_us: int
    run_us: int
    total_us: int
    memory: int
    code: int = 0


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """What came of one request.

    Attributes:
        code: 0, or a ``Refusal``.
        body: Tensors, or JSON where JSON was asked; UTF-8 text that says what is wrong where ``code`` is not 0. Equal
            requests to equal sessions give equal bytes: no path, no time, no version of a library stands in it.
        error: Where ``code`` is not 0, the error as it is raised where no agent asks.
        fingerprint: Of the session that answered; None where none did.
        inference: What it took; None where nothing ran.
        incidents: What happened on the way. Order: as it happened.
        nans: NaNs in the answer, each given the one canonical form.
    """

    code: int
    encoding: int
    body: bytes
    error: TickworkError | None = None
    fingerprint: Fingerprint | None = None
    inference: Inference | None = None
    incidents: tuple[Incident, ...] = ()
    nans: int = 0


class Asker(Protocol):
    """Can be asked. One thread at a time; each thread has its own."""

    def load(self, wanted: Wanted, *, tick: int = 0) -> tuple[Fingerprint, ModelConfig]:
        """Load a model, or find it loaded, and return what it computes with and what it takes.

        Raises:
            ModelError: TW6001 to TW6015.
        """
        ...

    def ask(
        self,
        wanted: Wanted,
        body: bytes,
        *,
        encoding: int = Encoding.TENSOR,
        deadline_ms: int = 30_000,
        tick: int = 0,
    ) -> Reply:
        """Run a model on one request. Never raises for what the model, its worker or the request is at fault for.

        Args:
            encoding: TENSOR, or JSON: an object of nested arrays by input name.
            tick: The asker's logical time, by which the least recently used model is found.
        """
        ...

    def ask_batch(
        self,
        wanted: Wanted,
        bodies: Sequence[bytes],
        *,
        encodings: Sequence[int],
        deadline_ms: int = 30_000,
        tick: int = 0,
    ) -> list[Reply]:
        """Run a model once on several requests, joined along the first dimension; one reply each. Order: as given.

        A request that does not fit the model, or has another shape than the first that does, is not joined: it is
        refused, or answered alone.
        """
        ...

    def close(self) -> None:
        """Let go of the host; one that was started for this asker ends."""
        ...
