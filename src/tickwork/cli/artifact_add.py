"""``tickwork artifact add``."""

import mimetypes
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..errors import UsageFault
from .output import Output, write_document, write_facts

EXAMPLES: Final = """Examples:

    tickwork artifact add observations.csv --type table --tag weather
    tickwork artifact add map.bin --mime application/x-map --name map

What comes from a file is an outside value: whoever reads it is told so."""

LABEL: Final = "outside:file"

app = App(name="add", help_epilogue=EXAMPLES)


@app.default
def add(
    file: Path,
    /,
    *,
    name: Annotated[str, Parameter(help="What to call it; the file's own name where this is not said.")] = "",
    type: Annotated[str, Parameter(help="Such as file, text, json, table, image.")] = "file",
    mime: Annotated[str, Parameter(help="Guessed from the name where this is not said.")] = "",
    tag: Annotated[list[str] | None, Parameter(negative="", help="A tag; may be repeated.")] = None,
    output: Output = "text",
) -> int:
    """Keep a file as an artifact, for runs to read."""
    from ..plane.artifacts import Leaving, Wanted
    from .state import artifact_document, open_artifacts, open_state

    try:
        body = file.read_bytes()
    except OSError as error:
        raise UsageFault(
            f"{file} cannot be read", why=error.strerror or str(error), fix="name a file that you may read"
        ) from error
    kind = mime or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    with open_state() as store:
        shelf = open_artifacts(store)
        ref = shelf.put(Leaving(name or file.name, kind, type, tuple(tag or ()), (LABEL,)), body)
        found = next(one for one in shelf.list(Wanted(name=ref.name)) if one.digest == ref.digest)
    if output == "text":
        write_facts([("artifact", found.name), ("id", found.id), ("digest", f"sha256:{found.digest.hex()}")])
    else:
        write_document(artifact_document(found), output)
    return 0
