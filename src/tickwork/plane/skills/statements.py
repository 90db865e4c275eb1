"""What is asked of a database, and what it gave, whichever it is."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from ..errors import OutputTooLarge, SkillFailed, SkillTimeout

Value = str | int | float | bool | None


class Asked(msgspec.Struct, frozen=True):
    """A statement and its limits.

    Attributes:
        write: Whether it may change something.
        deadline_ns: On ``clock.elapsed_ns``.
    """

    sql: str
    params: tuple[Value, ...]
    most_rows: int
    most_bytes: int
    write: bool
    deadline_ns: int


class Rows(msgspec.Struct, frozen=True):
    """What a statement gave.

    Attributes:
        truncated: Whether there are more.
        changed: Rows that it changed.
    """

    columns: tuple[str, ...]
    rows: list[Sequence[Any]]
    truncated: bool = False
    changed: int = 0


def counted(rows: Iterable[Sequence[Any]], asked: Asked) -> Iterator[Sequence[Any]]:
    """Yield rows, and one more than are wanted where there are more.

    Raises:
        OutputTooLarge: TW7029, together they have more bytes than a result may have.
    """
    room = asked.most_bytes
    for number, row in enumerate(rows):
        room -= sum(_weight(value) for value in row)
        if room < 0:
            raise OutputTooLarge(
                f"the rows have more than {asked.most_bytes:,} bytes", fix="ask for fewer rows or columns"
            )
        yield row
        if number >= asked.most_rows:
            return


def _weight(value: object) -> int:
    return 2 + len(value) if isinstance(value, str | bytes | bytearray) else 9


def overdue() -> SkillTimeout:
    """Return the error of a statement that did not end in time."""
    return SkillTimeout("the statement did not end in time")


def failed(text: str, *, retryable: bool = False, unsent: bool = False) -> SkillFailed:
    """Return the error of a statement that the database did not carry out."""
    error = SkillFailed(text[:500])
    error.retryable, error.unsent = retryable, unsent
    return error
