"""``tickwork demo``."""

import shutil
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..driver.options import Options, Progress
from ..driver.resolve import load_world
from ..driver.run import run as run_world
from ..driver.verify import Run, Verification
from ..driver.verify import replay as replay_journal
from ..driver.verify import verify as verify_journal
from ..errors import ReplayDivergence, WorldReferenceError
from .documents import STATUSES, divergence_document, run_document
from .forecasts import MODEL, Absent, can_run_models
from .output import Format, Output, talk, write_document, write_facts, write_line
from .places import OWN, writing
from .session import Workers, next_journal, options_for, stop_on_signal
from .stations import COLUMNS, Stations

EXAMPLES: Final = """Examples:

    tickwork demo
    tickwork demo --ticks 500 --workers 2

Three weather stations of New York publish their hourly observations of 2013.
An agent in WebAssembly looks for anomalies at each, one compares the stations,
one asks a model what the next hours will bring, and one in Python writes a
report. The run is then replayed, and verified by executing every turn again in
worker processes; neither asks the model again."""

VERIFY_WORKERS: Final = 2
REPORT: Final = Path("artifacts") / "report.html"
LOOK_TICKS: Final = 256
DEMO: Final = OWN / "demo"
STORE: Final = "models"
"""Folder of the demo's own store, so that it takes no model from elsewhere and leaves none behind."""

app = App(name="demo", help_epilogue=EXAMPLES)


@app.default
def demo(
    *,
    ticks: Annotated[int | None, Parameter(help="Hours to run instead of the whole year.")] = None,
    workers: Workers = None,
    folder: Annotated[
        Path, Parameter(show_default=False, help="Where all of it goes; by default .tickwork/demo.")
    ] = DEMO,
    output: Output = "text",
) -> int:
    """Run three weather stations, replay the run, verify it, and show that all digests are equal."""
    world = load_world(copy_example(folder) / "world.toml", ticks=ticks)
    journal = next_journal(world.header.name, folder)
    stations = Stations(journal)
    with stop_on_signal() as stop:
        with options_for("run", workers=workers) as options, live_table(stations, options) as shown:
            done = run_world(world, journal=journal, options=with_model(shown, folder, stop))
        if done.status == "interrupted":
            again = f"tickwork run --resume {journal} --store {folder / STORE}"
            talk(f"interrupted before tick {done.frames}; go on with: {again}")
            return stop.status(STATUSES[done.status])
    stations.read()
    with options_for("replay") as options:
        replayed = replay_journal(journal, options=options)
    with options_for("verify", workers=VERIFY_WORKERS) as options:
        verified = verify_journal(journal, options=options)
    return tell(Finding(done, replayed, verified, world.folder / REPORT), stations, output)


def with_model(options: Options, folder: Path, stop: Callable[[], bool]) -> Options:
    """Return the options of the run: with the demo's own store, or with nobody to ask where nothing runs models."""
    options = msgspec.structs.replace(options, stop=stop, store=folder / STORE)
    return options if can_run_models() else msgspec.structs.replace(options, performers={MODEL: Absent()})


class Finding(msgspec.Struct, frozen=True):
    """What the demo has shown."""

    done: Run
    replayed: Run
    verified: Verification
    report: Path

    def equal(self) -> bool:
        """Return whether the run, its replay and its verification came to the same head."""
        heads = {self.done.head, self.replayed.head, self.verified.run.head}
        return self.verified.equal and len(heads) == 1


def copy_example(folder: Path) -> Path:
    """Return a copy of the example in ``folder``, to be read, changed and resumed where the user may write."""
    copy = folder / "weather"
    leave = shutil.ignore_patterns("__pycache__", "artifacts", ".gitignore")
    with writing(copy):
        # Only contents are copied: an installed package may be read-only, and this copy is for changing.
        shutil.copytree(example_folder(), copy, dirs_exist_ok=True, ignore=leave, copy_function=shutil.copyfile)
    return copy


def example_folder() -> Path:
    """Return the weather example: in the installed package, or in the checkout the package lies in."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "examples" / "weather", package.parent.parent / "examples" / "weather"):
        if (folder / "world.toml").is_file():
            return folder
    raise WorldReferenceError(
        "the weather example is not installed",
        where=str(package / "examples"),
        why="it is part of the wheel and of a checkout",
        fix="install tickwork from its wheel, or run the demo in a checkout",
    )


@contextmanager
def live_table(stations: Stations, options: Options) -> Generator[Options]:
    """Show the stations on stderr while the run goes on, where somebody looks; otherwise nothing."""
    if not sys.stderr.isatty():
        yield options
        return
    from rich.live import Live

    from .screen import console, make_table

    with Live(console=console(sys.stderr), transient=True, refresh_per_second=10) as live:

        def look(report: Progress) -> None:
            stations.read()
            table = make_table(COLUMNS, stations.rows())
            table.title = f"hour {report.tick:,} of {report.ticks:,}"
            live.update(table)

        yield msgspec.structs.replace(options, progress=look, progress_ticks=LOOK_TICKS)


def tell(found: Finding, stations: Stations, output: Format) -> int:
    """Print what the demo has shown and return the exit status."""
    if output == "text":
        tell_people(found, stations)
    else:
        document = {
            **run_document(found.done),
            "replayed_head": found.replayed.head.hex(),
            "verified_head": found.verified.run.head.hex(),
            "equal": found.equal(),
            "divergence": divergence_document(found.verified.divergence),
            "report": str(found.report),
            "stations": stations.documents(),
            "forecast": stations.forecasts.document(),
        }
        write_document(document, output)
    return STATUSES[found.done.status] if found.equal() else ReplayDivergence.exit_status


def tell_people(found: Finding, stations: Stations) -> None:
    """Print what the demo has shown, for people."""
    from .screen import write_table

    done, verified = found.done, found.verified
    write_table(COLUMNS, stations.rows())
    write_line("")
    write_facts([("forecast", stations.forecasts.sentence())])
    write_line("")
    write_facts(
        [
            ("run", f"{done.head.hex()}  {done.ticks:,} ticks, {done.turns:,} turns"),
            ("replay", f"{found.replayed.head.hex()}  nothing executed, nothing performed"),
            ("verify", f"{verified.run.head.hex()}  every turn again, in {VERIFY_WORKERS} processes"),
        ]
    )
    write_line("")
    if found.equal():
        write_line("All three digests are equal.")
    elif verified.divergence is not None:
        write_line("The digests differ: " + verified.divergence.sentence())
    else:
        write_line("The digests differ.")
    write_line("")
    facts: list[tuple[str, object]] = [("journal", done.journal or "none")]
    if found.report.exists():
        facts.append(("report", found.report))
    facts.append(("try", f"tickwork show {done.journal} --tick {min(1000, done.ticks // 2)}"))
    write_facts(facts)
