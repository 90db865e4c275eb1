"""What ``tickwork fork`` does with a run of a plan: the fork is a run of the store, and the engine goes on with it."""

from collections.abc import Sequence
from pathlib import Path

from ..driver.fork import Edit
from ..driver.opening import reading
from ..driver.options import Options
from ..journal.store import JournalReader
from ..plane.engine import read_assignment
from ..plane.forking import changed_inputs, fork_run
from ..plane.plan_inputs import read_inputs
from ..records import Header
from .output import Format, talk
from .plans import read_settings
from .underway import go_on, open_engine, person


def fork_plan(
    source: Path | JournalReader, header: Header, at: int, edit: Edit, inputs: Sequence[str], output: Format
) -> int:
    """Fork a run of a plan, work on it until it can no further, and return its exit status.

    Args:
        inputs: Inputs of the plan that are to be others, as NAME=VALUE.

    Raises:
        UsageFault: TW1001. PlanInvalid: TW7001, an input is not what it must be. TickOutOfRange: TW4006.
    """
    assignment = read_assignment(header)
    tables = read_inputs(assignment.compiled.plans[0].inputs) if assignment.compiled is not None else {}
    changed = changed_inputs(assignment, read_settings(inputs, tables), person(""))
    edit = Edit((*edit.inputs, *changed), edit.dropped)
    with open_engine(quiet=output != "text") as under, reading(source) as parent:
        row = fork_run(under.store, parent, at=at, edit=edit, options=Options())
        talk(f"forked as {row.id}")
        return go_on(under, [row.id], output)
