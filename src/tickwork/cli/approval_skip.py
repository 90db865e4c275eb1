"""``tickwork approval skip``."""

from typing import Final

from cyclopts import App

from .output import Output
from .wishes import ApprovalId, By, Comment, NoWork

EXAMPLES: Final = """Examples:

    tickwork approval skip ID
    tickwork approval skip ID --comment "not needed today"

The comment is kept with the answer."""

app = App(name="skip", help_epilogue=EXAMPLES)


@app.default
def skip(
    approval: ApprovalId,
    /,
    *,
    by: By = "",
    comment: Comment = "",
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Go on without a step that failed and is waiting for people."""
    from .asked import answer

    return answer(approval, "skip", by=by, comment=comment, output=output, no_work=no_work)
