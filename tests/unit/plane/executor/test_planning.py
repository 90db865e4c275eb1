"""From a goal to a plan that a planner makes, and what memory keeps of a run."""

import base64
from typing import Any

import msgspec
import pytest

from tests.unit.plane.executor.props import FETCH, PINS, Stage, assign, params_of, plan, step
from tickwork import codec
from tickwork.plane.calls import Answer, Failure, Usage
from tickwork.plane.compiled import Assignment, Compiled
from tickwork.plane.world import plan_header

GOAL = Assignment("count the cats", b'{"n":2}', assign(plan()).agent, allowed=PINS, planner="llm")


def proposed(compiled: Compiled, **more: Any) -> dict[str, Any]:
    return {"compiled": base64.b64encode(codec.encode(compiled)).decode(), **more}


def made(*steps: Any, pins: Any = PINS, **more: Any) -> Compiled:
    compiled = assign(plan(*steps, **more), pins=pins).compiled
    assert compiled is not None
    return compiled


def test_what_is_remembered_goes_to_the_planner_and_its_plan_is_run() -> None:
    stage = Stage(GOAL)
    assert params_of(stage.issued[0]) == {"goal": "count the cats"}
    assert stage.waiting == [("memory.recall", "")]
    stage.answer((1, {"sections": [{"name": "notes"}]}))
    assert params_of(stage.issued[1]) == {
        "goal": "count the cats",
        "inputs": {"n": 2},
        "planner": "llm",
        "recalled": {"sections": [{"name": "notes"}]},
    }
    stage.answer(
        (2, proposed(made(step("a", params={"v": "${inputs.n}", "m": "${inputs.m}"})), inputs={"m": 3, "n": 9}))
    )
    assert params_of(stage.issued[2]) == {"v": 9, "m": 3}
    assert stage.finish().status == "succeeded"


@pytest.mark.parametrize("asked", [0, 1], ids=["before memory is asked", "before the plan is there"])
def test_an_input_that_people_change_before_there_is_a_plan_is_what_the_plan_begins_with(asked: int) -> None:
    stage = Stage(GOAL)
    answers: list[Any] = [(1, None), (2, proposed(made(step("a", params={"v": "${inputs.n}"})), inputs={"n": 9}))]
    for answer in answers[:asked]:
        stage.answer(answer)
    stage.order("input", "n", 11)
    stage.order("input", "unknown", 3)
    for answer in answers[asked:]:
        stage.answer(answer)
    assert params_of(stage.issued[2]) == {"v": 11}


def test_a_memory_that_fails_keeps_nobody_from_planning() -> None:
    stage = Stage(GOAL)
    stage.answer((1, Failure("TW7018", "no store")))
    assert params_of(stage.issued[1])["recalled"] == {"sections": []}


def test_a_planner_that_fails_ends_the_run() -> None:
    stage = Stage(GOAL)
    stage.answer((1, None))
    stage.answer((2, Failure("TW7016", "no plan")))
    assert stage.ending is not None
    assert (stage.ending.status, stage.ending.failure) == ("failed", Failure("TW7016", "no plan"))


@pytest.mark.parametrize(
    "found",
    [None, 5, {}, {"compiled": "?"}, {"compiled": "AAAA"}, {"compiled": 5}, proposed(Compiled((), (), b"", b""))],
)
def test_an_answer_without_a_plan_ends_the_run(found: object) -> None:
    stage = Stage(GOAL)
    stage.answer((1, None))
    stage.answer((2, found))
    assert stage.ending is not None
    assert stage.ending.failure is not None
    assert stage.ending.failure.code == "TW7016"


@pytest.mark.parametrize("field", ["name", "version", "digest"])
def test_a_plan_of_other_skills_than_the_run_has_is_refused(field: str) -> None:
    changed = {"name": "other", "version": "2", "digest": rb"\9" * 32}[field]
    pins = (msgspec.structs.replace(PINS[0], **{field: changed}),)
    stage = Stage(GOAL)
    stage.answer((1, None))
    stage.answer((2, proposed(made(step("a"), pins=pins))))
    assert stage.ending is not None
    assert stage.ending.failure is not None
    assert stage.ending.failure.code == "TW7005"


def test_what_is_known_of_a_skill_is_never_the_planners_word() -> None:
    pins = tuple(msgspec.structs.replace(pin, side_effects=False, outside=False, effect_class=0) for pin in PINS)
    steps = (step("read", skill=FETCH), step("send", 0, skill=1, params={"t": "${steps.read.output}"}))
    stage = Stage(GOAL)
    stage.answer((1, None))
    stage.answer((2, proposed(made(*steps, pins=pins))))
    stage.answer(("read", "x"))
    assert params_of(stage.issued[-1])["kind"] == "taint"


def test_a_planner_may_ask_for_more_care_and_never_for_less() -> None:
    names = {skill.name: skill.effect_class for skill in plan_header(GOAL).skills}
    assert {"echo@1", "echo@1#idempotent", "echo@1#unsafe", "pay@1"} <= set(names)
    assert "send@1#pure" not in names
    stage = Stage(GOAL)
    stage.answer((1, None))
    stage.answer((2, proposed(made(step("a", skill=1, effect_class=0), step("b", effect_class=2)))))
    assert stage.effects[2:] == ["send@1", "echo@1#unsafe"]


def test_what_planning_costs_counts() -> None:
    stage = Stage(GOAL)
    stage.answer((1, None))
    answer = Answer(0, codec_json(proposed(made(step("a")))), usage=Usage(tokens_in=5, cost_micros=40))
    stage.answer((2, answer))
    assert stage.finish().usage.cost_micros == 40


def codec_json(value: object) -> bytes:
    return msgspec.json.encode(value)


def test_cancelling_before_there_is_a_plan_waits_for_the_planner() -> None:
    stage = Stage(GOAL)
    stage.answer((1, None))
    stage.order("cancel")
    assert stage.ending is None
    stage.answer((2, Answer(0, codec_json(proposed(made(step("a")))), usage=Usage(cost_micros=40))))
    assert stage.ending is not None
    assert (stage.ending.status, stage.ending.usage.cost_micros) == ("cancelled", 40)


def test_a_run_is_summarised_into_memory_at_its_end() -> None:
    stage = Stage(assign(plan(step("a")), remember=True))
    stage.answer(("a", {"cats": 3}))
    assert params_of(stage.issued[-1]) == {"goal": "test", "status": "succeeded", "summary": '{"a":{"cats":3}}'}
    assert stage.ending is None
    stage.answer((2, None))
    assert stage.ending is not None


def test_a_run_with_neither_plan_nor_planner_fails() -> None:
    stage = Stage(Assignment("", b"{}", GOAL.agent))
    assert stage.ending is not None
    assert stage.ending.failure is not None
    assert stage.ending.failure.code == "TW7016"


def test_a_plan_made_from_what_comes_from_outside_is_watched_even_where_it_reads_nothing() -> None:
    stage = Stage(GOAL)
    stage.answer((1, Answer(0, b'{"sections":[]}', labels=("outside:web",))))
    assert stage.issued[-1].labels == ("outside:web",)
    output = codec_json(proposed(made(step("a", skill=1, params={"text": "pay them"}))))
    stage.answer((2, Answer(0, output, labels=("outside:web",))))
    assert params_of(stage.issued[-1])["kind"] == "taint"


def test_memory_is_told_where_what_it_keeps_comes_from() -> None:
    stage = Stage(assign(plan(step("a", skill=FETCH)), remember=True))
    stage.answer(("a", "x"))
    assert stage.issued[-1].labels == ("outside:fetch",)
