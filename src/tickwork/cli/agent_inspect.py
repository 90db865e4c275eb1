"""``tickwork agent inspect``."""

from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..authoring.report import examine
from ..errors import ModuleRefused, TickworkError
from ..packages.trust import load_trust
from .agent_check import facts
from .config import load_settings, trust_folder
from .output import Output, write_document, write_facts, write_line
from .parcels import judge_here, read_file

EXAMPLES: Final = """Examples:

    tickwork agent inspect counter.wasm
    tickwork agent inspect counter.wasm -o json

Shows the manifest, what the package asks for, who signed it and whether this
machine trusts that, its exports, its memory, and its sections or files."""

app = App(name="inspect", help_epilogue=EXAMPLES)


@app.default
def inspect(
    package: Annotated[Path, Parameter(help="A module, or a source bundle.")], /, *, output: Output = "text"
) -> int:
    """Show what a package says of itself, who signed it, and what is in it."""
    data = read_file(package)
    report = examine(data, package.name)
    if not report.parts:
        [finding] = report.findings
        raise ModuleRefused(finding.what, where=finding.where, why=finding.why, fix=finding.fix)
    signature = _signature(data, package.name)
    if output != "text":
        document = msgspec.to_builtins(report)
        del document["findings"]
        write_document({**document, "signature": signature}, output)
        return 0
    write_facts([*facts(report), *((name, value) for name, value in signature.items() if value)])
    write_line("\nsections" if report.kind == "module" else "\nfiles")
    width = max((len(part.name) for part in report.parts), default=0)
    for part in report.parts:
        write_line(f"  {part.name:<{width}}  {part.bytes:>10,} bytes")
    for title, links in (("imports", report.imports), ("exports", report.exports)):
        if links:
            write_line(f"\n{title}")
            wide = max(len(link.name) for link in links)
            for link in links:
                write_line(f"  {link.name:<{wide}}  {link.type}  {link.note}")
    return 0


def _signature(data: bytes, name: str) -> dict[str, str]:
    """Return who signed a package, and what this machine makes of it."""
    trust = load_trust(trust_folder(load_settings()))
    try:
        verdict = judge_here(data, trust, name, allow_unsigned=True)
    except TickworkError as error:
        return {"signed by": "", "trusted": f"no: {error.code}, {error.what}"}
    signed = verdict.package.signed
    signers = [one.key.hex() for one in signed.signatures] if signed is not None else []
    trusted = f"yes, {verdict.key.publisher}" if verdict.key is not None else "no"
    return {"signed by": ", ".join(signers) or "nobody", "trusted": trusted}
