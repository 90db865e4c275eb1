"""What askers, host and workers say to each other: heads of frames.

An asker and a worker speak in fixed structs, since a message pack of each field would take as long as a small model.
All others speak in structs of msgspec: one for each thing that can be asked of the host, and one for each answer.
"""

import struct
from typing import Final

import msgspec

from .. import errors
from ..errors import InternalError, ModelError, TickworkError
from .asking import Incident, Wanted
from .manifest import ModelConfig

# --- asker and worker ------------------------------------------------------------------------------------------------

ASK: Final = 1
ASK_BATCH: Final = 2

IN_ARENA: Final = 1
"""Flag: the body lies in the arena, else in the frame."""
PLACE_SHIFT: Final = 8
"""Of a request's flags, where the place begins at which the body lies in its slot. Units: bytes, less than 64."""
WITH_ERROR: Final = 2
"""Flag: an error follows the body."""
WITH_EXTRA: Final = 4
"""Flag: what happened to the session follows."""

LATE: Final = "the model did not answer before the deadline"
"""What a request is told that was too late, by whoever finds out first: it may become part of a run."""

REQUEST: Final = struct.Struct("<BBHIqQQQQ")
"""Kind, encoding, flags, number, the asker's tick, sent and deadline in ns, arena's size, length of the body.

Times are of the machine's monotonic clock, which its processes share.
"""

REPLY: Final = struct.Struct("<HHiIIIIIIQ")
"""Flags, encoding, code, number, NaNs, rows, queue and run in us, length of the error, length of the body.

Body, error and extra follow; of a batch the body is a list of ``Row``.
"""


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One reply of a batch; the error as ``encode_error`` has it, empty where there is none."""

    code: int
    encoding: int
    body: bytes
    nans: int
    rows: int
    error: bytes


class Extra(msgspec.Struct, frozen=True, array_like=True):
    """What happened to a session since its last answer: the encoded fingerprint if it is another one now."""

    fingerprint: bytes
    incidents: tuple[Incident, ...]


# --- host and worker -------------------------------------------------------------------------------------------------


class Load(msgspec.Struct, frozen=True, array_like=True):
    """The first frame to a worker.

    Attributes:
        folder: Where the model's files lie.
        extras: Options of profile ``fast``, ``name=value`` each.
        queue: Requests that may wait.
        memory: Bytes of address space it may take beyond what it has when it begins; 0 for no limit.
        board: Name of the board, where it is not handed over.
    """

    wanted: Wanted
    config: ModelConfig
    folder: str
    extras: tuple[str, ...]
    queue: int
    memory: int
    board: str = ""


class Loaded(msgspec.Struct, frozen=True, array_like=True):
    """The worker is ready; its fingerprint encoded, what it takes in bytes, what happened on the way."""

    fingerprint: bytes
    memory: int
    incidents: tuple[Incident, ...]


class Attach(msgspec.Struct, frozen=True, array_like=True):
    """A connection to an asker; its socket and arena are handed over."""

    link: int
    arena: str


LOADED: Final = b"loaded"
FAILED: Final = b"failed"
ATTACH: Final = b"attach"
RETIRE: Final = b"retire"
LISTEN: Final = b"listen"
"""The host asks whether the worker hears; its board says so."""


# --- asker and host --------------------------------------------------------------------------------------------------


class Setup(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The first frame to a host that was started for an asker.

    Attributes:
        store: Folder of the model store.
        budgets: Bytes by device; empty for half of the machine's memory.
        keep_alive_s: A model that nobody asked for so long is ended; 0 keeps it.
        queue: Requests that may wait for one model.
        load_ms: What loading a model may take.
        providers: In the order they are tried where a model may run on any.
        extras: Options of profile ``fast``, ``name=value`` each.
        warm: Whether processes are forked from a warm one.
    """

    store: str
    budgets: dict[str, int] = {}
    keep_alive_s: int = 300
    queue: int = 64
    load_ms: int = 60_000
    providers: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    warm: bool = True


class Connect(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Serve another channel, which is handed over."""


class Acquire(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Load a model or find it loaded; connect its worker with the socket and arena that are handed over, if any."""

    wanted: Wanted
    tick: int
    arena: str = ""


class Ask(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """What has become of a worker whose connection has ended during a request of this digest?"""

    worker: int
    link: int
    request: bytes


class Expire(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """A request of this connection has passed its deadline: end the worker if that is what it works at."""

    worker: int
    link: int


class Unload(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """End the workers of a model, by its digest."""

    model: bytes


class Pin(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """Keep a model in memory, or no longer."""

    model: bytes
    pinned: bool


class Look(msgspec.Struct, frozen=True, array_like=True, tag=8):
    """What is loaded, and how is the host?"""


class Stop(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """End, and all workers with you."""


class Absolve(msgspec.Struct, frozen=True, array_like=True, tag=10):
    """A request in whose course a worker ended was answered by the next: it was not at fault."""

    model: bytes
    request: bytes


Question = Setup | Connect | Acquire | Ask | Expire | Unload | Pin | Look | Stop | Absolve


class Acquired(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A worker.

    Attributes:
        link: Number of the connection; 0 where none was made.
        refused: Digests of requests that are not to be asked again.
        memory: What the worker takes. Units: bytes.
    """

    worker: int
    link: int
    fingerprint: bytes
    config: ModelConfig
    incidents: tuple[Incident, ...]
    refused: tuple[bytes, ...]
    memory: int


class Fate(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """What became of a worker.

    Attributes:
        crashed: It ended by itself, and not because it was told to.
        told: It was told to.
        text: How, ``signal SIGFPE``, or why it was told to.
        refused: The request is not to be asked again.
    """

    crashed: bool
    told: bool
    text: str
    refused: bool


class Failed(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """It could not be done."""

    code: str
    what: str
    where: str
    why: str
    fix: str


class Done(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """It was done, to so many."""

    count: int = 0


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker, for people.

    Attributes:
        model: The digest in hexadecimal.
        state: ``loading``, ``ready`` or ``leaving``.
        cost: What the ledger has for it. Units: bytes.
        memory: What it took when it was last looked at. Units: bytes.
        asked, rows, refused, nans: Counts since it was loaded.
        run_us, queue_us: Sums since it was loaded. Units: microseconds.
        idle_s: Since it was last seen at work.
    """

    model: str
    name: str
    version: str
    profile: str
    provider: str
    device: str
    state: str
    pinned: bool
    pid: int
    cost: int
    memory: int
    asked: int = 0
    rows: int = 0
    refused: int = 0
    nans: int = 0
    queued: int = 0
    run_us: int = 0
    queue_us: int = 0
    last_tick: int = 0
    idle_s: int = 0


class Seen(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """How the host is.

    Attributes:
        budgets, used: Bytes by device.
        loads, evictions, crashes, expired: Counts since it was started.
    """

    pid: int
    version: str
    budgets: dict[str, int]
    used: dict[str, int]
    loads: int
    evictions: int
    crashes: int
    expired: int
    workers: tuple[Worker, ...]


Answer = Acquired | Fate | Failed | Done | Seen

_encoder: Final = msgspec.msgpack.Encoder()
_questions: Final[msgspec.msgpack.Decoder[Question]] = msgspec.msgpack.Decoder(Question)
_answers: Final[msgspec.msgpack.Decoder[Answer]] = msgspec.msgpack.Decoder(Answer)


def encode(message: msgspec.Struct) -> bytes:
    """Return a message as the head of a frame."""
    return _encoder.encode(message)


def decode_question(head: bytes) -> Question:
    """Return what is asked of the host.

    Raises:
        msgspec.DecodeError: It is nothing that can be asked.
    """
    return _questions.decode(head)


def decode_answer(head: bytes) -> Answer:
    """Return what the host says.

    Raises:
        msgspec.DecodeError: It says nothing of this version.
    """
    return _answers.decode(head)


_CARRIED: Final[dict[str, type[TickworkError]]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ModelError | InternalError) and kind is not ModelError
}
"""Errors that are met in other processes. All take the same arguments."""


def failure(error: TickworkError) -> Failed:
    """Return an error as a message."""
    return Failed(error.code, error.what, error.where, error.why, error.fix)


def raised(failed: Failed) -> TickworkError:
    """Return the error that another process met, as it would have been raised here."""
    kind = _CARRIED.get(failed.code, InternalError)
    return kind(failed.what, where=failed.where, why=failed.why, fix=failed.fix)


def encode_error(error: TickworkError | None) -> bytes:
    """Return an error in bytes; none in no bytes. Law: ``decode_error`` gives it again."""
    return encode(failure(error)) if error is not None else b""


def decode_error(data: bytes | memoryview) -> TickworkError | None:
    """Return the error."""
    return raised(msgspec.msgpack.decode(data, type=Failed)) if data else None
