"""One walk over a module's instructions: refuses what an image could not put back, and measures each function.

Refused here, besides what profile tw-1 leaves out: ``table.set/grow/fill/copy/init``, ``elem.drop`` and
``data.drop``. Memory and globals are all the state that is left, so an image of both is the whole instance.
``memory.init`` stays allowed: a segment that is never dropped reads the same in a new instance.
"""

from typing import Final, NamedTuple

from .wasm import V128, Malformed, Module, Reader

_NONE, _ONE, _TWO, _BYTES_4, _BYTES_8, _LABELS, _TYPES, _MISC, _SIMD, _REFUSED = range(10)


SLOTS_PER_RESULT: Final = 4
"""Results beyond the first are passed in memory: as the engine's frames grew by them, measured."""


class Measure(NamedTuple):
    """What the rewriter needs to know of a function body.

    Attributes:
        slots: 8-byte places its parameters and locals take, and what results beyond the first take of a caller's frame.
        calls: Whether it calls anything.
    """

    slots: int
    calls: bool


def _immediates() -> bytes:
    table = bytearray([_REFUSED] * 256)
    for opcode in (0x00, 0x01, 0x05, 0x0B, 0x0F, 0x1A, 0x1B, 0xD1, *range(0x45, 0xC5)):
        table[opcode] = _NONE
    for opcode in (0x02, 0x03, 0x04, 0x0C, 0x0D, 0x10, *range(0x20, 0x26), 0x3F, 0x40, 0x41, 0x42, 0xD0, 0xD2):
        table[opcode] = _ONE
    for opcode in (0x11, *range(0x28, 0x3F)):
        table[opcode] = _TWO
    table[0x43], table[0x44] = _BYTES_4, _BYTES_8
    table[0x0E], table[0x1C], table[0xFC], table[0xFD] = _LABELS, _TYPES, _MISC, _SIMD
    return bytes(table)


_IMMEDIATES: Final = _immediates()
_CALLS: Final = frozenset((0x10, 0x11))

_NAMED: Final = {
    0x06: "try", 0x07: "catch", 0x08: "throw", 0x09: "rethrow", 0x0A: "throw_ref", 0x12: "return_call",
    0x13: "return_call_indirect", 0x14: "call_ref", 0x15: "return_call_ref", 0x1F: "try_table", 0x26: "table.set",
    0xFB: "a garbage-collection instruction", 0xFE: "an atomic instruction",
}  # fmt: skip
_MISC_NAMED: Final = {
    9: "data.drop", 12: "table.init", 13: "elem.drop", 14: "table.copy", 15: "table.grow", 17: "table.fill",
}  # fmt: skip
_MISC_NUMBERS: Final = {**dict.fromkeys(range(8), 0), 8: 2, 10: 2, 11: 1, 16: 1}

_SIMD_MEMORY: Final = frozenset((*range(12), 92, 93))
_SIMD_MEMORY_LANE: Final = frozenset(range(84, 92))
_SIMD_LANE: Final = frozenset(range(21, 35))
_SIMD_LAST: Final = 0xFF


def scan(module: Module) -> list[Measure]:
    """Return a measure of each function body. Order: as in the code section.

    Raises:
        Malformed: An instruction is refused, unknown or cut off.
    """
    measures = list[Measure]()
    for (start, end), type_index in zip(module.bodies, module.functions, strict=True):
        if type_index >= len(module.types):
            raise Malformed(f"a function has type {type_index}, there are {len(module.types)}", start)
        reader = Reader(module.data, start, end)
        slots = sum(2 if value == V128 else 1 for value in module.types[type_index].parameters)
        slots += _locals(reader) + SLOTS_PER_RESULT * max(0, len(module.types[type_index].results) - 1)
        try:
            measures.append(Measure(slots, _walk(module.data, reader.at, end)))
        except IndexError as error:
            raise Malformed("an instruction runs past the end of the file", start) from error
    return measures


def _locals(reader: Reader) -> int:
    slots = 0
    for _ in range(reader.count()):
        count = reader.number()
        slots += count * (2 if reader.byte() == V128 else 1)
    return slots


def _walk(data: bytes, at: int, end: int) -> bool:
    """Pass all instructions of one body; the caller has checked that ``end`` lies in ``data``."""
    table, calls = _IMMEDIATES, False
    while at < end:
        opcode = data[at]
        kind = table[opcode]
        if kind == _NONE:
            at += 1
            continue
        if kind <= _TWO:
            calls = calls or opcode in _CALLS
            at = _skip(data, at + 1, kind, end)
        elif kind == _BYTES_4:
            at += 5
        elif kind == _BYTES_8:
            at += 9
        else:
            at = _rare(data, at, kind, end)
    if at != end:
        raise Malformed("an instruction runs past the end of its function", end)
    return calls


def _skip(data: bytes, at: int, count: int, end: int) -> int:
    for _ in range(count):
        while at < end and data[at] & 0x80:
            at += 1
        at += 1
    return at


def _rare(data: bytes, at: int, kind: int, end: int) -> int:
    opcode, first = data[at], at
    if kind == _REFUSED:
        raise Malformed(_refusal(_NAMED.get(opcode, f"opcode 0x{opcode:02x}")), first)
    reader = Reader(data, at + 1, end)
    if kind == _LABELS:
        return _skip(data, reader.at, reader.count() + 2, end)
    if kind == _TYPES:
        reader.take(reader.number())
        return reader.at
    minor = reader.number()
    if kind == _MISC:
        if minor not in _MISC_NUMBERS:
            raise Malformed(_refusal(_MISC_NAMED.get(minor, f"opcode 0xfc {minor}")), first)
        return _skip(data, reader.at, _MISC_NUMBERS[minor], end)
    return _simd(data, reader.at, minor, end, first)


def _simd(data: bytes, at: int, minor: int, end: int, first: int) -> int:
    if minor > _SIMD_LAST:
        raise Malformed(_refusal("a relaxed SIMD instruction"), first)
    if minor in _SIMD_MEMORY:
        return _skip(data, at, 2, end)
    if minor in _SIMD_MEMORY_LANE:
        return _skip(data, at, 2, end) + 1
    if minor in _SIMD_LANE:
        return at + 1
    return at + 16 if minor in (12, 13) else at


def _refusal(what: str) -> str:
    if what in _MISC_NAMED.values() or what == "table.set":
        return f"{what} changes state that an image could not put back"
    return f"{what} belongs to a proposal that profile tw-1 leaves out"
