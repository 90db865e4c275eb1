"""Inputs of plans: what their declarations promise, and what is made of the values that somebody gives."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from ..driver.faults import choose
from ..driver.places import Path
from . import cel
from .errors import PlaneError
from .plan_faults import PlanFault, as_error
from .plan_types import Promise, kind_of, param_faults, promise_of
from .tables import InputTable

MAX_PATTERN: Final = 512

_tables: Final = msgspec.json.Decoder(dict[str, InputTable])


def read_inputs(raw: bytes) -> dict[str, InputTable]:
    """Return the declarations that a compiled plan holds."""
    return _tables.decode(raw)


def schema_of(table: InputTable) -> dict[str, Any]:
    """Return a declaration as JSON Schema."""
    schema: dict[str, Any] = {"type": [table.type, "null"] if table.optional else table.type}
    if table.description:
        schema["description"] = table.description
    if table.enum:
        schema["enum"] = [*table.enum, *([None] if table.optional else [])]
    for name in ("minimum", "maximum"):
        if (bound := getattr(table, name)) is not None:
            schema[name] = bound
    if table.pattern:
        schema["pattern"] = table.pattern
    return schema


def inputs_schema(tables: Mapping[str, InputTable]) -> dict[str, Any]:
    """Return the inputs of a plan as the JSON Schema of one object."""
    return {
        "type": "object",
        "properties": {name: schema_of(table) for name, table in tables.items()},
        "required": [name for name, table in tables.items() if is_required(table)],
        "additionalProperties": False,
    }


def promise_of_input(table: InputTable) -> Promise:
    """Return what an expression may rely on."""
    return promise_of(schema_of(table))


def is_required(table: InputTable) -> bool:
    """Return whether an input has to be given."""
    return table.default is None and not table.optional


def defaults_of(tables: Mapping[str, InputTable]) -> dict[str, Any]:
    """Return what inputs are that nobody gives; one that may be left out is null."""
    return {name: table.default for name, table in tables.items() if not is_required(table)}


def take_inputs(tables: Mapping[str, InputTable], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a plan is run with. Order: as the plan declares its inputs.

    Raises:
        PlanInvalid: TW7001, something is missing, unknown or not of its kind; every fault is named.
    """
    faults = list(given_faults(tables, given))
    if faults:
        raise as_error(faults)
    whole = {**defaults_of(tables), **given}
    return {name: whole[name] for name in tables}


def given_faults(tables: Mapping[str, InputTable], given: Mapping[str, Any]) -> Iterator[PlanFault]:
    """Yield what is wrong with values that are given for inputs."""
    for name in given:
        if name not in tables:
            fix = choose(name, tables, "give none")
            yield PlanFault(("inputs", name), f"the plan has no input {name}", "", fix)
    for name, table in tables.items():
        if name in given:
            yield from value_faults(given[name], table, ("inputs", name))
        elif is_required(table):
            fix = f"give it: --input {name}=VALUE"
            yield PlanFault(("inputs", name), f"the input {name} is missing", table.description, fix)


def value_faults(value: object, table: InputTable, path: Path) -> Iterator[PlanFault]:
    """Yield what is wrong with a value of an input."""
    found = list(param_faults(value, promise_of_input(table), path, lambda _text: False))
    yield from found
    if found or not table.pattern or not isinstance(value, str):
        return
    # The engine of expressions matches in time that grows with the text alone.
    source = f"params.text.matches({msgspec.json.encode(table.pattern).decode()})"
    if cel.evaluate(source, {"params": {"text": value}}) is not True:
        yield PlanFault(path, f"{value!r} does not match {table.pattern}", table.description, "give another text")


def input_faults(name: str, table: InputTable, path: Path) -> Iterator[PlanFault]:
    """Yield what is wrong with the declaration of an input."""
    if table.pattern:
        if table.type != "string" or len(table.pattern) > MAX_PATTERN:
            why = f"a pattern belongs to a string, and has at most {MAX_PATTERN} characters"
            yield PlanFault((*path, "pattern"), f"the pattern of {name} cannot be used", why, "remove it")
            return
        try:
            list(value_faults("", table, path))
        except PlaneError as error:
            why = error.why or error.what
            yield PlanFault((*path, "pattern"), f"the pattern of {name} cannot be used", why, "mend it")
            return
    bounds = (table.minimum, table.maximum)
    if any(bound is not None for bound in bounds) and table.type not in ("integer", "number"):
        yield PlanFault(path, f"{name} has bounds and is no number", "", "remove minimum and maximum")
    for index, option in enumerate(table.enum):
        if kind_of(option) != table.type and not (table.type == "number" and kind_of(option) == "integer"):
            fix = f"write a value of type {table.type}"
            yield PlanFault((*path, "enum", index), f"{option!r} is not of type {table.type}", "", fix)
    if table.default is not None:
        yield from value_faults(table.default, table, (*path, "default"))
