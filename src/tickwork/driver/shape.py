"""Compares a TOML document with the shape its structs describe and yields every difference, not the first alone."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeGuard, cast

import msgspec
from msgspec import inspect as shapes

from ..errors import WorldSchemaError
from . import places
from .faults import Fault, choose, key_text, listed, nearest
from .tables import MAX_INTEGER

_ANOTHER_TEXT: Final = "choose another text"


def shape_faults(value: object, shape: shapes.Type, path: places.Path) -> Iterator[Fault]:
    """Yield every way in which ``value`` is not of ``shape``: unknown keys, missing ones, types, ranges."""
    match shape:
        case shapes.Metadata(type=shapes.StrType()) if not isinstance(value, str):
            yield _kind_fault(value, shape, path)
        case shapes.Metadata():
            for fault in shape_faults(value, shape.type, path):
                yield _explained(fault, shape) if fault.path == path and fault.fix == _ANOTHER_TEXT else fault
        case shapes.AnyType():
            pass
        case shapes.UnionType():
            found = [list(shape_faults(value, option, path)) for option in shape.types if _is_kind(value, option)]
            # One option that fits is enough; what is said of one that does not is said of the first.
            yield from (found[0] if all(found) else ()) if found else [_kind_fault(value, shape, path)]
        case _ if not _is_kind(value, shape):
            yield _kind_fault(value, shape, path)
        case shapes.StructType() if is_table(value):
            yield from _table_faults(value, shape, path)
        case shapes.DictType() if is_table(value):
            for key, item in value.items():
                yield from shape_faults(key, shape.key_type, (*path, key))
                yield from shape_faults(item, shape.value_type, (*path, key))
        case shapes.VarTupleType() if is_array(value):
            for index, item in enumerate(value):
                yield from shape_faults(item, shape.item_type, (*path, index))
        case _:
            yield from _range_faults(value, shape, path)


def is_table(value: object) -> TypeGuard[dict[str, object]]:
    """Return whether TOML made ``value`` from a table."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[object]]:
    """Return whether TOML made ``value`` from an array."""
    return isinstance(value, list)


def _table_faults(value: dict[str, object], shape: shapes.StructType, path: places.Path) -> Iterator[Fault]:
    fields = {field.encode_name: field for field in shape.fields}
    meant = {nearest(key, fields) for key in value if key not in fields}
    for key, item in value.items():
        if key in fields:
            yield from shape_faults(item, fields[key].type, (*path, key))
        else:
            what = f'unknown key "{key}"'
            why = f"{_table_name(path)} has no such key"
            yield Fault(WorldSchemaError, (*path, key), what, why, choose(key, fields, "remove it"))
    for key, field in fields.items():
        if field.required and key not in value and key not in meant:
            what = f'{_table_name(path)} lacks "{key}"'
            example = _example(field.type)
            why = f"{key} is {_description(field.type) if example else _expected(field.type)} and has no default"
            given = "1" if key == "schema" else example or "..."
            yield Fault(WorldSchemaError, path, what, why, f"add {key} = {given}")


def _explained(fault: Fault, shape: shapes.Metadata) -> Fault:
    """Return a fault of a text's form with words and an example in place of a pattern, where the shape brings them."""
    example = _example(shape)
    if not example:
        return fault
    return msgspec.structs.replace(fault, why=f"it is {_description(shape)}", fix=f"write {example}, for example")


def _notes(shape: shapes.Type) -> Mapping[str, Any]:
    if not isinstance(shape, shapes.Metadata):
        return {}
    notes = cast("Mapping[str, Any] | None", shape.extra_json_schema)  # pyright: ignore[reportUnknownMemberType]
    return notes or {}


def _example(shape: shapes.Type) -> str:
    """Return a value that a shape allows, as TOML, where it brings one."""
    return next((f'"{example}"' for example in _notes(shape).get("examples", ())), "")


def _description(shape: shapes.Type) -> str:
    text = str(_notes(shape)["description"])
    return text[0].lower() + text[1:].rstrip(".")


def _table_name(path: places.Path) -> str:
    return f"[{key_text(path)}]" if path else "the file"


_KINDS: Final[Mapping[type[shapes.Type], tuple[type, ...]]] = {
    shapes.StructType: (dict,),
    shapes.DictType: (dict,),
    shapes.VarTupleType: (list,),
    shapes.IntType: (int,),
    shapes.BoolType: (bool,),
    shapes.StrType: (str,),
    shapes.FloatType: (float, int),
    shapes.NoneType: (type(None),),
}
"""What ``tomllib`` makes of a value of each shape."""


def _is_kind(value: object, shape: shapes.Type) -> bool:
    if isinstance(shape, shapes.Metadata):
        return _is_kind(value, shape.type)
    if isinstance(shape, shapes.LiteralType):
        return any(type(value) is type(allowed) for allowed in shape.values)
    return type(value) in _KINDS[type(shape)]


def _kind_fault(value: object, shape: shapes.Type, path: places.Path) -> Fault:
    return Fault(
        WorldSchemaError,
        path,
        f"{key_text(path)} must be {_expected(shape)}",
        f"found {kind_name(value)}",
        f"write {_expected(shape)}",
    )


def _range_faults(value: object, shape: shapes.Type, path: places.Path) -> Iterator[Fault]:
    match shape:
        case shapes.LiteralType() if value not in shape.values:
            allowed = [str(option) for option in shape.values]
            fix = choose(value, allowed, "") if isinstance(value, str) else f"use {listed(allowed)}"
            yield Fault(WorldSchemaError, path, f"{key_text(path)} is {value!r}", f"it must be {_expected(shape)}", fix)
        case shapes.IntType() | shapes.FloatType() if isinstance(value, int | float) and not _within(value, shape):
            what = f"{key_text(path)} is {value}, out of range"
            yield Fault(WorldSchemaError, path, what, f"it must be {_expected(shape)}", f"write {_expected(shape)}")
        case shapes.StrType() if isinstance(value, str) and not _is_allowed_text(value, shape):
            what = f"{key_text(path)}: {value!r} cannot be used here"
            yield Fault(WorldSchemaError, path, what, f"it must be {_expected(shape)}", _ANOTHER_TEXT)
        case _:
            pass


def _within(value: float, shape: shapes.IntType | shapes.FloatType) -> bool:
    return (shape.ge is None or value >= shape.ge) and (shape.le is None or value <= shape.le)


def _is_allowed_text(value: str, shape: shapes.StrType) -> bool:
    size = (shape.min_length or 0) <= len(value) <= (shape.max_length or len(value))
    return size and (shape.pattern is None or re.search(shape.pattern, value) is not None)


_EXPECTED: Final[Mapping[type[shapes.Type], str]] = {
    shapes.StructType: "a table",
    shapes.DictType: "a table",
    shapes.VarTupleType: "an array",
    shapes.BoolType: "true or false",
}


def _expected(shape: shapes.Type) -> str:
    """Return what a person should write for this shape."""
    match shape:
        case shapes.Metadata():
            return _description(shape) if _example(shape) else _expected(shape.type)
        case shapes.UnionType():
            options = [_expected(option) for option in shape.types if not isinstance(option, shapes.NoneType)]
            # A text that may be empty is described by what it is when it is not.
            return " or ".join(option for option in options if option != '""')
        case shapes.IntType():
            return _expected_integer(shape)
        case shapes.FloatType():
            return _expected_number(shape)
        case shapes.StrType():
            return _expected_text(shape)
        case shapes.LiteralType():
            return _expected_choice([f'"{value}"' if isinstance(value, str) else str(value) for value in shape.values])
        case _:
            return _EXPECTED[type(shape)]


def _expected_integer(shape: shapes.IntType) -> str:
    top = f" to {shape.le}" if shape.le is not None and shape.le < MAX_INTEGER else " or more"
    return f"an integer, {shape.ge}{top}" if shape.ge is not None else "an integer"


def _expected_number(shape: shapes.FloatType) -> str:
    bounds = [f"{words} {bound:g}" for words, bound in (("from", shape.ge), ("to", shape.le)) if bound is not None]
    return " ".join(["a number", *bounds])


def _expected_choice(allowed: list[str]) -> str:
    return f"one of {', '.join(allowed)}" if len(allowed) > 1 else allowed[0]


def _expected_text(shape: shapes.StrType) -> str:
    if shape.pattern is None:
        return "a text that is not empty" if shape.min_length else "a text"
    return f"a text like {shape.pattern}" + (f" of at most {shape.max_length} characters" if shape.max_length else "")


_KIND_NAMES: Final[Mapping[type, str]] = {dict: "a table", list: "an array"}


def kind_name(value: object) -> str:
    """Return a TOML value as an error message names it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value!r}"
    if isinstance(value, int | float):
        return f"the number {value}"
    return _KIND_NAMES.get(type(value), f"the {type(value).__name__} {value}")
