"""``tickwork deadletter list``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from ..packages.times import format_time
from .output import Output, talk, write_rows

EXAMPLES: Final = """Examples:

    tickwork deadletter list
    tickwork deadletter list --all -o json"""

app = App(name="list", help_epilogue=EXAMPLES)


@app.default
def list_letters(
    *,
    all: Annotated[bool, Parameter(negative="", help="Also those that were put back or discarded.")] = False,
    output: Output = "text",
) -> int:
    """List runs that were set aside, with the reason."""
    from ..plane.dead_letters import DeadLetters
    from .state import open_state

    with open_state() as store:
        found = DeadLetters(store).list(status="" if all else "open")
    rows = [
        {
            "id": one.id,
            "run_id": one.run_id,
            "reason": one.reason,
            "attempts": one.attempts,
            "status": one.status,
            "since": format_time(one.created_us),
        }
        for one in found
    ]
    if output != "text":
        write_rows(rows, "dead_letters", {}, output)
        return 0
    if not rows:
        talk("no run was set aside")
        return 0
    from .screen import write_table  # Loads rich.

    shown = [tuple(row.values()) for row in rows]
    write_table(("id", "run", "reason", "#attempts", "status", "since"), shown)
    return 0
