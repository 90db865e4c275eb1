"""``tickwork agent verify``."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..errors import UsageFault
from ..packages.trust import load_trust
from .config import load_settings, trust_folder
from .output import Output, write_line, write_rows
from .parcels import Allowed, judge_here, package_document, read_file, tell_package

EXAMPLES: Final = """Examples:

    tickwork agent verify trader.wasm
    tickwork agent verify trader.wasm -o json

Asks what a run would ask: is the signature of these bytes, is its key trusted
for this name and these capabilities, valid now and not revoked, and is the
version no older than what ran here. Ends with status 4 and the rule that
failed."""

app = App(name="verify", help_epilogue=EXAMPLES)


@app.default
def verify(
    *files: Annotated[Path, Parameter(help="Modules and source bundles.")],
    allow_unsigned: Allowed = False,
    output: Output = "text",
) -> int:
    """Say who signed a package, what it asks for, and whether this machine would run it."""
    if not files:
        raise UsageFault("tickwork agent verify needs a package", fix="name one or more .wasm or .bundle files")
    trust = load_trust(trust_folder(load_settings()))
    rows: list[object] = []
    for path in files:
        verdict = judge_here(read_file(path), trust, path.name, allow_unsigned=allow_unsigned)
        rows.append({"file": str(path), **package_document(verdict.package, verdict)})
        if output == "text":
            write_line(str(path))
            tell_package(verdict.package, verdict)
    if output != "text":
        write_rows(rows, "packages", {}, output)
    return 0
