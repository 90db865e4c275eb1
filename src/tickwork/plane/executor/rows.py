"""Long rows of values of which a turn changes few, kept in blocks so that the others are not copied."""

from collections.abc import Iterable, Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

Rows = tuple[tuple[T, ...], ...]
"""Values in blocks, each full but the last."""

BLOCK: Final = 64
"""Near the square root of the steps a plan may have, so that a change copies about as much of the two levels."""

_SHIFT: Final = BLOCK.bit_length() - 1
_WITHIN: Final = BLOCK - 1


def make_rows(values: Iterable[T]) -> Rows[T]:
    """Return values in blocks. Law: ``list(each(make_rows(x))) == list(x)``."""
    given = tuple(values)
    return tuple(given[start : start + BLOCK] for start in range(0, len(given), BLOCK))


def each(rows: Rows[T]) -> Iterator[T]:
    """Yield the values of rows. Order: as made."""
    for block in rows:
        yield from block


def row(rows: Rows[T], place: int) -> T:
    """Return the value at a place."""
    return rows[place >> _SHIFT][place & _WITHIN]


class Draft(Generic[T]):
    """Rows that are being changed; a block is copied when the first of its values changes.

    Law: the rows it was made of stay as they are.
    """

    __slots__ = ("_blocks",)

    def __init__(self, rows: Rows[T]) -> None:
        self._blocks: list[tuple[T, ...] | list[T]] = list(rows)

    def __getitem__(self, place: int) -> T:
        return self._blocks[place >> _SHIFT][place & _WITHIN]

    def __setitem__(self, place: int, value: T) -> None:
        number = place >> _SHIFT
        block = self._blocks[number]
        if not isinstance(block, list):
            self._blocks[number] = block = list(block)
        block[place & _WITHIN] = value

    def rows(self) -> Rows[T]:
        """Return the rows as they are now, frozen. A block that has not changed is the one it was made of."""
        return tuple(map(tuple, self._blocks))
