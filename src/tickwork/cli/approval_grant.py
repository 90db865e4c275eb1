"""``tickwork approval grant``."""

from typing import Final

from cyclopts import App

from .output import Output
from .wishes import ApprovalId, By, Comment, Digest, NoWork

EXAMPLES: Final = """Examples:

    tickwork approval grant ID
    tickwork approval grant ID --by ann --comment "looks right"
    tickwork approval grant ID --no-work
    tickwork approval grant ID --digest SHA-256

Of a step that failed, or a call that was lost, this says: try it again.
With --digest, as show tells it, what you looked at is what you agree to, or
nothing is."""

app = App(name="grant", help_epilogue=EXAMPLES)


@app.default
def grant(
    approval: ApprovalId,
    /,
    *,
    by: By = "",
    comment: Comment = "",
    digest: Digest = "",
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Agree to a call, exactly as it is shown; the run goes on."""
    from .asked import answer

    return answer(approval, "grant", by=by, comment=comment, output=output, no_work=no_work, digest=digest)
