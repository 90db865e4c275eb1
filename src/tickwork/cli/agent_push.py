"""``tickwork agent push``."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..packages.trust import load_trust
from .config import load_settings, trust_folder
from .output import Output, write_document, write_facts
from .parcels import Allowed, Place, judge_here, open_registry, package_document, read_file, tell_package

EXAMPLES: Final = """Examples:

    tickwork agent push trader.wasm packages/
    tickwork agent push trader.wasm oci://registry.example/agents

A package is kept under the name and version in its manifest. A version never
changes: the same bytes may be pushed again, others are refused."""

app = App(name="push", help_epilogue=EXAMPLES)


@app.default
def push(
    file: Annotated[Path, Parameter(help="A signed module or source bundle.")],
    registry: Place,
    /,
    *,
    allow_unsigned: Allowed = False,
    output: Output = "text",
) -> int:
    """Put a package into a registry, after asking whether this machine itself would run it."""
    package = read_file(file)
    trust = load_trust(trust_folder(load_settings()))
    verdict = judge_here(package, trust, file.name, allow_unsigned=allow_unsigned, update=False)
    where = open_registry(registry).push(package, verdict.package)
    if output == "text":
        write_facts([("pushed", where)])
        tell_package(verdict.package, verdict)
    else:
        write_document({"pushed": where, **package_document(verdict.package, verdict)}, output)
    return 0
