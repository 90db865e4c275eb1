"""What can be said of values before there are any: kinds and members that schemas promise, and parameters against them.

Only what is certain is said. A keyword that is not known here promises nothing, a template may come to anything its
expression may come to, and what is left is checked when the call is made.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from ..driver.faults import choose
from ..driver.places import Path
from ..driver.shape import is_array, is_table
from .plan_faults import PlanFault

Schema = dict[str, Any] | bool
Kinds = frozenset[str]
Expected = Callable[[str], Kinds | bool | None]
"""Gives the kinds that a text with templates may come to, None for any, False for a text without."""

_MOST_DEPTH: Final = 64
_UNCERTAIN: Final = frozenset(("anyOf", "oneOf", "allOf", "patternProperties", "if", "$dynamicRef"))
"""Keywords beside which ``properties`` does not name every member."""

_WHOLE: Final = frozenset(("integer",))
_NAMES: Final = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a text",
}


class Promise(msgspec.Struct, frozen=True):
    """What is known of a value: a schema, and the document that its references point into.

    Attributes:
        closed: Whether an object has no members but those that its schema names.
        members: Those of an object of which each is known by itself.
        items: Each of a list of which that is known by itself.
    """

    schema: Schema
    root: dict[str, Any]
    closed: bool = False
    members: "dict[str, Promise] | None" = None
    items: "Promise | None" = None


ANYTHING: Final = Promise(True, {})


def promise_of(schema: dict[str, Any], *, closed: bool = False) -> Promise:
    """Return what a schema promises."""
    return Promise(schema, schema, closed)


def of_members(members: Mapping[str, Promise]) -> Promise:
    """Return the promise of an object of which each member is known."""
    return Promise({"type": "object"}, {}, closed=True, members=dict(members))


def of_list(items: Promise) -> Promise:
    """Return the promise of a list of which every element is known."""
    return Promise({"type": "array"}, {}, items=items)


def member(promise: Promise, name: str) -> Promise | str:
    """Return what is promised of a member, or why there is none."""
    if promise.members is not None:
        return promise.members.get(name) or _absent(name, promise.members)
    schema = resolve(promise)
    kinds = kinds_of(promise)
    if kinds is not None and "object" not in kinds:
        return f"it is {told(kinds)}, which has no members"
    properties = schema.get("properties") if is_table(schema) else None
    if isinstance(schema, bool) or not is_table(properties) or not _UNCERTAIN.isdisjoint(schema):
        return ANYTHING
    if name in properties:
        return _inner(promise, properties[name])
    rest: object = schema.get("additionalProperties", not promise.closed)
    return _absent(name, properties) if rest is False else _inner(promise, rest)


def element(promise: Promise) -> Promise:
    """Return what is promised of the elements of a list."""
    schema = resolve(promise)
    if promise.items is not None:
        return promise.items
    return ANYTHING if isinstance(schema, bool) or "prefixItems" in schema else _inner(promise, schema.get("items"))


def _inner(promise: Promise, schema: object) -> Promise:
    """Return what a schema inside of another promises."""
    if isinstance(schema, bool) or is_table(schema):
        return msgspec.structs.replace(promise, schema=schema)
    return ANYTHING


def kinds_of(promise: Promise) -> Kinds | None:
    """Return the kinds that a value may have, or None where it may have any."""
    schema = resolve(promise)
    if isinstance(schema, bool):
        return None
    kind: object = schema.get("type")
    if isinstance(kind, str):
        return frozenset((kind,))
    if is_array(kind):
        return frozenset(map(str, kind))
    if "const" in schema:
        return frozenset((kind_of(schema["const"]),))
    values: object = schema.get("enum")
    if is_array(values):
        return frozenset(map(kind_of, values))
    for word in ("anyOf", "oneOf"):
        options = [kinds_of(option) for option in _options(promise, schema, word)]
        if options:
            known = [kinds for kinds in options if kinds is not None]
            return frozenset[str]().union(*known) if len(known) == len(options) else None
    return None


def resolve(promise: Promise) -> Schema:
    """Return a schema of which a reference has been followed."""
    schema = promise.schema
    for _ in range(_MOST_DEPTH):
        if isinstance(schema, bool) or not isinstance(schema.get("$ref"), str):
            return schema
        schema = _target(schema["$ref"], promise.root)
    return True


def kind_of(value: object) -> str:
    """Return the kind of a value as JSON Schema names it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    return "string" if isinstance(value, str) else "array" if is_array(value) else "object"


def fits(given: Kinds | None, wanted: Kinds | None) -> bool:
    """Return whether a value of one of some kinds may be of one of others. A number may turn out to be whole."""
    if given is None or wanted is None:
        return True
    numbers = frozenset(("integer", "number"))
    return bool(given & wanted) or bool(given & numbers and wanted & numbers)


def told(kinds: Kinds) -> str:
    """Return kinds in words."""
    return " or ".join(_NAMES.get(kind, kind) for kind in sorted(kinds))


def param_faults(value: object, promise: Promise, path: Path, expected: Expected) -> Iterator[PlanFault]:
    """Yield every way in which parameters cannot fit a schema, whatever their templates come to."""
    schema = resolve(promise)
    if schema is False:
        yield PlanFault(path, "nothing may stand here", "", "remove it")
        return
    if schema is True or len(path) > _MOST_DEPTH:
        return
    made = expected(value) if isinstance(value, str) else False
    given = frozenset((kind_of(value),)) if isinstance(made, bool) else made
    wanted = kinds_of(promise)
    broken = isinstance(value, float) and not value.is_integer() and wanted == _WHOLE
    if given is not None and wanted is not None and (broken or not fits(given, wanted)):
        source = "this is" if made is False else "the expression comes to"
        yield PlanFault(path, f"{source} {told(given)}", f"{told(wanted)} is wanted", f"give {told(wanted)}")
    elif made is False:
        yield from _fixed_faults(value, schema, promise, path, expected)


def _fixed_faults(
    value: object, schema: dict[str, Any], promise: Promise, path: Path, expected: Expected
) -> Iterator[PlanFault]:
    """Yield what is wrong with a value that is written out, or a container of templates."""
    allowed: object = [schema["const"]] if "const" in schema else schema.get("enum")
    if is_array(allowed) and value not in allowed:
        shown = ", ".join(msgspec.json.encode(option).decode() for option in allowed[:20])
        yield PlanFault(path, f"{value!r} is not one of what is allowed", f"allowed: {shown}", f"use one of {shown}")
    for word in ("anyOf", "oneOf"):
        tries = [list(param_faults(value, option, path, expected)) for option in _options(promise, schema, word)]
        if tries and all(tries):
            yield from min(tries, key=len)
    for option in _options(promise, schema, "allOf"):
        yield from param_faults(value, option, path, expected)
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield from _bound_faults(value, schema, path)
    elif is_array(value):
        inner = element(promise)
        for index, item in enumerate(value):
            yield from param_faults(item, inner, (*path, index), expected)
    elif is_table(value):
        yield from _member_faults(value, schema, promise, path, expected)


def _member_faults(
    value: dict[str, object], schema: dict[str, Any], promise: Promise, path: Path, expected: Expected
) -> Iterator[PlanFault]:
    properties: object = schema.get("properties")
    named = properties if is_table(properties) else {}
    rest: object = True if "patternProperties" in schema else schema.get("additionalProperties", True)
    for key, item in value.items():
        if key in named:
            yield from param_faults(item, _inner(promise, named[key]), (*path, key), expected)
        elif rest is False:
            yield PlanFault((*path, key), f"{key} is not a parameter", "", choose(key, named, "remove it"))
        else:
            yield from param_faults(item, _inner(promise, rest), (*path, key), expected)
    required: object = schema.get("required")
    for key in map(str, required if is_array(required) else ()):
        if key not in value:
            about = named.get(key)
            why = str(about.get("description", "")) if is_table(about) else ""
            kinds = kinds_of(_inner(promise, about))
            yield PlanFault(path, f"{key} is missing", why, f"add {key}" + (f", {told(kinds)}" if kinds else ""))


def _bound_faults(value: float, schema: dict[str, Any], path: Path) -> Iterator[PlanFault]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if isinstance(least, int | float) and value < least:
        yield PlanFault(path, f"{value} is too small", f"at least {least:g} is wanted", f"write {least:g} or more")
    if isinstance(most, int | float) and value > most:
        yield PlanFault(path, f"{value} is too large", f"at most {most:g} is wanted", f"write {most:g} or less")


def _absent(name: str, there: Iterable[str]) -> str:
    return f"there is no {name}; {choose(name, there, 'there is nothing')}"


def _options(promise: Promise, schema: dict[str, Any], word: str) -> list[Promise]:
    """Return the schemas that a keyword lists."""
    options: object = schema.get(word)
    return [_inner(promise, option) for option in options] if is_array(options) else []


def _target(reference: str, root: dict[str, Any]) -> Schema:
    """Return what a reference inside a document points to; anything where it points elsewhere."""
    if not reference.startswith("#"):
        return True
    found: object = root
    for part in reference[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not is_table(found) or key not in found:
            return True
        found = found[key]
    return found if isinstance(found, bool) or is_table(found) else True
