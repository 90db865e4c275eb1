"""cli/fork_plan.py, plane/forking.py: a run of a plan goes on differently, and shares what was before."""

from pathlib import Path

import pytest

from tests.unit.cli.program import call

PLAN = """
name = "chain"
[inputs.city]
type = "string"
default = "Oslo"
[inputs.count]
type = "integer"
default = 1
[[steps]]
id = "one"
skill = "json_transform"
params = { value = { city = "${inputs.city}" }, expression = "@" }
[[steps]]
id = "ask"
depends_on = ["one"]
approval = { message = "go on?" }
skill = "json_transform"
params = { value = {}, expression = "@" }
[[steps]]
id = "two"
depends_on = ["ask"]
skill = "json_transform"
[steps.params]
expression = "@"
value = { was = "${steps.one.output.city}", now = "${inputs.city}", n = "${inputs.count}" }
[outputs]
cities = "${steps.two.output}"
"""


def cities(document: dict[str, object]) -> object:
    """Return what a run of that plan came to."""
    assert document["status"] == "succeeded"
    output = document["output"]
    assert isinstance(output, dict)
    return output["cities"]


@pytest.fixture
def run(folder: Path) -> str:
    """Return a run of that plan that has ended; somebody has agreed on the way."""
    (folder / "chain.toml").write_text(PLAN)
    waiting = call("plan", "run", "chain.toml", "-o", "json").document()
    asked = waiting["waiting"]
    assert isinstance(asked, list)
    granted = call("approval", "grant", asked[0]["id"], "-o", "json")
    assert granted.status == 0, granted.err
    assert cities(granted.document()) == {"was": "Oslo", "now": "Oslo", "n": 1}
    return str(waiting["run_id"])


@pytest.mark.slow
def test_a_fork_without_a_change_has_the_head_of_the_original_at_every_tick(run: str) -> None:
    original = call("replay", run, "-o", "json").document()
    frames = original["frames"]
    assert isinstance(frames, int)
    for at in range(frames - 1):
        # What was agreed after the fork in the original is agreed in the fork: it is the same question.
        made = call("fork", run, "--at", str(at), "-o", "json")
        if made.status == 6:
            assert at <= 1, "the question was not asked yet"
            continue
        assert (made.status, made.document()["head"]) == (0, original["head"]), at
    assert call("fork", run, "--at", str(frames)).status == 8


@pytest.mark.slow
def test_an_input_that_is_changed_is_read_by_the_steps_that_follow(run: str, folder: Path) -> None:
    made = call("fork", run, "--at", "2", "--set", "input.city=Rome", "--set", "input.count=7", "-o", "json")
    assert made.status == 0, made.err
    assert cities(made.document()) == {"was": "Oslo", "now": "Rome", "n": 7}
    fork = str(made.document()["run_id"])
    assert call("verify", fork).status == 0
    first = call("diff", run, fork, "-o", "json")
    assert first.status == 3
    divergence = first.document()["divergence"]
    assert isinstance(divergence, dict)
    assert (divergence["tick"], divergence["actual"]) == (2, "lineage"), "the first difference is the change itself"
    assert call("pack", fork, "-o", "fork.twk").status == 0
    again = call("fork", "fork.twk", "--at", "2", "--set", "input.city=Bonn", "-o", "json").document()
    assert cities(again) == {"was": "Oslo", "now": "Bonn", "n": 1}
    listed = call("runs", "--family", run, "-o", "json").document()["runs"]
    assert isinstance(listed, list)
    assert [(one["relation"], one["parent"]) for one in listed] == [("fork", fork), ("fork", run), (None, None)]


@pytest.mark.slow
def test_a_change_that_fits_nothing_makes_no_run(run: str) -> None:
    for options, status in (
        (["--at", "2", "--set", "input.town=Rome"], 2),
        (["--at", "2", "--set", "input.count=many"], 2),
        (["--at", "2", "--set", "nonsense"], 2),
        (["--at", "2", "--journal", "x.twk"], 2),
        (["--at", "99"], 8),
        (["--at", "-1"], 8),
    ):
        assert call("fork", run, *options).status == status, options
    listed = call("runs", "-o", "json").document()["runs"]
    assert isinstance(listed, list)
    assert len(listed) == 1


@pytest.mark.slow
def test_an_input_of_a_plan_that_a_planner_made_is_read_as_that_plan_declares_it(folder: Path) -> None:
    plan = PLAN.replace('name = "chain"', 'name = "chain"\ngoal = "Go to a city"').replace(
        'approval = { message = "go on?" }\n', ""
    )
    (folder / ".tickwork" / "plans").mkdir(parents=True)
    (folder / ".tickwork" / "plans" / "chain.toml").write_text(plan)
    run = str(call("goal", "Go to a city", "-o", "json").document()["run_id"])
    made = call("fork", run, "--at", "3", "--set", "input.city=Rome", "--set", "input.count=7", "-o", "json")
    assert made.status == 0, made.err
    assert cities(made.document()) == {"was": "Rome", "now": "Rome", "n": 7}
    assert call("fork", run, "--at", "3", "--set", "input.count=many").status == 2
    assert call("fork", run, "--at", "3", "--set", "input.town=Rome").status == 2


@pytest.mark.slow
def test_a_change_that_comes_too_late_is_refused_and_the_tick_is_named(run: str, folder: Path) -> None:
    begun = {step["path"]: step["began"] for step in call("show", run, "-o", "json").rows("steps")}
    late = call("fork", run, "--at", str(begun["two"] + 1), "--set", "input.count=7")
    assert late.status == 2
    assert f"step two read it at tick {begun['two']}" in late.err
    assert f"tickwork fork RUN --at {begun['two']} --set input.count=7" in late.err
    made = call("fork", run, "--at", str(begun["two"]), "--set", "input.count=7", "-o", "json")
    assert cities(made.document()) == {"was": "Oslo", "now": "Oslo", "n": 7}
    both = call("fork", run, "--at", str(begun["two"] + 1), "--set", "input.city=Rome")
    assert (both.status, "tickwork rerun RUN --input city=Rome" in both.err) == (2, True)
    some = call("fork", run, "--at", str(begun["two"]), "--set", "input.city=Rome")
    assert (some.status, "step one read city before tick" in some.err) == (0, True)
    (folder / "idle.toml").write_text(PLAN.replace("${inputs.count}", "none"))
    idle = str(call("plan", "run", "idle.toml", "-o", "json").document()["run_id"])
    unread = call("fork", idle, "--at", "1", "--set", "input.count=7")
    assert (unread.status, "nothing of the plan reads count" in unread.err) == (2, True)
