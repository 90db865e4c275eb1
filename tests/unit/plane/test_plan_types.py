"""What schemas promise of values, and what is certain about parameters before they have values."""

from typing import Any

import pytest

from tickwork.plane.plan_types import (
    ANYTHING,
    Promise,
    element,
    fits,
    kind_of,
    kinds_of,
    member,
    of_list,
    of_members,
    param_faults,
    promise_of,
)

SCHEMA: dict[str, Any] = {
    "$defs": {"Row": {"type": "object", "properties": {"id": {"type": "integer"}}, "additionalProperties": False}},
    "type": "object",
    "properties": {
        "rows": {"type": "array", "items": {"$ref": "#/$defs/Row"}},
        "mode": {"enum": ["a", "b"]},
        "size": {"type": "number", "minimum": 1, "maximum": 5},
        "any": {},
        "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["rows"],
    "additionalProperties": False,
}


def promised(promise: Promise, *names: str) -> Promise:
    for name in names:
        found = member(promise, name)
        assert isinstance(found, Promise), found
        promise = found
    return promise


def test_members_and_elements_are_followed_through_references() -> None:
    root = promise_of(SCHEMA)
    row = element(promised(root, "rows"))
    assert kinds_of(promised(row, "id")) == frozenset(["integer"])
    assert member(row, "name") == "there is no name; use one of id"
    assert kinds_of(promised(root, "either")) == frozenset(["string", "null"])
    assert kinds_of(promised(root, "mode")) == frozenset(["string"])
    assert kinds_of(promised(root, "any")) is None
    assert "which has no members" in str(member(promised(root, "size"), "x"))


def test_what_is_not_certain_promises_nothing() -> None:
    for schema in ({}, {"type": "object"}, {"type": "object", "properties": {"a": {}}, "anyOf": []}):
        assert promised(promise_of(schema), "b") == ANYTHING
    open_one = {"type": "object", "properties": {"a": {}}}
    assert promised(promise_of(open_one), "b").schema is True
    assert isinstance(member(promise_of(open_one, closed=True), "b"), str)
    assert kinds_of(promise_of({"$ref": "http://elsewhere/schema"})) is None
    loop = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert kinds_of(promise_of(loop)) is None


def test_known_members_and_lists_are_promised() -> None:
    made = of_members({"n": promise_of({"type": "integer"}), "l": of_list(promise_of({"type": "string"}))})
    assert kinds_of(promised(made, "n")) == frozenset(["integer"])
    assert kinds_of(element(promised(made, "l"))) == frozenset(["string"])
    assert isinstance(member(made, "x"), str)


def test_kinds_fit_where_a_value_may() -> None:
    integer, number, text = frozenset(["integer"]), frozenset(["number"]), frozenset(["string"])
    assert fits(number, integer)
    assert fits(None, text)
    assert not fits(integer, text)
    values: list[object] = [None, True, 1, 1.5, "", [], {}]
    assert [kind_of(value) for value in values] == [
        "null", "boolean", "integer", "number", "string", "array", "object",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "rows is missing"),
        ({"rows": [], "rosw": 1}, "rosw is not a parameter"),
        ({"rows": {}}, "this is an object"),
        ({"rows": [{"id": "x"}]}, "this is a text"),
        ({"rows": [{"id": 1, "name": 2}]}, "name is not a parameter"),
        ({"rows": [], "mode": "c"}, "not one of what is allowed"),
        ({"rows": [], "size": 0}, "too small"),
        ({"rows": [], "size": 9}, "too large"),
        ({"rows": [], "either": 3}, "this is a whole number"),
        ({"rows": "${text}"}, "the expression comes to a text"),
    ],
)
def test_what_cannot_fit_is_a_fault(value: Any, words: str) -> None:
    text = frozenset(["string"])
    found = list(param_faults(value, promise_of(SCHEMA), ("params",), lambda given: "${" in given and text))
    assert [words in fault.what for fault in found] == [True]


def test_what_may_fit_is_none() -> None:
    def expected(text: str) -> Any:
        return None if "${" in text else False

    value: dict[str, Any] = {"rows": ["${x}", {"id": "${y}"}], "mode": "${z}", "any": {"deep": ["${q}"]}, "size": 2}
    assert list(param_faults(value, promise_of(SCHEMA), (), expected)) == []
    assert list(param_faults("${rows}", promise_of(SCHEMA), (), expected)) == []
    assert len(list(param_faults(1, Promise(False, {}), (), expected))) == 1
