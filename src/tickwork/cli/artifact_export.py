"""``tickwork artifact export``."""

import os
import sys
import unicodedata
from collections.abc import Sequence
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

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

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
    _check_apart([(one.name, body) for one, body in found])
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


def _check_apart(found: Sequence[tuple[str, bytes]]) -> None:
    """Refuse to write two files where some system keeps one, and what some system takes for no file.

    Raises:
        UsageFault: TW1001.
    """
    from ..plane.artifacts import check_name

    known = dict[str, tuple[str, bytes]]()
    for name, body in found:
        check_name(name)
        first, other = known.setdefault(unicodedata.normalize("NFC", name.casefold()), (name, body))
        if other != body:
            told = f"two of the artifacts are called {name}" if first == name else f"{first} and {name} are one name"
            raise UsageFault(told, why="the later would be written over the other", fix="export them to two folders")


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
    from .places import writing

    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        # A link that somebody has laid there is removed, not followed.
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, _NEW, 0o666), "wb") as file:
            file.write(body)
        partial.replace(path)
