"""The two kinds of shape: a type that Pydantic checks, and a JSON Schema from outside.

Invariants:
    * A text is not taken for a number nor a number for a truth: what does not fit is a fault, with its path.
    * A schema from outside can neither fetch another one nor keep a reader busy: references stay in the document, and
      patterns are matched in time that grows with the text alone; no list is compared with itself item by item.
"""

import threading
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from itertools import islice
from typing import Any, Final

import pydantic
from pydantic_core import SchemaError, SchemaValidator, ValidationError, core_schema

from ..extras import missing_package
from ..json_text import read_json, write_json

MOST_FAULTS: Final = 20
"""Faults that a text names; a wrong list of a thousand has a thousand of the same."""

MOST_LOOKED: Final = 10_000
"""Faults that are looked for."""

MOST_FOLLOWED: Final = 200_000
"""References of a schema that are followed for one value: some seconds."""


class ModelShape:
    """A Pydantic model, or any other type that Pydantic knows, as a shape.

    Args:
        kind: Such as a model, ``list[int]`` or ``pydantic.JsonValue``.
    """

    def __init__(self, kind: Any) -> None:
        self._adapter: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(kind)

    def check(self, raw: bytes) -> Any:
        """Return what JSON holds, as the type.

        Raises:
            ValueError: It is not of this shape; the text names every fault with its path.
        """
        if b"NaN" in raw or b"Infinity" in raw:
            # Pydantic takes both for numbers where they stand outside of texts; this reader does not.
            read_json(raw)
        try:
            return self._adapter.validate_json(raw, strict=True)
        except ValidationError as error:
            raise ValueError(_told(error)) from None

    def render(self, value: Any) -> bytes:
        """Return a value as JSON, canonical, after the same check.

        Raises:
            ValueError: It is not of this shape.
        """
        try:
            checked = self._adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(_told(error)) from None
        return write_json(self._adapter.dump_python(checked, mode="json", by_alias=True))

    def schema(self) -> dict[str, Any]:
        """Return its JSON Schema."""
        return self._adapter.json_schema()


def _told(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    return _joined(f"{_place(fault['loc'])}: {fault['msg']}" for fault in faults)


def _place(path: Iterable[str | int]) -> str:
    """Return a path as expressions write it, such as ``items[3].name``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else ("." if text else "") + part
    return text or "the value"


def _joined(faults: Iterable[str]) -> str:
    listed = list(faults)
    cut = f"; and {len(listed) - MOST_FAULTS} more" if len(listed) > MOST_FAULTS else ""
    return "; ".join(listed[:MOST_FAULTS]) + cut


class SchemaShape:
    """A JSON Schema as a shape, of draft 2020-12 unless it names another. Values stay plain: objects, lists, texts.

    Raises:
        GoalsMissing: TW7020, the package jsonschema is not installed.
        ValueError: It is no schema, refers to another document, or has a pattern that cannot be matched in linear
            time.
    """

    def __init__(self, schema: Mapping[str, Any] | bool) -> None:
        # Neither package says all of its types, so both are taken as they come.
        try:
            schemas: Any = import_module("jsonschema")
            references: Any = import_module("referencing")
        except ImportError as error:
            raise missing_package(error) from error
        self._errors: Any = import_module("jsonschema.exceptions")
        self._unresolvable: type[Exception] = import_module("referencing.exceptions").Unresolvable
        self._schema = schema if isinstance(schema, bool) else dict(schema)
        kind = schemas.validators.validator_for(self._schema, default=schemas.Draft202012Validator)
        try:
            kind.check_schema(self._schema)
        except self._errors.SchemaError as error:
            raise ValueError(f"no JSON Schema: {error.message[:500]}") from None
        except RecursionError:
            raise ValueError("no JSON Schema: nested too deeply") from None
        self._patterns = {text: _pattern(text) for text in _patterns(self._schema)}
        self._follow = kind.VALIDATORS.get("$ref")
        self._work = threading.local()
        own: dict[str, Any] = {
            "pattern": self._check_pattern,
            "patternProperties": self._check_properties,
            "uniqueItems": self._check_unique,
        }
        if self._follow is not None:
            own["$ref"] = self._check_reference
        # An empty registry is given, since without one a reference to another document would be fetched.
        self._validator: Any = schemas.validators.extend(kind, own)(self._schema, registry=references.Registry())

    def check(self, raw: bytes) -> Any:
        """Return what JSON holds.

        Raises:
            ValueError: It is not of this shape; the text names every fault with its path.
        """
        value = read_json(raw)
        self._judge(value)
        return value

    def render(self, value: Any) -> bytes:
        """Return a value as JSON, canonical, after the same check.

        Raises:
            ValueError: It is not of this shape.
        """
        raw = write_json(value)
        self.check(raw)
        return raw

    def schema(self) -> dict[str, Any]:
        """Return it as it was given."""
        return {} if self._schema is True else {"not": {}} if self._schema is False else self._schema

    def _judge(self, value: Any) -> None:
        self._work.followed = 0
        try:
            faults: list[Any] = list(islice(self._validator.iter_errors(value), MOST_LOOKED))
        except self._unresolvable:
            raise ValueError("the schema refers to something that is not in it") from None
        except RecursionError:
            raise ValueError("the schema never comes to an end for this value") from None
        if faults:
            faults.sort(key=lambda fault: [str(part) for part in fault.absolute_path])
            raise ValueError(_joined(f"{_place(fault.absolute_path)}: {fault.message[:300]}" for fault in faults))

    def _check_pattern(self, _validator: Any, pattern: str, value: Any, _schema: Any) -> Iterator[Any]:
        if isinstance(value, str) and not self._fits(pattern, value):
            yield self._errors.ValidationError(f"does not match {pattern!r}")

    def _check_properties(self, validator: Any, patterns: Mapping[str, Any], value: Any, _schema: Any) -> Iterator[Any]:
        if isinstance(value, dict):
            for pattern, inner in patterns.items():
                for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]
                    if self._fits(pattern, str(key)):  # pyright: ignore[reportUnknownArgumentType]
                        yield from validator.descend(item, inner, path=key, schema_path=pattern)

    def _check_unique(self, _validator: Any, wanted: Any, value: Any, _schema: Any) -> Iterator[Any]:
        """Look by the texts of items: the package compares each with all others, and takes minutes for a list."""
        if wanted is True and isinstance(value, list):
            items: list[Any] = value  # pyright: ignore[reportUnknownVariableType]
            if len({write_json(_whole(item)) for item in items}) < len(items):
                yield self._errors.ValidationError("an item stands in it twice")

    def _check_reference(self, validator: Any, reference: str, value: Any, schema: Any) -> Iterator[Any]:
        """Follow a reference. A few that each lead to two others would be followed a billion times."""
        self._work.followed = followed = getattr(self._work, "followed", 0) + 1
        if followed > MOST_FOLLOWED:
            raise ValueError("the schema takes too long for this value")
        assert self._follow is not None, "it is looked at where the schema's draft has references"
        yield from self._follow(validator, reference, value, schema) or ()

    def _fits(self, pattern: str, text: str) -> bool:
        try:
            self._patterns[pattern].validate_python(text)
        except ValidationError:
            return False
        return True


def _whole(value: Any) -> Any:
    """Return a value with its whole numbers as integers: to JSON Schema 1 and 1.0 are one."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value


def _patterns(schema: Any) -> Iterator[str]:
    """Yield every pattern that a schema may come to match, wherever it stands."""
    todo = [schema]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            if isinstance(pattern := item.get("pattern"), str):  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                yield pattern
            if isinstance(inner := item.get("patternProperties"), dict):  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                yield from (str(key) for key in inner)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
            todo.extend(item.values())  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        elif isinstance(item, list):
            todo.extend(item)  # pyright: ignore[reportUnknownArgumentType]


def _pattern(text: str) -> SchemaValidator:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=text, regex_engine="rust-regex"))
    except SchemaError as error:
        raise ValueError(f"the pattern {text[:200]!r} cannot be matched in linear time") from error
