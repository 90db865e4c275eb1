"""``tickwork diff``."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..driver.diff import diff as diff_journals
from ..errors import ReplayDivergence
from .documents import divergence_document
from .output import Output, write_document, write_line
from .sources import open_source

EXAMPLES: Final = """Examples:

    tickwork diff weather.twk changed.twk
    tickwork diff weather.twk changed.twk -o json

Ends with status 0 if both hold the same records, else with 3. Timings and logs
are no part of the comparison."""

app = App(name="diff", help_epilogue=EXAMPLES)


@app.default
def diff(
    one: Annotated[Path, Parameter(help="The run that counts as expected: its journal, or its id in the store.")],
    other: Annotated[Path, Parameter(help="The run to hold against it.")],
    /,
    *,
    output: Output = "text",
) -> int:
    """Find the first record in which two journals differ."""
    with open_source(one) as first, open_source(other) as second:
        found = diff_journals(first, second)
    if output != "text":
        document = {
            "equal": found.equal,
            "journals": [str(one), str(other)],
            "ticks": list(found.ticks),
            "common_ticks": found.common,
            "divergence": divergence_document(found.divergence),
        }
        write_document(document, output)
    elif found.divergence is None:
        write_line(f"equal: {found.common} ticks, record by record")
    else:
        write_line(f"equal for {found.common} ticks of {found.ticks[0]} and {found.ticks[1]}")
        write_line(found.divergence.sentence())
    return 0 if found.equal else ReplayDivergence.exit_status
