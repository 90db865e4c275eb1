"""``tickwork approval show``."""

from typing import Final

import msgspec
from cyclopts import App

from .output import Output, talk, write_document, write_facts, write_line
from .wishes import ApprovalId

EXAMPLES: Final = """Examples:

    tickwork approval show ID
    tickwork approval show ID -o json"""

app = App(name="show", help_epilogue=EXAMPLES)


@app.default
def show(approval: ApprovalId, /, *, output: Output = "text") -> int:
    """Show exactly what would be called, who may decide, and what was said."""
    from ..plane.approvals import Approvals
    from .asked import approval_document, approval_facts
    from .state import open_state

    with open_state() as store:
        view = Approvals(store).find(approval)
    if output != "text":
        write_document(approval_document(view), output)
        return 0
    # Said before and after, so that a text of a thousand lines hides neither its beginning nor its end.
    told = f"{len(view.arguments):,} bytes, SHA-256 {view.digest}"
    write_facts([*approval_facts(view), ("arguments", told)])
    write_line("")
    write_line(msgspec.json.format(view.arguments, indent=2).decode())
    talk(f"the arguments above: {told}")
    if view.status == "open":
        talk(f"answer it with {', '.join(view.choices)}: tickwork approval grant {view.id} --digest {view.digest}")
    return 0
