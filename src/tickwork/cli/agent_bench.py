"""``tickwork agent bench``."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..authoring.project import read_project
from ..authoring.timing import ROUNDS, Timing, measure
from ..authoring.trials import Trial, play, tried_agent
from .agent_test import built_package, find_scripts, package_manifest
from .config import base_folders
from .output import Output, write_line, write_rows
from .screen import write_table
from .session import options_for

EXAMPLES: Final = """Examples:

    tickwork agent bench
    tickwork agent bench agents/trader --script opening --rounds 200
    tickwork agent bench -o json

The turns of each test script are run again and again, with nothing else in the
process. Times are this machine's; fuel, memory and bytes are the same anywhere."""

COLUMNS: Final = (
    "script", "#turns", "#turn us", "#p99 us", "#start us", "#compile ms", "#fuel/turn", "#most fuel", "#sent/turn",
    "#memory KiB", "#image KiB",
)  # fmt: skip

app = App(name="bench", help_epilogue=EXAMPLES)


@app.default
def bench(
    folder: Annotated[Path, Parameter(help="The project's folder, where agent.toml lies.")] = Path(),
    /,
    *,
    script: Annotated[
        list[str] | None, Parameter(negative="", help="Only this script, by its name; repeat it for more.")
    ] = None,
    rounds: Annotated[int, Parameter(help="How often each script is run.")] = ROUNDS,
    package: Annotated[
        Path | None, Parameter(help="Measure this built module or bundle instead of building the project.")
    ] = None,
    output: Output = "text",
) -> int:
    """Measure an agent's turns: time, fuel, memory, and what a start and a compilation take."""
    project = read_project(folder)
    scripts = find_scripts(project, script or [])
    found: list[tuple[str, Timing]] = []
    with options_for("bench") as options, built_package(project, package) as tried:
        for one in scripts:
            trial = Trial(one, package_manifest(tried), tried, base_folders())
            journal = play(trial, options, every_way=False).journal
            number, spec = tried_agent(journal)
            found.append((one.name, measure(journal, number, spec, options, rounds=max(1, rounds))))
    if output != "text":
        rows = [{"script": name, **msgspec.to_builtins(timing)} for name, timing in found]
        write_rows(rows, "scripts", {"agent": project.name}, output)
        return 0
    write_table(COLUMNS, [_row(name, timing) for name, timing in found])
    write_line(f"\n{project.name}: {found[0][1].module_bytes:,} bytes; medians over {found[0][1].rounds} rounds")
    return 0


def _row(name: str, timing: Timing) -> tuple[object, ...]:
    turns = timing.turns
    return (
        name,
        turns,
        f"{timing.turn_us:.1f}",
        f"{timing.slowest_us:.1f}",
        f"{timing.start_us:.1f}",
        f"{timing.compile_ms:.1f}",
        timing.fuel // turns,
        timing.most_fuel,
        timing.outbox_bytes // turns,
        timing.memory_bytes // 1024,
        f"{timing.image_bytes / 1024:.1f}",
    )
