"""Outside values keep their labels on the way through memory: into a plan, and into what is kept of a run."""

import base64

import msgspec

from tests.unit.plane.executor.props import FETCH, PINS, SEND, Stage, assign, params_of, plan, step
from tickwork import codec
from tickwork.plane.calls import Answer
from tickwork.plane.compiled import Assignment

GOAL = Assignment("tell them", b"{}", assign(plan()).agent, allowed=PINS, planner="llm")
PAGE = ("outside:web_read",)


def _planned(*labels: str) -> Stage:
    """Return a run whose planner was shown what a page had said, and answers with these labels."""
    compiled = assign(plan(step("tell", skill=SEND, params={"to": "eve"}))).compiled
    output = msgspec.json.encode({"compiled": base64.b64encode(codec.encode(compiled)).decode()})
    stage = Stage(GOAL)
    stage.answer((1, Answer(0, b'{"sections":[]}', labels=PAGE)))
    assert stage.issued[1].labels == PAGE
    stage.answer((2, Answer(0, output, labels=labels)))
    return stage


def test_what_a_plan_of_outside_values_would_change_needs_a_rule_or_an_approval() -> None:
    stage = _planned(*PAGE)
    asked = params_of(stage.issued[-1])
    assert (asked["kind"], asked["arguments"], asked["labels"]) == ("taint", {"to": "eve"}, list(PAGE))


def test_a_plan_that_memory_had_no_part_in_needs_none() -> None:
    assert _planned().waiting == [("send@1", "tell")]


def test_memory_is_told_where_what_it_keeps_comes_from() -> None:
    stage = Stage(assign(plan(step("read", skill=FETCH), step("b", 0)), remember=True))
    stage.answer(("read", "cats"))
    stage.answer(("b", None))
    assert (stage.issued[-1].skill, stage.issued[-1].labels) == ("memory.keep", ("outside:fetch",))
    stage = Stage(assign(plan(step("b")), remember=True))
    stage.answer(("b", None))
    assert (stage.issued[-1].skill, stage.issued[-1].labels) == ("memory.keep", ())
