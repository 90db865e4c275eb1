"""``tickwork agent test``."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..authoring.build import build
from ..authoring.project import Project, read_project
from ..authoring.scripts import SUFFIX, Script, read_script
from ..authoring.trials import Trial, compare, keep, play
from ..driver.options import Options
from ..errors import AgentTestFailed, ModuleManifestInvalid, ProjectInvalid
from ..packages.package import read_package
from ..sandbox.manifest import Manifest
from .config import base_folders, build_environment, load_settings
from .output import Output, talk, write_line, write_rows
from .screen import write_table
from .session import options_for

EXAMPLES: Final = """Examples:

    tickwork agent test
    tickwork agent test agents/trader --script opening --show
    tickwork agent test --update

Each tests/NAME.toml says what the agent is told; tests/NAME.golden holds what
it did. A script is run as it is, not optimised, in worker processes, and with
its state put into a new instance after every tick: all must come to one head.
Ends with status 1 if an agent did something else than its golden file says."""

app = App(name="test", help_epilogue=EXAMPLES)


@app.default
def try_scripts(
    folder: Annotated[Path, Parameter(help="The project's folder, where agent.toml lies.")] = Path(),
    /,
    *,
    script: Annotated[
        list[str] | None, Parameter(negative="", help="Only this script, by its name; repeat it for more.")
    ] = None,
    update: Annotated[bool, Parameter(negative="", help="Keep what the agent does now as its golden files.")] = False,
    show: Annotated[bool, Parameter(negative="", help="Print what the agent did.")] = False,
    quick: Annotated[bool, Parameter(negative="", help="Run each script as it is only.")] = False,
    package: Annotated[
        Path | None, Parameter(help="Try this built module or bundle instead of building the project.")
    ] = None,
    output: Output = "text",
) -> int:
    """Run an agent's scripts in every way that must make no difference, and compare what it did."""
    project = read_project(folder)
    scripts = find_scripts(project, script or [])
    failures = 0
    rows: list[dict[str, object]] = []
    with options_for("test") as options, built_package(project, package) as tried:
        manifest = package_manifest(tried)
        for one in scripts:
            trial = Trial(one, manifest, tried, base_folders())
            row = run_script(trial, options, update=update, quick=quick)
            if show and output == "text":
                write_line(f"# {one.name}\n{row['did']}")
            if row["difference"]:
                failures += 1
                talk(str(row["difference"]))
            rows.append(row if show else {name: value for name, value in row.items() if name != "did"})
    if output == "text":
        columns = ("script", "result", "#turns", "#failed turns", "#fuel", "#ways", "head")
        write_table(columns, [(*list(row.values())[:6], str(row["head"])[:12]) for row in rows])
    else:
        # The document says which script differs; an error beside it would be a second one.
        write_rows(rows, "scripts", {"agent": project.name}, output)
        return AgentTestFailed.exit_status if failures else 0
    if failures:
        raise AgentTestFailed(
            f"{failures} of {len(scripts)} scripts of {project.name} came out otherwise",
            where=str(project.folder / "tests"),
            why="the lines above were expected (-) and done (+)",
            fix="correct the agent, or keep what it does now: tickwork agent test --update",
        )
    return 0


def package_manifest(package: Path) -> Manifest:
    """Return what a built package says of itself.

    Raises:
        ModuleManifestInvalid: TW3006, it says nothing.
    """
    manifest = read_package(package.read_bytes(), name=package.name).manifest
    if manifest is None:
        raise ModuleManifestInvalid(
            f"{package} has no manifest", why="a script's world is made of what it declares", fix="build it anew"
        )
    return manifest


def find_scripts(project: Project, wanted: list[str]) -> list[Script]:
    """Return a project's scripts. Order: by name.

    Raises:
        ProjectInvalid: TW5004, there is none, or none of a name that is wanted.
    """
    folder = project.folder / "tests"
    paths = {path.stem: path for path in sorted(folder.glob(f"*{SUFFIX}"))}
    absent = [name for name in wanted if name not in paths]
    if absent or not paths:
        raise ProjectInvalid(
            f"there is no script {absent[0]!r}" if absent else f"{project.name} has no test scripts",
            where=str(folder),
            why=f"it holds {', '.join(paths) or 'none'}",
            fix="write tests/NAME.toml, and keep what the agent does with it: tickwork agent test --update",
        )
    return [read_script(path) for name, path in paths.items() if not wanted or name in wanted]


@contextmanager
def built_package(project: Project, package: Path | None) -> Generator[Path]:
    """Yield the package to try: the one given, else the project built now, unsigned and beside nothing."""
    if package is not None:
        yield package
        return
    built = build(project, build_environment(load_settings()))
    with tempfile.TemporaryDirectory(prefix="tickwork-") as folder:
        path = Path(folder) / f"{project.name}{built.compiled.suffix}"
        path.write_bytes(built.compiled.module)
        yield path


def run_script(trial: Trial, options: Options, *, update: bool, quick: bool) -> dict[str, object]:
    """Return a row on one script: how it went, what the agent did, and how that differs from its golden file."""
    played = play(trial, options, every_way=not quick)
    if update:
        keep(trial, played)
    difference = compare(trial, played)
    return {
        "script": trial.script.name,
        "result": "kept" if update else "differs" if difference else "as expected",
        "turns": played.turns,
        "failed": played.failed,
        "fuel": played.fuel,
        "ways": len(played.ways),
        "head": played.head.hex(),
        "difference": difference,
        "did": played.text,
    }
