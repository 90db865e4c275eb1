"""``tickwork artifact export``."""

import sys
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..errors import UsageFault
from .output import Output, write_line, write_rows
from .wishes import WhichArtifact

EXAMPLES: Final = """Examples:

    tickwork artifact export report.md
    tickwork artifact export report.md chart.svg --to results
    tickwork artifact export report.md --to - | less

A file that is there with other bytes is not written over without --force."""

app = App(name="export", help_epilogue=EXAMPLES)


@app.default
def export(
    *artifacts: WhichArtifact,
    to: Annotated[
        Path, Parameter(help="A folder, made where there is none, or - for standard output.", allow_leading_hyphen=True)
    ] = Path(),
    force: Annotated[bool, Parameter(negative="", help="Write over files.")] = False,
    output: Output = "text",
) -> int:
    """Write artifacts to files."""
    from .state import artifact_document, open_artifacts, open_state

    if not artifacts:
        raise UsageFault("there is nothing to export", fix="name artifacts; `tickwork artifact list` shows them")
    with open_state() as store:
        shelf = open_artifacts(store)
        found = [(one, shelf.get(one.digest)) for one in map(shelf.find, artifacts)]
    if str(to) == "-":
        sys.stdout.flush()
        for _, body in found:
            sys.stdout.buffer.write(body)
        return 0
    # Everything is looked at before anything is written.
    for one, body in found:
        _check_free(to / one.name, body, force=force)
    rows = list[object]()
    for one, body in found:
        path = to / one.name
        write_file(path, body)
        rows.append({**artifact_document(one), "path": str(path)})
        if output == "text":
            write_line(str(path))
    if output != "text":
        write_rows(rows, "artifacts", {}, output)
    return 0


def _check_free(path: Path, body: bytes, *, force: bool) -> None:
    """Refuse to write over something else.

    Raises:
        UsageFault: TW1001.
    """
    if force or not (path.exists() or path.is_symlink()):
        return
    if path.is_file() and path.read_bytes() == body:
        return
    raise UsageFault(f"{path} is there already", why="it holds other bytes", fix="export to another folder, or --force")


def write_file(path: Path, body: bytes) -> None:
    """Write a file whole, or not at all.

    Raises:
        JournalWriteFailed: TW2006, the folder cannot be written.
    """
    from .session import writing

    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_bytes(body)
        partial.replace(path)
