"""cli/plan*.py: plans are checked, shown, drawn and gone through."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.program import call

PLAN = """name = "report"
goal = "Report on a city"

[inputs.city]
pattern = "^[A-Z]{3}$"
[inputs.days]
type = "integer"
default = 3

[[steps]]
id = "pick"
skill = "json_transform"
params = { value = { city = "${inputs.city}", days = "${inputs.days}" }, expression = "city" }

[[steps]]
id = "many"
skill = "json_transform"
when = "inputs.days > 5"
params = { value = "${steps.pick.output}", expression = "length(@)" }
approval = { by = ["ann"] }

[[steps]]
id = "sub"
plan = "inner"

[plans.inner]
name = "inner"
[[plans.inner.steps]]
id = "nap"
wait = { timer = "5m" }

[outputs]
city = "${steps.pick.output}"
"""


@pytest.fixture
def plan(folder: Path) -> str:
    (folder / "report.toml").write_text(PLAN)
    return "report.toml"


def test_a_plan_that_can_be_run_is_told_so(plan: str) -> None:
    answer = call("plan", "validate", plan)
    assert answer.status == 0
    assert "report.toml can be run" in answer.err
    assert "json_transform@1" in answer.out
    document = call("plan", "validate", plan, "-o", "json").document()
    assert (document["valid"], document["steps"], document["cost_micros"]) == (True, 4, 0)


def test_every_fault_is_told_with_its_line(folder: Path, plan: str) -> None:
    text = PLAN.replace("json_transform", "json_transfrom", 1).replace(
        'steps.pick.output}", expr', 'steps.pcik.output}", expr'
    )
    (folder / plan).write_text(text)
    answer = call("plan", "validate", plan)
    assert (answer.status, answer.out) == (78, "")
    assert "report.toml:12, steps[0].skill (step pick)" in answer.err
    assert "report.toml:19, steps[1].params.value (step many)" in answer.err
    assert 'did you mean "pick"' in answer.err
    faults = call("plan", "validate", plan, "-o", "json").document()["faults"]
    assert isinstance(faults, list)
    assert [(fault["path"], fault["line"]) for fault in faults] == [
        ("steps[0].skill", 12),
        ("steps[1].params.value", 19),
    ]


def test_several_plans_are_judged_and_one_that_is_no_toml_too(folder: Path, plan: str) -> None:
    (folder / "bad.toml").write_text("name =")
    answer = call("plan", "validate", plan, "bad.toml", "-o", "json")
    assert answer.status == 78
    assert [row["valid"] for row in answer.rows("plans")] == [True, False]


def test_a_profile_narrows_what_a_plan_may_use(folder: Path, plan: str) -> None:
    assert call("plan", "validate", plan, "--profile", "default").status == 0
    (folder / "sends.toml").write_text(
        'name = "s"\n[[steps]]\nid = "a"\nskill = "file_read"\nparams = { path = "x" }\n'
    )
    answer = call("plan", "validate", "sends.toml", "--profile", "default")
    assert answer.status == 78
    assert "the agent may not use file_read" in answer.err


def test_plans_are_found_by_name_in_the_folder_of_plans(folder: Path, plan: str) -> None:
    assert call("plan", "show", "report").status == 8
    (folder / ".tickwork" / "plans").mkdir(parents=True)
    (folder / plan).rename(folder / ".tickwork" / "plans" / "report.toml")
    assert call("plan", "show", "report").status == 0
    answer = call("plan", "show", "reprot")
    assert answer.status == 8
    assert 'did you mean "report"' in answer.err


def test_steps_are_shown(plan: str) -> None:
    shown = call("plan", "show", plan).out
    assert "when inputs.days > 5; approval of ann" in shown
    assert "plan inner" in shown
    one = call("plan", "show", plan, "--step", "many").out
    assert '"expression":"length(@)"' in one
    assert '["pick"]' in one
    assert "wait 5m" in call("plan", "show", plan, "--step", "sub/nap").out
    assert call("plan", "show", plan, "--step", "nope").status == 2
    assert call("plan", "show", plan, "--step", "pick/x").status == 2
    document = call("plan", "show", plan, "-o", "json").document()
    assert document["skills"]
    assert call("plan", "show", plan, "--step", "many", "-o", "json").document()["after"] == ["pick"]


def test_a_plan_is_drawn(plan: str) -> None:
    assert "╰─○ many" in call("plan", "graph", plan).out
    assert call("plan", "graph", plan, "--format", "dot").out.startswith("digraph plan {")
    assert call("plan", "graph", plan, "--format", "mermaid").out.startswith("flowchart TD")
    assert "graph" in call("plan", "graph", plan, "-o", "json").document()


def test_a_dry_run_shows_calls_in_order_and_does_nothing(folder: Path, plan: str) -> None:
    before = sorted(path.name for path in folder.iterdir())
    answer = call("plan", "dry-run", plan, "--input", "city=JFK")
    assert answer.status == 0
    assert '{"expression":"city","value":{"city":"JFK","days":3}}' in answer.out
    assert "costs at most" in answer.out
    rows = call("plan", "dry-run", plan, "--input", "city=JFK", "--input", "days=9", "-o", "json").rows("steps")
    assert [(row["path"], row["wave"], row["when"], row["asks"]) for row in rows] == [
        ("pick", 1, "true", []),
        ("many", 2, "true", ["step"]),
        ("sub", 1, "true", []),
        ("sub/nap", 2, "true", []),
    ]
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ((), 2, "the input city is missing"),
        (("city=jfk",), 2, "does not match"),
        (("city=JFK", "days=x"), 2, "it is a whole number"),
        (("city",), 2, "NAME=VALUE"),
        (("city=JFK", "dayz=1"), 2, 'did you mean "days"'),
    ],
)
def test_inputs_that_do_not_fit_are_refused(plan: str, settings: tuple[str, ...], status: int, words: str) -> None:
    given = [word for setting in settings for word in ("--input", setting)]
    answer = call("plan", "dry-run", plan, *given)
    assert (answer.status, words in answer.err) == (status, True), answer.err


def test_schemas_are_printed(plan: str) -> None:
    assert json.loads(call("plan", "schema").out)["title"] == "Tickwork plan"
    assert json.loads(call("plan", "schema", plan).out)["required"] == ["city"]
    assert call("plan", "schema", plan, "-o", "json").document()["schema"]
