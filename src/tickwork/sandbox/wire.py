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
from ..records import Limits, Outcome, Turn

MODULE, PLACE, RESTORE, COMPUTE, ROLLBACK, RESET, RETIRE, IMAGE, CARRY = range(1, 10)
READY, ANSWER, FAILURE = range(1, 4)

FRAME_BYTES_MOST: Final = 1 << 31

_HEADER: Final = struct.Struct("<IB")
_TURN: Final = struct.Struct("<IHHQQQQII")
_OUTCOME: Final = struct.Struct("<HHiIIIQ")
_COUNT: Final = struct.Struct("<I")

_WITH_IMAGE: Final = 1
"""Flag of a turn: take an image before it and send it along."""


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
    """PLACE: an agent and the digest of its code, sent before."""

    agent: int
    code: bytes
    limits: Limits


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
        inbox = turn.inbox
        parts += (
            _TURN.pack(
                turn.agent, turn.operation, _WITH_IMAGE * imaged, turn.tick, turn.seed, turn.fuel, turn.wall_us,
                turn.count, len(inbox),
            ),
            inbox,
        )  # fmt: skip
    return b"".join(parts)


def decode_turns(data: bytes) -> Iterator[tuple[Turn, bool]]:
    """Yield the turns of a batch."""
    at = 0
    while at < len(data):
        agent, operation, flags, tick, seed, fuel, wall_us, count, length = _TURN.unpack_from(data, at)
        at += _TURN.size
        turn = Turn(agent, operation, tick, seed, fuel, wall_us, count, data[at : at + length])
        yield turn, bool(flags & _WITH_IMAGE)
        at += length


def encode_outcome(outcome: Outcome, image: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return one outcome in parts; ``image`` is empty where none was asked for."""
    detail, outbox = outcome.detail.encode(), outcome.outbox
    header = _OUTCOME.pack(outcome.status, 0, outcome.code, len(outbox), len(detail), len(image), outcome.fuel)
    return header, image, outbox, detail


def decode_outcomes(data: bytes) -> Iterator[tuple[Outcome, bytes]]:
    """Yield outcomes and images. Order: as the turns were given."""
    at = 0
    while at < len(data):
        status, _, code, outbox_bytes, detail_bytes, image_bytes, fuel = _OUTCOME.unpack_from(data, at)
        at += _OUTCOME.size
        image = data[at : at + image_bytes]
        at += image_bytes
        outbox = data[at : at + outbox_bytes]
        at += outbox_bytes
        detail = data[at : at + detail_bytes].decode() if detail_bytes else ""
        at += detail_bytes
        yield Outcome(status, code, fuel, outbox, detail), image


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


def encode_restore(agent: int, image: bytes, turns: Sequence[Turn]) -> bytes:
    """Return what brings an agent back: an image (empty for a fresh instance) and the turns since."""
    return _COUNT.pack(agent) + _COUNT.pack(len(image)) + image + encode_turns((turn, False) for turn in turns)


def decode_restore(data: bytes) -> tuple[int, bytes, list[Turn]]:
    """Return agent, image and turns."""
    (agent,), (length,) = _COUNT.unpack_from(data), _COUNT.unpack_from(data, _COUNT.size)
    start = 2 * _COUNT.size
    turns = [turn for turn, _ in decode_turns(data[start + length :])]
    return agent, data[start : start + length], turns
