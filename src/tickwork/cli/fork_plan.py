"""What ``tickwork fork`` does with a run of a plan: the fork is a run of the store, and the engine goes on with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..driver.fork import Edit
from ..driver.opening import reading
from ..driver.options import Options
from ..journal.store import JournalReader
from ..plane.engine import read_assignment
from ..plane.explain import explain
from ..plane.forking import changed_inputs, fork_run
from ..plane.plan_inputs import read_inputs, take_inputs
from ..plane.tables import InputTable
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
        UsageFault: TW1001, an input is not what it must be. TickOutOfRange: TW4006.
    """
    assignment = read_assignment(header)
    if assignment.compiled is not None:
        values = read_settings(inputs, read_inputs(assignment.compiled.plans[0].inputs))
    else:
        values = _planned_values(source, inputs)
    changed = changed_inputs(assignment, values, person(""))
    edit = Edit((*edit.inputs, *changed), edit.dropped)
    with open_engine(quiet=output != "text") as under, reading(source) as parent:
        row = fork_run(under.store, parent, at=at, edit=edit, options=Options())
        talk(f"forked as {row.id}")
        return go_on(under, [row.id], output)


class _Declared(msgspec.Struct):
    """What of a planner's plan says what its inputs are."""

    inputs: dict[str, InputTable] = {}


def _planned_values(source: Path | JournalReader, inputs: Sequence[str]) -> dict[str, Any]:
    """Return inputs of a plan that a planner has made, as it declares them; as texts where there is no plan yet."""
    if not inputs:
        return {}
    with reading(source) as journal:
        told = explain(journal)
    if not bytes(told.source):
        return read_settings(inputs, {})
    tables = msgspec.json.decode(told.source, type=_Declared).inputs
    values = read_settings(inputs, tables)
    take_inputs(tables, {**msgspec.json.decode(told.inputs), **values})
    return values
