"""Tables and progress bars; the one importer of rich, which is loaded only where somebody looks."""

import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Final, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ..driver.options import Progress as Report
from .config import colours_wanted
from .output import printable

PIPE_WIDTH: Final = 4096
"""Columns of a console that is no terminal: nothing is folded or cut there."""


def console(stream: TextIO) -> Console:
    """Return a console that takes text as it is: no markup, no emoji, no guessed highlights."""
    width = None if stream.isatty() else PIPE_WIDTH
    return Console(file=stream, width=width, no_color=not colours_wanted(), markup=False, emoji=False, highlight=False)


def make_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Return a table; a column named with a leading ``#`` is aligned right."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column.lstrip("#"), justify="right" if column.startswith("#") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(printable("" if cell is None else str(cell)) for cell in row))
    return table


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table to stdout."""
    console(sys.stdout).print(make_table(columns, rows))


@contextmanager
def progress_bar(verb: str) -> Generator[Callable[[Report], None]]:
    """Show how far a verb is, on stderr."""
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

        yield watch
