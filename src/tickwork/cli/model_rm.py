"""``tickwork model rm``."""

from typing import Final

from cyclopts import App

from ..errors import UsageFault
from .kept import References, open_store
from .output import Output, write_document, write_line
from .session import Store

EXAMPLES: Final = """Examples:

    tickwork model rm wind:1.0.0
    tickwork model rm wind:1.0.0 wind:1.1.0 -o json

A pinned version, and one with an alias that somebody set, is refused. Journals
of runs that asked the model replay without it."""

app = App(name="rm", help_epilogue=EXAMPLES)


@app.default
def rm(*models: References, store: Store = None, output: Output = "text") -> int:
    """Remove versions, and the files that no other needs."""
    if not models:
        raise UsageFault("tickwork model rm needs a version", fix="write NAME:VERSION; see: tickwork model list")
    shelf, versions, size = open_store(store), list[str](), 0
    for model in models:
        removed = shelf.remove(model)
        versions += removed.versions
        size += removed.size
        if output == "text":
            write_line(f"removed {', '.join(removed.versions)}, {removed.size:,} bytes")
    if output != "text":
        write_document({"removed": versions, "bytes": size}, output)
    return 0
