"""``tickwork model alias``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from ..errors import UsageFault
from .kept import Reference, kept_document, kept_facts, open_store
from .output import Output, write_document, write_facts
from .session import Store

EXAMPLES: Final = """Examples:

    tickwork model alias wind:1.1.0 stable
    tickwork model alias wind:1.0.0 latest
    tickwork model alias --remove wind:latest

A run pins the version that an alias stands for when it begins. latest is the
newest version unless it is set. A version with an alias is not removed."""

app = App(name="alias", help_epilogue=EXAMPLES)


@app.default
def alias(
    model: Reference,
    name: Annotated[str, Parameter(help="Small letters, digits, _ and -.")] = "",
    /,
    *,
    remove: Annotated[bool, Parameter(negative="", help="Take the alias NAME:ALIAS away instead.")] = False,
    store: Store = None,
    output: Output = "text",
) -> int:
    """Let a name such as stable stand for a version."""
    shelf = open_store(store)
    if remove == bool(name):
        raise UsageFault(
            "tickwork model alias takes a version and an alias, or --remove and NAME:ALIAS",
            fix="see: tickwork model alias --help",
        )
    if remove:
        kept = shelf.show(shelf.find(model))
        shelf.unalias(model)
        kept = shelf.show(kept.digest)
    else:
        kept = shelf.alias(model, name)
    if output == "text":
        write_facts(kept_facts(kept))
    else:
        write_document(kept_document(kept), output)
    return 0
