"""``tickwork cancel``."""

from typing import Final

from cyclopts import App

from ..plane.calls import Order
from .output import Output
from .wishes import By, Key, NoWork, WhichRun

EXAMPLES: Final = """Examples:

    tickwork cancel RUN
    tickwork cancel RUN --by ann

Calls that are under way end first; then what the plan can undo is undone."""

app = App(name="cancel", help_epilogue=EXAMPLES)


@app.default
def cancel(run: WhichRun, /, *, by: By = "", key: Key = "", no_work: NoWork = False, output: Output = "text") -> int:
    """End a run: nothing new is begun, and what it did and can undo is undone."""
    from .ordering import give

    status = give(run, Order("cancel"), by=by, key=key, output=output, no_work=no_work)
    return 0 if status == 1 else status
