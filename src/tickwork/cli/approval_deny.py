"""``tickwork approval deny``."""

from typing import Final

from cyclopts import App

from .output import Output
from .wishes import ApprovalId, By, Comment, Digest, NoWork

EXAMPLES: Final = """Examples:

    tickwork approval deny ID
    tickwork approval deny ID --by ann --comment "not on a Friday"

The comment is kept with the answer."""

app = App(name="deny", help_epilogue=EXAMPLES)


@app.default
def deny(
    approval: ApprovalId,
    /,
    *,
    by: By = "",
    comment: Comment = "",
    digest: Digest = "",
    no_work: NoWork = False,
    output: Output = "text",
) -> int:
    """Refuse a call; the run goes on without it, as its plan says."""
    from .asked import answer

    return answer(approval, "deny", by=by, comment=comment, output=output, no_work=no_work, digest=digest)
