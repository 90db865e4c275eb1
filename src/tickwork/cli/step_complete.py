"""``tickwork step complete``."""

from typing import Annotated, Final

import msgspec
from cyclopts import App, Parameter

from ..plane.calls import Order
from ..plane.json_text import write_json
from .output import Output
from .wishes import By, Key, NoWork, StepPath, WhichRun

EXAMPLES: Final = """Examples:

    tickwork step complete RUN load --output-value '{"rows": 3}'
    tickwork step complete RUN "each[2]" --output-value @result.json"""

app = App(name="complete", help_epilogue=EXAMPLES)


@app.default
def complete(
    run: WhichRun,
    path: StepPath,
    /,
    *,
    output_value: Annotated[str, Parameter(help="JSON of what it has come to, @FILE, or -.")] = "null",
    by: By = "",
    key: Key = "",
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Say what a step has come to, in place of doing it."""
    from .ordering import give
    from .underway import read_value

    value = msgspec.Raw(write_json(read_value(output_value, "--output-value")))
    return give(run, Order("complete", step=path, output=value), by=by, key=key, output=output, no_work=no_work)
