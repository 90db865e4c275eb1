"""``json_transform``: what a JMESPath expression makes of a value."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import pydantic

from ...driver.shape import is_array, is_table
from ...kinds import EffectClass
from ..errors import SkillFailed, SkillInputInvalid
from .configuration import NoKeys, read_keys
from .shapes import ModelShape
from .skill import CallContext, Shape, Traits

MAX_EXPRESSION: Final = 4096
MOST_MADE: Final = 1_000_000
"""Values and characters that an expression may make on its way. Twice the same list is twice as long, and so thirty
steps of an innocent look would fill any memory."""

# The package says no types.
_jmespath: Final[Any] = import_module("jmespath")
_errors: Final[Any] = import_module("jmespath.exceptions")
_Interpreter: Final[Any] = import_module("jmespath.visitor").TreeInterpreter
_MAKERS: Final = frozenset({"flatten", "function_expression", "literal", "multi_select_dict", "multi_select_list"})
"""Parts of an expression that make values; all others pick from what is there."""


class Given(pydantic.BaseModel):
    """What goes in."""

    model_config = pydantic.ConfigDict(extra="forbid")

    value: pydantic.JsonValue = pydantic.Field(description="Any JSON.")
    expression: str = pydantic.Field(max_length=MAX_EXPRESSION, description="JMESPath, such as `items[?x > `3`].name`.")


class JsonTransform:
    """Transforms JSON. Pure: equal parameters give equal results, and it reaches nothing."""

    traits = Traits(
        "json_transform",
        "1",
        "Transform JSON with a JMESPath expression.",
        EffectClass.PURE,
        inline=True,
    )
    shapes: tuple[Shape, Shape] = (ModelShape(Given), ModelShape(pydantic.JsonValue))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "JsonTransform":
        """Return the skill; there is nothing to configure.

        Raises:
            SkillInvalid: TW7004.
        """
        read_keys(config, NoKeys)
        return cls()

    def call(self, given: Given, context: CallContext) -> Any:
        """Return what the expression makes of the value.

        Raises:
            SkillInputInvalid: TW7006, the expression cannot be read. SkillFailed: TW7008, it fits no such value.
        """
        try:
            expression = _jmespath.compile(given.expression)
        except _errors.JMESPathError as error:
            raise SkillInputInvalid(f"the expression cannot be read: {_first_line(error)}") from None
        except RecursionError:
            raise SkillInputInvalid("the expression is nested too deeply") from None
        try:
            return _Counting().visit(expression.parsed, given.value)
        except (_errors.JMESPathError, TypeError, ValueError, RecursionError, _Exhausted) as error:
            failed = SkillFailed(f"the expression does not fit the value: {_first_line(error)}")
            failed.retryable = False
            raise failed from None


class _Exhausted(Exception):
    """An expression makes too much."""


class _Counting(_Interpreter):  # type: ignore[misc]
    """Evaluates an expression and counts what it makes."""

    left = MOST_MADE

    def visit(self, node: Any, *args: Any) -> Any:
        """Return what a part of the expression comes to."""
        value: Any = _Interpreter.visit(self, node, *args)
        if node["type"] in _MAKERS:
            self.left -= weigh(value, self.left)
        return value


def weigh(value: Any, most: int) -> int:
    """Return how many values and characters a value holds.

    Raises:
        _Exhausted: More than ``most``.
    """
    todo: list[Any] = [value]
    weight = 0
    while todo:
        item = todo.pop()
        weight += 1
        if isinstance(item, str):
            weight += len(item)
        elif is_array(item):
            todo += item
        elif is_table(item):
            todo += item.values()
        if weight + len(todo) > most:
            raise _Exhausted("it makes more than it may")
    return weight


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
