"""cli/plan_run.py, goal.py, work.py, approval*.py and the like: a plan runs, asks, and goes on."""

import json
import re
from pathlib import Path

import pytest

from tests.unit.cli.program import call
from tickwork.cli.session import StopRequest

PLAN = """
name = "report"
goal = "Report on a city"
[inputs.city]
[inputs.n]
type = "integer"
default = 1
[[steps]]
id = "load"
skill = "json_transform"
params = { value = { city = "${inputs.city}", n = "${inputs.n}" }, expression = "@" }
[[steps]]
id = "publish"
skill = "json_transform"
params = { value = "${steps.load.output}", expression = "@" }
approval = { message = "Publish ${inputs.city}?" }
[outputs]
result = "${steps.publish.output}"
"""

WAITING = """
name = "waiting"
[[steps]]
id = "colour"
wait = { input = { enum = ["red", "blue"] }, message = "Which?" }
[[steps]]
id = "paid"
wait = { signal = "paid" }
depends_on = ["colour"]
[outputs]
said = ["${steps.colour.output}", "${steps.paid.output}"]
"""


@pytest.fixture
def plan(folder: Path) -> Path:
    path = folder / "report.toml"
    path.write_text(PLAN, encoding="utf-8")
    return path


def started(*words: str) -> dict[str, object]:
    """Run a plan that waits, and return the document that says so."""
    answer = call("plan", "run", "report.toml", "--input", "city=JFK", *words, "-o", "json")
    assert answer.status == 6
    return dict(answer.document())


def test_a_plan_asks_and_goes_on_when_somebody_has_agreed(plan: Path) -> None:
    answer = call("plan", "run", plan, "--input", "city=JFK", "--input", "n=7")
    assert answer.status == 6
    assert "load: succeeded" in answer.err
    assert "waiting for an approval of step publish: Publish JFK?" in answer.err
    command = next(line.split() for line in answer.err.splitlines() if "approval grant" in line)
    assert "publish: succeeded" not in answer.err
    shown = call("approval", "show", command[-1])
    assert '"city": "JFK"' in shown.out
    (digest,) = re.findall("SHA-256 ([0-9a-f]{64})", shown.out)
    assert f"tickwork approval grant {command[-1]} --digest {digest}" in shown.err
    assert call("approval", "show", command[-1], "-o", "json").document()["digest"] == digest
    other = call(*command[1:], "--by", "ann", "--digest", "0" * 64)
    assert (other.status, "has other arguments than those that ann looked at" in other.err) == (7, True)
    assert call("approval", "deny", command[-1], "--digest", "0" * 64).status == 7
    assert call(*command[1:], "--digest", digest[:9]).status == 2
    granted = call(*command[1:], "--by", "ann", "--digest", digest.upper(), "-o", "json")
    assert granted.status == 0
    document = granted.document()
    assert (document["status"], document["output"]) == ("succeeded", {"result": {"city": "JFK", "n": 7}})
    assert call("runs", "-o", "json").rows("runs")[0]["ticks"] == document["ticks"]
    again = call(*command[1:], "--by", "ann")
    assert (again.status, "nothing has changed" in again.err) == (0, True)
    assert call("approval", "deny", command[-1], "--by", "ben").status == 7
    assert call("verify", str(document["run_id"])).status == 0


def test_an_answer_without_work_waits_for_work(plan: Path) -> None:
    started()
    (asked,) = call("approval", "list", "-o", "json").rows("approvals")
    assert call("approval", "deny", asked["id"], "--no-work").status == 0
    assert call("work", "-o", "json").document()["statuses"] == {"failed": 1}
    assert call("runs", "-o", "json").rows("runs")[0]["status"] == "failed"


def test_an_approval_is_handed_on_and_edited(plan: Path) -> None:
    document = started()
    handed = call("approval", "delegate", "w_", "--to", "dora", "--by", "ann", "-o", "json").document()
    assert handed["allowed"] == ["dora"]
    assert call("approval", "grant", "w_", "--by", "ben").status == 4
    arguments = '{"value": 1, "expression": "@"}'
    done = call("approval", "modify", "w_", "--arguments", arguments, "--by", "dora", "-o", "json")
    assert done.document()["output"] == {"result": 1}
    assert call("show", str(document["run_id"])).status == 0


def test_arguments_that_the_skill_would_refuse_are_not_taken(plan: Path) -> None:
    started()
    for arguments, why in (('{"value": 1}', "expression"), ("[1]", "a list"), ("{bad", "cannot be read")):
        refused = call("approval", "modify", "w_", "--arguments", arguments, "--by", "ann")
        assert (refused.status, why in refused.err) == (2, True)
    (asked,) = call("approval", "list", "-o", "json").rows("approvals")
    assert (asked["edited"], asked["votes"]) == (False, [])


def test_an_order_for_a_step_that_there_is_not_or_that_has_ended_is_refused(plan: Path) -> None:
    run = str(started()["run_id"])
    unknown = call("step", "skip", run, "publsh")
    assert (unknown.status, "publish" in unknown.err) == (2, True)
    assert call("step", "complete", run, "load", "--output-value", "1").status == 7
    shown = call("show", run, "-o", "json").document()
    assert (shown["run_id"], shown["profile"], shown["ticks"]) == (run, "default", 2)
    assert call("step", "skip", run, "publish").status == 0


def test_how_a_run_failed_and_of_which_run_a_step_is_told(plan: Path) -> None:
    (folder := plan.parent).joinpath("bad.toml").write_text(
        'name = "bad"\n[[steps]]\nid = "a"\nskill = "json_transform"\nparams = { value = 1, expression = "foo(" }\n'
    )
    failed = call("plan", "run", "bad.toml")
    run = next(line.split()[-1] for line in failed.err.splitlines() if "tickwork show" in line)
    assert (failed.status, "1 failed" in failed.out) == (1, True)
    assert "why     step a: TW7006 the expression cannot be read" in failed.out
    assert "fix     mend the step's params" in failed.out
    listed = call("runs").out
    assert "step a: TW7006" in listed
    assert "mend the step's params" in listed
    (row,) = call("runs", "-o", "json").rows("runs")
    shown = call("show", run, "-o", "json").document()
    assert (row["ticks"], row["fix"]) == (
        shown["ticks"],
        "mend the step's params: `tickwork skill show SKILL` has what it takes",
    )
    assert call("plan", "run", "report").err.count("report.toml") == 1
    queued = call("rerun", run, "--no-work", "-o", "json").document()
    worked = call("work")
    assert f"{queued['run_id']} a: " in worked.err or "worked on 1 run: " in worked.err
    assert (folder / ".tickwork" / "state.db").exists()


def test_a_run_is_packed_into_a_new_file(plan: Path) -> None:
    run = str(started()["run_id"])
    assert call("pack", run, "-o", "a.twk").status == 0
    again = call("pack", run, "-o", "a.twk")
    assert (again.status, "-o" in again.err, "--resume" in again.err) == (7, True, False)


def test_a_key_is_one_run(plan: Path) -> None:
    one = call("plan", "run", plan, "--input", "city=A", "--key", "k", "--no-work", "-o", "json").document()
    two = call("plan", "run", plan, "--input", "city=A", "--key", "k", "-o", "json")
    assert (one["status"], two.status, two.document()["run_id"]) == ("queued", 6, one["run_id"])
    assert call("plan", "run", plan, "--input", "city=B", "--key", "k").status == 7


def test_a_goal_is_planned_first(folder: Path) -> None:
    plans = folder / ".tickwork" / "plans"
    plans.mkdir(parents=True)
    (plans / "report.toml").write_text(PLAN.replace('approval = { message = "Publish ${inputs.city}?" }\n', ""))
    done = call("goal", "Report on a city", "--input", "city=LAX", "-o", "json")
    assert (done.status, done.document()["output"]) == (0, {"result": {"city": "LAX", "n": 1}})
    assert call("goal", " ").status == 2
    assert call("goal", "Report on a city", "--planner", "lmm").status == 2
    failed = call("goal", "Bake a cake", "-o", "json")
    assert (failed.status, str(failed.document()["reason"])[:6]) == (1, "TW7016")


def test_a_run_is_done_again_with_other_inputs(plan: Path) -> None:
    run = str(started()["run_id"])
    assert call("cancel", run, "--by", "ann", "-o", "json").document()["status"] == "cancelled"
    again = call("rerun", run, "--input", "city=BOS", "--input", "n=3", "-o", "json")
    assert again.status == 6
    fresh = str(again.document()["run_id"])
    skipped = call("step", "skip", fresh, "publish", "-o", "json").document()
    assert (skipped["status"], skipped["output"]) == ("succeeded", {"result": None})
    assert call("cancel", fresh).status == 7
    third = str(call("rerun", run, "--no-work", "-o", "json").document()["run_id"])
    call("work", third)
    completed = call("step", "complete", third, "publish", "--output-value", "5", "-o", "json").document()
    assert completed["output"] == {"result": 5}


def test_inputs_and_signals_reach_a_run(folder: Path) -> None:
    (folder / "waiting.toml").write_text(WAITING, encoding="utf-8")
    run = str(call("plan", "run", "waiting.toml", "-o", "json").document()["run_id"])
    assert [row["step"] for row in call("input", "list", "-o", "json").rows("inputs")] == ["colour"]
    assert call("input", "give", "w_", '"green"').status == 2
    assert call("input", "give", "w_", '"blue"').status == 6
    sent = call("signal", run, "paid", '{"usd": 3}', "-o", "json")
    assert sent.document()["output"] == {"said": ["blue", {"usd": 3}]}
    assert call("signal", run, "paid").status == 7


def test_what_is_wrong_is_told_and_nothing_is_begun(plan: Path) -> None:
    assert call("plan", "run", "none.toml").status == 8
    assert call("plan", "run", plan).status == 2
    assert call("plan", "run", plan, "--input", "city=A", "--input", "n=x").status == 2
    assert call("plan", "run", plan, "--input", "city=A", "--profile", "nobody").status == 8
    assert call("approval", "grant", "w_none").status == 8
    assert call("rerun", "r_none").status == 8
    assert call("runs", "-o", "json").rows("runs") == []


def test_empty_lists_say_so(folder: Path) -> None:
    assert folder.is_dir()
    for words in (("approval", "list"), ("input", "list"), ("deadletter", "list"), ("work",)):
        answer = call(*words)
        assert (answer.status, bool(answer.err)) == (0, True)
    assert call("deadletter", "requeue", "r_none").status == 8


@pytest.mark.slow
def test_who_stays_tells_each_run_on_a_line_and_names_none(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queued = str(call("plan", "run", plan, "--input", "city=JFK", "--no-work", "-o", "json").document()["run_id"])
    asked = iter([False] * 12)

    def pressed(_: StopRequest) -> bool:
        # As if somebody pressed Ctrl-C after a while.
        return next(asked, True)

    monkeypatch.setattr(StopRequest, "__call__", pressed)
    stayed = call("work", "--stay", "-o", "jsonl")
    told = [json.loads(line) for line in stayed.out.splitlines()]
    assert [(row["run_id"], row["status"]) for row in told[:-1]] == [(queued, "waiting")]
    assert told[-1]["statuses"] == {"waiting": 1}
    named = call("work", queued, "--stay")
    assert (named.status, "leave one of them out" in named.err) == (2, True)


def test_what_became_of_every_step_is_told_once_up_to_the_last(plan: Path) -> None:
    answer = call("plan", "run", plan, "--input", "city=JFK")
    assert [line for line in answer.err.splitlines() if line.startswith("load:")][-1] == "load: succeeded"
    granted = call("approval", "grant", "w_", "--by", "ann")
    assert granted.status == 0
    assert "publish: succeeded" in granted.err
    assert "load:" not in granted.err, "that was told before the run waited"
    (plan.parent / "undone.toml").write_text(
        'name = "undone"\n'
        '[[steps]]\nid = "a"\nskill = "json_transform"\nparams = { value = 1, expression = "@" }\n'
        '[[steps]]\nid = "b"\nskill = "json_transform"\nparams = { value = 1, expression = "foo(" }\n'
        'depends_on = ["a"]\n'
        '[[steps]]\nid = "c"\nskill = "json_transform"\nparams = { value = 1, expression = "@" }\n'
        'depends_on = ["b"]\n'
    )
    failed = call("plan", "run", "undone.toml")
    told = [line for line in failed.err.splitlines() if line.partition(":")[0] in ("a", "b", "c")]
    assert told[-2:] == ["b: failed", "c: cancelled"]


def test_an_answer_that_changes_nothing_says_so_and_ends_well_whatever_it_answers(folder: Path) -> None:
    (folder / "both.toml").write_text(
        'name = "both"\n'
        '[[steps]]\nid = "a"\nskill = "json_transform"\nparams = { value = 1, expression = "@" }\n'
        'approval = { message = "Well?" }\n'
        '[[steps]]\nid = "colour"\nwait = { input = { enum = ["red"] } }\n'
        '[[steps]]\nid = "paid"\nwait = { signal = "paid" }\n'
        '[[steps]]\nid = "end"\nwait = { signal = "end" }\n',
        encoding="utf-8",
    )
    run = str(call("plan", "run", "both.toml", "-o", "json").document()["run_id"])
    answers = (
        ("approval", "grant", "w_", "--by", "ann"),
        ("input", "give", "w_", '"red"'),
        ("signal", run, "paid", "--key", "one"),
    )
    for words in answers:
        first = call(*words)
        assert (first.status, "nothing has changed" in first.err) == (6, False), words
    for words in answers:
        again = call(*words)
        assert (again.status, "nothing has changed" in again.err) == (0, True), words
        assert "status  waiting" in again.out
