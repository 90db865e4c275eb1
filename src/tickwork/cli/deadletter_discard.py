"""``tickwork deadletter discard``."""

from typing import Final

from cyclopts import App

from .output import Output, write_document, write_line
from .wishes import By, WhichRun

EXAMPLES: Final = """Examples:

    tickwork deadletter discard RUN
    tickwork deadletter discard RUN --by ann"""

app = App(name="discard", help_epilogue=EXAMPLES)


@app.default
def discard(run: WhichRun, /, *, by: By = "", output: Output = "text") -> int:
    """Say that a run is not to be gone on with; it has failed then."""
    from ..plane.dead_letters import DeadLetters
    from .state import open_state
    from .underway import find_run, person

    with open_state() as store:
        row = find_run(store, run)
        DeadLetters(store).discard(row.id, by=person(by))
        status = find_run(store, row.id).status
    if output != "text":
        write_document({"run_id": row.id, "status": status}, output)
    else:
        write_line(f"{row.id} {status}")
    return 0
