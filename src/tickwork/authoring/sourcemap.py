"""Source maps: from an offset in a module to the line it was compiled from.

In the map of a WebAssembly module there is one generated line, and its columns are offsets in the module's bytes as the
compiler wrote them.

Source: ECMA-426, "Source map format specification".
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

_DIGITS: Final = {
    sign: value for value, sign in enumerate(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
_MORE: Final = 32
_BITS: Final = 32
"""No number of a map is longer."""


class Place(NamedTuple):
    """A place in a source. Units: line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class _Map(msgspec.Struct):
    version: int
    sources: list[str]
    mappings: str


class SourceMap:
    """A source map that was read.

    Raises:
        ValueError: It is no source map of version 3, or is damaged.
    """

    def __init__(self, text: bytes) -> None:
        read = msgspec.json.decode(text, type=_Map)
        if read.version != 3:
            raise ValueError(f"source map version {read.version} is not known")
        entries = sorted(_entries(read), key=lambda entry: entry[0])
        self._offsets = [offset for offset, _ in entries]
        self._places = [place for _, place in entries]

    def find(self, offset: int) -> Place | None:
        """Return the place that the code at an offset comes from, or None for code that comes from no source.

        Units: bytes from the start of the module as the compiler wrote it.
        """
        index = bisect_right(self._offsets, offset) - 1
        return self._places[index] if index >= 0 else None


def _entries(read: _Map) -> Iterator[tuple[int, Place | None]]:
    """Yield where each stretch of code begins and what it comes from. Only the first generated line has code."""
    offset = source = line = column = 0
    for segment in read.mappings.partition(";")[0].split(","):
        if not segment:
            continue
        fields = _numbers(segment)
        offset += fields[0]
        if len(fields) == 1:
            yield offset, None
            continue
        if len(fields) not in (4, 5):
            raise ValueError(f"a mapping has {len(fields)} fields")
        source, line, column = source + fields[1], line + fields[2], column + fields[3]
        if not 0 <= source < len(read.sources):
            raise ValueError(f"a mapping names source {source} of {len(read.sources)}")
        yield offset, Place(read.sources[source], line + 1, column + 1)


def _numbers(segment: str) -> list[int]:
    """Return the numbers of one mapping: base 64, five bits a digit, least first; the lowest bit of all is the sign."""
    numbers, value, shift = list[int](), 0, 0
    for sign in segment.encode():
        digit = _DIGITS.get(sign)
        if digit is None:
            raise ValueError(f"a mapping holds the sign {chr(sign)!r}")
        if shift > _BITS:
            raise ValueError("a mapping holds a number without end")
        value |= (digit & ~_MORE) << shift
        shift += 5
        if not digit & _MORE:
            numbers.append(-(value >> 1) if value & 1 else value >> 1)
            value = shift = 0
    if shift:
        raise ValueError("the last number of a mapping does not end")
    return numbers
