"""A module's code as text: WebAssembly's own names, one instruction a line, with its place in the file.

It reads like the text format and is for people; nothing reads it back. Names come from the exports and from the
``name`` section, source lines from debugging information, where they are there.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ..errors import UsageFault
from ..sandbox import gate
from ..sandbox.wasm import CODE, KIND_FUNCTION, FunctionType, Malformed, Module, Reader
from . import opcodes
from .dwarf import Place
from .sections import function_types
from .traces import CodePlace, Symbols

_VALUES: Final = {0x7F: "i32", 0x7E: "i64", 0x7D: "f32", 0x7C: "f64", 0x7B: "v128", 0x70: "funcref", 0x6F: "externref"}
_OPENS: Final = frozenset((0x02, 0x03, 0x04))
_ELSE, _END = 0x05, 0x0B
_INDENT: Final = "  "


class Line(NamedTuple):
    """One line of a listing.

    Attributes:
        at: Offset in the file, -1 where the line is about no bytes. Units: bytes.
        text: Indented as blocks nest.
        source: Where in the source it comes from; set where that changes.
    """

    at: int
    text: str
    source: str = ""


def pick_function(module: Module, names: dict[int, str], wanted: str) -> int:
    """Return the index of a function that has a body, by number or name.

    Raises:
        UsageFault: TW1001, there is none.
    """
    first = sum(item.kind == KIND_FUNCTION for item in module.imports)
    last = first + len(module.bodies) - 1
    found = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 else -1
    if found < 0:
        found = next((index for index, name in sorted(names.items()) if name == wanted), -1)
    if not first <= found <= last:
        known = ", ".join(name for index, name in sorted(names.items()) if index >= first)[:400]
        raise UsageFault(
            f"there is no function {wanted!r} with a body",
            why=f"they are {first} to {last}" + (f"; names are {known}" if known else ""),
            fix="name one by its number or its name",
        )
    return found


def list_functions(
    module: Module, names: dict[int, str], symbols: Symbols | None, only: int | None = None
) -> Iterator[Line]:
    """Yield the listing of all functions with bodies, or of one.

    Raises:
        Malformed: The code cannot be read.
    """
    first = sum(item.kind == KIND_FUNCTION for item in module.imports)
    types = function_types(module)
    for index, (start, end) in enumerate(module.bodies, first):
        if only in (None, index):
            yield from _Function(module, names, symbols, index).lines(start, end, types[index])


class _Function:
    """Reads one body."""

    def __init__(self, module: Module, names: dict[int, str], symbols: Symbols | None, index: int) -> None:
        self.module, self.names, self.symbols, self.index = module, names, symbols, index
        code = module.section(CODE)
        self.code_start = code.start if code else 0

    def lines(self, start: int, end: int, function: FunctionType | None) -> Iterator[Line]:
        """Yield the head of the function, its instructions and its end."""
        exported = [
            f'(export "{gate.escape(export.name)}")'
            for export in self.module.exports
            if export.kind == KIND_FUNCTION and export.target == self.index
        ]
        words = [f"func {self._called(self.index)}", *exported, *_signature(function)]
        yield Line(-1, f"({' '.join(words)}  ;; {end - start:,} bytes at {start:#x}")
        reader = Reader(self.module.data, start, end)
        if local := _locals(reader):
            yield Line(-1, f"{_INDENT}(local {local})")
        depth, told = 1, ""
        while reader.at < end:
            at, opcode = reader.at, self.module.data[reader.at]
            text = self._instruction(reader)
            shown = max(1, depth - (opcode in (_ELSE, _END)))
            depth += (opcode in _OPENS) - (opcode == _END)
            source = self._source(at)
            # The end of the body closes the function itself.
            yield Line(at, _INDENT * (shown if reader.at < end else 0) + text, source if source != told else "")
            told = source or told
        yield Line(-1, ")")

    def _source(self, at: int) -> str:
        if self.symbols is None:
            return ""
        found = self.symbols.find(CodePlace(self.index, at - self.code_start, at))
        return _place(found[0]) if found else ""

    def _called(self, index: int) -> str:
        name = self.names.get(index, "")
        return f"{index} ${name}" if name else str(index)

    def _instruction(self, reader: Reader) -> str:
        first = reader.at
        opcode = reader.byte()
        number, names, follows = opcode, opcodes.NAMES, opcodes.FOLLOWS
        if opcode == opcodes.MISC:
            number, names, follows = reader.number(), opcodes.MISC_NAMES, opcodes.MISC_FOLLOWS
        elif opcode == opcodes.SIMD:
            number, names, follows = reader.number(), opcodes.SIMD_NAMES, opcodes.SIMD_FOLLOWS
        if number not in names:
            raise Malformed(f"opcode 0x{opcode:02x} {number} is not known", first)
        name, kind = names[number], follows.get(number, opcodes.NONE)
        if name == "call":
            return f"call {self._called(reader.number())}"
        return " ".join(filter(None, (name, _FOLLOWING[kind](reader, self.module))))


def _place(place: Place) -> str:
    return gate.escape(f"{place.file}:{place.line}")


def _signature(function: FunctionType | None) -> Iterator[str]:
    for word, values in zip(("param", "result"), function or (), strict=False):
        if values:
            yield f"({word} {' '.join(_VALUES.get(value, '?') for value in values)})"


def _locals(reader: Reader) -> str:
    named: list[str] = []
    for _ in range(reader.count()):
        count = reader.number()
        value = _VALUES.get(reader.byte(), "?")
        # Thousands of locals in one declaration are a hostile module's: they are counted, not listed.
        named.append(" ".join([value] * count) if count <= 16 else f"{value} ;; {count:,} of them ;;")
    return " ".join(named)


def signed_number(reader: Reader) -> int:
    """Return the next signed LEB128 number. Bounds: 64 bits."""
    value = shift = 0
    while True:
        piece = reader.byte()
        value |= (piece & 0x7F) << shift
        shift += 7
        if piece < 0x80:
            break
        if shift > 63:
            raise Malformed("a number is longer than 10 bytes", reader.at)
    return value - (1 << shift) if piece & 0x40 else value


# --- what follows an opcode ---


def _block(reader: Reader, module: Module) -> str:
    found = signed_number(reader)
    if found >= 0:
        return f"(type {found})"
    value = found & 0x7F
    return "" if value == 0x40 else f"(result {_VALUES.get(value, '?')})"


def _memory(reader: Reader, module: Module) -> str:
    alignment, offset = reader.number(), reader.number()
    return " ".join(filter(None, (f"offset={offset}" if offset else "", f"align={1 << min(alignment, 31)}")))


def _labels(reader: Reader, module: Module) -> str:
    return " ".join(str(reader.number()) for _ in range(reader.count() + 1))


def _types(reader: Reader, module: Module) -> str:
    return f"(result {' '.join(_VALUES.get(reader.byte(), '?') for _ in range(reader.count()))})"


def _indirect(reader: Reader, module: Module) -> str:
    index, table = reader.number(), reader.number()
    function = module.types[index] if index < len(module.types) else None
    return " ".join([*([str(table)] if table else []), f"(type {index})", *_signature(function)])


def _single(reader: Reader, module: Module) -> str:
    return f"{struct.unpack('<f', reader.take(4))[0]!r}"


def _double(reader: Reader, module: Module) -> str:
    return f"{struct.unpack('<d', reader.take(8))[0]!r}"


def _zero(reader: Reader, module: Module) -> str:
    reader.number()
    return ""


def _two_zeros(reader: Reader, module: Module) -> str:
    return _zero(reader, module) + _zero(reader, module)


def _index(reader: Reader, module: Module) -> str:
    return str(reader.number())


_FOLLOWING: Final[dict[int, Callable[[Reader, Module], str]]] = {
    opcodes.NONE: lambda reader, module: "",
    opcodes.INDEX: _index,
    opcodes.LABEL: _index,
    opcodes.MEMORY: _memory,
    opcodes.I32: lambda reader, module: str(signed_number(reader)),
    opcodes.I64: lambda reader, module: str(signed_number(reader)),
    opcodes.F32: _single,
    opcodes.F64: _double,
    opcodes.BLOCK: _block,
    opcodes.LABELS: _labels,
    opcodes.TYPES: _types,
    opcodes.INDIRECT: _indirect,
    opcodes.REFERENCE: lambda reader, module: _VALUES.get(reader.byte(), "?").removesuffix("ref"),
    opcodes.ZERO: _zero,
    opcodes.LANE: lambda reader, module: str(reader.byte()),
    opcodes.MEMORY_LANE: lambda reader, module: f"{_memory(reader, module)} {reader.byte()}",
    opcodes.CONSTANT_16: lambda reader, module: " ".join(f"{byte:#04x}" for byte in reader.take(16)),
    opcodes.TWO_INDICES: lambda reader, module: f"{reader.number()} {reader.number()}",
    opcodes.TWO_ZEROS: _two_zeros,
}
