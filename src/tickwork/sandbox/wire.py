"""What a pool and its workers say to each other: frames of bytes, fixed headers, nothing that could be executed.

To a worker: u32 length, u8 operation, payload. From a worker: u32 length, u8 kind, payload; one reply to each COMPUTE,
IMAGE and CARRY, and one READY when the worker has started. All little-endian.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Final

import msgspec

from ..errors import (
    EngineUnsuitable,
    InternalError,
    ModuleAbiMismatch,
    ModuleCompileFailed,
    ModuleImportRefused,
    ModuleManifestInvalid,
    ModuleRefused,
    ModuleUnsigned,
    TickworkError,
)
from ..records import Limits, Outcome, Turn, View, Written

MODULE, PLACE, RESTORE, COMPUTE, ROLLBACK, RESET, RETIRE, IMAGE, CARRY = range(1, 10)
READY, ANSWER, FAILURE = range(1, 4)

FRAME_BYTES_MOST: Final = 1 << 31

_HEADER: Final = struct.Struct("<IB")
_TURN: Final = struct.Struct("<IHHQQQQII")
_OUTCOME: Final = struct.Struct("<HHiIIIQ")
_COUNT: Final = struct.Struct("<I")
_RESTORE: Final = struct.Struct("<II?")
_VIEW: Final = struct.Struct("<IIQQQQ")
_WRITTEN: Final = struct.Struct("<IIQ")

_WITH_IMAGE: Final = 1
"""Flag of a turn: take an image before it and send it along."""

_WITH_VIEWS: Final = 2
"""Flag of a turn: what windows show before it follows its inbox."""


_CARRIED: Final[dict[str, type[TickworkError]]] = {
    kind.code: kind
    for kind in (
        ModuleRefused, ModuleImportRefused, ModuleAbiMismatch, ModuleUnsigned, ModuleCompileFailed,
        ModuleManifestInvalid,
        EngineUnsuitable, InternalError,
    )
}  # fmt: skip
"""Errors that a child may meet. All take the same arguments."""


class Placement(msgspec.Struct, frozen=True, array_like=True):
    """PLACE: an agent, the digest of its code, sent before, and the source bundle if that code is a base module."""

    agent: int
    code: bytes
    limits: Limits
    source: bytes = b""


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """An error met in a child process: its code and texts."""

    code: str
    what: str
    where: str
    why: str
    fix: str


def write_frame(pipe: IO[bytes], kind: int, *parts: bytes) -> None:
    """Write one frame; the caller flushes."""
    pipe.write(_HEADER.pack(sum(map(len, parts)), kind))
    pipe.writelines(parts)


def read_frame(pipe: IO[bytes]) -> tuple[int, bytes] | None:
    """Return kind and payload of the next frame, None at the end of the pipe or where it breaks off."""
    header = pipe.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    length, kind = _HEADER.unpack(header)
    if length > FRAME_BYTES_MOST:
        return None
    payload = pipe.read(length)
    return (kind, payload) if len(payload) == length else None


def encode_failure(error: TickworkError) -> bytes:
    """Return an error for the parent."""
    return msgspec.msgpack.encode(Failure(error.code, error.what, error.where, error.why, error.fix))


def decode_failure(data: bytes) -> TickworkError:
    """Return the error that a child met, as it would have been raised here."""
    failure = msgspec.msgpack.decode(data, type=Failure)
    kind = _CARRIED.get(failure.code, InternalError)
    return kind(failure.what, where=failure.where, why=failure.why, fix=failure.fix)


def encode_turns(turns: Iterable[tuple[Turn, bool]]) -> bytes:
    """Return a batch of turns, each with whether an image is to be taken before it."""
    parts = list[bytes]()
    for turn, imaged in turns:
        inbox, flags = turn.inbox, _WITH_IMAGE * imaged | _WITH_VIEWS * bool(turn.views)
        parts += (
            _TURN.pack(
                turn.agent, turn.operation, flags, turn.tick, turn.seed, turn.fuel, turn.wall_us,
                turn.count, len(inbox),
            ),
            inbox,
        )  # fmt: skip
        if turn.views:
            _encode_views(turn.views, parts)
    return b"".join(parts)


def _encode_views(views: Sequence[View], parts: list[bytes]) -> None:
    parts.append(_COUNT.pack(len(views)))
    for view in views:
        head = (view.handle, view.window, view.epoch, view.total, view.offset, view.length)
        parts += (_VIEW.pack(*head), bytes(view.content))


def _decode_views(data: bytes, at: int) -> tuple[tuple[View, ...], int]:
    """Return the views that begin at a place, and where they end."""
    (count,) = _COUNT.unpack_from(data, at)
    at += _COUNT.size
    views = list[View]()
    for _ in range(count):
        handle, window, epoch, total, offset, length = _VIEW.unpack_from(data, at)
        at += _VIEW.size
        views.append(View(handle, window, epoch, total, offset, length, data[at : at + length]))
        at += length
    return tuple(views), at


def decode_turns(data: bytes) -> Iterator[tuple[Turn, bool]]:
    """Yield the turns of a batch."""
    at = 0
    while at < len(data):
        agent, operation, flags, tick, seed, fuel, wall_us, count, length = _TURN.unpack_from(data, at)
        at += _TURN.size
        inbox = data[at : at + length]
        at += length
        views: tuple[View, ...] = ()
        if flags & _WITH_VIEWS:
            views, at = _decode_views(data, at)
        turn = Turn(agent, operation, tick, seed, fuel, wall_us, count, inbox, views)
        yield turn, bool(flags & _WITH_IMAGE)


def encode_outcome(outcome: Outcome, image: bytes) -> list[bytes]:
    """Return one outcome in parts; ``image`` is empty where none was asked for."""
    detail, outbox, written = outcome.detail.encode(), outcome.outbox, outcome.written
    header = _OUTCOME.pack(
        outcome.status, len(written), outcome.code, len(outbox), len(detail), len(image), outcome.fuel
    )
    parts = [header, image, outbox, detail]
    for one in written:
        parts += (_WRITTEN.pack(one.handle, one.place, len(one.content)), bytes(one.content))
    return parts


def decode_outcomes(data: bytes) -> Iterator[tuple[Outcome, bytes]]:
    """Yield outcomes and images. Order: as the turns were given."""
    at = 0
    while at < len(data):
        status, writes, code, outbox_bytes, detail_bytes, image_bytes, fuel = _OUTCOME.unpack_from(data, at)
        at += _OUTCOME.size
        image = data[at : at + image_bytes]
        at += image_bytes
        outbox = data[at : at + outbox_bytes]
        at += outbox_bytes
        detail = data[at : at + detail_bytes].decode() if detail_bytes else ""
        at += detail_bytes
        written = list[Written]()
        for _ in range(writes):
            handle, place, length = _WRITTEN.unpack_from(data, at)
            at += _WRITTEN.size
            written.append(Written(handle, place, data[at : at + length]))
            at += length
        yield Outcome(status, code, fuel, outbox, detail, tuple(written)), image


def encode_carry(turn: Turn, placed: Placement) -> bytes:
    """Return what makes a worker hand an agent's state to another version, whose code was sent before."""
    named = msgspec.msgpack.encode(placed)
    return _COUNT.pack(len(named)) + named + encode_turns([(turn, False)])


def decode_carry(data: bytes) -> tuple[Turn, Placement]:
    """Return the turn and the other version."""
    (length,) = _COUNT.unpack_from(data)
    start = _COUNT.size + length
    ((turn, _),) = decode_turns(data[start:])
    return turn, msgspec.msgpack.decode(data[_COUNT.size : start], type=Placement)


def encode_agents(agents: Sequence[int]) -> bytes:
    """Return agent numbers as u32."""
    return struct.pack(f"<{len(agents)}I", *agents)


def decode_agents(data: bytes) -> tuple[int, ...]:
    """Return agent numbers."""
    return struct.unpack(f"<{len(data) // 4}I", data)


def encode_restore(agent: int, image: bytes, turns: Sequence[Turn], *, undoable: bool) -> bytes:
    """Return what brings an agent back: an image (empty for a fresh instance) and the turns since.

    Args:
        undoable: Whether the last of them may still be taken back.
    """
    head = _RESTORE.pack(agent, len(image), undoable)
    return head + image + encode_turns((turn, False) for turn in turns)


def decode_restore(data: bytes) -> tuple[int, bytes, list[Turn], bool]:
    """Return agent, image, turns, and whether the last of them may still be taken back."""
    agent, length, undoable = _RESTORE.unpack_from(data)
    start = _RESTORE.size
    turns = [turn for turn, _ in decode_turns(data[start + length :])]
    return agent, data[start : start + length], turns, undoable
