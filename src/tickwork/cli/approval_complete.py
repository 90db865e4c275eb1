"""``tickwork approval complete``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from .output import Output
from .wishes import ApprovalId, By, Comment, NoWork

EXAMPLES: Final = """Examples:

    tickwork approval complete ID --output-value '{"sent": true}'
    tickwork approval complete ID --output-value @result.json"""

app = App(name="complete", help_epilogue=EXAMPLES)


@app.default
def complete(
    approval: ApprovalId,
    /,
    *,
    output_value: Annotated[
        str, Parameter(help="JSON of what it has come to, @FILE, or - for standard input.")
    ] = "null",
    by: By = "",
    comment: Comment = "",
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Say what a step that failed, or a call that was lost, has come to."""
    from .asked import answer
    from .underway import read_value

    return answer(
        approval,
        "complete",
        by=by,
        comment=comment,
        output=output,
        no_work=no_work,
        value=read_value(output_value, "--output-value"),
    )
