"""``tickwork approval list``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from ..packages.times import format_time
from .output import Output, talk, write_rows

EXAMPLES: Final = """Examples:

    tickwork approval list
    tickwork approval list --run RUN
    tickwork approval list --all -o json"""

app = App(name="list", help_epilogue=EXAMPLES)


@app.default
def list_approvals(
    *,
    run: Annotated[str, Parameter(help="Only those of this run.")] = "",
    all: Annotated[bool, Parameter(negative="", help="Also those that are decided or have expired.")] = False,
    output: Output = "text",
) -> int:
    """List what people are asked, the oldest first."""
    from ..plane.approvals import Approvals
    from ..plane.store.runs import Runs
    from .asked import SHOWN, approval_document
    from .state import open_state

    with open_state() as store:
        run_id = Runs(store).find(run).id if run else ""
        found = Approvals(store).list(run_id=run_id, status="" if all else "open")
    if output != "text":
        write_rows([approval_document(view) for view in found], "approvals", {}, output)
        return 0
    if not found:
        talk("nobody is asked anything")
        return 0
    from .screen import write_table  # Loads rich.

    rows = [
        (
            view.id,
            view.run_id,
            view.step,
            view.kind,
            view.skill,
            view.message[:SHOWN],
            ", ".join(view.allowed) or "anybody",
            format_time(view.due_us) if view.due_us is not None else "",
            view.decision or view.status,
        )
        for view in found
    ]
    write_table(("approval", "run", "step", "kind", "skill", "message", "who", "until", "status"), rows)
    return 0
