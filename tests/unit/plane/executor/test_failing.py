"""What follows from a failure: trying again, something else, a person, going on, or the end with everything undone."""

from typing import Any

import msgspec
import pytest

from tests.unit.plane.executor.props import (
    BREAK,
    BROKE,
    PAY,
    PINS,
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
from tickwork.plane.calls import Failure, SkillCall
from tickwork.plane.compiled import RetryRule, Wait

AT_ONCE = RetryRule(max=2, initial_ms=0, jitter=False)


def failing(times: int, failure: Failure = BROKE) -> Any:
    """Return skills that break so many times and then give what they were given."""
    left = [times]

    def given(asked: SkillCall) -> object:
        if asked.skill == "break@1" and left[0]:
            left[0] -= 1
            return failure
        return params_of(asked) if asked.skill in ("echo@1", "break@1") else usual(asked)

    return given


def test_a_failure_ends_the_run_and_begins_nothing_more() -> None:
    stage = Stage(assign(plan(step("a", skill=BREAK), step("b"), step("c", 1), step("d", 0))))
    stage.answer(("a", BROKE))
    assert stage.ending is None, "what a skill is still at is waited for"
    stage.answer(("b", 2))
    ending = stage.ending
    assert ending is not None
    assert (ending.status, ending.culprit, ending.failure) == ("failed", "a", BROKE)
    assert dict(ending.steps) == {"failed": 1, "succeeded": 1, "cancelled": 2}
    assert stage.left


def test_nobody_is_waited_for_when_the_run_ends() -> None:
    stage = Stage(assign(plan(step("a", skill=BREAK), step("w", wait=Wait("signal", signal="s")))))
    stage.answer(("a", BROKE))
    assert stage.ending is not None
    assert dict(stage.ending.steps) == {"failed": 1, "cancelled": 1}


def test_a_failure_is_tried_again_after_a_while_that_grows() -> None:
    rule = RetryRule(max=3, initial_ms=100, factor_milli=3000, longest_ms=500, jitter=False)
    stage = Stage(assign(plan(step("a", skill=BREAK, retry=rule))))
    delays: list[int] = []
    for _ in range(3):
        stage.answer(("a", BROKE))
        assert stage.status("a") == "backing_off"
        delays.append(params_of(stage.issued[-1])["delay_ms"])
        stage.answer(("a", None))
    assert delays == [100, 300, 500]
    assert [asked.attempt for asked in stage.issued if asked.purpose == "step"] == [1, 2, 3, 4]
    stage.answer(("a", BROKE))
    assert stage.ending is not None
    assert stage.ending.status == "failed"


def test_the_wait_is_seeded_and_between_a_half_and_the_whole() -> None:
    rule = RetryRule(max=1, initial_ms=1000)

    def delay(seed: int) -> int:
        stage = Stage(assign(plan(step("a", skill=BREAK, retry=rule))), seed=seed)
        stage.answer(("a", BROKE))
        delay: int = params_of(stage.issued[-1])["delay_ms"]
        return delay

    found = [delay(seed) for seed in range(20)]
    assert found == [delay(seed) for seed in range(20)]
    assert len(set(found)) > 10
    assert all(500 <= one <= 1000 for one in found)


def test_what_the_skill_says_of_when_to_try_again_is_heeded() -> None:
    stage = Stage(assign(plan(step("a", skill=BREAK, retry=AT_ONCE))))
    stage.answer(("a", Failure("TW7017", "too many requests", retryable=True, retry_after_ms=700)))
    assert params_of(stage.issued[-1])["delay_ms"] == 700


@pytest.mark.parametrize(
    "failure", [Failure("TW7006", "wrong params"), Failure("TW7017", "gone", retryable=True)], ids=["not", "never"]
)
def test_some_failures_are_not_tried_again(failure: Failure) -> None:
    rule = RetryRule(max=5, initial_ms=0, never=("TW7017",))
    done = play(assign(plan(step("a", skill=BREAK, retry=rule))), failing(9, failure))
    assert len(done.skills.calls) == 1


def test_a_skill_has_a_rule_of_its_own_and_a_step_may_ask_for_nothing_but_trying_again() -> None:
    pins = (*PINS[:BREAK], msgspec.structs.replace(PINS[BREAK], retry=AT_ONCE))
    assert play(assign(plan(step("a", skill=BREAK)), pins=pins), failing(2)).ending.status == "succeeded"
    done = play(assign(plan(step("a", skill=BREAK, on_error="retry"))), failing(2))
    assert done.ending.status == "succeeded"
    assert len([asked for asked in done.skills.calls if asked.skill == "wait.timer"]) == 2


def test_an_unsafe_call_that_ran_out_of_time_is_not_made_again() -> None:
    late = Failure("TW7009", "no answer", retryable=True)
    done = play(assign(plan(step("a", skill=PAY, retry=AT_ONCE))), lambda asked: late)
    assert done.skills.paths() == ["a"]
    done = play(assign(plan(step("a", skill=BREAK, effect_class=3, retry=AT_ONCE))), lambda asked: late)
    assert done.skills.paths() == ["a"]
    done = play(assign(plan(step("a", skill=SEND, retry=AT_ONCE))), lambda asked: late)
    assert done.skills.paths() == ["a"] * 3


def test_a_fallback_stands_in_and_may_look_at_the_failure() -> None:
    other = call(params={"instead": "${error.code}"})
    done = play(assign(plan(step("a", skill=BREAK, retry=AT_ONCE, on_error="fallback", fallback=other))))
    assert done.output == {"a": {"instead": "TW7008"}}
    assert done.ending.degraded
    assert [(asked.purpose, asked.attempt) for asked in done.skills.calls] == [
        ("step", 1),
        ("step", 2),
        ("step", 3),
        ("fallback", 1),
    ]


def test_a_fallback_that_fails_too_ends_the_run() -> None:
    done = play(assign(plan(step("a", skill=BREAK, on_error="fallback", fallback=call(BREAK)))))
    assert done.ending.status == "failed"
    assert not done.ending.degraded


def escalated(decision: dict[str, Any], *more: Any) -> Stage:
    steps = (step("a", skill=BREAK, params={"x": 1}, on_error="escalate", title="A"), step("b", 0))
    stage = Stage(assign(plan(*steps, outputs={"a": "${steps.a.output}"})))
    stage.answer(("a", BROKE))
    asked = stage.issued[-1]
    assert asked.skill == "ask.approval"
    request = params_of(asked)
    assert (request["kind"], request["arguments"], request["error"]) == ("escalation", {"x": 1}, "TW7008 it broke")
    assert stage.status("a") == "waiting"
    stage.answer(("a", {"by": ["ann"], **decision}))
    return stage


def test_a_person_may_have_a_failed_step_tried_again_even_with_other_arguments() -> None:
    stage = escalated({"decision": "retry"})
    assert (stage.issued[-1].attempt, stage.issued[-1].approved_by) == (2, "ann")
    stage = escalated({"decision": "modify", "arguments": {"x": 2}})
    assert params_of(stage.issued[-1]) == {"x": 2}
    stage.answer(("a", {"fine": 1}))
    assert stage.finish().output == b'{"a":{"fine":1}}'


def test_a_person_may_go_on_without_a_failed_step_or_say_what_it_came_to() -> None:
    assert escalated({"decision": "skip"}).finish().output == b'{"a":null}'
    assert escalated({"decision": "complete", "arguments": {"x": 5}}).finish().output == b'{"a":{"x":5}}'


def test_a_person_who_gives_a_failed_step_up_ends_the_run() -> None:
    stage = escalated({"decision": "deny"})
    assert stage.ending is not None
    assert stage.ending.failure == BROKE


def test_a_step_whose_condition_failed_is_begun_anew_when_a_person_says_so() -> None:
    steps = (
        step("a"),
        step("b", 0, when="steps.a.output.go", for_each="[1, 2]", params={"v": "${item}"}, on_error="escalate"),
    )
    stage = Stage(assign(plan(*steps)))
    stage.answer(("a", {}))
    stage.answer(("b", {"decision": "retry"}))
    assert stage.waiting == [("ask.approval", "b")]
    stage.answer(("b", {"decision": "complete", "arguments": [7]}))
    assert stage.ending is not None
    assert stage.ending.output == b'{"b":[7]}'


def test_what_was_done_is_undone_in_the_reverse_order() -> None:
    undo = call(SEND, {"undo": "${result.n}"})
    steps = (
        step("a", params={"n": 1}, compensate=undo),
        step("b", params={"n": 2}, compensate=undo),
        step("c", 0, 1, params={"n": 3}, compensate=undo, outputs={"text": "other than the result"}),
        step("d", 2, skill=BREAK, compensate=undo),
    )
    done = play(assign(plan(*steps)))
    undone = [(asked.path, params_of(asked)) for asked in done.skills.calls if asked.purpose == "compensate"]
    assert undone == [("c", {"undo": 3}), ("b", {"undo": 2}), ("a", {"undo": 1})]
    assert done.steps == {"compensated": 3, "failed": 1}
    assert done.ending.undone


def test_one_thing_is_undone_after_the_other_and_one_that_cannot_be_keeps_none_from_it() -> None:
    undo = call(BREAK, {"undo": "${steps.a.output}"})
    steps = (
        step("a", params={"n": 1}, compensate=undo),
        step("b", 0, compensate=call(BREAK)),
        step("c", 1, skill=BREAK),
    )
    stage = Stage(assign(plan(*steps)))
    stage.answer(("a", "A"))
    stage.answer(("b", "B"))
    stage.answer(("c", BROKE))
    assert stage.waiting == [("break@1", "b")]
    stage.answer(("b", BROKE))
    assert stage.waiting == [("break@1", "a")]
    assert params_of(stage.issued[-1]) == {"undo": "A"}
    stage.answer(("a", None))
    assert stage.ending is not None
    assert not stage.ending.undone
    assert dict(stage.ending.steps) == {"compensated": 1, "succeeded": 1, "failed": 1}


def test_a_step_that_ends_while_the_run_is_stopped_is_undone_too() -> None:
    steps = (step("a", skill=BREAK), step("b", compensate=call(SEND)))
    stage = Stage(assign(plan(*steps)))
    stage.answer(("a", BROKE))
    stage.answer(("b", 1))
    assert stage.issued[-1].purpose == "compensate"
    stage.answer(("b", None))
    assert stage.ending is not None
    assert dict(stage.ending.steps) == {"failed": 1, "compensated": 1}


def test_iterations_are_undone_each_for_itself() -> None:
    undo = call(SEND, {"v": "${item}", "at": "${index}"})
    steps = (step("e", for_each="[5, 6]", params={"v": "${item}"}, compensate=undo), step("z", 0, skill=BREAK))
    done = play(assign(plan(*steps)))
    undone = [(asked.path, params_of(asked)) for asked in done.skills.calls if asked.purpose == "compensate"]
    assert undone == [("e[1]", {"v": 6, "at": 1}), ("e[0]", {"v": 5, "at": 0})]


def test_iterations_of_a_failing_step_that_were_done_are_undone() -> None:
    def given(asked: SkillCall) -> object:
        return BROKE if asked.path == "e[1]" and asked.purpose == "step" else None

    steps = (step("e", for_each="[5, 6, 7]", params={"v": "${item}"}, compensate=call(SEND)),)
    done = play(assign(plan(*steps)), given)
    assert done.skills.paths("compensate") == ["e[2]", "e[0]"]
    assert done.steps == {"compensated": 1}
    assert done.ending.culprit == "e[1]"
