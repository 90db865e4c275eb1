"""How steps begin: joins, conditions, lists, waits and the order of all of it."""

import msgspec
import pytest

from tests.unit.plane.executor.props import BREAK, BROKE, PINS, Stage, assign, params_of, plan, play, step, usual
from tickwork.plane.calls import Failure, SkillCall
from tickwork.plane.compiled import Wait


def test_steps_that_can_begin_do_so_in_the_order_of_the_plan() -> None:
    steps = (step("d", 3), step("c"), step("b"), step("a"))
    stage = Stage(assign(plan(*steps)))
    assert [asked.path for asked in stage.issued] == ["c", "b", "a"]
    stage.answer(("a", 1))
    assert [asked.path for asked in stage.issued] == ["c", "b", "a", "d"]


def test_a_step_whose_condition_is_false_is_skipped_with_all_that_needs_it() -> None:
    steps = (
        step("a", params={"go": False}),
        step("b", 0, when="steps.a.output.go"),
        step("c", 1),
        step("d", 0, when="!steps.a.output.go"),
        step("e", 1, 3, join=1),
    )
    done = play(assign(plan(*steps)))
    assert done.skills.paths() == ["a", "d", "e"]
    assert done.steps == {"skipped": 2, "succeeded": 3}
    assert done.ending.status == "succeeded"


@pytest.mark.parametrize("when", ["steps.a.output.n", "steps.a.output.nothing == 1", "steps.a.output.n + 'x' == ''"])
def test_a_condition_that_comes_to_no_truth_fails_its_step(when: str) -> None:
    done = play(assign(plan(step("a", params={"n": 1}), step("b", 0, when=when))))
    assert done.ending.status == "failed"
    assert done.ending.culprit == "b"
    assert done.ending.failure is not None
    assert done.ending.failure.code == "TW7023"


def test_any_of_several_is_enough_and_the_others_are_still_taken() -> None:
    stage = Stage(assign(plan(step("a"), step("b"), step("c", 0, 1, join=1))))
    stage.answer(("b", 2))
    assert stage.waiting == [("echo@1", "a"), ("echo@1", "c")]
    stage.answer(("c", 3))
    assert stage.ending is None
    stage.answer(("a", 1))
    assert stage.finish().status == "succeeded"
    assert [asked.path for asked in stage.issued] == ["a", "b", "c"]


def test_a_number_of_successes_counts_no_failure_that_was_allowed() -> None:
    steps = (
        step("a", skill=BREAK, on_error="continue"),
        step("b"),
        step("c"),
        step("two", 0, 1, 2, join=2),
        step("three", 0, 1, 2, join=3),
    )
    done = play(assign(plan(*steps)))
    assert done.skills.paths() == ["a", "b", "c", "two"]
    assert done.steps == {"failed": 1, "skipped": 1, "succeeded": 3}
    assert done.ending.status == "partially_succeeded"


def test_what_comes_after_a_failure_that_was_allowed_goes_on_and_can_see_it() -> None:
    steps = (
        step("a", skill=BREAK, on_error="continue"),
        step("b", 0, params={"was": "${steps.a.status}", "code": "${steps.a.error.code}", "got": "${steps.a.output}"}),
    )
    done = play(assign(plan(*steps)))
    assert done.output == {"b": {"was": "failed", "code": "TW7008", "got": None}}


def test_an_empty_list_is_done_at_once() -> None:
    steps = (step("a", params={"x": []}), step("b", 0, for_each="steps.a.output.x"), step("c", 1))
    done = play(assign(plan(*steps, outputs={"b": "${steps.b.output}"})))
    assert done.skills.paths() == ["a", "c"]
    assert done.output == {"b": []}


def test_only_so_many_iterations_run_at_once_and_outputs_keep_the_order_of_the_list() -> None:
    steps = (step("e", for_each="inputs.x", max_parallel=2, params={"v": "${item}"}),)
    stage = Stage(assign(plan(*steps), inputs={"x": [10, 20, 30, 40]}))
    assert [path for _, path in stage.waiting] == ["e[0]", "e[1]"]
    stage.answer(("e[1]", "second"))
    assert [path for _, path in stage.waiting] == ["e[0]", "e[2]"]
    stage.answer(("e[2]", "third"), ("e[0]", "first"))
    stage.answer(("e[3]", "fourth"))
    assert stage.ending is not None
    assert msgspec.json.decode(stage.ending.output) == {"e": ["first", "second", "third", "fourth"]}


@pytest.mark.parametrize("values", ["inputs.n", "inputs.absent"])
def test_a_list_that_is_none_fails_its_step(values: str) -> None:
    done = play(assign(plan(step("e", for_each=values)), inputs={"n": 3}))
    assert done.ending.failure is not None
    assert done.ending.failure.code == "TW7023"


def test_iterations_that_may_fail_leave_null_and_all_of_them_failing_fails_the_step() -> None:
    def some(asked: SkillCall) -> object:
        return BROKE if params_of(asked)["v"] in ("bad", "worse") else params_of(asked)["v"]

    steps = (step("e", for_each="inputs.x", on_error="continue", params={"v": "${item}"}),)
    done = play(assign(plan(*steps), inputs={"x": ["good", "bad"]}), some)
    assert done.ending.status == "partially_succeeded"
    assert done.output == {"e": ["good", None]}
    done = play(assign(plan(*steps), inputs={"x": ["bad", "worse"]}), some)
    assert done.steps == {"failed": 1}


def test_outputs_of_a_step_are_what_it_says_they_are() -> None:
    steps = (
        step("a", params={"rows": [1, 2, 3]}, outputs={"count": "${size(result.rows)}"}),
        step("b", 0, for_each="[1, 2]", params={"n": "${item}"}, outputs={"n": "${result.n}", "at": "${index}"}),
    )
    done = play(assign(plan(*steps, outputs={"a": "${steps.a.output}", "b": "${steps.b.output}"})))
    assert done.output == {"a": {"count": 3}, "b": [{"at": 0, "n": 1}, {"at": 1, "n": 2}]}


def test_outputs_that_come_to_nothing_fail_the_step_once_it_is_done() -> None:
    done = play(assign(plan(step("a", params={"x": 1}, outputs={"y": "${result.y}"}))))
    assert done.ending.failure is not None
    assert done.ending.failure.code == "TW7023"
    assert done.skills.paths() == ["a"]


def test_waits_ask_for_a_timer_a_signal_or_a_person() -> None:
    steps = (
        step("t", wait=Wait("timer", timer_ms=250)),
        step("s", wait=Wait("signal", signal="go-${inputs.name}", timeout_ms=9)),
        step("i", wait=Wait("input", schema=b'{"type":"string"}', message="Who is ${inputs.name}?")),
    )
    stage = Stage(assign(plan(*steps), inputs={"name": "bo"}))
    asked = [(found.skill, params_of(found)) for found in stage.issued]
    assert asked == [
        ("wait.timer", {"step": "t", "delay_ms": 250}),
        ("wait.signal", {"step": "s", "signal": "go-bo", "timeout_ms": 9}),
        ("ask.input", {"step": "i", "message": "Who is bo?", "schema": {"type": "string"}, "timeout_ms": 0}),
    ]
    assert [stage.status(name) for name in "tsi"] == ["waiting"] * 3
    stage.answer(("t", None), ("s", {"at": 3}), ("i", "a dog"))
    assert stage.ending is not None
    assert msgspec.json.decode(stage.ending.output) == {"t": None, "s": {"at": 3}, "i": "a dog"}


def test_a_wait_that_is_over_without_an_answer_fails_as_its_step_says() -> None:
    late = Failure("TW7009", "nobody answered")
    steps = (step("i", wait=Wait("input", timeout_ms=5), on_error="continue"), step("after", 0))
    done = play(assign(plan(*steps)), lambda asked: late if asked.skill == "ask.input" else usual(asked))
    assert done.steps == {"failed": 1, "succeeded": 1}


def test_more_than_can_be_out_at_once_waits_its_turn() -> None:
    steps = (step("e", for_each="inputs.x", max_parallel=1024), *(step(f"s{n}") for n in range(1100)))
    stage = Stage(assign(plan(*steps, outputs={}), inputs={"x": list(range(1500))}))
    assert len(stage.open) == 2048
    assert stage.finish().calls == 2600
    assert sorted(asked.path for asked in stage.issued)[:2] == ["e[0]", "e[1000]"]


def test_a_plan_without_steps_has_succeeded() -> None:
    assert play(assign(plan())).ending.status == "succeeded"


def test_a_call_says_what_it_may_be_answered_with_and_how_long_it_may_take() -> None:
    pins = (msgspec.structs.replace(PINS[0], timeout_ms=900), *PINS[1:])
    steps = (
        step("named", cache_key="rows-${inputs.day}", cache_ms=5000, timeout_ms=70),
        step("own", params={"x": 1}, cache_ms=5000),
        step("same", params={"x": 1}, cache_ms=5000),
        step("other", params={"x": 2}, cache_ms=5000),
        step("none"),
    )
    stage = Stage(assign(plan(*steps), inputs={"day": "mon"}, pins=pins))
    named, own, same, other, none = stage.issued
    assert (named.cache_key, named.cache_ms, named.timeout_ms) == ("rows-mon", 5000, 70)
    assert own.cache_key == same.cache_key != other.cache_key
    assert (none.cache_key, none.cache_ms, none.timeout_ms) == ("", 0, 900)


def test_a_cache_key_that_comes_to_nothing_fails_the_step_before_it_is_called() -> None:
    stage = Stage(assign(plan(step("a", cache_key="${inputs.absent}", cache_ms=5))))
    assert stage.issued == []
    assert stage.ending is not None


def test_a_step_in_another_class_is_another_effect() -> None:
    stage = Stage(assign(plan(step("a"), step("b", effect_class=2), step("c", skill=4))))
    assert stage.effects == ["echo@1", "echo@1#unsafe", "pay@1"]
    assert [asked.skill for asked in stage.issued] == ["echo@1", "echo@1", "pay@1"]
