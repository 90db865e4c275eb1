"""``tickwork diff``."""

from pathlib import Path
from typing import Annotated, Final

from cyclopts import App, Parameter

from ..driver.diff import diff as diff_journals
from ..errors import ReplayDivergence
from .documents import divergence_document
from .output import Output, write_document, write_line

EXAMPLES: Final = """Examples:

    tickwork diff weather.twk changed.twk
    tickwork diff weather.twk changed.twk -o json

Ends with status 0 if both hold the same records, else with 3. Timings and logs
are no part of the comparison."""

app = App(name="diff", help_epilogue=EXAMPLES)


@app.default
def diff(
    one: Annotated[Path, Parameter(help="The journal that counts as expected.")],
    other: Annotated[Path, Parameter(help="The journal to hold against it.")],
    /,
    *,
    output: Output = "text",
) -> int:
    """Find the first record in which two journals differ."""
    found = diff_journals(one, other)
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
