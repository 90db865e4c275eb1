"""``tickwork step skip``."""

from typing import Final

from cyclopts import App

from ..plane.calls import Order
from .output import Output
from .wishes import By, Key, NoWork, StepPath, WhichRun

EXAMPLES: Final = """Examples:

    tickwork step skip RUN publish
    tickwork step skip RUN "each[2]" --by ann"""

app = App(name="skip", help_epilogue=EXAMPLES)


@app.default
def skip(
    run: WhichRun,
    path: StepPath,
    /,
    *,
    by: By = "",
    key: Key = "",
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Go on without a step: those after it run as if it had succeeded with nothing."""
    from .ordering import give

    return give(run, Order("skip", step=path), by=by, key=key, output=output, no_work=no_work)
