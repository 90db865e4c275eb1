import pytest

from tests.unit.plane.skills.calling import failure, output


@pytest.mark.parametrize(
    ("value", "expression", "made"),
    [
        ({"items": [{"n": 1}, {"n": 5}]}, "items[?n > `2`].n", [5]),
        ({"a": {"b": "x"}}, "a.b", "x"),
        ([3, 1, 2], "sort(@)", [1, 2, 3]),
        ({}, "missing", None),
        ([{"k": 1}, {"k": 2}], "sum([].k)", 3),
        ({"a": 1, "b": 2}, "{x: a, y: b}", {"x": 1, "y": 2}),
    ],
)
def test_an_expression_makes_a_value_of_a_value(value: object, expression: str, made: object) -> None:
    assert output("json_transform", {"value": value, "expression": expression}) == made


@pytest.mark.parametrize("expression", ["foo(", "", "a[", "(" * 2000, "nothing(@)", "`{`"])
def test_an_expression_that_cannot_be_read_is_refused(expression: str) -> None:
    assert failure("json_transform", {"value": {}, "expression": expression})[:6] in ("TW7006", "TW7008")


def test_an_expression_that_does_not_fit_is_a_failure() -> None:
    assert failure("json_transform", {"value": 1, "expression": "length(@)"}).startswith("TW7008")
    assert failure("json_transform", {"value": [1, "a"], "expression": "sort(@)"}).startswith("TW7008")


@pytest.mark.parametrize("part", ["[@,@][]", "[@,@]", "{a:@,b:@}", "join('',[to_string(@),to_string(@)])"])
def test_an_expression_cannot_grow_without_bound(part: str) -> None:
    assert "more than it may" in failure("json_transform", {"value": [1], "expression": " | ".join([part] * 60)})


def test_an_expression_has_a_length() -> None:
    assert failure("json_transform", {"value": 1, "expression": "a" * 5000}).startswith("TW7006")
    assert failure("json_transform", {"value": 1}).startswith("TW7006 parameters of json_transform: expression")
