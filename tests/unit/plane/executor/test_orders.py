"""What people tell a plan that is running."""

import msgspec
import pytest

from tests.unit.plane.executor.props import BREAK, BROKE, SEND, Stage, assign, call, plan, play, step, usual
from tickwork.plane.calls import Answer, Order, Usage
from tickwork.plane.compiled import Approval, Assignment, Wait
from tickwork.records import OUTSIDE, Encoding, FrameKind, Input, InputKind, Message


def test_a_run_that_is_cancelled_takes_what_is_out_and_undoes_what_was_done() -> None:
    steps = (step("a", compensate=call(SEND)), step("b", 0, compensate=call(SEND)), step("c", 1))
    stage = Stage(assign(plan(*steps)))
    stage.answer(("a", 1))
    stage.order("cancel")
    assert stage.waiting == [("echo@1", "b")]
    stage.answer(("b", 1))
    assert [(asked.path, asked.purpose) for asked in stage.open.values()] == [("b", "compensate")]
    stage.finish(lambda asked: None)
    assert stage.ending is not None
    assert stage.ending.status == "cancelled"
    assert stage.ending.failure is not None
    assert stage.ending.failure.message == "cancelled by ann"
    assert dict(stage.ending.steps) == {"compensated": 2, "cancelled": 1}


def test_a_run_that_only_waits_is_cancelled_at_once() -> None:
    stage = Stage(assign(plan(step("w", wait=Wait("signal", signal="x")))))
    stage.order("cancel")
    assert stage.ending is not None
    assert stage.left


def test_a_second_order_changes_nothing() -> None:
    stage = Stage(assign(plan(step("a"))))
    stage.order("cancel")
    stage.order("cancel")
    assert stage.logs == ["refused: cancel: the run is ending already"]


@pytest.mark.parametrize(
    "waiting",
    [
        {"wait": Wait("input")},
        {"approval": Approval()},
        {"skill": BREAK, "on_error": "escalate"},
    ],
    ids=["input", "approval", "escalation"],
)
def test_a_step_that_waits_can_be_skipped_or_done_by_hand(waiting: dict[str, object]) -> None:
    for order, output, expected in (("skip", None, None), ("complete", {"x": 1}, {"x": 1})):
        steps = (step("a", **waiting), step("b", 0, params={"got": "${steps.a.output}"}))  # type: ignore[arg-type]
        stage = Stage(assign(plan(*steps)))
        if "skill" in waiting:
            stage.answer(("a", BROKE))
        late = next(iter(stage.open))
        stage.order(order, "a", output)
        assert stage.issued[-1].path == "b"
        stage.answer((late, {"decision": "grant"}))
        assert stage.finish().output == msgspec.json.encode({"b": {"got": expected}})
        assert stage.ending is not None
        assert stage.ending.status == "succeeded"


def test_a_step_can_be_done_by_hand_before_its_turn() -> None:
    stage = Stage(assign(plan(step("a"), step("b", 0), step("c", 1))))
    stage.order("complete", "b", 5)
    stage.answer(("a", 1))
    assert [path for _, path in stage.waiting] == ["c"]


def test_what_a_skipped_call_used_is_counted_and_what_it_did_is_undone() -> None:
    steps = (step("a", compensate=call(SEND)), step("b"), step("z", 1, skill=BREAK))
    stage = Stage(assign(plan(*steps)))
    stage.order("skip", "a")
    stage.answer(("b", 1))
    stage.answer(("z", BROKE))
    assert stage.ending is None, "what is out is waited for"
    stage.answer(("a", Answer(0, b"1", usage=Usage(cost_micros=9))))
    assert [(asked.path, asked.purpose) for asked in stage.open.values()] == [("a", "compensate")]
    stage.answer(("a", None))
    assert stage.ending is not None
    assert stage.ending.usage.cost_micros == 9


def test_an_iteration_and_a_step_of_a_plan_within_have_paths() -> None:
    inner = plan(step("x", wait=Wait("input")), name="inner")
    steps = (
        step("p", plan=1, for_each="[1, 2]"),
        step("e", for_each="[1, 2]", params={"v": "${item}"}, approval=Approval()),
    )
    stage = Stage(assign(plan(*steps), inner))
    stage.order("complete", "p[1]/x", "one")
    stage.order("skip", "e[0]")
    stage.order("complete", "e[1]", "E")
    stage.order("skip", "p[0]")
    assert stage.ending is not None
    assert stage.ending.output == b'{"e":[null,"E"],"p":[null,{"x":"one"}]}'


def test_a_plan_within_that_is_skipped_is_stopped() -> None:
    inner = plan(step("x", compensate=call(SEND)), step("y", 0), name="inner")
    stage = Stage(assign(plan(step("p", plan=1), step("q", 0)), inner))
    stage.answer(("p/x", 1))
    stage.order("skip", "p")
    assert sorted(path for _, path in stage.waiting) == ["p/y", "q"]
    stage.answer(("p/y", 1))
    within = [(asked.path, asked.purpose) for asked in stage.open.values() if "p/" in asked.path]
    assert within == [("p/x", "compensate")]
    assert stage.finish(lambda asked: None).status == "succeeded"


@pytest.mark.parametrize("path", ["", "nobody", "a/b", "a[0]", "A", "a//b", "done", "e[9]"])
def test_an_order_that_fits_nothing_leaves_a_line(path: str) -> None:
    stage = Stage(assign(plan(step("a"), step("done"), step("e", for_each="[1]"))))
    stage.answer(("done", 1))
    issued = len(stage.issued)
    stage.order("skip", path)
    assert stage.logs == [f"refused: skip {path!r}: no such step is under way or still to come"]
    assert len(stage.issued) == issued


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"order":"dance"}', b"\xff"])
def test_a_message_that_is_no_order_leaves_a_line(body: bytes) -> None:
    stage = Stage(assign(plan(step("a"))))
    stage.turn(Message(FrameKind.MESSAGE, Encoding.JSON, OUTSIDE, 0, 0, 1, body))
    assert len(stage.logs) == 1
    assert stage.logs[0].startswith("refused: ")


def test_an_order_is_an_input_of_the_run() -> None:
    order = Input(InputKind.MESSAGE, "operator", "plan", body=msgspec.json.encode(Order("skip", "ann", "b")))
    assignment: Assignment = assign(plan(step("a"), step("b", 0), step("c", 1)))
    done = play(assignment, usual, inputs=((0, order),))
    assert done.skills.paths() == ["a", "c"]
    assert done.ending.status == "succeeded"


def test_an_input_of_the_plan_that_is_changed_is_read_by_steps_that_begin_afterwards() -> None:
    steps = (step("a", params={"of": "${inputs.x}"}), step("b", 0, params={"of": "${inputs.x}"}))
    stage = Stage(assign(plan(*steps), inputs={"x": 1}))
    first = stage.issued[-1]
    stage.order("input", "x", 2)
    stage.order("input", "unknown", 3)
    assert stage.logs == ["refused: input 'unknown': the plan has no such input"]
    stage.answer((first.number, {"done": True}))
    assert (first.params, stage.issued[-1].params) == (b'{"of":1}', b'{"of":2}')
