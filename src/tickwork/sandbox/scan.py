"""One walk over a module's instructions: refuses what an image could not put back, and measures each function.

Refused here, besides what profile tw-1 leaves out: ``table.set/grow/fill/copy/init``, ``elem.drop`` and
``data.drop``. Memory and globals are all the state that is left, so an image of both is the whole instance.
``memory.init`` stays allowed: a segment that is never dropped reads the same in a new instance.

The height of the operand stack is followed without types: code that cannot be reached may make it too large, and a
body that is not valid may make it anything, which the engine then refuses.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from .wasm import V128, FunctionType, Import, Malformed, Module, Reader

_NONE, _ONE, _TWO, _BYTES_4, _BYTES_8, _LABELS, _TYPES, _MISC, _SIMD, _BLOCK, _CLOSE, _CALL, _REFUSED = range(13)


SLOTS_PER_RESULT: Final = 4
"""Results beyond the first are passed in memory: as the engine's frames grew by them, measured."""


class Measure(NamedTuple):
    """What the rewriter needs to know of a function body.

    Attributes:
        slots: 8-byte places its parameters and locals take, and what results beyond the first take of a caller's frame.
        calls: Whether it calls anything.
        operands: Most 8-byte places of the operand stack at any call.
        size: Bytes of its code.
    """

    slots: int
    calls: bool
    operands: int
    size: int


def _immediates() -> bytes:
    table = bytearray([_REFUSED] * 256)
    for opcode in (0x00, 0x01, 0x0F, 0x1A, 0x1B, 0xD1, *range(0x45, 0xC5)):
        table[opcode] = _NONE
    for opcode in (0x0C, 0x0D, *range(0x20, 0x26), 0x3F, 0x40, 0x41, 0x42, 0xD0, 0xD2):
        table[opcode] = _ONE
    for opcode in range(0x28, 0x3F):
        table[opcode] = _TWO
    table[0x43], table[0x44] = _BYTES_4, _BYTES_8
    table[0x0E], table[0x1C], table[0xFC], table[0xFD] = _LABELS, _TYPES, _MISC, _SIMD
    for kind, opcodes in ((_BLOCK, (0x02, 0x03, 0x04)), (_CLOSE, (0x05, 0x0B)), (_CALL, (0x10, 0x11))):
        for opcode in opcodes:
            table[opcode] = kind
    return bytes(table)


def _heights() -> tuple[int, ...]:
    """Return by how much each opcode of one byte changes the height of the operand stack."""
    table = [0] * 256
    for opcode in (0x20, 0x23, 0x3F, 0x41, 0x42, 0x43, 0x44, 0xD0, 0xD2):
        table[opcode] = 1
    one_less = (range(0x46, 0x50), range(0x51, 0x67), range(0x6A, 0x79), range(0x7C, 0x8B), range(0x92, 0x99))
    for opcode in (0x04, 0x0D, 0x0E, 0x1A, 0x21, 0x24, *range(0xA0, 0xA7), *(op for ops in one_less for op in ops)):
        table[opcode] = -1
    for opcode in (0x1B, 0x1C, *range(0x36, 0x3F)):
        table[opcode] = -2
    return tuple(table)


_IMMEDIATES: Final = _immediates()
_HEIGHTS: Final = _heights()

_NAMED: Final = {
    0x06: "try", 0x07: "catch", 0x08: "throw", 0x09: "rethrow", 0x0A: "throw_ref", 0x12: "return_call",
    0x13: "return_call_indirect", 0x14: "call_ref", 0x15: "return_call_ref", 0x1F: "try_table", 0x26: "table.set",
    0xFB: "a garbage-collection instruction", 0xFE: "an atomic instruction",
}  # fmt: skip
_MISC_NAMED: Final = {
    9: "data.drop", 12: "table.init", 13: "elem.drop", 14: "table.copy", 15: "table.grow", 17: "table.fill",
}  # fmt: skip
_MISC_NUMBERS: Final = {**dict.fromkeys(range(8), 0), 8: 2, 10: 2, 11: 1, 16: 1}
_MISC_HEIGHTS: Final = {8: -3, 10: -3, 11: -3, 16: 1}

_SIMD_MEMORY: Final = frozenset((*range(12), 92, 93))
_SIMD_MEMORY_LANE: Final = frozenset(range(84, 92))
_SIMD_LANE: Final = frozenset(range(21, 35))
_SIMD_LAST: Final = 0xFF
_SIMD_KEEPS: Final = frozenset((
    *range(11), *range(15, 23), 24, 25, 27, 29, 31, 33, 77, 83, *range(92, 101), *range(103, 107), 116, 117, 122,
    *range(124, 130), 131, 132, *range(135, 139), 148, 160, 161, 163, 164, *range(167, 171), 192, 193, 195, 196,
    *range(199, 203), 224, 225, 227, 236, 237, 239, *range(248, 256),
))  # fmt: skip
"""Instructions that take as many operands as they leave; most others take one more."""
_SIMD_HEIGHTS: Final = {11: -2, 12: 1, 82: -2, **dict.fromkeys(range(88, 92), -2), **dict.fromkeys(_SIMD_KEEPS, 0)}


def scan(module: Module) -> list[Measure]:
    """Return a measure of each function body. Order: as in the code section.

    Raises:
        Malformed: An instruction is refused, unknown or cut off.
    """
    measures = list[Measure]()
    called = _Types(module.types, module.imports, module.functions)
    for (start, end), type_index in zip(module.bodies, module.functions, strict=True):
        if type_index >= len(module.types):
            raise Malformed(f"a function has type {type_index}, there are {len(module.types)}", start)
        reader = Reader(module.data, start, end)
        slots = sum(2 if value == V128 else 1 for value in module.types[type_index].parameters)
        slots += _locals(reader) + SLOTS_PER_RESULT * max(0, len(module.types[type_index].results) - 1)
        walk = _Walk(module.data, end, called)
        try:
            walk.run(reader.at)
        except IndexError as error:
            raise Malformed("an instruction runs past the end of the file", start) from error
        measures.append(Measure(slots, walk.calls, walk.peak * (2 if walk.vectors else 1), end - start))
    return measures


def _locals(reader: Reader) -> int:
    slots = 0
    for _ in range(reader.count()):
        count = reader.number()
        slots += count * (2 if reader.byte() == V128 else 1)
    return slots


class _Types:
    """How many operands calls and blocks take and leave."""

    def __init__(self, types: Sequence[FunctionType], imports: Sequence[Import], functions: Sequence[int]) -> None:
        self.counts = [(len(kind.parameters), len(kind.results)) for kind in types]
        self.functions = [*(item.detail for item in imports), *functions]

    def of(self, reader: Reader, indirect: bool) -> tuple[int, int]:
        """Return what the type or function that is named next takes and leaves."""
        first, index = reader.at, reader.number()
        known = self.counts if indirect else self.functions
        if index >= len(known):
            raise Malformed(f"a call names number {index}, there are {len(known)}", first)
        index = index if indirect else self.functions[index]
        if index >= len(self.counts):
            raise Malformed(f"a function has type {index}, there are {len(self.counts)}", first)
        return self.counts[index]


class _Walk:
    """Passes all instructions of one body, which ends at ``end``; the caller has checked that it lies in ``data``.

    Attributes:
        peak: Greatest height of the operand stack at a call.
        vectors: Whether an operand may take two places.
    """

    def __init__(self, data: bytes, end: int, types: _Types) -> None:
        self.data = data
        self.end = end
        self.types = types
        self.calls = self.vectors = False
        self.peak = self.height = 0
        self.open = list[tuple[int, int, int]]()
        """Of each open block: the height below its parameters, how many it takes, how many it leaves."""

    def run(self, at: int) -> None:
        """Pass everything from ``at`` on."""
        data, end, table, heights = self.data, self.end, _IMMEDIATES, _HEIGHTS
        while at < end:
            opcode = data[at]
            kind = table[opcode]
            self.height += heights[opcode]
            if kind == _NONE:
                at += 1
            elif kind <= _TWO:
                at += 1
                for _ in range(kind):
                    while data[at] & 0x80:
                        at += 1
                    at += 1
            elif kind == _BYTES_4:
                at += 5
            elif kind == _BYTES_8:
                at += 9
            else:
                at = self.rare(at, kind)
        if at != end:
            raise Malformed("an instruction runs past the end of its function", end)

    def rare(self, at: int, kind: int) -> int:
        """Return where the instruction after this one begins."""
        data, opcode = self.data, self.data[at]
        if kind == _REFUSED:
            raise Malformed(_refusal(_NAMED.get(opcode, f"opcode 0x{opcode:02x}")), at)
        if kind == _CLOSE:
            return self.close(at, opcode)
        reader = Reader(data, at + 1, self.end)
        if kind == _BLOCK:
            return self.block(reader)
        if kind == _CALL:
            return self.call(reader, indirect=opcode == 0x11)
        if kind == _LABELS:
            return _skip(data, reader.at, reader.count() + 2, self.end)
        if kind == _TYPES:
            reader.take(reader.number())
            return reader.at
        minor = reader.number()
        if kind == _SIMD:
            self.vectors = True
            self.height += _SIMD_HEIGHTS.get(minor, -1)
            return _simd(data, reader.at, minor, self.end, at)
        if minor not in _MISC_NUMBERS:
            raise Malformed(_refusal(_MISC_NAMED.get(minor, f"opcode 0xfc {minor}")), at)
        self.height += _MISC_HEIGHTS.get(minor, 0)
        return _skip(data, reader.at, _MISC_NUMBERS[minor], self.end)

    def block(self, reader: Reader) -> int:
        """Open a block: its type is nothing, one value, or the index of a type."""
        kind = reader.data[reader.at]
        takes, leaves = 0, 0
        if 0x40 <= kind < 0x80:
            reader.byte()
            leaves = int(kind != 0x40)
        else:
            takes, leaves = self.types.of(reader, True)
        self.open.append((self.height - takes, takes, leaves))
        return reader.at

    def close(self, at: int, opcode: int) -> int:
        """Close a block, or begin its other branch."""
        if self.open:
            below, takes, leaves = self.open[-1]
            if opcode == 0x05:
                self.height = below + takes
            else:
                self.height = below + leaves
                self.open.pop()
        elif at + 1 != self.end:
            raise Malformed("instructions follow the end of a function", at)
        return at + 1

    def call(self, reader: Reader, *, indirect: bool) -> int:
        """Note how high the operand stack is at a call."""
        self.calls = True
        takes, leaves = self.types.of(reader, indirect)
        before, self.height = self.height, self.height + leaves - takes - indirect
        # Results that do not fit registers come back through the caller's frame.
        self.peak = max(self.peak, before, self.height)
        if indirect:
            reader.number()
        return reader.at


def _skip(data: bytes, at: int, count: int, end: int) -> int:
    for _ in range(count):
        while at < end and data[at] & 0x80:
            at += 1
        at += 1
    return at


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
