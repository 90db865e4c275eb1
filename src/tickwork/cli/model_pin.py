"""``tickwork model pin``."""

from typing import Final

from cyclopts import App

from .kept import Reference, kept_document, kept_facts, open_store
from .output import Output, write_document, write_facts
from .session import Store

EXAMPLES: Final = """Examples:

    tickwork model pin wind:1.1.0

A pinned version is neither removed nor collected."""

app = App(name="pin", help_epilogue=EXAMPLES)


@app.default
def pin(model: Reference, /, *, store: Store = None, output: Output = "text") -> int:
    """Keep a version until it is unpinned."""
    kept = open_store(store).pin(model)
    if output == "text":
        write_facts(kept_facts(kept))
    else:
        write_document(kept_document(kept), output)
    return 0
