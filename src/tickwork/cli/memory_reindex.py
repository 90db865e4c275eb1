"""``tickwork memory reindex``."""

from typing import Final

from cyclopts import App

from ..plane.profile import DEFAULT
from .output import Output, write_document, write_line
from .wishes import Whose

EXAMPLES: Final = """Examples:

    tickwork memory reindex
    tickwork memory reindex --profile analyst -o json

Items are found by meaning with vectors of one embedder: MiniLM where the store
of models has it, hashed n-grams where not. After a change, items of before are
found by words alone until this is run."""

app = App(name="reindex", help_epilogue=EXAMPLES)


@app.default
def reindex(*, profile: Whose = DEFAULT, output: Output = "text") -> int:
    """Make vectors anew for items that have those of another embedder."""
    from .remembered import open_memory

    with open_memory(profile) as (memory, _):
        count = memory.reindex()
        name = memory.embedder.name
    if output == "text":
        write_line(f"{count:,} items have new vectors, of {name.partition(':')[0]}")
    else:
        write_document({"profile": profile, "items": count, "embedder": name}, output)
    return 0
