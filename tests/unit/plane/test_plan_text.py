"""Plans as text: read from TOML and JSON, with the line of everything that is wrong."""

import json
from pathlib import Path

import pytest

from tickwork.plane.errors import PlanInvalid, PlanNotFound
from tickwork.plane.plan_faults import PlanFault, as_error, in_order, nested
from tickwork.plane.plan_text import (
    find_json_places,
    parse_json_plan,
    parse_plan,
    plan_bytes,
    plan_document,
    plan_schema,
    read_plan,
    table_of,
)

TOML = """name = "report"
[inputs.city]
[[steps]]
id = "load"
skill = "echo@1"
params = { value = "${inputs.city}" }
"""


def test_toml_and_json_come_to_the_same_plan() -> None:
    plan = parse_plan(TOML, Path("plan.toml"))
    text = json.dumps(plan_document(plan.table), indent=1)
    same = parse_plan(text, Path("plan.json"))
    assert same.table == plan.table
    assert plan_bytes(same.table) == plan_bytes(plan.table)
    assert plan.lines["steps", 0, "params", "value"] == 6
    assert same.lines["steps", 0, "params", "value"] > 6


def test_lines_of_json_are_found() -> None:
    text = '{\n "a": [1,\n {"b,\\"}": "x,}\\"]"},\n [],{}],\n "c":null}'
    assert find_json_places(text) == {
        (): 1,
        ("a",): 2,
        ("a", 0): 2,
        ("a", 1): 3,
        ("a", 1, 'b,"}'): 3,
        ("a", 2): 4,
        ("a", 3): 4,
        ("c",): 5,
    }


def test_every_fault_of_form_is_told_with_its_line() -> None:
    text = (
        'name = "x"\nbogus = 1\n[[steps]]\nid = "A"\nretry = { max = -1, factor = 0.5 }\ntimeout = "5 s"\n[[steps]]\n'
    )
    with pytest.raises(PlanInvalid) as caught:
        parse_plan(text, Path("p.toml"))
    told = str(caught.value)
    assert (caught.value.code, caught.value.exit_status) == ("TW7001", 78)
    for line in (
        "p.toml:2, bogus",
        "p.toml:4, steps[0].id",
        "p.toml:5, steps[0].retry.max",
        "p.toml:5, steps[0].retry.factor",
        "p.toml:6, steps[0].timeout",
        "p.toml:7, steps[1]",
    ):
        assert line in told


@pytest.mark.parametrize(
    ("text", "file", "words"),
    [
        ("name = ", "p.toml", "no TOML"),
        ('{"name": "x",}', "p.json", "no JSON"),
        ('{"name": "x", "name": "y"}', "p.json", "twice"),
        ('{"name": "x", "steps": {}}', "p.json", "must be a list"),
        ('name = "x"\nsteps = [{ id = "a", params = { at = 2026-03-01 } }]', "p.toml", "a date stands here"),
        ('name = "x"\nsteps = [{ id = "a", params = { at = inf } }]', "p.toml", "inf is no number"),
        ('name = "x"\nsteps = [{ id = "a", params = { n = 99999999999999999999 } }]', "p.toml", "64 bits"),
        ("[" * 100_000, "p.json", "no JSON"),
        ('{"name": "x", "steps": [' + ",".join(['{"id": "a"}'] * 10_001) + "]}", "p.json", "at most 10,000 steps"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, file: str, words: str) -> None:
    with pytest.raises(PlanInvalid) as caught:
        parse_plan(text, Path(file))
    assert words in str(caught.value)


def test_options_that_are_left_empty_are_taken() -> None:
    table, faults = parse_json_plan('{"name": "x", "steps": [{"id": "a", "timeout": "", "wait": null, "join": 2}]}')
    assert faults == []
    assert table is not None
    assert (table.steps[0].wait, table.steps[0].join) == (None, 2)


def test_answers_of_models_are_judged_without_raising() -> None:
    assert parse_json_plan("I cannot do that.")[1][0].what == "the plan is no JSON"
    table, faults = parse_json_plan('{"name": "x", "budget": {"usd": 1.5}, "plans": []}')
    assert table is None
    assert [(fault.as_row()["path"], fault.fix) for fault in faults][1] == ("plans", "write an object")
    assert "0.25" in faults[0].fix
    assert table_of([])[1][0].what.endswith("must be a table")


def test_a_plan_that_cannot_be_read_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(PlanNotFound):
        read_plan(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xe9'")
    with pytest.raises(PlanInvalid, match="UTF-8"):
        read_plan(tmp_path / "latin.toml")
    (tmp_path / "good.toml").write_text(TOML)
    assert read_plan(tmp_path / "good.toml").table.name == "report"


def test_the_published_schema_knows_every_key() -> None:
    schema = json.loads(plan_schema())
    assert schema["$schema"].endswith("2020-12/schema")
    assert "for_each" in schema["$defs"]["StepTable"]["properties"]


def test_faults_are_told_once_in_the_order_of_lines_and_cut_short() -> None:
    one, other = PlanFault(("steps", 1), "b", "why", "fix", "s"), PlanFault(("name",), "a")
    lines = {("steps", 1): 9, ("name",): 1}
    assert in_order([one, other, one], lines) == [other, one]
    error = as_error([one, other], Path("p.toml"), lines)
    assert (error.what, error.where) == ("a", "p.toml:1, name")
    assert "also:  p.toml:9, steps[1] (step s): b; why; fix" in error.fix
    many = as_error([PlanFault(("steps", index), "bad") for index in range(60)])
    assert many.fix.endswith("and 10 more")
    assert nested([one], ("plans", "p"))[0].path == ("plans", "p", "steps", 1)
    assert one.as_row(lines) == {"path": "steps[1]", "what": "b", "line": 9, "step": "s", "why": "why", "fix": "fix"}
