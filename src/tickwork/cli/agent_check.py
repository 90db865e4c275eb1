"""``tickwork agent check``."""

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..authoring.report import VIRTUAL, Report, examine
from ..errors import ModuleRefused
from ..packages.rights import listed
from .output import Output, printable, write_document, write_facts, write_line
from .parcels import read_file

EXAMPLES: Final = """Examples:

    tickwork agent check counter.wasm
    tickwork agent check counter.wasm -o json

Runs nothing. A refusal keeps the package from running anywhere and ends with
status 4; a hazard may keep it from running as you mean it; advice would make
it better."""

WRAPPED: Final = 66
"""Characters of a list of names in one line: with the names of the facts before it, a terminal of 80 columns."""

app = App(name="check", help_epilogue=EXAMPLES)


@app.default
def check(
    package: Annotated[Path, Parameter(help="A module, or a source bundle.")], /, *, output: Output = "text"
) -> int:
    """Say what a host would refuse of a package, what may surprise, and what it asks for."""
    report = examine(read_file(package), package.name)
    if output == "text":
        _tell(report)
    else:
        write_document({"accepted": not report.refused, "report": report}, output)
    return ModuleRefused.exit_status if report.refused else 0


def _tell(report: Report) -> None:
    write_facts(facts(report))
    for finding in report.findings:
        code = f"{finding.code}: " if finding.code else ""
        write_line(f"\n{finding.level}  {code}{finding.what}")
        for name in ("where", "why", "fix"):
            value: str = getattr(finding, name)
            if value:
                write_line(f"  {name + ':':<7}{value}")
    count = sum(finding.level == "refused" for finding in report.findings)
    hazards = sum(finding.level == "hazard" for finding in report.findings)
    verdict = f"refused: {count} to mend" if count else "no host refuses it"
    write_line(f"\n{verdict}" + (f", {hazards} hazard{'s' if hazards > 1 else ''}" if hazards else ""))


def facts(report: Report) -> Iterator[tuple[str, object]]:
    """Yield what a package is, named. Order: as people read it."""
    yield "package", f"{report.name}, a {'source bundle' if report.kind == 'bundle' else 'module'}"
    yield "size", f"{report.bytes:,} bytes"
    yield "digest", report.digest
    manifest = report.manifest
    if manifest is not None:
        built = ", ".join(filter(None, (manifest.language, manifest.sdk)))
        yield "agent", f"{printable(manifest.name)} {printable(manifest.version)}" + (f" ({built})" if built else "")
        yield "abi", manifest.abi + (", virtual WASI" if manifest.wasi else "")
        asked = list(listed(manifest.capabilities)) or ["nothing"]
        yield from (("asks for" if index == 0 else "", text) for index, text in enumerate(asked))
        limits = manifest.limits
        named = (("fuel", limits.fuel), ("depth", limits.depth), ("outbox bytes", limits.outbox_bytes))
        yield "limits", ", ".join(f"{name} {value:,}" for name, value in named if value) or "those of the world"
    if report.kind == "module" and report.parts:
        yield "memory", f"{report.memory_pages[0]:,} to {report.memory_pages[1]:,} pages of 64 KiB"
        yield (
            "code",
            f"{report.functions:,} functions, {report.code_bytes:,} bytes, {report.largest_function:,} in the largest",
        )
        for title, links in (("imports", report.imports), ("exports", report.exports)):
            lines = wrap(", ".join(item.name for item in links), WRAPPED, break_on_hyphens=False) or ["nothing"]
            yield from ((title if index == 0 else "", line) for index, line in enumerate(lines))
        odd = [f"{item.name}: {item.note}" for item in (*report.imports, *report.exports) if item.note not in _PLAIN]
        lacking = [f"{item.name} {item.type} is missing ({item.note})" for item in report.missing]
        yield from (("against ABI" if index == 0 else "", text) for index, text in enumerate([*odd, *lacking]))


_PLAIN: Final = frozenset({"ABI", "its own", VIRTUAL})
