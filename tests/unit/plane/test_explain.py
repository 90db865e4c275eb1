"""A run of a plan told from its journal."""

import msgspec
import pytest

from tests.unit.driver.troupe import chat
from tests.unit.plane.executor.drawn import draw, given
from tests.unit.plane.executor.props import (
    BREAK,
    SEND,
    Played,
    assign,
    call,
    plan,
    play,
    step,
    usual,
)
from tickwork import codec
from tickwork.driver.opening import new_environment
from tickwork.driver.options import Options
from tickwork.errors import ReplayDivergence, UsageFault
from tickwork.journal.memory import MemoryJournal
from tickwork.plane.calls import Answer, ArtifactRef, SkillCall, Usage
from tickwork.plane.compiled import Approval, RetryRule
from tickwork.plane.executor import steps as executor_steps
from tickwork.plane.explain import as_document, explain


def answering(asked: SkillCall) -> object:
    if asked.path == "load":
        ref = ArtifactRef("rows.csv", b"\1" * 32, 9, "text/csv")
        usage = Usage(tokens_in=3, tokens_out=4, cost_micros=50)
        return Answer(0, b'{"n":2}', usage=usage, artifacts=(ref,), transcript=b'[{"role":"user"}]')
    return usual(asked)


@pytest.fixture(name="done")
def _done() -> Played:
    steps = (
        step("load", title="Load it"),
        step("try", 0, skill=BREAK, retry=RetryRule(max=1, initial_ms=5, jitter=False), on_error="continue"),
        step("send", 0, skill=SEND, params={"n": "${steps.load.output.n}"}, approval=Approval(by=("ann",))),
        step("each", 2, for_each="[1, 2]", params={"v": "${item}"}),
        step("never", 2, when="false"),
        step("p", 2, plan=1),
    )
    inner = plan(step("x"), name="inner")
    return play(assign(plan(*steps, outputs={"n": "${steps.load.output.n}"}), inner), answering)


def test_every_step_is_told_with_its_ticks_calls_and_what_came_of_them(done: Played) -> None:
    told = explain(done.journal)
    assert (told.plan, told.status, bytes(told.output)) == ("test", "partially_succeeded", b'{"n":2}')
    assert [(one.path, one.status) for one in told.steps] == [
        ("load", "succeeded"),
        ("try", "failed"),
        ("send", "succeeded"),
        ("each", "succeeded"),
        ("each[0]", "succeeded"),
        ("each[1]", "succeeded"),
        ("never", "skipped"),
        ("p", "succeeded"),
        ("p/x", "succeeded"),
    ]
    load, tried, sent = told.steps[:3]
    assert (load.title, load.skill, load.began, load.ended) == ("Load it", "echo@1", 0, 1)
    assert load.usage == Usage(3, 4, cost_micros=50)
    assert [one.name for one in load.artifacts] == ["rows.csv"]
    assert bytes(load.calls[0].transcript) == b'[{"role":"user"}]'
    assert [(one.skill, one.attempt) for one in tried.calls] == [("break@1", 1), ("wait.timer", 1), ("break@1", 2)]
    assert tried.error is not None
    decision = sent.calls[0].decision
    assert decision is not None
    assert (decision.decision, decision.by) == ("grant", ("ann",))
    assert msgspec.json.decode(sent.calls[1].params) == {"n": 2}
    assert told.steps[6].reason == "condition"
    assert told.usage == Usage(3, 4, cost_micros=50)


def test_what_was_decided_on_the_way_is_told_in_order(done: Played) -> None:
    kinds = [one.kind for one in explain(done.journal).told]
    assert kinds == ["failed", "backing off", "decided", "condition", "failed", "ended"]


def test_it_is_told_as_plain_data_too(done: Played) -> None:
    document = as_document(explain(done.journal))
    assert document["steps"][0]["calls"][0]["artifacts"][0]["digest"] == "01" * 32
    assert document["steps"][0]["usage"]["cost_micros"] == 50
    assert document["output"] == {"n": 2}


def test_a_run_can_be_told_up_to_any_tick(done: Played) -> None:
    told = explain(done.journal, until=1)
    assert told.status == "running"
    assert [(one.path, one.status) for one in told.steps][:4] == [
        ("load", "succeeded"),
        ("try", "running"),
        ("send", "running"),
        ("each", "pending"),
    ]
    assert [one.path for one in told.open] == ["try", "send"]


def test_a_run_that_only_waits_says_for_whom() -> None:
    steps = (step("a", approval=Approval()), step("b", 0))
    done = play(assign(plan(*steps)))
    told = explain(done.journal, until=0)
    assert told.status == "waiting"
    assert [(one.skill, one.path) for one in told.open] == [("ask.approval", "a")]


@pytest.mark.parametrize("seed", range(20))
def test_every_drawn_run_is_told_with_the_cost_that_it_had(seed: int) -> None:
    done = play(draw(seed), given, seed=seed)
    told = explain(done.journal)
    assert told.status == done.ending.status
    assert sum(one.usage.cost_micros for one in told.steps) == done.ending.usage.cost_micros
    assert sum(one.purpose != "system" for step in told.steps for one in step.calls) == done.ending.calls
    own = {found.path: found.status for found in told.steps if not set("/[~") & set(found.path)}
    assert len(own) == sum(done.steps.values())
    assert all(status not in ("pending", "running") for status in own.values())


def test_a_run_of_no_plan_is_refused() -> None:
    journal = MemoryJournal(codec.encode(chat(2).header), codec.encode(new_environment(Options())), ())
    with pytest.raises(UsageFault):
        explain(journal)


def test_a_run_that_another_executor_made_is_not_told_wrongly(done: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_steps, "_PURPOSES", {0: "other", 1: "other", 2: "other"})
    with pytest.raises(ReplayDivergence):
        explain(done.journal)


def test_undoing_is_told() -> None:
    steps = (step("a", compensate=call(SEND, {"v": 1})), step("b", 0, skill=BREAK))
    told = explain(play(assign(plan(*steps))).journal)
    assert [(one.path, one.status) for one in told.steps] == [("a", "compensated"), ("b", "failed")]
    assert [(one.purpose, params_of_raw(one.params)) for one in told.steps[0].calls] == [
        ("step", {}),
        ("compensate", {"v": 1}),
    ]


def params_of_raw(raw: msgspec.Raw) -> object:
    return msgspec.json.decode(raw)
