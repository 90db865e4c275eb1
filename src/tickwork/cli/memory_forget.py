"""``tickwork memory forget``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from ..errors import UsageFault
from ..plane.profile import DEFAULT
from .output import Output, write_document, write_line
from .wishes import Whose

EXAMPLES: Final = """Examples:

    tickwork memory forget m5dd96869ee2635e7257a09a
    tickwork memory forget m5dd96869ee2635e7257a09a --profile analyst

What a run has recalled before stays in its journal."""

app = App(name="forget", help_epilogue=EXAMPLES)


@app.default
def forget(
    *items: Annotated[str, Parameter(help="Ids of items.")],
    profile: Whose = DEFAULT,
    output: Output = "text",
) -> int:
    """Remove items."""
    from .remembered import open_memory

    if not items:
        raise UsageFault("there is nothing to forget", fix="name items; `tickwork memory list` shows them")
    with open_memory(profile) as (memory, _):
        gone = [key for key in items if memory.forget(key)]
    absent = [key for key in items if key not in gone]
    if absent:
        raise UsageFault(
            f"{profile} has no item {absent[0]}",
            why=f"{len(gone)} of {len(items)} are removed",
            fix="`tickwork memory list` shows what there is",
        )
    if output == "text":
        write_line(f"removed {len(gone)}")
    else:
        write_document({"profile": profile, "removed": gone}, output)
    return 0
