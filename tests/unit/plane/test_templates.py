"""Expressions inside of JSON."""

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickwork.plane import templates
from tickwork.plane.cel_bounds import MAX_WEIGHT
from tickwork.plane.errors import ExpressionFailed, ExpressionInvalid
from tickwork.plane.json_text import write_json


def tables(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from("abc"), inner)


VARIABLES: dict[str, Any] = {
    "inputs": {"city": "JFK", "n": 3, "r": 1.5, "yes": True, "none": None, "tags": ["a", "b"], "sly": "${inputs.n}"},
    "steps": {"load": {"output": {"rows": [{"a": 1}]}}},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${inputs.n}", 3),
        (" ${inputs.n}", " 3"),
        ("${ inputs.tags }", ["a", "b"]),
        ("${steps.load.output.rows}", [{"a": 1}]),
        ("in ${inputs.city} for ${inputs.n} days", "in JFK for 3 days"),
        ("${inputs.yes}/${inputs.none}/${inputs.r}/${inputs.tags}", 'true/null/1.5/["a","b"]'),
        ("$${inputs.n} is ${inputs.n}", "${inputs.n} is 3"),
        ("$$${inputs.n}", "$${inputs.n}"),
        ("costs $5 and {braces}", "costs $5 and {braces}"),
        ('${{"k": "}"}["k"]}', "}"),
        ("${'it is {' + inputs.city}", "it is {JFK"),
        (r'${r"\d{1}" + inputs.city}', r"\d{1}JFK"),
        ('${"\\"}" + inputs.city}', '"}JFK'),
        ("${'''a'}''' + inputs.city}", "a'}JFK"),
        ("${inputs.sly}", "${inputs.n}"),
        ("", ""),
    ],
)
def test_a_template_becomes_its_value(text: str, value: Any) -> None:
    assert templates.resolve(text, VARIABLES) == value


TEXTS = (
    "plain",
    "costs $5",
    "$${escaped}",
    "${inputs.n}",
    "${inputs.city}",
    "${inputs.tags}",
    "${inputs.tags[1]}",
    "${inputs.tags[2]}",
    "${inputs.city[0]}",
    "${inputs.city.length}",
    "${inputs.none.x}",
    "${inputs.absent}",
    "${steps.load.output.rows}",
    "${inputs.n + 1}",
    "${1 / 0}",
    "in ${inputs.city} for ${inputs.n} days",
    "${1 +} and ${",
    "${ }",
    "${unknown.x}",
)


def came_to(filled: templates.Filled) -> object:
    try:
        return filled(VARIABLES)
    except (ExpressionFailed, ExpressionInvalid) as error:
        return type(error), str(error)


@settings(max_examples=60)
@given(
    st.recursive(
        st.sampled_from(TEXTS) | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | tables(inner),
        max_leaves=8,
    )
)
def test_a_prepared_value_comes_to_what_it_does_without_preparation(value: Any) -> None:
    assert came_to(templates.prepare(value)) == came_to(partial(templates.resolve, value))


def test_json_is_rendered_canonically_and_keys_are_no_templates() -> None:
    raw = b'{"z": ["${inputs.n}", 1.0], "a": {"${inputs.n}": "${inputs.city}!"}, "m": null}'
    assert templates.render(raw, VARIABLES) == b'{"a":{"${inputs.n}":"JFK!"},"m":null,"z":[3,1.0]}'


def test_what_holds_no_template_stays_as_it_is() -> None:
    value = {"a": [1, 2.5, None, True, "text $ {"], "b": {}}
    assert templates.resolve(value, {}) == value
    assert templates.is_static(value)
    assert not templates.is_static({"a": ["x ${inputs.n}"]})
    assert not templates.is_static("$${")


@pytest.mark.parametrize("text", ["${inputs.n", "${", "${'}", "a ${ {1: 2} b", '${"""}'])
def test_an_expression_that_does_not_end_is_refused(text: str) -> None:
    with pytest.raises(ExpressionInvalid, match="does not end") as caught:
        templates.resolve(text, VARIABLES)
    assert "$${" in caught.value.fix


def test_an_empty_expression_is_refused() -> None:
    with pytest.raises(ExpressionInvalid, match="without an expression"):
        templates.split("${ }")


def test_what_is_read_is_known() -> None:
    value = {"a": "${steps.load.output} and ${inputs.n + size(steps.clean.output)}", "b": ["${item.x}", "$${steps.no}"]}
    assert templates.reads(value) == {("steps", "load"), ("steps", "clean"), ("inputs", "n"), ("item", "x")}
    assert templates.steps_read(write_json(value)) == {"load", "clean"}
    assert templates.steps_read(b'{"a": 1}') == frozenset()
    assert templates.steps_in_text("see ${steps.load.status}") == {"load"}
    assert templates.steps_in_expression("steps.a.output.n > steps.b.output.n") == {"a", "b"}
    assert [path for _, path in templates.expressions(value)] == [("a",), ("a",), ("b", 0)]


def test_what_becomes_too_large_is_refused() -> None:
    long = {"inputs": {"text": "x" * (MAX_WEIGHT // 2)}}
    with pytest.raises(ExpressionFailed, match="too long"):
        templates.resolve("${inputs.text}-${inputs.text}-${inputs.text}", long)
    with pytest.raises(ExpressionFailed, match="bytes"):
        templates.render(b'["${inputs.text}","${inputs.text}","${inputs.text}"]', long)
