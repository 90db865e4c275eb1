"""``tickwork model list``."""

from typing import Final

from cyclopts import App

from .kept import kept_document, open_store
from .output import Output, talk, write_rows
from .session import Store

EXAMPLES: Final = """Examples:

    tickwork model list
    tickwork model list -o json

An alias latest that nobody set is the newest version."""

app = App(name="list", help_epilogue=EXAMPLES)


@app.default
def list_models(*, store: Store = None, output: Output = "text") -> int:
    """List the models of the store."""
    shelf = open_store(store)
    found = shelf.list()
    if output != "text":
        write_rows([kept_document(kept) for kept in found], "models", {"store": str(shelf.folder)}, output)
        return 0
    if not found:
        talk(f"there are no models in {shelf.folder}; add one: tickwork model add FILE")
        return 0
    from .screen import write_table  # Loads rich.

    rows = [
        (
            kept.name,
            kept.version,
            ", ".join(kept.aliases),
            "pinned" if kept.pinned else "",
            "signed" if kept.signed else "",
            f"{kept.size:,}",
            f"{kept.memory:,}" if kept.memory else "",
            kept.digest.hex()[:12],
        )
        for kept in found
    ]
    write_table(("name", "version", "aliases", "kept", "signature", "#bytes", "#memory", "digest"), rows)
    return 0
