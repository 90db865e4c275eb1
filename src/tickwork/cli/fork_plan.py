"""What ``tickwork fork`` does with a run of a plan: the fork is a run of the store, and the engine goes on with it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..driver.fork import Edit
from ..driver.opening import reading
from ..driver.options import Options
from ..errors import UsageFault
from ..journal.store import JournalReader
from ..plane.engine import read_assignment
from ..plane.explain import Explained, explain
from ..plane.forking import changed_inputs, fork_run
from ..plane.plan_inputs import read_inputs, take_inputs
from ..plane.readers import Reader, readers_of
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
        UsageFault: TW1001, an input is not what it must be, or all that reads it has done so before.
        TickOutOfRange: TW4006.
    """
    assignment = read_assignment(header)
    told = None
    if inputs:
        with reading(source) as journal:
            told = explain(journal) if 0 <= at <= journal.length() else None
    if assignment.compiled is not None:
        values = read_settings(inputs, read_inputs(assignment.compiled.plans[0].inputs))
    else:
        values = _planned_values(told, inputs)
    changed = changed_inputs(assignment, values, person(""))
    if told is not None:
        _check_reached(told, at, inputs, values)
    edit = Edit((*edit.inputs, *changed), edit.dropped)
    with open_engine(quiet=output != "text") as under, reading(source) as parent:
        row = fork_run(under.store, parent, at=at, edit=edit, options=Options())
        talk(f"forked as {row.id}")
        return go_on(under, [row.id], output)


class _Declared(msgspec.Struct):
    """What of a planner's plan says what its inputs are."""

    inputs: dict[str, InputTable] = {}


def _planned_values(told: Explained | None, inputs: Sequence[str]) -> dict[str, Any]:
    """Return inputs of a plan that a planner has made, as it declares them; as texts where there is no plan yet."""
    if told is None:
        return {}
    if not bytes(told.source):
        return read_settings(inputs, {})
    tables = msgspec.json.decode(told.source, type=_Declared).inputs
    values = read_settings(inputs, tables)
    take_inputs(tables, {**msgspec.json.decode(told.inputs), **values})
    return values


def _check_reached(told: Explained, at: int, inputs: Sequence[str], values: Mapping[str, Any]) -> None:
    """Refuse a change that nothing would read any more, and say who keeps what they have read.

    Raises:
        UsageFault: TW1001.
    """
    for name in values if bytes(told.source) else ():  # Nobody has read anything of a plan that is still to come.
        readers = readers_of(told, name)
        before = [one for one in readers if not one.reached(at)]
        if len(before) == len(readers):
            said = [f"{_who(one)} read it at tick {one.tick}" for one in before[:20]]
            raise UsageFault(
                f"another {name} would change nothing from tick {at} on",
                where=f"--set input.{name}",
                why=", ".join(said) or f"nothing of the plan reads {name}",
                fix=_earlier(name, [one.tick for one in before], inputs),
            )
        if before:
            who = ", ".join(_who(one) for one in before[:20])
            talk(f"{who} read {name} before tick {at}, and what follows from that stays")


def _who(reader: Reader) -> str:
    return f"step {reader.path}" if reader.path else "the output of the plan"


def _earlier(name: str, ticks: Sequence[int], inputs: Sequence[str]) -> str:
    """Return how an input is changed for those who have read it at these ticks."""
    word = next((word for word in inputs if word.partition("=")[0] == name), name)
    later = [tick for tick in ticks if tick > 0]
    ways = [f"tickwork fork RUN --at {min(later)} --set input.{word}"] if later else []
    if len(later) < len(ticks):
        ways.append(f"for what the first tick reads: tickwork rerun RUN --input {word}")
    return "; ".join(ways) or "leave it out"
