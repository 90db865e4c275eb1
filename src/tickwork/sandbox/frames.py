"""How much native stack each compiled function takes, read from the code itself.

Depth is counted by weights that a module's bytes alone decide, so that a recursion ends at the same place on every
machine. Whether the native stack is large enough for those weights depends on the compiler. So it is looked up: the
first instructions of a function compare the stack that is left with what the function takes, and say the number.

Source: the prologue that wasmtime's compiler writes on x86-64: ``mov r10, [rdi+8]; mov r10, [r10+24]; add r10, SIZE``.
"""

import platform
import re
import struct
from typing import Final, NamedTuple

from .rewriter import Rewritten

STACK_PER_WEIGHT: Final = 250
"""What one unit of weight may take of the native stack. Units: bytes.

The greatest depth, 5,000 units, and one function that is not counted fit into the stack that the engine allows. The
most that any of CPython's 9,962 counted functions takes is 176.
"""

LEAF_STACK: Final = 32 << 10
"""What a function that is not counted may take. Units: bytes."""

_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_SYMBOLS: Final = 2
_EXECUTABLE: Final = 4
_NAME: Final = re.compile(rb"wasm\[0\]::function\[(\d+)\]\0")
_PROLOGUE_BYTES: Final = 32
_LIMIT: Final = re.compile(rb"\x49(?:\x83\xc2(?P<short>.)|\x81\xc2(?P<long>.{4}))\x4c\x3b\xd4", re.DOTALL)
"""``add r10, SIZE`` with one byte or four, then ``cmp r10, rsp``."""

READABLE: Final = platform.machine().lower() in {"x86_64", "amd64"}
"""Whether code for this processor can be read here."""


class _Section(NamedTuple):
    """An entry of the table of sections. Source: the ELF format, 64 bits."""

    name: int
    type: int
    flags: int
    address: int
    at: int
    size: int
    link: int
    detail: int
    alignment: int
    entry: int


class Heavy(NamedTuple):
    """A function that takes more of the native stack than is accounted for. Units: bytes."""

    function: int
    taken: int
    most: int


def stack_bytes(code: bytes) -> dict[int, int]:
    """Return how many bytes of stack each function asks for, by its index; one that asks for nothing is left out.

    Args:
        code: What the engine serialized: an ELF file of 64 bits.
    """
    text, symbols, names = _tables(code)
    found = dict[int, int]()
    for at in range(symbols[0], symbols[0] + symbols[1], _SYMBOL.size):
        name_at, _, _, _, value, _ = _SYMBOL.unpack_from(code, at)
        name = _NAME.match(code, names + name_at)
        begin = text + value
        limit = _LIMIT.search(code, begin, begin + _PROLOGUE_BYTES)
        if name and limit:
            found[int(name[1])] = int.from_bytes(limit["short"] or limit["long"], "little")
    return found


def _tables(code: bytes) -> tuple[int, tuple[int, int], int]:
    """Return where the text begins, where the symbols lie and how long they are, and where their names begin."""
    start = int.from_bytes(code[40:48], "little")
    size, count = (int.from_bytes(code[at : at + 2], "little") for at in (58, 60))
    sections = [_Section._make(_SECTION.unpack_from(code, start + index * size)) for index in range(count)]
    text = next(section for section in sections if section.flags & _EXECUTABLE)
    symbols = next(section for section in sections if section.type == _SYMBOLS)
    return text.at, (symbols.at, symbols.size), sections[symbols.link].at


def heavy_function(rewritten: Rewritten, code: bytes) -> Heavy | None:
    """Return a function that could reach the end of the native stack before its depth is used up, or None."""
    if not READABLE:
        return None
    taken = stack_bytes(code)
    for wrapped in rewritten.wrapped:
        total = taken.pop(wrapped.wrapper, 0) + taken.pop(wrapped.body, 0)
        if total > STACK_PER_WEIGHT * wrapped.weight:
            return Heavy(wrapped.wrapper, total, STACK_PER_WEIGHT * wrapped.weight)
    index = max(taken, key=taken.__getitem__, default=-1)
    return Heavy(index, taken[index], LEAF_STACK) if index >= 0 and taken[index] > LEAF_STACK else None
