"""``tickwork approval grant``."""

from typing import Final

from cyclopts import App

from .asked import Comment, Id, answer
from .output import Output
from .wishes import By, NoWork

EXAMPLES: Final = """Examples:

    tickwork approval grant ID
    tickwork approval grant ID --by ann --comment "looks right"
    tickwork approval grant ID --no-work

Of a step that failed, or a call that was lost, this says: try it again."""

app = App(name="grant", help_epilogue=EXAMPLES)


@app.default
def grant(
    approval: Id,
    /,
    *,
    by: By = "",
    comment: Comment = "",
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Agree to a call, exactly as it is shown; the run goes on."""
    return answer(approval, "grant", by=by, comment=comment, output=output, no_work=no_work)
