"""Plans that are steps of other plans."""

from typing import Any

import msgspec

from tests.unit.plane.executor.props import (
    BREAK,
    BROKE,
    FETCH,
    SEND,
    Stage,
    assign,
    call,
    params_of,
    plan,
    play,
    step,
    usual,
)
from tickwork.plane.calls import SkillCall
from tickwork.plane.compiled import RetryRule, Wait

INNER = plan(
    step("one", params={"v": "${inputs.v}"}, compensate=call(SEND, {"undo": "${steps.one.output.v}"})),
    step("two", 0, params={"v": "${steps.one.output.v + 1}"}),
    outputs={"v": "${steps.two.output.v}"},
    name="inner",
)


def test_a_plan_is_a_step_with_inputs_and_outputs() -> None:
    steps = (step("p", plan=1, params={"v": "${inputs.n}"}), step("after", 0, params={"got": "${steps.p.output.v}"}))
    done = play(assign(plan(*steps), INNER, inputs={"n": 4}))
    assert done.output == {"after": {"got": 5}}
    assert done.skills.paths() == ["p/one", "p/two", "after"]


def test_a_plan_runs_for_each_item_of_a_list() -> None:
    steps = (step("p", plan=1, for_each="[1, 2]", params={"v": "${item}"}),)
    done = play(assign(plan(*steps), INNER))
    assert done.output == {"p": [{"v": 2}, {"v": 3}]}
    assert sorted(done.skills.paths()) == ["p[0]/one", "p[0]/two", "p[1]/one", "p[1]/two"]


def test_plans_lie_within_each_other() -> None:
    middle = plan(step("m", plan=2, params={"v": "${inputs.v}"}), name="middle", outputs={"v": "${steps.m.output.v}"})
    done = play(assign(plan(step("p", plan=1, params={"v": 1})), middle, INNER))
    assert done.skills.paths() == ["p/m/one", "p/m/two"]
    assert done.output == {"p": {"v": 2}}


def test_plans_within_each_other_without_end_are_stopped() -> None:
    again = plan(step("p", plan=0))
    done = play(assign(again))
    assert done.ending.failure is not None
    assert done.ending.failure.code == "TW7001"


def test_a_failure_within_is_the_steps_failure_and_its_policy_decides() -> None:
    inner = plan(step("x", skill=BREAK), name="inner")
    steps = (step("p", plan=1, on_error="continue"), step("after", 0, params={"error": "${steps.p.error.message}"}))
    done = play(assign(plan(*steps), inner))
    assert done.ending.status == "partially_succeeded"
    assert done.output == {"after": {"error": "p/x: it broke"}}


def test_a_plan_that_fails_undoes_what_it_did_before_its_step_has_failed() -> None:
    inner = plan(step("a", compensate=call(SEND)), step("b", 0, skill=BREAK), name="inner")
    steps = (step("p", plan=1, on_error="continue"), step("after", 0))
    done = play(assign(plan(*steps), inner))
    assert [(asked.path, asked.purpose) for asked in done.skills.calls] == [
        ("p/a", "step"),
        ("p/b", "step"),
        ("p/a", "compensate"),
        ("after", "step"),
    ]


def test_a_plan_that_is_begun_again_has_paths_of_its_own() -> None:
    count = [0]

    def given(asked: SkillCall) -> Any:
        count[0] += asked.skill == "break@1"
        return BROKE if asked.skill == "break@1" and count[0] < 3 else usual(asked) if count[0] < 3 else 1

    inner = plan(step("x", skill=BREAK), name="inner")
    rule = RetryRule(max=2, initial_ms=0, jitter=False)
    done = play(assign(plan(step("p", plan=1, retry=rule)), inner), given)
    assert done.ending.status == "succeeded"
    assert done.skills.paths() == ["p/x", "p~2/x", "p~3/x"]


def test_what_a_plan_within_did_is_undone_with_the_rest_in_reverse() -> None:
    undo = call(SEND, {"undo": "${result.v}"})
    steps = (
        step("a", params={"v": "a"}, compensate=undo),
        step("p", 0, plan=1, params={"v": 7}),
        step("b", 1, params={"v": "b"}, compensate=undo),
        step("c", 2, skill=BREAK),
    )
    done = play(assign(plan(*steps), INNER))
    undone = [(asked.path, params_of(asked)["undo"]) for asked in done.skills.calls if asked.purpose == "compensate"]
    assert undone == [("b", "b"), ("p/one", 7), ("a", "a")]


def test_a_step_that_says_how_it_is_undone_is_undone_as_a_whole() -> None:
    steps = (
        step("p", plan=1, params={"v": 7}, compensate=call(SEND, {"all": "${result.v}"})),
        step("c", 0, skill=BREAK),
    )
    done = play(assign(plan(*steps), INNER))
    undone = [(asked.path, params_of(asked)) for asked in done.skills.calls if asked.purpose == "compensate"]
    assert undone == [("p", {"all": 8})]


def test_a_plan_within_is_stopped_with_the_one_around_it() -> None:
    inner = plan(step("x", compensate=call(SEND)), step("w", 0, wait=Wait("signal", signal="s")), name="inner")
    steps = (step("p", plan=1), step("q"), step("z", 1, skill=BREAK))
    stage = Stage(assign(plan(*steps), inner))
    stage.answer(("p/x", 1))
    stage.answer(("q", 1))
    stage.answer(("z", BROKE))
    assert [(asked.path, asked.purpose) for asked in stage.open.values() if asked.skill == "send@1"] == [
        ("p/x", "compensate")
    ]
    stage.answer((stage.issued[-1].number, None))
    assert stage.ending is not None
    assert dict(stage.ending.steps) == {"cancelled": 1, "failed": 1, "succeeded": 1}


def test_a_plan_within_has_so_much_time_and_no_more() -> None:
    inner = plan(step("x", compensate=call(SEND)), step("y", 0), name="inner")
    stage = Stage(assign(plan(step("p", plan=1, timeout_ms=500, on_error="continue"), step("q", 0)), inner))
    assert [(asked.skill, asked.path) for asked in stage.issued] == [("wait.timer", "p"), ("echo@1", "p/x")]
    stage.answer(("p/x", 1))
    stage.answer(("p", None))
    assert [path for _, path in stage.waiting] == ["p/y"], "what a skill is at is waited for"
    stage.answer(("p/y", 1))
    assert stage.issued[-1].purpose == "compensate"
    stage.answer(("p/x", None))
    stage.answer(("q", 1))
    assert stage.ending is not None
    assert stage.ending.status == "partially_succeeded"


def test_time_that_runs_out_after_the_end_changes_nothing() -> None:
    stage = Stage(assign(plan(step("p", plan=1, timeout_ms=500), step("q", 0)), plan(step("x"), name="inner")))
    stage.answer(("p/x", 1))
    stage.answer(("p", None))
    assert stage.waiting == [("echo@1", "q")]


def test_outputs_that_come_to_nothing_fail_the_plan() -> None:
    done = play(assign(plan(step("a", compensate=call(SEND)), outputs={"x": "${steps.a.output.absent}"})))
    assert (done.ending.status, done.ending.culprit) == ("failed", "outputs")
    assert done.steps == {"compensated": 1}


def test_what_is_partial_within_is_partial_as_a_whole() -> None:
    inner = plan(step("x", skill=BREAK, on_error="continue"), step("y"), name="inner")
    assert play(assign(plan(step("p", plan=1)), inner)).ending.status == "partially_succeeded"


def test_inputs_from_outside_keep_their_labels_within() -> None:
    inner = plan(step("s", skill=SEND, params={"t": "${inputs.v}"}), name="inner")
    steps = (step("read", skill=FETCH), step("p", 0, plan=1, params={"v": "${steps.read.output}"}))
    stage = Stage(assign(plan(*steps), inner))
    stage.answer(("read", "x"))
    assert msgspec.json.decode(stage.issued[-1].params)["kind"] == "taint"
