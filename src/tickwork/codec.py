"""The only encoder: canonical bytes, frame and turn layouts, digests and chain links.

Invariants:
    * Equal values give equal bytes on every platform: msgpack arrays in field order, or fixed little-endian structs.
    * A decoder never trusts a length: it is checked against what is there before a slice is taken.
    * D covers header, inputs, turns and derived records. F covers D and the hints.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from .records import DETACH_BYTES, Derived, Environment, Frame, Header, Input, Message, ModelNote, Outcome, Status

FRAME: Final = struct.Struct("<IHHIIQQ")
"""Header of a message frame: size, kind, encoding, source, destination, seq, tick. Source: the agent ABI."""

CONTEXT: Final = struct.Struct("<QQQQIIIII12x")
"""Context of a turn: tick, seed, fuel, wall_us, agent, in_len, in_count, out_len, out_count."""

CONTEXT_OUTPUT: Final = struct.Struct("<II")
"""The two fields of the context that the guest writes: out_len, out_count."""
CONTEXT_OUTPUT_OFFSET: Final = 44

DESCRIPTOR: Final = struct.Struct("<4sHHIIIIII")
"""What ``tw_desc`` points to: magic, major, minor, inbox_ptr, inbox_cap, outbox_ptr, outbox_cap, context_ptr, flags."""

TURN: Final = struct.Struct("<IHHiIQ")
"""Header of a turn's record: agent, status, flags, code, outbox length, charged fuel."""

DETACHED: Final = struct.Struct("<32sI")
"""What stands in a turn's record for a detached outbox: digest and length."""

TURN_DETACHED: Final = 1
TURN_OPERATION_SHIFT: Final = 8

_D_DOMAIN: Final = b"TWD1"
_F_DOMAIN: Final = b"TWF1"
_LENGTHS: Final = struct.Struct("<QQQ")

_encoder = msgspec.msgpack.Encoder(order="deterministic")
_inputs = msgspec.msgpack.Decoder(tuple[Input, ...])
_derived = msgspec.msgpack.Decoder(tuple[Derived, ...])
_header = msgspec.msgpack.Decoder(Header)
_environment = msgspec.msgpack.Decoder(Environment)

_STATUSES: Final = frozenset(map(int, Status))
_EMPTY_ARRAY: Final = b"\x90"


class CodecError(ValueError):
    """Bytes that no encoder of this format wrote."""


def digest(data: bytes) -> bytes:
    """Return the SHA-256 of ``data``. Shape: 32 bytes."""
    return hashlib.sha256(data).digest()


def encode(value: object) -> bytes:
    """Return the canonical msgpack bytes of a record or a tuple of records."""
    return _encoder.encode(value)


def decode_header(data: bytes) -> Header:
    """Return the header encoded in ``data``.

    Raises:
        CodecError: The bytes are no header.
    """
    try:
        return _header.decode(data)
    except (msgspec.DecodeError, ValueError) as error:
        raise CodecError(f"header: {error}") from error


def decode_environment(data: bytes) -> Environment:
    """Return the environment record encoded in ``data``."""
    try:
        return _environment.decode(data)
    except (msgspec.DecodeError, ValueError) as error:
        raise CodecError(f"environment: {error}") from error


def detach_input(item: Input) -> tuple[Input, bytes | None]:
    """Return the input as it is journaled, and its body if that goes to the content store.

    Law: ``attach_input(*detach_input(x)) == x`` for every input with ``digest`` empty.
    """
    size = len(item.body)
    if size <= DETACH_BYTES:
        return item if item.size == size else msgspec.structs.replace(item, size=size), None
    kept = msgspec.structs.replace(item, body=b"", digest=digest(item.body), size=size)
    return kept, item.body


def attach_input(item: Input, body: bytes | None) -> Input:
    """Return the input with its detached body put back."""
    if not item.digest:
        return item
    assert body is not None, "the caller looks detached bodies up"
    return msgspec.structs.replace(item, body=body, digest=b"")


def encode_inputs(inputs: Sequence[Input]) -> bytes:
    """Return the bytes of a tick's inputs. Order: arrival."""
    return _encoder.encode(inputs) if inputs else _EMPTY_ARRAY


def decode_inputs(data: bytes) -> tuple[Input, ...]:
    """Return the inputs of a tick."""
    if data == _EMPTY_ARRAY:
        return ()
    try:
        return _inputs.decode(data)
    except (msgspec.DecodeError, ValueError) as error:
        raise CodecError(f"inputs: {error}") from error


def encode_derived(records: Sequence[Derived]) -> bytes:
    """Return the bytes of a tick's derived records. Order: as the kernel drew them."""
    return _encoder.encode(records) if records else _EMPTY_ARRAY


class Hints(msgspec.Struct, frozen=True, array_like=True):
    """What nothing depends on.

    Attributes:
        fuel: Used by each turn, in slot order.
        details: Texts about failed turns, by slot.
        snapshot: Digest of the snapshot that was taken after the tick, or empty.
        models: Who answered requests to models whose answers arrived with this tick. Order: arrival.
    """

    fuel: list[int] = []
    details: list[tuple[int, str]] = []
    snapshot: bytes = b""
    models: tuple[ModelNote, ...] = ()


_hints = msgspec.msgpack.Decoder(Hints)


def decode_hints(data: bytes) -> Hints:
    """Return the hints of a tick."""
    try:
        return _hints.decode(data)
    except (msgspec.DecodeError, ValueError) as error:
        raise CodecError(f"hints: {error}") from error


def decode_derived(data: bytes) -> tuple[Derived, ...]:
    """Return the derived records of a tick."""
    if data == _EMPTY_ARRAY:
        return ()
    try:
        return _derived.decode(data)
    except (msgspec.DecodeError, ValueError) as error:
        raise CodecError(f"derived records: {error}") from error


class TurnRecord(msgspec.Struct, frozen=True, gc=False):
    """A turn as the journal has it.

    Attributes:
        outcome: Its ``fuel`` is what was charged; what was used is a hint.
        charged: Fuel charged to a window quota; 0 where the agent has none.
        digest: Of a detached outbox, else empty; ``outcome.outbox`` is empty then.
        size: Length of the outbox in bytes.
        offset: Where the record begins in the tick's turns.
    """

    agent: int
    operation: int
    outcome: Outcome
    charged: int
    digest: bytes
    size: int
    offset: int


def encode_turn(agent: int, operation: int, outcome: Outcome, charged: int, parts: list[bytes]) -> bytes | None:
    """Append one turn's record to ``parts``; return the outbox if it goes to the content store."""
    outbox = outcome.outbox
    size = len(outbox)
    flags = operation << TURN_OPERATION_SHIFT
    if size <= DETACH_BYTES:
        parts.append(TURN.pack(agent, outcome.status, flags, outcome.code, size, charged))
        parts.append(outbox)
        return None
    parts.append(TURN.pack(agent, outcome.status, flags | TURN_DETACHED, outcome.code, DETACHED.size, charged))
    parts.append(DETACHED.pack(digest(outbox), size))
    return outbox


def decode_turns(data: bytes) -> Iterator[TurnRecord]:
    """Yield the turns of a tick. Order: schedule slots.

    Raises:
        CodecError: A length runs past the end.
    """
    offset, end = 0, len(data)
    while offset < end:
        if offset + TURN.size > end:
            raise CodecError(f"turns: a record header is cut off at byte {offset}")
        agent, status, flags, code, length, charged = TURN.unpack_from(data, offset)
        start = offset + TURN.size
        if start + length > end:
            raise CodecError(f"turns: the record at byte {offset} runs past the end")
        if status not in _STATUSES:
            raise CodecError(f"turns: the record at byte {offset} has status {status}")
        outbox, mark, size = data[start : start + length], b"", length
        if flags & TURN_DETACHED:
            if length != DETACHED.size:
                raise CodecError(f"turns: the record at byte {offset} names no content")
            mark, size = DETACHED.unpack(outbox)
            outbox = b""
        outcome = Outcome(status, code, charged, outbox)
        yield TurnRecord(agent, flags >> TURN_OPERATION_SHIFT, outcome, charged, mark, size, offset)
        offset = start + length


def pad(body: bytes) -> bytes:
    """Return ``body`` padded with zeros to a multiple of 8 bytes."""
    rest = -len(body) & 7
    return body + bytes(rest) if rest else body


def encode_frame(kind: int, encoding: int, source: int, destination: int, seq: int, tick: int, body: bytes) -> bytes:
    """Return one message frame: 32-byte header and padded body. ``size`` counts header and body without padding."""
    return FRAME.pack(FRAME.size + len(body), kind, encoding, source, destination, seq, tick) + pad(body)


def decode_frames(data: bytes) -> Iterator[Message]:
    """Yield the frames of an inbox or outbox in order.

    Raises:
        CodecError: A frame is shorter than its header or runs past the end.
    """
    offset, end = 0, len(data)
    while offset < end:
        if offset + FRAME.size > end:
            raise CodecError(f"frame header cut off at byte {offset}")
        size, kind, encoding, source, destination, seq, tick = FRAME.unpack_from(data, offset)
        if size < FRAME.size or offset + size > end:
            raise CodecError(f"frame at byte {offset} has size {size}, {end - offset} bytes are left")
        yield Message(kind, encoding, source, destination, seq, tick, data[offset + FRAME.size : offset + size])
        offset += (size + 7) & ~7


def start_chain(header: bytes, environment: bytes) -> tuple[bytes, bytes]:
    """Return the heads (D, F) after record 0."""
    d = hashlib.sha256(_D_DOMAIN + header).digest()
    return d, hashlib.sha256(_F_DOMAIN + d + environment).digest()


def link_d(previous: bytes, inputs: bytes, turns: bytes, derived: bytes) -> bytes:
    """Return D after a tick.

    The authoritative and the derived part are hashed apart, so that derived bodies can be dropped and the chain
    still verified.
    """
    authoritative = hashlib.sha256(inputs)
    authoritative.update(turns)
    lengths = _LENGTHS.pack(len(inputs), len(turns), len(derived))
    return hashlib.sha256(
        _D_DOMAIN + previous + lengths + authoritative.digest() + hashlib.sha256(derived).digest()
    ).digest()


def link_f(previous: bytes, d: bytes, hints: bytes) -> bytes:
    """Return F after a tick."""
    return hashlib.sha256(_F_DOMAIN + previous + d + hashlib.sha256(hints).digest()).digest()


def link(previous: tuple[bytes, bytes], tick: int, inputs: bytes, turns: bytes, derived: bytes, hints: bytes) -> Frame:
    """Return the sealed frame of one tick.

    Args:
        previous: The heads (D, F) before it.
    """
    d = link_d(previous[0], inputs, turns, derived)
    return Frame(tick, inputs, turns, derived, hints, d, link_f(previous[1], d, hints))
