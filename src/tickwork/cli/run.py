"""``tickwork run``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..driver.look import first_failure, why_failed
from ..driver.loop import Decision
from ..driver.opening import describe_engine
from ..driver.options import Options
from ..driver.pinning import pin_models
from ..driver.plans import AnySwap
from ..driver.resolve import World, load_world, with_swaps
from ..driver.run import resume as resume_run
from ..driver.run import run as run_world
from ..driver.verify import Run
from ..errors import UsageFault
from ..journal.check import check
from ..packages.lock import LOCK_FILE, check_lock
from .config import base_folders
from .documents import STATUSES, write_run
from .output import Document, Format, Output, talk
from .places import RUNS
from .session import (
    Budget,
    Decide,
    Folder,
    ModelChoice,
    Providers,
    StopRequest,
    Store,
    Telemetry,
    Unsigned,
    Workers,
    next_journal,
    options_for,
    stop_on_signal,
    trap_reader,
)
from .swaps import Grants, ModelSwaps, Swaps, parse_model_swaps, parse_swaps

EXAMPLES: Final = """Examples:

    tickwork run world.toml
    tickwork run world.toml --workers 4 --seed 7 --ticks 100 --journal seven.twk
    tickwork run --resume seven.twk
    tickwork run world.toml --swap trader=trader-2.wasm@100
    tickwork run world.toml --providers cuda,cpu --telemetry took.jsonl

Ctrl-C stops the run after the current tick. It can then be resumed, and ends
in the head it would have had."""

app = App(name="run", help_epilogue=EXAMPLES)


@app.default
def run(
    source: Annotated[
        Path | None,
        Parameter(help="A world.toml; with --resume an interrupted run, by default the newest."),
    ] = None,
    /,
    *,
    journal: Annotated[Path | None, Parameter(help="File to write; by default the next in .tickwork/runs.")] = None,
    workers: Workers = None,
    seed: Annotated[int | None, Parameter(help="Seed instead of the world's.")] = None,
    ticks: Annotated[int | None, Parameter(help="Ticks instead of the world's.")] = None,
    allow_unsigned: Unsigned = False,
    resume: Annotated[bool, Parameter(negative="", help="Go on with an interrupted run.")] = False,
    decide: Decide = None,
    swap: Swaps = None,
    swap_model: ModelSwaps = None,
    grant: Grants = None,
    folder: Folder = None,
    store: Store = None,
    providers: Providers = "",
    model_budget: Budget = "",
    telemetry: Telemetry = None,
    output: Output = "text",
) -> int:
    """Run a world and write its journal; with --resume, go on with an interrupted run."""
    refuse_mixed(resume=resume, seed=seed, ticks=ticks, decide=decide)
    swaps: list[AnySwap] = [
        *parse_swaps(swap or [], grant or [], ticks=True),
        *parse_model_swaps(swap_model or [], ticks=True),
    ]
    models = ModelChoice(store, providers, model_budget, telemetry)
    with stop_on_signal() as stop, options_for("run", workers=workers, folder=folder, models=models) as options:
        options = msgspec.structs.replace(options, stop=stop, allow_unsigned=allow_unsigned)
        if resume:
            world, path = resumed(source, journal, allow_unsigned=allow_unsigned)
            decided = decisions(decide or [])
            tell_lost_records(path)
            done = resume_run(path, world=world, decisions=decided, swaps=swaps, options=options)
        else:
            if source is None:
                raise UsageFault("tickwork run needs a world file", fix="name a world.toml, or see `tickwork demo`")
            world = load_world(source, seed=seed, ticks=ticks, allow_unsigned=allow_unsigned, bases=base_folders())
            world = honour_lock(source, world, options)
            world = with_swaps(world, swaps)
            done = run_world(world, journal=journal or next_journal(world.header.name), options=options)
    return finish(done, stop, output)


def finish(done: Run, stop: StopRequest, output: Format, more: Document | None = None) -> int:
    """Print a run, say how to go on where it stopped, and return its exit status."""
    write_run(done, output, more)
    if done.status == "interrupted":
        talk(f"interrupted before tick {done.frames}; go on with: tickwork run --resume {done.journal}")
        return stop.status(STATUSES[done.status])
    if done.status == "failed" and done.journal is not None:
        talk(str(why_failed(done.journal, explain=trap_reader())))
    elif done.failed and done.journal is not None and output == "text":
        # The run is complete all the same; without this, an agent with a slip in it would seem to work.
        tick, sentence = first_failure(done.journal, explain=trap_reader())
        talk(f"first failed turn: {sentence}\nsee tickwork show {done.journal} frame --tick {tick}")
    return STATUSES[done.status]


def honour_lock(source: Path, world: World, options: Options) -> World:
    """Return a world, its models pinned, that runs on what the lock file beside it pins, if there is one."""
    path = source.parent / LOCK_FILE
    if path.exists():
        world = pin_models(world, options)
        check_lock(path, world.header, describe_engine())
    return world


def refuse_mixed(*, resume: bool, seed: int | None, ticks: int | None, decide: list[str] | None) -> None:
    """Refuse options that make no sense together."""
    if resume and (seed is not None or ticks is not None):
        raise UsageFault(
            "--resume takes neither --seed nor --ticks",
            why="the run's header has pinned both",
            fix="fork the run to go on with another seed",
        )
    if decide and not resume:
        raise UsageFault("--decide goes with --resume", fix="add --resume JOURNAL")


def resumed(source: Path | None, journal: Path | None, *, allow_unsigned: bool) -> tuple[World | None, Path]:
    """Return the world, where one is named, and the journal to go on with."""
    if source is not None and source.suffix == ".toml":
        return load_world(source, allow_unsigned=allow_unsigned, bases=base_folders()), journal or newest_journal()
    if source is not None and journal is not None:
        raise UsageFault(f"two journals are named: {source} and {journal}", fix="name one")
    return None, source or journal or newest_journal()


def tell_lost_records(path: Path) -> None:
    """Say what a resumed run will compute again because its records were damaged before anything relied on them."""
    report = check(path)
    if report.damage is not None:
        talk(f"{path}: {report.damage.what}; the run goes on from tick {report.ticks}, the last whole record before it")


def newest_journal() -> Path:
    """Return the journal of this folder that was written last."""
    found = sorted(RUNS.glob("*.twk"), key=lambda path: path.stat().st_mtime_ns)
    if not found:
        raise UsageFault(f"there is no journal in {RUNS}", fix="name one: tickwork run --resume JOURNAL")
    return found[-1]


def decisions(words: Sequence[str]) -> dict[int, Decision]:
    """Return what a person decided about lost effects, from ``NUMBER=retry`` and ``NUMBER=fail``."""
    decided: dict[int, Decision] = {}
    for word in words:
        number, _, verdict = word.partition("=")
        if not number.isdigit() or verdict not in ("retry", "fail"):
            raise UsageFault(f"--decide {word} is not understood", fix="write NUMBER=retry or NUMBER=fail")
        decided[int(number)] = verdict
    return decided
