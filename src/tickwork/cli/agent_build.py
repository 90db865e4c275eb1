"""``tickwork agent build``."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..authoring.build import MODULE, Built, Signer, build, check_reproducible, write_built
from ..authoring.project import Project, read_project
from ..authoring.traces import keep_symbols
from ..driver.shape import is_array
from ..packages.developer import sign
from .config import build_environment, load_settings, symbols_folder, trust_folder
from .output import Output, write_document, write_facts

EXAMPLES: Final = """Examples:

    tickwork agent build
    tickwork agent build agents/trader --check-reproducible
    tickwork agent build -o json

Writes NAME.wasm, signed with your developer key, and NAME.debug.wasm, the same
code with its source lines (of Python: NAME.bundle). Ends with status 1 if the
compiler refuses the source."""

app = App(name="build", help_epilogue=EXAMPLES)


@app.default
def build_agent(
    folder: Annotated[Path, Parameter(help="The project's folder, where agent.toml lies.")] = Path(),
    /,
    *,
    check: Annotated[
        bool,
        Parameter(
            name="--check-reproducible",
            negative="",
            help="Build it in two other folders first, and refuse if the bytes differ.",
        ),
    ] = False,
    unsigned: Annotated[bool, Parameter(negative="", help="Leave the package unsigned.")] = False,
    output: Output = "text",
) -> int:
    """Compile a project, give the module its manifest, check it, and sign it."""
    settings = load_settings()
    project = read_project(folder)
    environment = build_environment(settings)
    built = check_reproducible(project, environment) if check else build(project, environment)
    trust = None if unsigned else trust_folder(settings)
    signer: Signer | None = (lambda package, name: sign(package, trust, name=name)) if trust is not None else None
    written = write_built(project, built, signer)
    compiled = built.compiled
    if compiled.suffix == MODULE:
        keep_symbols(symbols_folder(settings), compiled.module, compiled.debug, compiled.source_map)
    facts = dict(_facts(project, built, written, signed=trust is not None, reproducible=check))
    if output == "text":
        silent = {name for name, value in facts.items() if name != "signed" and not value}
        write_facts((name.replace("_", " "), _shown(value)) for name, value in facts.items() if name not in silent)
    else:
        write_document(facts, output)
    return 0


def _facts(
    project: Project, built: Built, written: list[Path], *, signed: bool, reproducible: bool
) -> Iterator[tuple[str, object]]:
    """Yield what was built. Order: as people read it."""
    package, *beside = (_near(path) for path in written)
    content = written[0].read_bytes()
    yield "package", package
    yield "beside", beside
    yield "name", project.name
    yield "version", project.table.version
    yield "bytes", len(content)
    yield "digest", hashlib.sha256(content).hexdigest()
    yield "memory_pages", built.pages
    yield "toolchain", f"{built.found.tool} {built.found.version}"
    yield "signed", signed
    yield "reproducible", reproducible


def _near(path: Path) -> str:
    """Return a path relative to the current folder where it lies in it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _shown(value: object) -> str:
    if is_array(value):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)
