"""``tickwork model unpin``."""

from typing import Final

from cyclopts import App

from .kept import Reference, kept_document, kept_facts, open_store
from .output import Output, write_document, write_facts
from .session import Store

EXAMPLES: Final = """Examples:

    tickwork model unpin wind:1.1.0"""

app = App(name="unpin", help_epilogue=EXAMPLES)


@app.default
def unpin(model: Reference, /, *, store: Store = None, output: Output = "text") -> int:
    """Let a version be removed again."""
    kept = open_store(store).unpin(model)
    if output == "text":
        write_facts(kept_facts(kept))
    else:
        write_document(kept_document(kept), output)
    return 0
