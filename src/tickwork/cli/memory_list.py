"""``tickwork memory list``."""

from typing import Annotated, Final, Literal

from cyclopts import App, Parameter

from ..plane.profile import DEFAULT
from .output import Output, talk, write_rows
from .wishes import Whose

EXAMPLES: Final = """Examples:

    tickwork memory list
    tickwork memory list --kind summary --profile analyst
    tickwork memory list --kind history -o jsonl"""

Which = Literal["semantic", "episodic", "summary", "history"]

app = App(name="list", help_epilogue=EXAMPLES)


@app.default
def list_memory(
    *,
    kind: Annotated[
        Which | None, Parameter(help="Facts, what happened, what became of runs, or what was said.")
    ] = None,
    most: Annotated[int, Parameter(help="How many to list.")] = 50,
    profile: Whose = DEFAULT,
    output: Output = "text",
) -> int:
    """List what a profile remembers, or what was said; newest first."""
    from .remembered import item_document, open_memory, write_history

    with open_memory(profile) as (memory, _):
        if kind == "history":
            return write_history(memory, most, output)
        found = memory.items(kind or "", most=most)
    if output != "text":
        write_rows([item_document(item) for item in found], "items", {"profile": profile}, output)
        return 0
    if not found:
        talk(f"{profile} remembers nothing of that; add something: tickwork memory add TEXT")
        return 0
    from .screen import write_table  # Loads rich.

    rows = [(item.id, item.kind, item.text, ", ".join(item.labels), item.run_id) for item in found]
    write_table(("id", "kind", "text", "from outside", "run"), rows)
    return 0
