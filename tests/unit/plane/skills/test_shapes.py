import json
from typing import Any

import pydantic
import pytest

from tickwork.plane.skills import shapes
from tickwork.plane.skills.shapes import MOST_FAULTS, ModelShape, SchemaShape


class Order(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    count: int = pydantic.Field(ge=1)
    names: list[str] = []
    json_: pydantic.JsonValue = pydantic.Field(default=None, alias="json")


SHAPE = ModelShape(Order)


def test_what_fits_comes_as_the_model() -> None:
    checked = SHAPE.check(b'{"count":2,"names":["a"],"json":{"x":1.5}}')
    assert isinstance(checked, Order)
    assert checked == Order(count=2, names=["a"], json={"x": 1.5})


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b'{"count":"2"}', "count: "),
        (b'{"count":true}', "count: "),
        (b'{"count":0,"names":[1],"more":1}', "count: .*; names\\[0\\]: .*; more: "),
        (b'{"count":NaN}', "NaN"),
        (b'{"count":1,"json":Infinity}', "Infinity"),
        (b"[]", "the value: "),
        (b"{", "Invalid JSON"),
        (b"\xff", "the value"),
    ],
)
def test_what_does_not_fit_is_told_with_its_path(raw: bytes, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SHAPE.check(raw)


def test_a_word_that_only_looks_like_a_number_is_read() -> None:
    assert SHAPE.check(b'{"count":1,"json":"NaN Infinity"}').json_ == "NaN Infinity"


def test_a_result_is_checked_and_canonical() -> None:
    assert SHAPE.render({"names": ["é"], "count": 1}) == '{"count":1,"json":null,"names":["é"]}'.encode()
    assert SHAPE.render(Order(count=1)) == b'{"count":1,"json":null,"names":[]}'
    for wrong in ({"count": 0}, {}, None, {"count": 1, "json": float("nan")}):
        with pytest.raises(ValueError):
            SHAPE.render(wrong)


def test_many_faults_are_cut_short() -> None:
    with pytest.raises(ValueError, match=f"and {100 - MOST_FAULTS} more"):
        ModelShape(list[int]).check(json.dumps(["x"] * 100).encode())


def test_a_shape_says_its_schema() -> None:
    assert set(SHAPE.schema()["properties"]) == {"count", "names", "json"}


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^(a+)+$"}, "inner": {"$ref": "#/$defs/one"}},
    "patternProperties": {"^n_": {"type": "integer"}},
    "required": ["name"],
    "$defs": {"one": {"type": "array", "items": {"type": "number"}}},
}


def test_a_schema_checks_plain_values() -> None:
    shape = SchemaShape(SCHEMA)
    assert shape.check(b'{"name":"aaa","n_1":2}') == {"name": "aaa", "n_1": 2}
    assert shape.render({"name": "a", "inner": [1]}) == b'{"inner":[1],"name":"a"}'
    assert shape.schema() == SCHEMA
    for raw, told in [
        (b'{"name":"b"}', "name: does not match"),
        (b'{"name":"a","n_x":"y"}', "n_x: "),
        (b'{"name":"a","inner":["x"]}', "inner\\[0\\]: "),
        (b"{}", "'name' is a required"),
        (b'{"name":"a","name":"a"}', "stands twice"),
    ]:
        with pytest.raises(ValueError, match=told):
            shape.check(raw)


def test_a_pattern_that_would_keep_a_reader_busy_takes_no_time() -> None:
    with pytest.raises(ValueError, match="does not match"):
        SchemaShape(SCHEMA).check(json.dumps({"name": "a" * 50_000 + "b"}).encode())


def test_items_that_are_to_differ_take_no_time() -> None:
    shape = SchemaShape({"uniqueItems": True})
    shape.check(json.dumps([{"a": index} for index in range(20_000)]).encode())
    shape.check(b'[1, true, "1", [1], {"a": 1}, null]')
    for twice in (b'[{"a":1,"b":2},{"b":2,"a":1.0}]', b"[1,2,1.0]", b"[[true],[true]]"):
        with pytest.raises(ValueError, match="twice"):
            shape.check(twice)


def test_references_that_lead_to_two_others_each_come_to_an_end() -> None:
    tables: dict[str, Any] = {f"a{level}": {"allOf": [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(40)}
    shape = SchemaShape({"$ref": "#/$defs/a0", "$defs": {**tables, "a40": {}}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "MOST_FOLLOWED", 2_000)
        with pytest.raises(ValueError, match="takes too long"):
            shape.check(b"1")


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "nothing"}, "no JSON Schema"),
        ({"properties": {"a": {"pattern": "(?=x)y"}}}, "linear time"),
        ({"patternProperties": {"(a)\\1": {}}}, "linear time"),
        ({"pattern": "("}, "no JSON Schema|linear time"),
    ],
)
def test_a_schema_that_is_none_is_refused(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SchemaShape(schema)


@pytest.mark.parametrize(
    "schema", [{"$ref": "http://127.0.0.1:9/x"}, {"$ref": "#/$defs/none"}, {"$ref": "file:///etc"}]
)
def test_a_schema_fetches_nothing(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not in it"):
        SchemaShape(schema).check(b"1")


def test_a_schema_that_never_ends_is_an_error() -> None:
    with pytest.raises(ValueError, match="never comes to an end"):
        SchemaShape({"anyOf": [{"$ref": "#"}]}).check(b"1")


def test_true_and_false_are_schemas() -> None:
    assert SchemaShape(True).check(b"5") == 5
    assert SchemaShape(True).schema() == {}
    with pytest.raises(ValueError):
        SchemaShape(False).check(b"5")
    assert SchemaShape(False).schema() == {"not": {}}
