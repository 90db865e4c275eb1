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
    # A line for each measure: a column for each would be wider than a terminal.
    measures = [_measures(timing) for _, timing in found]
    write_table(
        ("", *(f"#{name}" for name, _ in found)),
        [(measure, *(one[measure] for one in measures)) for measure in measures[0]],
    )
    write_line(f"\n{project.name}: {found[0][1].module_bytes:,} bytes; medians over {found[0][1].rounds} rounds")
    return 0


def _measures(timing: Timing) -> dict[str, object]:
    """Return what was measured of one script. Order: as it is shown."""
    turns = timing.turns
    return {
        "turns": turns,
        "turn, us, median": f"{timing.turn_us:.1f}",
        "turn, us, 99th percentile": f"{timing.slowest_us:.1f}",
        "start, us": f"{timing.start_us:.1f}",
        "compilation, ms": f"{timing.compile_ms:.1f}",
        "fuel of a turn": f"{timing.fuel // turns:,}",
        "most fuel of a turn": f"{timing.most_fuel:,}",
        "sent in a turn, bytes": f"{timing.outbox_bytes // turns:,}",
        "memory, KiB": f"{timing.memory_bytes // 1024:,}",
        "image, KiB": f"{timing.image_bytes / 1024:,.1f}",
    }
