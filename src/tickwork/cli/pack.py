"""``tickwork pack``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, get_args

import msgspec
from cyclopts import App, Parameter

from ..driver.opening import read_header, reading
from ..errors import JournalExists, UsageFault
from .output import Format, write_document, write_facts
from .places import writing
from .sources import Reference, open_source

FORMATS: Final = frozenset(get_args(Format))

EXAMPLES: Final = """Examples:

    tickwork pack 0195f2 -o incident.twk
    tickwork verify incident.twk
    tickwork pack 0195f2 -o incident.twk -o json

The file holds all records of the run and every content they name, and any
machine can show, verify, replay, fork and diff it. Secrets are in no record, so
there are none in it."""

app = App(name="pack", help_epilogue=EXAMPLES)


@app.default
def pack(
    run: Reference,
    /,
    *,
    output: Annotated[
        list[str] | None,
        Parameter(
            name=["--output", "-o"],
            negative="",
            help="The file to write, by default the run's name and id, here; or text, json, jsonl. May be repeated.",
        ),
    ] = None,
) -> int:
    """Write a run of the store into a file of its own."""
    form, to = parse_output(output or [])
    with open_source(run) as source:
        if isinstance(source, Path):
            raise UsageFault(
                f"{source} is no run of the store", why="a journal's file is packed already", fix="copy the file"
            )
        from ..journal.packing import pack as pack_run  # Loads SQLite.

        with reading(source) as journal:
            header, environment = read_header(journal)
        path = to or Path(f"{header.name.replace('/', '_')}-{environment.run_id.removeprefix('r_')[:12]}.twk")
        if path.exists():
            raise JournalExists("there is a file of this name already", where=str(path), fix="name another one with -o")
        with writing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        head = pack_run(source, path)
        status = source.status()
    size = path.stat().st_size
    if form != "text":
        document = {
            "run_id": environment.run_id,
            "file": str(path),
            "bytes": size,
            "frames": head.tick + 1,
            "head": head.d.hex(),
            "closed": status.closed,
        }
        write_document(document, form)
        return 0
    write_facts(
        [
            ("run", f"{environment.run_id} ({header.name})"),
            ("file", path),
            ("bytes", f"{size:,}"),
            ("frames", head.tick + 1),
            ("head", head.d.hex()),
            ("status", status.text if status.closed else "open; it can be gone on with in the store alone"),
        ]
    )
    return 0


def parse_output(words: Sequence[str]) -> tuple[Format, Path | None]:
    """Return the format and the file that ``-o`` names.

    Raises:
        UsageFault: TW1001, it names two files.
    """
    forms = [word for word in words if word in FORMATS]
    files = [Path(word) for word in words if word not in FORMATS]
    if len(files) > 1:
        raise UsageFault(f"-o names {len(files)} files: {', '.join(map(str, files))}", fix="name one")
    return msgspec.convert(forms[-1] if forms else "text", Format), files[0] if files else None
