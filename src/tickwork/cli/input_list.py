"""``tickwork input list``."""

from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..packages.times import format_time
from .output import Output, talk, write_rows

EXAMPLES: Final = """Examples:

    tickwork input list
    tickwork input list --run RUN -o json"""

app = App(name="list", help_epilogue=EXAMPLES)


@app.default
def list_inputs(*, run: Annotated[str, Parameter(help="Only those of this run.")] = "", output: Output = "text") -> int:
    """List the inputs that runs wait for, the oldest first."""
    from ..plane.store.runs import Runs
    from ..plane.waits import INPUT, Waits
    from .state import open_state

    with open_state() as store:
        run_id = Runs(store).find(run).id if run else ""
        found = Waits(store).list(kind=INPUT, run_id=run_id)
    rows = [
        {
            "id": wait.id,
            "run_id": wait.run_id,
            "step": wait.step,
            "message": wait.message,
            "schema": msgspec.json.decode(wait.request).get("schema"),
            "due": format_time(wait.due_us) if wait.due_us is not None else "",
        }
        for wait in found
    ]
    if output != "text":
        write_rows(rows, "inputs", {}, output)
        return 0
    if not rows:
        talk("no run waits for an input")
        return 0
    from .screen import write_table  # Loads rich.

    shown = [
        (row["id"], row["run_id"], row["step"], row["message"], msgspec.json.encode(row["schema"]).decode(), row["due"])
        for row in rows
    ]
    write_table(("input", "run", "step", "message", "schema", "until"), shown)
    return 0
