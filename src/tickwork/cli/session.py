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

from ..clock import SystemClock
from ..driver.look import Explain
from ..driver.options import Options
from ..driver.telemetry import Hook, Sample
from ..errors import UsageFault
from ..infer.asking import PROVIDERS
from .config import (
    MAX_WORKERS,
    Settings,
    load_settings,
    models_folder,
    module_cache,
    signing_key,
    symbols_folder,
    trust_folder,
)
from .output import talk
from .places import OWN, RUNS, writing
from .sizes import parse_size

WorkerChoice = Literal["inline"] | int | None
Workers = Annotated[
    WorkerChoice,
    Parameter(
        show_choices=False,
        help="Processes that run modules, or inline for none, the default. The result is the same for any number.",
    ),
]
Folder = Annotated[
    Path | None, Parameter(help="Where the sources of native agents lie, if the world's folder has moved.")
]

Decide = Annotated[
    list[str] | None,
    Parameter(negative="", help="NUMBER=retry or NUMBER=fail for an effect whose result a crash has lost."),
]


Store = Annotated[Path | None, Parameter(help="Folder of the store of models, instead of the usual one.")]
Providers = Annotated[
    str,
    Parameter(help="What models of the profile fast run on, in the order they are tried: cuda,cpu and the like."),
]
Budget = Annotated[
    str, Parameter(name="--model-budget", help="Memory that loaded models may take together, such as 4GiB.")
]
Telemetry = Annotated[
    Path | None,
    Parameter(help="File that gets what ticks, turns, inferences and snapshots took, a line of JSON each."),
]


class ModelChoice(msgspec.Struct, frozen=True):
    """What a command line says of models and of telemetry; what it leaves out the settings say."""

    store: Path | None = None
    providers: str = ""
    budget: str = ""
    telemetry: Path | None = None


def worker_count(workers: WorkerChoice, settings: Settings) -> int:
    """Return the number of worker processes, 0 for none."""
    if workers is None:
        return settings.workers
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


Unsigned = Annotated[bool, Parameter(negative="", help="Let unsigned modules run; the run's header says so.")]


NO_CHOICE: Final = ModelChoice()


@contextmanager
def options_for(
    verb: str, *, workers: WorkerChoice = None, folder: Path | None = None, models: ModelChoice = NO_CHOICE
) -> Generator[Options]:
    """Yield the driver's options for a verb, with a progress bar where stderr is a terminal."""
    settings = load_settings()
    budget = models.budget or settings.model_budget
    options = Options(
        workers=worker_count(workers, settings),
        cache=module_cache(settings),
        signing_key=signing_key(settings),
        folder=folder,
        trust=trust_folder(settings),
        store=models.store or models_folder(settings),
        providers=read_providers(models.providers or settings.providers),
        model_budget=parse_size(budget, "--model-budget") if budget else 0,
    )
    with ExitStack() as shown:
        if models.telemetry is not None:
            options = msgspec.structs.replace(options, telemetry=shown.enter_context(telling(models.telemetry)))
        if sys.stderr.isatty():
            from .screen import progress_bar  # Loads rich, which is for eyes only.

            watch, notice = shown.enter_context(progress_bar(verb))
            options = msgspec.structs.replace(options, progress=watch, notice=notice)
        else:
            options = msgspec.structs.replace(options, notice=talk)
        yield options


def read_providers(text: str) -> tuple[str, ...]:
    """Return providers as they are written: names, separated by commas.

    Raises:
        UsageFault: TW1001.
    """
    names = tuple(name.strip().lower() for name in text.split(",")) if text else ()
    if not set(PROVIDERS).issuperset(names):
        why = f"the providers are {', '.join(PROVIDERS)}"
        raise UsageFault(f"--providers {text!r} is not understood", why=why, fix="name some of them, as in cuda,cpu")
    return names


@contextmanager
def telling(path: Path) -> Generator[Hook]:
    """Yield a hook that writes samples into a file, a line of JSON each, beginning with the time it was told.

    Raises:
        JournalWriteFailed: TW2006, the file cannot be written.
    """
    clock = SystemClock()
    with writing(path), path.open("w", encoding="utf-8", newline="\n") as file:

        def tell(sample: Sample) -> None:
            line = {"at_us": clock.now_us(), **msgspec.to_builtins(sample)}
            file.write(msgspec.json.encode(line).decode() + "\n")

        yield tell


def trap_reader() -> Explain:
    """Return what makes of a trap's offsets functions, files and lines, where the agent was built on this machine."""
    folders = [symbols_folder(load_settings())]

    def explain(detail: str, module: bytes) -> str:
        from ..authoring.traces import explain as read_trap  # Loads parsers that only a trap needs.

        return read_trap(detail, module, folders)

    return explain


def next_journal(name: str, folder: Path = RUNS) -> Path:
    """Return the path of a run's next journal in ``folder``; git is told to leave ``.tickwork`` alone."""
    note = OWN / ".gitignore"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if OWN in folder.parents and not note.exists():
            note.write_text("*\n", encoding="utf-8")
    stem = name.replace("/", "_")
    taken = [found.stem.removeprefix(f"{stem}-") for found in folder.glob("*.twk") if found.stem.startswith(f"{stem}-")]
    return folder / f"{stem}-{1 + max((int(number) for number in taken if number.isdigit()), default=0)}.twk"
