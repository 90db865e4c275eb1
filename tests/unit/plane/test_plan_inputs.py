"""Inputs of plans: declared, given, and judged."""

import re
from typing import Any

import msgspec
import pytest

from tickwork.errors import UsageFault
from tickwork.plane.errors import PlanInvalid
from tickwork.plane.plan_inputs import fill_inputs, inputs_schema, read_inputs, take_inputs
from tickwork.plane.tables import InputTable

DECLARED: dict[str, Any] = {
    "city": {"pattern": "^[A-Z]{3}$", "description": "An airport."},
    "days": {"type": "integer", "default": 3, "minimum": 1, "maximum": 9},
    "mode": {"enum": ["fast", "slow"], "default": "fast"},
    "note": {"optional": True},
}
TABLES = msgspec.convert(DECLARED, dict[str, InputTable])


def test_what_is_not_given_has_its_default() -> None:
    assert take_inputs(TABLES, {"city": "JFK"}) == {"city": "JFK", "days": 3, "mode": "fast", "note": None}
    given = {"note": "x", "days": 4, "city": "EWR", "mode": "slow"}
    assert list(take_inputs(TABLES, given).items()) == [("city", "EWR"), ("days", 4), ("mode", "slow"), ("note", "x")]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "the input city is missing"),
        ({"city": "jfk"}, "does not match"),
        ({"city": 3}, "this is a whole number"),
        ({"city": "JFK", "days": "4"}, "this is a text"),
        ({"city": "JFK", "days": 10}, "too large"),
        ({"city": "JFK", "days": 1.5}, "a whole number is wanted"),
        ({"city": "JFK", "mode": "medium"}, "not one of what is allowed"),
        ({"city": "JFK", "cty": 1}, "the plan has no input cty"),
        ({"city": "a" * 100_000 + "!"}, "does not match"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageFault) as caught:
        take_inputs(TABLES, given)
    assert (words in str(caught.value), caught.value.exit_status) == (True, 2)
    with pytest.raises(PlanInvalid, match=re.escape(words)):
        fill_inputs(TABLES, given)


def test_who_gives_too_little_is_told_the_type_and_how_to_give_it() -> None:
    with pytest.raises(UsageFault) as caught:
        take_inputs({**TABLES, "all": InputTable(type="array")}, {"days": 1.5, "mode": "slow"})
    told = str(caught.value)
    assert "the input city is missing" in told
    assert "it is a text: An airport." in told
    assert "give it: --input city=TEXT" in told
    assert "it is a list; give it: --input all='[1, 2]'" in told
    assert "the input days does not fit: this is a number; a whole number is wanted" in told
    with pytest.raises(UsageFault, match="--input mode=fast"):
        take_inputs(TABLES, {"city": "JFK", "mode": "medium"})


def test_every_fault_of_the_values_is_told() -> None:
    with pytest.raises(UsageFault) as caught:
        take_inputs(TABLES, {"days": 0, "mode": 1, "x": 2})
    assert str(caught.value).count("also:") == 3


def test_declarations_are_published_as_a_schema() -> None:
    schema = inputs_schema(read_inputs(msgspec.json.encode(DECLARED)))
    assert schema["required"] == ["city"]
    assert schema["properties"]["note"]["type"] == ["string", "null"]
    assert schema["properties"]["city"]["pattern"] == "^[A-Z]{3}$"
