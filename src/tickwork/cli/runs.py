"""``tickwork runs``."""

from typing import Annotated, Final

from cyclopts import App, Parameter

from ..clock import SystemClock
from ..errors import UsageFault
from .output import Output, talk, write_rows

EXAMPLES: Final = """Examples:

    tickwork runs
    tickwork runs --status waiting
    tickwork runs --profile analyst --limit 20 -o json
    tickwork show RUN

Every verb takes the id of a run, shortened as long as it names one."""

app = App(name="runs", help_epilogue=EXAMPLES)


@app.default
def list_runs(
    *,
    status: Annotated[
        list[str] | None, Parameter(negative="", help="Only runs that stand so, such as waiting. May be repeated.")
    ] = None,
    profile: Annotated[str, Parameter(help="Only runs of this profile.")] = "",
    family: Annotated[str, Parameter(help="Only this run, its forks and its reruns.")] = "",
    limit: Annotated[int, Parameter(help="At most so many, the newest.")] = 50,
    output: Output = "text",
) -> int:
    """List the runs of goals and plans in this folder, the newest first."""
    from ..plane.fixes import fix_of
    from ..plane.money import usd_text
    from ..plane.store.runs import OPEN, STATUSES, RunRow, Runs, row_document  # Loads SQLAlchemy, with the next.
    from ..plane.store.store import Store
    from .places import STATE

    wanted = tuple(status or ())
    for word in wanted:
        if word not in STATUSES:
            raise UsageFault(f"--status {word} is not understood", fix=f"use {', '.join(STATUSES)}")
    if limit < 1:
        raise UsageFault(f"--limit {limit} leaves room for nothing", fix="give 1 or more")
    found: list[RunRow] = []
    if STATE.exists():
        with Store.open(STATE, SystemClock(), write=False) as store:
            runs = Runs(store)
            root = runs.find(family).root_id if family else ""
            found = runs.page(statuses=wanted, profile=profile, root=root, most=limit)
    fixes = {row.id: "" if row.status in (*OPEN, "succeeded") else fix_of(row.reason, row.id) for row in found}
    if output != "text":
        documents = [{**row_document(row), "fix": fixes[row.id]} for row in found]
        write_rows(documents, "runs", {"store": str(STATE)}, output)
        return 0
    if not found:
        talk('there are no such runs here; begin one: tickwork goal "..."')
        return 0
    from .screen import write_table  # Loads rich.

    columns = ("run", "plan or goal", "profile", "status", "why", "#ticks", "#usd", "fix")
    shown = len(columns) - (not any(fixes.values()))
    lines = [
        (
            row.id,
            row.name if row.plan_digest else row.goal[:40],
            row.profile,
            row.status,
            row.reason,
            row.ticks,
            usd_text(row.cost_micros),
            fixes[row.id],
        )[:shown]
        for row in found
    ]
    write_table(columns[:shown], lines)
    return 0
