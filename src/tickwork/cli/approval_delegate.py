"""``tickwork approval delegate``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from .output import Output, talk, write_document, write_facts
from .wishes import ApprovalId, By, Comment

EXAMPLES: Final = """Examples:

    tickwork approval delegate ID --to ben
    tickwork approval delegate ID --to ben --by ann --comment "he knows"
"""

app = App(name="delegate", help_epilogue=EXAMPLES)


@app.default
def delegate(
    approval: ApprovalId,
    /,
    *,
    to: Annotated[str, Parameter(help="Who is to decide instead.")],
    by: By = "",
    comment: Comment = "",
    output: Output = "text",
) -> int:
    """Have somebody else decide."""
    from ..plane.approvals import Approvals
    from .asked import approval_document, approval_facts
    from .state import open_state
    from .underway import person

    with open_state() as store:
        view, changed = Approvals(store).delegate(approval, to, by=person(by), comment=comment)
    if not changed:
        talk(f"{view.id}: that has been said already; nothing has changed")
    if output != "text":
        write_document(approval_document(view), output)
    else:
        write_facts(approval_facts(view))
    return 0
