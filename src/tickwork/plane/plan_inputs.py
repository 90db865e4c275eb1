"""Inputs of plans: what their declarations promise, and what is made of the values that somebody gives."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from ..driver.faults import choose
from ..driver.places import Path
from ..errors import UsageFault
from . import cel
from .errors import PlaneError, PlanInvalid
from .plan_faults import PlanFault, as_error
from .plan_types import Promise, kind_of, param_faults, promise_of
from .tables import InputTable

MAX_PATTERN: Final = 512

WORDS: Final[Mapping[str, str]] = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}
"""What the types of inputs are called."""

_EXAMPLES: Final[Mapping[str, str]] = {
    "string": "TEXT",
    "integer": "3",
    "number": "0.5",
    "boolean": "true",
    "array": "'[1, 2]'",
    "object": "'{\"a\": 1}'",
}

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
        UsageFault: TW1001, something is missing, unknown or not of its kind; every fault is named, and how to give it.
    """
    try:
        return fill_inputs(tables, given)
    except PlanInvalid as error:
        raise UsageFault(error.what, where=error.where, why=error.why, fix=error.fix) from None


def fill_inputs(tables: Mapping[str, InputTable], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a plan is run with that brings its inputs itself. Order: as the plan declares its inputs.

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
            for fault in value_faults(given[name], table, ("inputs", name)):
                what, fix = f"the input {name} does not fit: {fault.what}", how_to_give(name, table)
                yield msgspec.structs.replace(fault, what=what, fix=f"{fault.fix}; {fix}")
        elif is_required(table):
            why = f"it is {WORDS[table.type]}" + (f": {table.description}" if table.description else "")
            yield PlanFault(("inputs", name), f"the input {name} is missing", why, how_to_give(name, table))


def how_to_give(name: str, table: InputTable) -> str:
    """Return how an input is given on the command line."""
    example = _EXAMPLES[table.type]
    if table.enum:
        example = str(table.enum[0]) if table.type == "string" else msgspec.json.encode(table.enum[0]).decode()
    return f"give it: --input {name}={example}"


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
