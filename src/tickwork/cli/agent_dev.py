"""``tickwork agent dev``."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..authoring.build import MODULE, Built, build, write_built
from ..authoring.dev import WORLD, Played, Replayed, changes, look, play_world, read_world, replay_with
from ..authoring.project import Project, read_project
from ..authoring.scripts import SUFFIX
from ..authoring.traces import keep_symbols
from ..authoring.trials import Trial
from ..driver.canary import CANARY_TICKS
from ..driver.look import first_failure
from ..driver.options import Options
from ..errors import AgentTestFailed, TickworkError, UsageFault
from ..packages.developer import sign
from ..packages.package import strip_package
from .agent_test import find_scripts, package_manifest, run_script
from .config import base_folders, build_environment, load_settings, symbols_folder, trust_folder
from .documents import divergence_document
from .output import Format, Output, flush, talk, write_document, write_line
from .session import options_for, stop_on_signal, trap_reader

EXAMPLES: Final = """Examples:

    tickwork agent dev
    tickwork agent dev agents/trader --ticks 500
    tickwork agent dev --once -o json

On every save the project is built and signed as `tickwork agent build` does,
its scripts run once each, and the last ticks of its world.toml run again with
the new build in the agent's place: with its memory as it was, else with the
state it saves, else begun again, else all from tick 0. What no longer comes out
as before is shown. A source that does not compile is said, and watching goes on."""

app = App(name="dev", help_epilogue=EXAMPLES)


class Cycle(msgspec.Struct):
    """What came of one save.

    Attributes:
        result: ``built``, ``unchanged`` where the same bytes came out, or ``refused``.
        problem: Why it was refused, or why nothing could be replayed.
        replayed: None where there is nothing to compare with, as ``note`` says.
        failure: The first failed turn of the new build's run, with its source lines.
        elapsed_ms: From the save that was noticed to here.
    """

    number: int
    result: str = "refused"
    problem: TickworkError | None = None
    bytes: int = 0
    scripts: list[dict[str, object]] = []
    differences: list[str] = []
    replayed: Replayed | None = None
    note: str = ""
    failure: str = ""
    build_ms: float = 0.0
    elapsed_ms: float = 0.0

    @property
    def status(self) -> int:
        """The exit status of a command that did this one cycle."""
        if self.problem is not None:
            return self.problem.exit_status
        return AgentTestFailed.exit_status if any(self.differences) else 0


@app.default
def dev(
    folder: Annotated[Path, Parameter(help="The project's folder, where agent.toml lies.")] = Path(),
    /,
    *,
    ticks: Annotated[int, Parameter(help="Ticks at the run's end that are run again.")] = CANARY_TICKS,
    once: Annotated[bool, Parameter(negative="", help="Build and compare once, and end.")] = False,
    test: Annotated[bool, Parameter(help="Run the project's scripts, each as it is only.")] = True,
    output: Output = "text",
) -> int:
    """Build an agent on every save, run the last ticks of its world again, and show the first difference."""
    if ticks < 1:
        raise UsageFault(f"--ticks {ticks} is none", fix="run at least one tick again")
    if output == "json" and not once:
        raise UsageFault("-o json is one document, and watching goes on", fix="add --once, or use -o jsonl")
    read_project(folder)  # A folder that is no project is refused, instead of being watched for ever.
    with stop_on_signal() as stop, options_for("dev") as options:
        bench = Bench(folder.absolute(), msgspec.structs.replace(options, progress=None, stop=stop), ticks, test=test)
        seen = look(bench.folder)
        cycle = bench.cycle()
        write_cycle(cycle, output)
        if once:
            return cycle.status
        talk(f"watching {folder}; Ctrl-C ends")
        for _ in changes(bench.folder, seen, stop):
            write_cycle(bench.cycle(), output)
            flush()
    return stop.status(0)


class Bench:
    """A project at work: its last build, and the run of its world with that build."""

    def __init__(self, folder: Path, options: Options, ticks: int, *, test: bool) -> None:
        self.folder = folder
        self._options = options
        self._ticks = ticks
        self._test = test
        self._settings = load_settings()
        self._bases = base_folders()
        self._number = 0
        self._before: Played | None = None
        self._fresh = True

    def cycle(self) -> Cycle:
        """Build the project as it is now, and return what it does otherwise than before."""
        clock, cycle = self._options.clock, Cycle(self._number)
        self._number += 1
        began = clock.elapsed_ns()
        try:
            project = read_project(self.folder)
            if self._fresh:
                self._before = self._play_last(project)
                self._fresh = False
            began_build = clock.elapsed_ns()
            path, content = self._build(project)
            cycle.build_ms = (clock.elapsed_ns() - began_build) / 1e6
            self._compare(project, path, content, cycle)
        except TickworkError as error:
            cycle.problem = error
        cycle.elapsed_ms = (clock.elapsed_ns() - began) / 1e6
        return cycle

    def _play_last(self, project: Project) -> Played | None:
        """Return a run with the build that lies in the folder, None where there is none that runs."""
        for suffix in (MODULE, ".bundle"):
            path = self.folder / f"{project.name}{suffix}"
            if path.exists():
                try:
                    return self._play(path.read_bytes())
                except TickworkError:
                    return None  # It was built by another version, say; the new build will say what is wrong now.
        return None

    def _play(self, package: bytes) -> Played | None:
        world = read_world(self.folder, self._bases)
        return None if world is None else play_world(world, package, self._options, ticks=self._ticks)

    def _build(self, project: Project) -> tuple[Path, bytes]:
        built: Built = build(project, build_environment(self._settings))
        trust, compiled = trust_folder(self._settings), built.compiled
        path, *_ = write_built(project, built, lambda package, name: sign(package, trust, name=name))
        if compiled.suffix == MODULE:
            keep_symbols(symbols_folder(self._settings), compiled.module, compiled.debug, compiled.source_map)
        return path, path.read_bytes()

    def _compare(self, project: Project, path: Path, content: bytes, cycle: Cycle) -> None:
        before, cycle.bytes = self._before, len(content)
        same = before is not None and strip_package(before.package) == strip_package(content)
        cycle.result = "unchanged" if same else "built"
        if self._test:
            self._try_scripts(project, path, cycle)
        world = read_world(self.folder, self._bases)
        if world is None:
            cycle.note = f"there is no {WORLD} to run"
            return
        if same and before is not None and before.world.header == world.header:
            return
        if before is None:
            cycle.note = f"there was no build to compare with; {WORLD} is run with this one"
        elif not same and not before.agents:
            cycle.note = f"no agent of {WORLD} runs it"
        if before is not None and not same and before.agents:
            cycle.replayed = replay_with(before, content, world, self._options, ticks=self._ticks, bases=self._bases)
        self._before = play_world(world, content, self._options, ticks=self._ticks)
        _, cycle.failure = first_failure(self._before.journal, explain=trap_reader())

    def _try_scripts(self, project: Project, path: Path, cycle: Cycle) -> None:
        cycle.scripts, cycle.differences = [], []
        if not list((self.folder / "tests").glob(f"*{SUFFIX}")):
            return
        for script in find_scripts(project, []):
            trial = Trial(script, package_manifest(path), path, self._bases)
            try:
                row = run_script(trial, self._options, update=False, quick=True)
            except AgentTestFailed as error:
                cycle.scripts.append({"script": script.name, "result": "no golden file"})
                cycle.differences.append(str(error))
                continue
            cycle.differences.append(str(row.pop("difference")))
            del row["did"]
            cycle.scripts.append(row)


# -- printing ----------------------------------------------------------------------------------------------------------


def write_cycle(cycle: Cycle, output: Format) -> None:
    """Print what came of a save."""
    if output != "text":
        write_document(cycle_document(cycle), output)
        return
    for line in cycle_lines(cycle):
        write_line(line)


def cycle_document(cycle: Cycle) -> dict[str, object]:
    """Return a cycle as a document."""
    replayed = cycle.replayed
    return {
        "cycle": cycle.number,
        "result": cycle.result,
        "problem": None if cycle.problem is None else cycle.problem.problem(),
        "bytes": cycle.bytes,
        "scripts": cycle.scripts,
        "differences": [difference for difference in cycle.differences if difference],
        "replay": None if replayed is None else _replay_document(replayed),
        "note": cycle.note,
        "first_failure": cycle.failure,
        "build_ms": round(cycle.build_ms, 1),
        "elapsed_ms": round(cycle.elapsed_ms, 1),
    }


def _replay_document(found: Replayed) -> dict[str, object]:
    return {
        "agents": list(found.agents),
        "how": found.how,
        "refused": list(found.refused),
        "first_tick": found.first,
        "ticks": found.ticks,
        "equal": found.equal,
        "differing_ticks": found.differing,
        "agent_divergence": divergence_document(found.agent_divergence),
        "divergence": divergence_document(found.divergence),
        "old": msgspec.structs.asdict(found.old),
        "new": msgspec.structs.asdict(found.new),
    }


def cycle_lines(cycle: Cycle) -> Iterator[str]:
    """Yield a cycle's lines for people."""
    if cycle.problem is not None:
        yield str(cycle.problem)
    else:
        yield f"{cycle.result}: {cycle.bytes:,} bytes"
    if cycle.scripts:
        yield "scripts: " + ", ".join(f"{row['script']} {row['result']}" for row in cycle.scripts)
    for difference in cycle.differences:
        yield from difference.splitlines()
    if cycle.replayed is not None:
        yield from _replay_lines(cycle.replayed)
    if cycle.note:
        yield cycle.note
    if cycle.failure:
        yield f"first failed turn of {WORLD}: {cycle.failure}"
    yield f"{cycle.elapsed_ms / 1000:.2f} s, of which the build took {cycle.build_ms / 1000:.2f} s"


_HOW: Final = {
    "keep_image": "its memory kept",
    "migrate": "with the state it saved",
    "restart": "begun again at that tick",
    "rerun": "all from the beginning",
}


def _replay_lines(found: Replayed) -> Iterator[str]:
    last = found.first + found.ticks - 1
    yield f"replayed ticks {found.first} to {last}, {_HOW[found.how]} ({found.how})"
    yield from _refused_lines(found.refused)
    for name, tally in (("old", found.old), ("new", found.new)):
        yield f"  {name}: {tally.turns} turns, {tally.failed} failed, {tally.sent} frames, {tally.fuel:,} fuel"
    if found.agent_divergence is not None:
        yield "of the agent: " + found.agent_divergence.sentence()
    if found.divergence is not None:
        yield "of the run: " + found.divergence.sentence()
    head = "head equal: every record came out again" if found.equal else "head differs"
    yield head if found.equal else f"{head}: {found.differing} of {found.ticks} ticks"


def _refused_lines(refused: Sequence[str]) -> Iterator[str]:
    for reason in refused:
        yield f"  not {reason}"
