"""WebAssembly's binary format as far as the gate and the rewriter need it: sections, types, bodies.

Invariants:
    * Pure Python on bytes: nothing here compiles or runs anything, and no size in a file is believed before it is
      checked.
    * Every count is compared with its cap before the first element is read, so that no file costs more than its caps.
    * A module that this parser misreads can only be refused: the engine validates whatever passes.
    * Positions are byte offsets in the file, so that a message can name the place.

Source: WebAssembly core specification 2.0, chapter 5.
"""

from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

MAGIC: Final = b"\0asm\x01\0\0\0"

I32: Final = 0x7F
I64: Final = 0x7E
F32: Final = 0x7D
F64: Final = 0x7C
V128: Final = 0x7B
FUNCREF: Final = 0x70
EXTERNREF: Final = 0x6F
NUMBERS: Final = frozenset((I32, I64, F32, F64))
VALUES: Final = NUMBERS | {V128, FUNCREF, EXTERNREF}
_VALUE_BYTES: Final = bytes(sorted(VALUES))

CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT = range(13)
SECTION_ORDER: Final = (TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, DATA_COUNT, CODE, DATA)
SECTION_NAMES: Final = (
    "custom type import function table memory global export start element code data data-count".split()
)

KIND_FUNCTION, KIND_TABLE, KIND_MEMORY, KIND_GLOBAL = range(4)
KIND_NAMES: Final = ("function", "table", "memory", "global")

_FUNCTION_FORM: Final = 0x60
_END: Final = 0x0B


_Item = TypeVar("_Item")


class Malformed(ValueError):
    """Bytes that are no module of this format, or that use what the profile leaves out.

    Args:
        text: What is wrong.
        offset: Byte offset in the file.
    """

    def __init__(self, text: str, offset: int) -> None:
        super().__init__(f"{text} (byte {offset})")
        self.text = text
        self.offset = offset


class Excess(Malformed):
    """A count beyond its cap.

    Args:
        count: What the file claims.
        what: What is counted, in words.
        cap: The most that is read.
    """

    def __init__(self, count: int, what: str, cap: int, offset: int) -> None:
        super().__init__(f"it has {count:,} {what}, {cap:,} are allowed", offset)
        self.count = count
        self.what = what
        self.cap = cap


class Caps(NamedTuple):
    """The greatest counts that ``parse`` takes.

    Source: compile bombs measured against a child process of 5 CPU seconds, and CosmWasm's caps.
    """

    functions: int = 20_000
    body_bytes: int = 128 << 10
    parameters: int = 100
    imports: int = 100
    exports: int = 1_000
    types: int = 10_000
    globals: int = 10_000
    segments: int = 10_000
    tables: int = 4
    memories: int = 100
    sections: int = 1_000
    name_bytes: int = 1_000


CAPS: Final = Caps()
"""The caps of a module that an author built."""


class FunctionType(NamedTuple):
    """A signature: value types as one byte each."""

    parameters: bytes
    results: bytes


class Section(NamedTuple):
    """A section's payload is ``data[start:end]``; a custom one has a name, and its content starts at ``content``."""

    kind: int
    start: int
    end: int
    name: str
    content: int


class Import(NamedTuple):
    """What a module asks its host for. ``detail`` is the type index of a function, else 0."""

    module: str
    name: str
    kind: int
    detail: int


class Export(NamedTuple):
    """What a module offers."""

    name: str
    kind: int
    target: int


class Global(NamedTuple):
    """A global that the module defines."""

    type: int
    mutable: bool


class MemoryType(NamedTuple):
    """Bounds in pages; ``flags`` as in the file (1: it has a maximum)."""

    flags: int
    minimum: int
    maximum: int


class Module(NamedTuple):
    """What the sections of a file say. ``bodies`` holds (start, end) of each function body."""

    data: bytes
    sections: tuple[Section, ...]
    types: tuple[FunctionType, ...]
    imports: tuple[Import, ...]
    functions: tuple[int, ...]
    table_count: int
    memories: tuple[MemoryType, ...]
    globals: tuple[Global, ...]
    exports: tuple[Export, ...]
    start_offset: int
    segment_count: int
    bodies: tuple[tuple[int, int], ...]

    def section(self, kind: int) -> Section | None:
        """Return the section of that kind, or None."""
        return next((section for section in self.sections if section.kind == kind), None)

    def custom(self, name: str) -> bytes | None:
        """Return the content of the first custom section of that name, or None."""
        for section in self.sections:
            if section.kind == CUSTOM and section.name == name:
                return self.data[section.content : section.end]
        return None

    def function_type(self, index: int) -> FunctionType:
        """Return the signature of a function by its index, imports first."""
        imported = [item.detail for item in self.imports if item.kind == KIND_FUNCTION]
        where = imported[index] if index < len(imported) else self.functions[index - len(imported)]
        return self.types[where]


class Reader:
    """A cursor over ``data[at:end]``.

    Args:
        caps: What its counts are compared with.
    """

    def __init__(self, data: bytes, at: int, end: int, caps: Caps = CAPS) -> None:
        self.data = data
        self.at = at
        self.end = end
        self.caps = caps

    def byte(self) -> int:
        """Return the next byte."""
        if self.at >= self.end:
            raise Malformed("unexpected end", self.at)
        value = self.data[self.at]
        self.at += 1
        return value

    def number(self) -> int:
        """Return the next unsigned LEB128 number. Bounds: 32 bits."""
        value = shift = 0
        first = self.at
        while True:
            piece = self.byte()
            value |= (piece & 0x7F) << shift
            if piece < 0x80:
                break
            shift += 7
            if shift > 28:
                raise Malformed("a number is longer than 5 bytes", first)
        if value > 0xFFFFFFFF:
            raise Malformed("a number exceeds 32 bits", first)
        return value

    def take(self, length: int) -> bytes:
        """Return the next ``length`` bytes."""
        if length > self.end - self.at:
            raise Malformed(f"{length} bytes wanted, {self.end - self.at} are left", self.at)
        piece = self.data[self.at : self.at + length]
        self.at += length
        return piece

    def name(self) -> str:
        """Return the next UTF-8 name."""
        first, length = self.at, self.number()
        self.bound(length, "bytes in one name", self.caps.name_bytes, first)
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise Malformed("a name is not UTF-8", first) from error

    def bound(self, count: int, what: str, cap: int, at: int) -> None:
        """Refuse a count beyond its cap."""
        if count > cap:
            raise Excess(count, what, cap, at)

    def count(self, what: str = "", cap: int = 0xFFFFFFFF) -> int:
        """Return a vector's length, refused beyond its cap or if even one byte per element does not fit."""
        first = self.at
        count = self.number()
        self.bound(count, what, cap, first)
        if count > self.end - self.at:
            raise Malformed(f"a vector claims {count} elements, {self.end - self.at} bytes are left", first)
        return count

    def skip_number(self) -> None:
        """Pass a LEB128 number of up to 64 bits, signed or not."""
        for _ in range(10):
            if self.byte() < 0x80:
                return
        raise Malformed("a number is longer than 10 bytes", self.at)

    def done(self, what: str) -> None:
        """Refuse bytes left over."""
        if self.at != self.end:
            raise Malformed(f"{self.end - self.at} bytes are left over after the {what}", self.at)


def parse(data: bytes, caps: Caps = CAPS) -> Module:
    """Return what the sections of ``data`` say.

    Raises:
        Malformed: The bytes are not a module in the binary format, or a count exceeds its cap (``Excess``).
    """
    if data[:8] != MAGIC:
        raise Malformed("the file does not begin with the WebAssembly magic bytes and version 1", 0)
    sections = _sections(data, caps)
    found: dict[int, Reader] = {}
    for section in sections:
        if section.kind != CUSTOM:
            found[section.kind] = Reader(data, section.start, section.end, caps)
    start = found.get(START)
    types = _vector(found.get(TYPE), _type, "types", caps.types)
    functions = _vector(found.get(FUNCTION), Reader.number, "functions", caps.functions)
    bodies = _vector(found.get(CODE), _body, "functions", caps.functions)
    if len(functions) != len(bodies):
        raise Malformed(f"{len(functions)} functions are declared, {len(bodies)} have a body", 8)
    return Module(
        data,
        sections,
        types,
        _vector(found.get(IMPORT), _import, "imports", caps.imports),
        functions,
        len(_vector(found.get(TABLE), _table, "tables", caps.tables)),
        _vector(found.get(MEMORY), _memory, "memories", caps.memories),
        _vector(found.get(GLOBAL), _global, "globals", caps.globals),
        _vector(found.get(EXPORT), _export, "exports", caps.exports),
        start.at if start else -1,
        _segments([found[kind] for kind in (ELEMENT, DATA) if kind in found], caps),
        bodies,
    )


def _segments(readers: list[Reader], caps: Caps) -> int:
    """Return how many segments the sections claim; the segments themselves are the engine's to read."""
    total = 0
    for reader in readers:
        first = reader.at
        total += reader.count("data and element segments", caps.segments)
        reader.bound(total, "data and element segments", caps.segments, first)
    return total


def _sections(data: bytes, caps: Caps) -> tuple[Section, ...]:
    reader, sections, last = Reader(data, len(MAGIC), len(data), caps), list[Section](), -1
    while reader.at < reader.end:
        first = reader.at
        reader.bound(len(sections) + 1, "sections", caps.sections, first)
        kind = reader.byte()
        length = reader.number()
        start = reader.at
        if length > reader.end - start:
            raise Malformed(f"a section of {length} bytes runs past the end of the file", first)
        if kind == CUSTOM:
            inner = Reader(data, start, start + length, caps)
            name = inner.name()
            sections.append(Section(kind, start, start + length, name, inner.at))
        elif kind in SECTION_ORDER:
            place = SECTION_ORDER.index(kind)
            if place <= last:
                raise Malformed(f"the {SECTION_NAMES[kind]} section is out of order or there twice", first)
            last = place
            sections.append(Section(kind, start, start + length, "", start))
        else:
            raise Malformed(f"section {kind} belongs to a proposal that profile tw-1 leaves out", first)
        reader.at = start + length
    return tuple(sections)


def _vector(reader: Reader | None, item: Callable[[Reader], _Item], what: str, cap: int) -> tuple[_Item, ...]:
    if reader is None:
        return ()
    items = tuple([item(reader) for _ in range(reader.count(what, cap))])
    reader.done(f"section of {what}")
    return items


def _values(reader: Reader, what: str) -> bytes:
    first = reader.at
    values = reader.take(reader.count(what, reader.caps.parameters))
    strange = values.translate(None, _VALUE_BYTES)
    if strange:
        raise Malformed(f"value type 0x{strange[0]:02x} belongs to a proposal that profile tw-1 leaves out", first)
    return values


def _type(reader: Reader) -> FunctionType:
    first = reader.at
    if reader.byte() != _FUNCTION_FORM:
        raise Malformed("a type that is no function type belongs to a proposal that profile tw-1 leaves out", first)
    return FunctionType(_values(reader, "parameters in one type"), _values(reader, "results in one type"))


def _limits(reader: Reader) -> MemoryType:
    flags = reader.byte()
    if flags > 7:
        raise Malformed("limits with unknown flags", reader.at - 1)
    minimum = reader.number()
    return MemoryType(flags, minimum, reader.number() if flags & 1 else 0)


def _memory(reader: Reader) -> MemoryType:
    return _limits(reader)


def _table(reader: Reader) -> int:
    first = reader.at
    element = reader.byte()
    if element not in (FUNCREF, EXTERNREF):
        raise Malformed("a table of this kind belongs to a proposal that profile tw-1 leaves out", first)
    _limits(reader)
    return element


def _global_type(reader: Reader) -> Global:
    first = reader.at
    value, mutable = reader.byte(), reader.byte()
    if value not in VALUES or mutable > 1:
        raise Malformed("a global of this type belongs to a proposal that profile tw-1 leaves out", first)
    return Global(value, bool(mutable))


def _global(reader: Reader) -> Global:
    found = _global_type(reader)
    skip_constant(reader)
    return found


def skip_constant(reader: Reader) -> None:
    """Pass a constant expression, which is one instruction, and its end."""
    first = reader.at
    opcode = reader.byte()
    if opcode in (0x23, 0x41, 0x42, 0xD0, 0xD2):  # global.get, i32.const, i64.const, ref.null, ref.func
        reader.skip_number()
    elif opcode == 0x43:
        reader.take(4)
    elif opcode == 0x44:
        reader.take(8)
    elif opcode == 0xFD and reader.number() == 12:
        reader.take(16)
    else:
        raise Malformed(f"opcode 0x{opcode:02x} is not constant", first)
    if reader.byte() != _END:
        raise Malformed("a constant expression has more than one instruction", reader.at - 1)


def _import(reader: Reader) -> Import:
    module, name, first = reader.name(), reader.name(), reader.at
    kind = reader.byte()
    detail = 0
    if kind == KIND_FUNCTION:
        detail = reader.number()
    elif kind == KIND_TABLE:
        _table(reader)
    elif kind == KIND_MEMORY:
        _memory(reader)
    elif kind == KIND_GLOBAL:
        _global_type(reader)
    else:
        raise Malformed("an import of this kind belongs to a proposal that profile tw-1 leaves out", first)
    return Import(module, name, kind, detail)


def _export(reader: Reader) -> Export:
    name, first = reader.name(), reader.at
    kind = reader.byte()
    if kind > KIND_GLOBAL:
        raise Malformed("an export of this kind belongs to a proposal that profile tw-1 leaves out", first)
    return Export(name, kind, reader.number())


def _body(reader: Reader) -> tuple[int, int]:
    first, length = reader.at, reader.number()
    reader.bound(length, "bytes in one function", reader.caps.body_bytes, first)
    start = reader.at
    if length > reader.end - start:
        raise Malformed(f"a function body of {length} bytes runs past its section", start)
    reader.at = start + length
    return start, reader.at


def leb(value: int) -> bytes:
    """Return ``value`` as unsigned LEB128."""
    pieces = bytearray()
    while value > 0x7F:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    pieces.append(value)
    return bytes(pieces)


def signed_leb(value: int) -> bytes:
    """Return ``value`` as signed LEB128."""
    pieces = bytearray()
    while not -64 <= value <= 63:
        pieces.append(value & 0x7F | 0x80)
        value >>= 7
    pieces.append(value & 0x7F)
    return bytes(pieces)


def encode_name(text: str) -> bytes:
    """Return a name as the format has it: length and UTF-8."""
    encoded = text.encode()
    return leb(len(encoded)) + encoded


def encode_section(kind: int, payload: bytes) -> bytes:
    """Return a section with its header."""
    return bytes((kind,)) + leb(len(payload)) + payload


def encode_vector(items: list[bytes]) -> bytes:
    """Return items with their count before them."""
    return leb(len(items)) + b"".join(items)
