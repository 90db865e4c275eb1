"""Turns: what comes in, in whatever form."""

from typing import Any

import pytest

from tests.unit.plane.executor.props import BROKE, Stage, answer_to, assign, call, plan, play, step
from tickwork import codec
from tickwork.native import Context
from tickwork.plane.calls import Answer
from tickwork.plane.executor.agent import PlanExecutor
from tickwork.plane.executor.ending import decode_ending
from tickwork.plane.world import plan_world
from tickwork.records import OUTSIDE, Encoding, FrameKind, Message


def failed(text: str, number: int = 0) -> Message:
    return Message(FrameKind.ERROR, 0, OUTSIDE, 0, number, 1, bytes(16) + text.encode())


def answered(stage: Stage, number: int, found: object) -> Message:
    body = codec.encode(answer_to(stage.open.pop(number), found))
    return Message(FrameKind.RESULT, Encoding.MSGPACK, OUTSIDE, 0, number, 1, body)


def test_a_call_that_nobody_could_perform_has_failed() -> None:
    stage = Stage(assign(plan(step("a", on_error="continue"))))
    stage.turn(failed("no performer for skill 'echo@1' on this host"))
    assert stage.ending is not None
    assert stage.logs == ["a failed: TW7008 no performer for skill 'echo@1' on this host"]


def test_a_failure_without_a_name_is_of_the_call_after_the_last_that_was_answered() -> None:
    stage = Stage(assign(plan(*(step(name, on_error="continue") for name in "abc"))))
    stage.turn(answered(stage, 1, "A"), failed("lost"), answered(stage, 3, "C"))
    assert stage.ending is not None
    assert [stage.status(name) for name in "abc"] == ["succeeded", "failed", "succeeded"]


def test_an_answer_that_is_none_is_a_failure() -> None:
    stage = Stage(assign(plan(step("a"))))
    stage.turn(Message(FrameKind.RESULT, Encoding.MSGPACK, OUTSIDE, 0, 1, 1, b"\xc1"))
    assert stage.ending is not None
    assert stage.ending.failure is not None
    assert stage.ending.failure.message == "an answer that is none"


@pytest.mark.parametrize("output", [b"", b"{", b"NaN", b"[" * 5000], ids=["empty", "open", "nan", "deep"])
@pytest.mark.parametrize("outputs", [{}, {"x": "${result}"}], ids=["as it is", "mapped"])
def test_an_output_that_is_no_json_fails_its_step(output: bytes, outputs: dict[str, str]) -> None:
    more: dict[str, Any] = {"outputs": outputs} if outputs else {}
    stage = Stage(assign(plan(step("a", compensate=call(), **more), step("b", 0, params={"x": "${steps.a.output}"}))))
    stage.answer(("a", Answer(0, output)))
    assert stage.ending is not None
    assert stage.ending.failure is not None
    assert stage.ending.failure.code == "TW7007"


def test_an_answer_to_a_call_that_is_not_open_changes_nothing() -> None:
    stage = Stage(assign(plan(step("a"), step("b"))))
    body = codec.encode(Answer(1, b'"first"'))
    once = Message(FrameKind.RESULT, Encoding.MSGPACK, OUTSIDE, 0, 1, 1, body)
    stage.turn(once, once)
    before = stage.state
    stage.turn(once)
    stage.turn(Message(FrameKind.RESULT, Encoding.MSGPACK, OUTSIDE, 0, 1, 1, codec.encode(Answer(99))))
    assert stage.state == before


def test_a_run_that_is_closed_before_its_plan_has_ended_says_so() -> None:
    spec = plan_world(assign(plan(step("a")))).header.agents[0]
    executor, context = PlanExecutor(), Context(0, 1, 0, 0, spec)
    state, _ = executor.init(spec.config, context)
    state, outbox = executor.shutdown(state, context)
    frames = list(codec.decode_frames(outbox.encode()))
    assert decode_ending(frames[0].body).status == "failed"
    assert executor.shutdown(state, context)[1].encode() == b""


def test_nothing_comes_after_the_end() -> None:
    stage = Stage(assign(plan(step("a"))))
    stage.answer(("a", 1))
    stage.order("cancel")
    assert stage.outboxes[-1] == b""


def test_a_failing_plan_is_a_run_that_is_complete() -> None:
    done = play(assign(plan(step("a"))), lambda asked: BROKE)
    assert (done.run.status, done.run.failed, done.ending.status) == ("complete", 0, "failed")
