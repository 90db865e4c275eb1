"""What commands that take time share: options from flags, a progress bar, and a clean stop on Ctrl-C."""

import os
import signal
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Final, Literal

import msgspec
from cyclopts import Parameter

from ..driver.options import Options
from ..errors import UsageFault
from .config import module_cache

MAX_WORKERS: Final = 256
RUNS: Final = Path(".tickwork") / "runs"

Workers = Annotated[
    Literal["inline"] | int,
    Parameter(help="Processes that run modules; inline for none. The result is the same for any number."),
]
Folder = Annotated[
    Path | None, Parameter(help="Where the sources of native agents lie, if the world's folder has moved.")
]


def worker_count(workers: Literal["inline"] | int) -> int:
    """Return the number of worker processes, 0 for none."""
    if isinstance(workers, str):
        return 0
    if not 0 <= workers <= MAX_WORKERS:
        raise UsageFault(f"--workers {workers} is out of range", fix=f"use inline, or 1 to {MAX_WORKERS}")
    return workers


class StopRequest:
    """Whether somebody asked the run to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal = 0

    def __call__(self) -> bool:
        """Return whether the run shall stop after this tick."""
        return self.signal != 0

    def status(self, otherwise: int) -> int:
        """Return the exit status of an interrupted command."""
        return 128 + self.signal if self.signal else otherwise


@contextmanager
def stop_on_signal() -> Generator[StopRequest]:
    """Turn the first interrupt into a request to stop after the tick; a second one acts as usual, at once."""
    request = StopRequest()

    def ask(number: int, _frame: FrameType | None) -> None:
        request.signal = number
        # The stream's own buffer may be busy in the very write this signal interrupted.
        os.write(2, b"\nstopping after this tick; once more to stop at once\n")
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def options_for(verb: str, *, workers: Literal["inline"] | int, folder: Path | None = None) -> Generator[Options]:
    """Yield the driver's options for a verb, with a progress bar where stderr is a terminal."""
    count = worker_count(workers)
    options = Options(workers=count, cache=module_cache(), folder=folder)
    with ExitStack() as shown:
        if sys.stderr.isatty():
            from .screen import progress_bar  # Loads rich, which is for eyes only.

            options = msgspec.structs.replace(options, progress=shown.enter_context(progress_bar(verb)))
        yield options


def next_journal(name: str) -> Path:
    """Return the path of a run's journal in this folder's ``.tickwork``, which git is told to leave alone."""
    RUNS.mkdir(parents=True, exist_ok=True)
    note = RUNS.parent / ".gitignore"
    if not note.exists():
        note.write_text("*\n", encoding="utf-8")
    stem = name.replace("/", "_")
    taken = [found.stem.removeprefix(f"{stem}-") for found in RUNS.glob("*.twk") if found.stem.startswith(f"{stem}-")]
    return RUNS / f"{stem}-{1 + max((int(number) for number in taken if number.isdigit()), default=0)}.twk"
