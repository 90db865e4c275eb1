"""What may be spent: set aside before a call, settled after it, and never more than allowed."""

from random import Random

import msgspec
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from tests.unit.plane.executor.props import BROKE, Stage, assign, call, plan, play, step
from tickwork.plane.calls import Answer, Failure, SkillCall, Usage
from tickwork.plane.compiled import AgentPin, Approval, Budget, CostHint, RetryRule, SkillPin
from tickwork.plane.executor.money import Bound, bound

PAID = SkillPin("paid", "1", b"\6" * 32, 1, cost=CostHint(per_call_micros=100))
FREE = SkillPin("free", "1", b"\7" * 32, 1)
DARK = SkillPin("dark", "1", b"\7" * 32, 1, cost=CostHint(known=False))


def costing(micros: int, tokens: int = 0) -> Answer:
    return Answer(0, b"1", usage=Usage(tokens_in=tokens, cost_micros=micros))


def many(count: int, limit: int, **more: object) -> Stage:
    steps = tuple(step(f"s{n}", on_error="continue") for n in range(count))
    return Stage(assign(plan(*steps, outputs={}), pins=(PAID,), budget=Budget(limit), **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("cost", [0, 37, 99, 100])
def test_a_hundred_calls_at_once_never_spend_more_than_allowed(cost: int) -> None:
    stage = many(100, 1050)
    assert len(stage.open) == 10, "what is not spent yet is set aside"
    ending = stage.finish(lambda asked: costing(cost))
    assert ending.usage.cost_micros <= 1050
    assert ending.usage.cost_micros == cost * ending.calls
    assert ending.usage.cost_micros + 100 > 1050 or ending.calls == 100, "nothing is refused that would have fitted"


def test_a_call_that_does_not_fit_waits_while_something_may_come_back() -> None:
    stage = many(3, 250)
    assert len(stage.open) == 2
    stage.answer(("s1", costing(40)))
    assert [path for _, path in stage.waiting] == ["s0", "s2"]
    stage.finish(lambda asked: costing(100))
    assert stage.ending is not None
    assert stage.ending.usage.cost_micros == 240


def test_a_call_that_can_never_be_paid_fails_with_its_price() -> None:
    stage = many(2, 150)
    stage.answer(("s0", costing(60)))
    assert stage.ending is not None
    assert stage.logs == [
        "s1 failed: TW7010 the call may cost 0.0001 USD, and of 0.00015 USD for plan 'test' 0.00009 are left"
    ]


def test_who_waits_for_money_is_served_in_the_order_of_the_plan_and_free_calls_do_not_wait() -> None:
    pins = (PAID, FREE, msgspec.structs.replace(PAID, name="dear", cost=CostHint(per_call_micros=200)))
    steps = (step("a"), step("b"), step("c", skill=2), step("d"), step("e", skill=1))
    stage = Stage(assign(plan(*steps), pins=pins, budget=Budget(1000, -1, -1, -1)))
    assert len(stage.open) == 5
    stage = Stage(assign(plan(*steps), pins=pins, budget=Budget(250)))
    assert [path for _, path in stage.waiting] == ["a", "b", "e"]
    stage.answer(("a", costing(0)))
    assert [path for _, path in stage.waiting] == ["b", "e"], "the cheap one does not go before the dear one"
    stage.answer(("b", costing(0)))
    assert [path for _, path in stage.waiting] == ["e", "c"]
    stage.answer(("c", costing(150)))
    assert [path for _, path in stage.waiting] == ["e", "d"]


def test_the_lowest_of_all_limits_holds() -> None:
    steps = tuple(step(f"s{n}") for n in range(9))
    agent = AgentPin(budget=Budget(300))
    stage = Stage(assign(plan(*steps, budget=Budget(500)), pins=(PAID,), agent=agent, budget=Budget(700)))
    assert len(stage.open) == 3


def test_a_step_has_a_budget_of_its_own_over_all_its_attempts() -> None:
    rule = RetryRule(max=9, initial_ms=0, jitter=False)
    stage = Stage(assign(plan(step("a", budget_micros=250, retry=rule)), pins=(PAID,)))
    failed = Answer(0, failure=BROKE, usage=Usage(cost_micros=90))
    stage.answer(("a", failed))
    stage.answer(("a", failed))
    assert stage.ending is not None
    assert stage.ending.failure is not None
    assert stage.ending.failure.code == "TW7010"
    assert stage.ending.usage.cost_micros == 180


def test_a_plan_within_counts_against_the_plan_and_the_step_around_it() -> None:
    inner = plan(step("x"), step("y"), name="inner", budget=Budget(1000))
    steps = (step("p", plan=1, budget_micros=150), step("z"))
    stage = Stage(assign(plan(*steps), inner, pins=(PAID,), budget=Budget(1000)))
    assert sorted(path for _, path in stage.waiting) == ["p/x", "z"]
    stage.answer(("p/x", costing(10)))
    assert sorted(path for _, path in stage.waiting) == ["p/y", "z"]


def test_calls_are_counted() -> None:
    steps = tuple(step(f"s{n}", on_error="continue") for n in range(5))
    ending = play(assign(plan(*steps), pins=(FREE,), budget=Budget(calls=3))).ending
    assert ending.calls == 3
    assert dict(ending.steps) == {"succeeded": 3, "failed": 2}


def test_tokens_are_set_aside_too() -> None:
    pin = SkillPin("talk", "1", b"\7" * 32, 1, cost=CostHint(max_output=100))
    steps = tuple(step(f"s{n}") for n in range(5))
    stage = Stage(assign(plan(*steps), pins=(pin,), budget=Budget(tokens=250)))
    assert len(stage.open) == 2, "two bytes of parameters and a hundred tokens of answer each"
    stage.answer(("s0", costing(0, tokens=20)))
    assert len(stage.open) == 2


def test_where_money_is_limited_a_price_has_to_be_known() -> None:
    assert len(Stage(assign(plan(step("a")), pins=(DARK,))).open) == 1
    stage = Stage(assign(plan(step("a")), pins=(DARK,), budget=Budget(10**9)))
    assert stage.ending is not None
    assert stage.ending.failure is not None
    assert stage.ending.failure.code == "TW7010"


def test_the_soft_limit_is_told_of_once() -> None:
    steps = tuple(step(f"s{n}") for n in range(3))
    stage = Stage(assign(plan(*steps), pins=(PAID,), budget=Budget(soft_micros=150)))
    stage.answer(("s0", costing(100)))
    assert stage.logs == []
    stage.answer(("s1", costing(100)))
    stage.answer(("s2", costing(100)))
    assert stage.logs == ["0.0002 USD are spent, more than the soft limit of 0.00015 USD"]


def test_a_person_is_shown_what_a_call_may_cost() -> None:
    stage = Stage(assign(plan(step("a", approval=Approval())), pins=(PAID,)))
    assert msgspec.json.decode(stage.issued[0].params)["cost_micros"] == 100


def test_what_a_call_is_given_is_said_to_it() -> None:
    assert many(1, 500).issued[0].reserved_micros == 100


def test_undoing_keeps_to_the_budget() -> None:
    steps = (step("a", compensate=call(0)), step("b", 0, skill=1))
    stage = Stage(assign(plan(*steps), pins=(PAID, FREE), budget=Budget(150)))
    stage.answer(("a", costing(100)))
    stage.answer(("b", Failure("TW7008", "no")))
    assert stage.ending is not None
    assert not stage.ending.undone
    assert stage.ending.usage.cost_micros == 100


@pytest.mark.parametrize(
    ("hint", "params", "expected"),
    [
        (CostHint(), b"{}", Bound()),
        (CostHint(per_call_micros=7), b"{}", Bound(7)),
        (CostHint(known=False), b"{}", Bound(0, 0, False)),
        (CostHint(input_micros=3_000_000, output_micros=15_000_000, max_output=10), b"{}", Bound(156, 12)),
        (CostHint(output_micros=1, max_output=1), b"{}", Bound(1, 3)),
        (CostHint(output_micros=1_000_000, max_output=9), b'{"max_tokens":5}', Bound(5, 21)),
        (CostHint(output_micros=1_000_000, max_output=9), b'{"max_tokens":true}', Bound(9, 28)),
        (CostHint(output_micros=1_000_000, max_output=9), b'{"max_tokens":-5}', Bound(9, 26)),
    ],
)
def test_what_a_call_costs_at_most(hint: CostHint, params: bytes, expected: Bound) -> None:
    assert bound(hint, params) == expected


@settings(max_examples=40, deadline=None)
@for_all(
    costs=st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=30),
    limit=st.integers(0, 1500),
    picks=st.randoms(use_true_random=False),
)
def test_no_order_of_answers_spends_more_than_allowed(costs: list[tuple[int, bool]], limit: int, picks: Random) -> None:
    stage = many(len(costs), limit)
    spent = 0
    while stage.open:
        number = picks.choice(sorted(stage.open))
        asked: SkillCall = stage.open[number]
        assert spent + 100 * len(stage.open) <= limit, "what is out would fit even at its dearest"
        cost, fails = costs[int(asked.path[1:])]
        spent += cost
        failure = BROKE if fails else None
        stage.answer((number, Answer(0, b"1", failure=failure, usage=Usage(cost_micros=cost))))
    assert stage.ending is not None
    assert stage.ending.usage.cost_micros == spent <= limit
