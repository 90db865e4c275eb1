"""Feeds: files whose rows enter a run as inputs, each at its tick."""

import csv
from codecs import BOM_UTF8
from typing import Final

from ..errors import WorldSchemaError
from ..records import Encoding, FeedSpec, Input, InputKind

MAX_TICK: Final = 1 << 53


class Feed:
    """The rows of one feed and how many of them are in.

    Args:
        body: The file: CSV with a header line, UTF-8.
    """

    def __init__(self, spec: FeedSpec, body: bytes) -> None:
        self.source = f"feed:{spec.name}"
        self.taken = 0
        self._kind = InputKind.PUBLISH if spec.to_topic else InputKind.MESSAGE
        self._target = spec.target
        self._rows = read_rows(spec, body)

    def due(self, tick: int, bound: int) -> list[Input]:
        """Return at most ``bound`` rows that are due and not yet in. Order: the file's."""
        first = last = self.taken
        end = min(len(self._rows), first + bound)
        while last < end and self._rows[last][0] <= tick:
            last += 1
        return [
            Input(self._kind, self.source, self._target, encoding=Encoding.BYTES, body=row, size=len(row))
            for _, row in self._rows[first:last]
        ]

    @property
    def exhausted(self) -> bool:
        """Whether every row is in."""
        return self.taken >= len(self._rows)


def read_rows(spec: FeedSpec, body: bytes) -> list[tuple[int, bytes]]:
    """Return (tick, row) of every line but the first and empty ones. Order: the file's, which must not go back in time.

    A row is the bytes of its line without the line's end. A quoted cell may hold commas, not line ends.

    Raises:
        WorldSchemaError: TW1102, the tick column is missing, not a tick, or goes back.
    """
    lines = [line.removesuffix(b"\r") for line in body.removeprefix(BOM_UTF8).split(b"\n")]
    names = _cells(lines[0])
    if not spec.tick_column:
        return list(enumerate(line for line in lines[1:] if line))
    if spec.tick_column not in names:
        raise WorldSchemaError(
            f"feed {spec.name!r} has no column {spec.tick_column!r}",
            where=f"feeds.{spec.name}, line 1",
            why=f"its columns are {', '.join(names) or 'none'}",
            fix="name the column that holds the tick in `tick`",
        )
    column = names.index(spec.tick_column)
    rows: list[tuple[int, bytes]] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        cells = _cells(line)
        text = cells[column] if column < len(cells) else ""
        tick = int(text) if text.isascii() and text.isdigit() and len(text) < 17 else -1
        if tick < 0 or tick > MAX_TICK or (rows and tick < rows[-1][0]):
            raise WorldSchemaError(
                f"feed {spec.name!r} has {text!r} where a tick must be",
                where=f"feeds.{spec.name}, line {number}",
                why="ticks are integers from 0 that never go back",
                fix="sort the file by that column and remove rows without a tick",
            )
        rows.append((tick, line))
    return rows


def _cells(line: bytes) -> list[str]:
    """Return the cells of a line, none where it is no CSV."""
    text = line.decode(errors="replace")
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text]), list[str]())
    except csv.Error:
        return []
