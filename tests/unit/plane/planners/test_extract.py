from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plane.planners.plans import PLANS
from tickwork.plane.planners.extract import check_value, extract, plain_example, read_value
from tickwork.plane.tables import InputTable, PlanTable

FORECAST, INCIDENT, ANSWER = PLANS["forecast"], PLANS["incident"], PLANS["answer"]


def plan(*examples: str, **inputs: dict[str, Any]) -> PlanTable:
    return msgspec.convert({"name": "p", "examples": examples, "inputs": inputs}, PlanTable)


@pytest.mark.parametrize(
    ("table", "goal", "values"),
    [
        (FORECAST, "Forecast the temperature in JFK for 5 days", {"station": "JFK", "days": 5}),
        (FORECAST, "forecast  the temperature in jfk for 5 days!", {"station": "JFK", "days": 5}),
        (FORECAST, "How warm will it be at LGA?", {"station": "LGA"}),
        (INCIDENT, "Summarise what went wrong in logs/My App.txt.", {"file": "logs/My App.txt"}),
        (INCIDENT, "Investigate the log a.log from 2026-01-31", {"file": "a.log", "since": "2026-01-31"}),
        (ANSWER, "Answer from the documents: who wrote it, and for whom?", {"question": "who wrote it, and for whom"}),
    ],
)
def test_a_goal_that_is_an_instance_of_an_example_says_all(table: PlanTable, goal: str, values: dict[str, Any]) -> None:
    found = extract(table, goal, {})
    assert (found.values, found.missing) == (values, ())
    assert found.example in table.examples


@pytest.mark.parametrize(
    ("goal", "values"),
    [
        ("tell me about tomorrow's weather over EWR", {"station": "EWR"}),
        ("station=EWR please", {"station": "EWR"}),
        ("a 7-day outlook, station: jfk", {"station": "JFK", "days": 7}),
        ("JFK, 30 days", {"station": "JFK"}),
        ("days: 4 at LGA rather than JFK", {"station": "LGA", "days": 4}),
        ("JFKX and 5 daydreams", {}),
    ],
)
def test_values_are_found_by_name_and_by_looks(goal: str, values: dict[str, Any]) -> None:
    found = extract(FORECAST, goal, {})
    assert found.values == values
    assert found.missing == (() if "station" in values else ("station",))


def test_what_was_given_is_left_alone() -> None:
    found = extract(FORECAST, "Forecast the temperature in JFK for 5 days", {"station": "LGA"})
    assert found.values == {"days": 5}


def test_the_only_number_is_for_the_only_one_that_needs_it() -> None:
    one = plan(limit={"type": "integer"}, note={"default": ""})
    assert extract(one, "keep the best 12 of them", {}).values == {"limit": 12}
    assert extract(one, "keep 12 of 15", {}).missing == ("limit",)
    two = plan(low={"type": "integer"}, high={"type": "integer"})
    assert extract(two, "keep 12 of 15", {}).values == {}


def test_the_only_quotation_is_for_the_only_text() -> None:
    assert extract(plan(query={}), 'look for "deep sea" in it', {}).values == {"query": "deep sea"}
    assert extract(plan(query={}), 'look for "a" or "b"', {}).missing == ("query",)


def test_half_a_word_is_no_parameter() -> None:
    table = plan("count in {name}", name={})
    assert extract(table, "discount in shop", {}).values == {}


def test_a_goal_that_begins_otherwise_still_gives_its_parts() -> None:
    found = extract(INCIDENT, "Please investigate the log a.log from 2026-01-31", {})
    assert found.values == {"file": "a.log", "since": "2026-01-31"}
    assert found.example == ""


@pytest.mark.parametrize(
    ("item", "text", "value"),
    [
        ({"type": "integer"}, "-3", -3),
        ({"type": "number"}, "2.5", 2.5),
        ({"type": "boolean"}, "Yes", True),
        ({"type": "array"}, "a, b and c", ["a", "b", "c"]),
        ({"type": "array"}, '["a", 1]', ["a", 1]),
        ({"type": "object"}, '{"a": 1}', {"a": 1}),
        ({"enum": ["Low", "High"]}, "high", "High"),
        ({}, '"quoted"', "quoted"),
    ],
)
def test_a_text_is_read_as_its_type(item: dict[str, Any], text: str, value: Any) -> None:
    assert read_value(msgspec.convert(item, InputTable), text) == value


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"type": "integer"}, "3.5"),
        ({"type": "integer"}, "9" * 30),
        ({"type": "integer", "maximum": 2}, "3"),
        ({"type": "number", "minimum": 2}, "1"),
        ({"type": "number"}, "nan"),
        ({"type": "boolean"}, "perhaps"),
        ({"type": "object"}, "{"),
        ({"type": "object"}, "[1]"),
        ({"enum": ["a"]}, "b"),
        ({"pattern": "^x"}, "y"),
        ({}, "  "),
    ],
)
def test_what_does_not_fit_is_no_value(item: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_value(msgspec.convert(item, InputTable), text)


def test_truth_is_no_number() -> None:
    with pytest.raises(ValueError, match="a whole number is wanted"):
        check_value(InputTable("integer"), True)


@given(st.text(max_size=300))
def test_whatever_a_goal_says_what_is_found_fits(goal: str) -> None:
    for table in PLANS.values():
        for name, value in extract(table, goal, {}).values.items():
            check_value(table.inputs[name], value)


@given(st.sampled_from(["EWR", "JFK", "LGA"]), st.integers(1, 14))
def test_an_example_filled_in_gives_back_what_was_filled_in(station: str, days: int) -> None:
    goal = FORECAST.examples[0].replace("{station}", station).replace("{days}", str(days))
    assert extract(FORECAST, goal, {}).values == {"station": station, "days": days}


def test_an_example_without_its_parameters_is_what_is_compared() -> None:
    assert plain_example("Forecast {a} for {b} days") == "Forecast for days"


def test_a_long_goal_of_hard_words_is_looked_at_quickly() -> None:
    table = plan("a b {one} a b {two} a b {three} x {four}", one={}, two={}, three={}, four={})
    assert extract(table, "a b " * 50_000, {}).missing == ("one", "two", "three", "four")
