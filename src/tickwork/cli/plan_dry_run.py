"""``tickwork plan dry-run``."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from cyclopts import App, Parameter

from ..plane.money import usd_text
from ..plane.rehearsal import Rehearsal, Row
from .output import Output, write_facts, write_line, write_rows
from .wishes import ForProfile, Inputs, PlanReference

EXAMPLES: Final = """Examples:

    tickwork plan dry-run report.toml --input city=JFK
    tickwork plan dry-run report.toml --profile analyst --params
    tickwork plan dry-run report.toml --input city=JFK -o json

Steps of one wave can run at once. What follows from the inputs is worked out;
what a call decides is shown as the expression that will read it. Nothing is
called, and nothing is written."""

app = App(name="dry-run", help_epilogue=EXAMPLES)

_MOST_SHOWN: Final = 120


@app.default
def dry_run(
    plan: PlanReference,
    /,
    *,
    input: Inputs = None,
    goal: Annotated[str, Parameter(help="What expressions read as goal.")] = "",
    params: Annotated[bool, Parameter(negative="", help="Show the parameters of every call in full.")] = False,
    profile: ForProfile = "",
    output: Output = "text",
) -> int:
    """Show what a plan would call, in which order, with what and at what cost; nothing is done."""
    from ..plane.plan_inputs import take_inputs
    from ..plane.rehearsal import rehearse
    from .plans import compile_file, find_plan, find_profile, pin_of, read_settings

    file = find_plan(plan)
    found = find_profile(profile)
    compiled = compile_file(file, found)
    inputs = take_inputs(file.table.inputs, read_settings(input, file.table.inputs))
    rehearsal = rehearse(compiled, inputs, goal or file.table.goal, pin_of(found))
    if output != "text":
        totals = {
            name: getattr(rehearsal, name) for name in ("cost_micros", "worst_micros", "bounded", "calls", "outputs")
        }
        around = {"plan": file.table.name, "digest": compiled.digest.hex(), "inputs": inputs, **totals}
        write_rows([msgspec.structs.asdict(row) for row in rehearsal.rows], "steps", around, output)
        return 0
    _show(rehearsal, inputs, in_full=params)
    return 0


def _show(rehearsal: Rehearsal, inputs: Mapping[str, Any], *, in_full: bool) -> None:
    from .screen import write_table  # Loads rich.

    rows = [_row(row, in_full=in_full) for row in rehearsal.rows]
    write_table(("#wave", "step", "does", "class", "if", "#times", "#USD", "asks", "params"), rows)
    unknown = "" if rehearsal.bounded else ", and what nobody knows"
    write_line("")
    write_facts(
        [
            ("inputs", msgspec.json.encode(inputs).decode()),
            ("calls", rehearsal.calls),
            ("costs at most", f"{usd_text(rehearsal.cost_micros)} USD{unknown}"),
            ("with every retry", f"{usd_text(rehearsal.worst_micros)} USD{unknown}"),
            *([("outputs", msgspec.json.encode(rehearsal.outputs).decode())] if rehearsal.outputs is not None else ()),
        ]
    )


def _row(row: Row, *, in_full: bool) -> tuple[object, ...]:
    params = "" if row.params is None else msgspec.json.encode(row.params).decode()
    cost = usd_text(row.cost_micros) if row.cost_micros else "" if row.bounded else "unknown"
    asks = ", ".join(row.asks) + (f" ({', '.join(row.by)})" if row.by else "")
    return (
        row.wave,
        row.path,
        row.does,
        row.effect_class,
        {"true": "", "false": "no"}.get(row.when, row.when),
        "?" if row.each < 0 else row.each if row.each != 1 else "",
        cost,
        asks,
        params if in_full or len(params) <= _MOST_SHOWN else f"{params[: _MOST_SHOWN - 3]}...",
    )
