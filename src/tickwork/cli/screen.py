"""Tables and progress bars; the one importer of rich, which is loaded only where somebody looks."""

import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Final, TextIO

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from ..driver.options import Progress as Report
from .config import colours_wanted
from .output import printable

PIPE_WIDTH: Final = 4096
"""Columns of a console that is no terminal: nothing is folded or cut there."""

WIDE_GAP: Final = 3
"""Columns between two of a table's."""

NARROW_GAP: Final = 2
"""The same, where there is little room."""

LONG_WORD: Final = 12
"""A longer word, such as a digest or a path, is broken where there is little room."""


def console(stream: TextIO) -> Console:
    """Return a console that takes text as it is: no markup, no emoji, no guessed highlights."""
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, width=width, no_color=not colours_wanted(), markup=False, emoji=False, highlight=False)


def make_table(columns: Sequence[str], rows: Iterable[Sequence[object]], width: int = PIPE_WIDTH) -> Table:
    """Return a table; a column named with a leading ``#`` is aligned right.

    Args:
        width: Of the console. Where the table is wider, columns that say nothing are left out, the gaps shrink, and
            lines are broken between words, in the widest column first. Units: characters.
    """
    cells = [[printable("" if cell is None else str(cell)) for cell in row] for row in rows]
    chosen = [_Column(name, [row[index] for row in cells]) for index, name in enumerate(columns)]
    gap = WIDE_GAP
    if width < PIPE_WIDTH and sum(column.natural for column in chosen) + gap * (len(chosen) - 1) > width:
        chosen, gap = [column for column in chosen if column.says_something()] or chosen, NARROW_GAP
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=gap == NARROW_GAP)
    widths = _widths(chosen, width - gap * (len(chosen) - 1))
    for column, size in zip(chosen, widths, strict=True):
        table.add_column(column.title, justify="right" if column.is_number else "left", overflow="fold", width=size)
    for line in zip(*(column.cells for column in chosen), strict=True):
        table.add_row(*line)
    return table


class _Column:
    """One column: what stands in it, and how wide that is."""

    def __init__(self, name: str, cells: Sequence[str]) -> None:
        self.title = name.lstrip("#")
        self.is_number = name.startswith("#")
        self.cells = cells
        texts = (self.title, *cells)
        self.natural = max(cell_len(line) for text in texts for line in text.split("\n"))
        self.least = min(LONG_WORD, max((cell_len(word) for text in texts for word in text.split()), default=0))

    def says_something(self) -> bool:
        """Return whether any cell holds more than nothing or a zero."""
        return any(cell not in {"", "0"} for cell in self.cells)


def _widths(columns: Sequence[_Column], room: int) -> list[int | None]:
    """Return how wide each column is to be; None for all where no word would stay whole."""
    widths = [max(column.least, min(column.natural, room)) for column in columns]
    while sum(widths) > room:
        slack = [(width, index) for index, width in enumerate(widths) if width > columns[index].least]
        if not slack:
            return [None] * len(columns)
        widths[max(slack)[1]] -= 1
    return [*widths]


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table to stdout."""
    stream = console(sys.stdout)
    stream.print(make_table(columns, rows, stream.width))


@contextmanager
def progress_bar(verb: str) -> Generator[tuple[Callable[[Report], None], Callable[[str], None]]]:
    """Show how far a verb is, on stderr; yield what is told of its ticks, and of what takes long besides."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[turns]:,} turns"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(sys.stderr), transient=True) as bars:
        task = bars.add_task(verb, total=None, turns=0)

        def watch(report: Report) -> None:
            bars.update(task, completed=report.tick, total=report.ticks or None, turns=report.turns)

        def notice(text: str) -> None:
            bars.print(printable(text))

        yield watch, notice


@contextmanager
def bytes_bar(verb: str, total: int, then: str = "") -> Generator[Callable[[int], None]]:
    """Show how many bytes were read or fetched, on stderr; yield what is told of each piece.

    Args:
        total: Units: bytes; 0 where nobody knows.
        then: What is done once all are there, if that takes a while.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as bars:
        task = bars.add_task(verb, total=total or None)

        def told(count: int) -> None:
            bars.update(task, advance=count)
            if then and bars.finished:
                bars.update(task, description=then)

        yield told
