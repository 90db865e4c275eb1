"""The ledger: budgets hold, and who goes follows from logical time and digests alone."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.infer.standins import wanted
from tickwork.errors import InternalError, ModelTooLarge
from tickwork.infer.residency import CPU, Occupied, Residency

BUDGET = 100


def ledger(*residents: tuple[str, int, int]) -> Residency:
    made = Residency({CPU: BUDGET})
    for name, cost, tick in residents:
        made.add(wanted(name), CPU, cost, tick)
    return made


def names(found: list[object]) -> list[str]:
    by_digest = {wanted(name): name for name in "abcdefgh"}
    return [by_digest[one] for one in found]  # type: ignore[index]


def test_room_that_is_there_costs_nobody_anything() -> None:
    assert ledger(("a", 40, 0)).victims(CPU, 60) == []


def test_the_least_recently_used_go_first_and_no_more_than_must() -> None:
    full = ledger(("a", 40, 5), ("b", 40, 3), ("c", 20, 4))
    assert names([*full.victims(CPU, 50)]) == ["b", "c"]


def test_models_used_at_the_same_tick_go_in_the_order_of_their_digests() -> None:
    full = ledger(("a", 50, 1), ("b", 50, 1))
    [first] = full.victims(CPU, 10)
    assert first.model == min(wanted("a").model, wanted("b").model)


def test_being_used_makes_a_model_stay() -> None:
    full = ledger(("a", 50, 1), ("b", 50, 2))
    full.touch(wanted("a"), 3)
    assert names([*full.victims(CPU, 10)]) == ["b"]
    full.touch(wanted("a"), 0)
    assert names([*full.victims(CPU, 10)]) == ["b"], "logical time never goes back"


def test_a_pinned_model_stays() -> None:
    full = ledger(("a", 50, 1), ("b", 50, 2))
    full.pin(wanted("a"), pinned=True)
    assert names([*full.victims(CPU, 10)]) == ["b"]
    with pytest.raises(ModelTooLarge, match="pinned models leave no room"):
        full.victims(CPU, 60)
    full.pin(wanted("a"), pinned=False)
    assert names([*full.victims(CPU, 60)]) == ["a", "b"]


def test_a_busy_model_stays_and_is_waited_for() -> None:
    full = ledger(("a", 50, 1), ("b", 50, 2))
    assert names([*full.victims(CPU, 10, busy={wanted("a")})]) == ["b"]
    with pytest.raises(Occupied):
        full.victims(CPU, 60, busy={wanted("a")})


def test_a_model_larger_than_the_budget_is_refused_without_moving_anybody() -> None:
    full = ledger(("a", 50, 1))
    with pytest.raises(ModelTooLarge, match="larger than the budget"):
        full.victims(CPU, BUDGET + 1)
    assert full.used(CPU) == 50


def test_devices_have_budgets_of_their_own_and_one_without_has_no_bound() -> None:
    full = Residency({CPU: BUDGET, "cuda": 10})
    full.add(wanted("a"), CPU, 100, 0)
    full.add(wanted("b"), "cuda", 10, 0)
    assert names([*full.victims("cuda", 5)]) == ["b"]
    assert full.victims("coreml", 1 << 50) == []


def test_what_a_model_takes_in_fact_is_taken_note_of() -> None:
    full = ledger(("a", 50, 1), ("b", 40, 2))
    assert full.resize(wanted("a"), 55) == 0
    assert full.resize(wanted("a"), 75) == 15


def test_taking_in_what_does_not_fit_is_a_defect() -> None:
    with pytest.raises(InternalError):
        ledger(("a", 60, 0), ("b", 60, 0))


def test_a_model_that_ended_takes_nothing() -> None:
    full = ledger(("a", 60, 0))
    full.remove(wanted("a"))
    full.remove(wanted("a"))
    assert (full.used(CPU), full.resident(wanted("a"))) == (0, None)


Step = tuple[int, int, int, bool, set[int]]


def draw_trace(seed: int) -> list[Step]:
    """Return a thousand loads: model, cost, later by, pinned, and who is at work meanwhile."""
    draw = random.Random(seed)
    return [
        (
            draw.randrange(20),
            draw.randint(1, BUDGET),
            draw.randrange(4),
            draw.random() < 0.05,
            set(draw.sample(range(20), draw.randrange(4))),
        )
        for _ in range(1000)
    ]


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 32))
def test_no_trace_of_a_thousand_loads_exceeds_the_budget_and_equal_traces_evict_alike(seed: int) -> None:
    evicted = replay(draw_trace(seed))
    assert evicted
    assert evicted == replay(draw_trace(seed))


def replay(trace: list[Step]) -> list[str]:
    """Load as the trace says, and return who was evicted, in order."""
    held, evicted, tick = Residency({CPU: BUDGET}), list[str](), 0
    for number, cost, later, pinned, at_work in trace:
        tick += later
        model, busy = wanted(str(number)), {wanted(str(one)) for one in at_work}
        if held.resident(model) is not None:
            held.touch(model, tick)
            held.pin(model, pinned=pinned)
            continue
        try:
            victims = held.victims(CPU, cost, busy=busy)
        except (ModelTooLarge, Occupied):
            continue
        for victim in victims:
            resident = held.resident(victim)
            assert resident is not None
            assert not resident.pinned
            assert victim not in busy
            held.remove(victim)
            evicted.append(victim.model.hex())
        held.add(model, CPU, cost, tick)
        assert held.used(CPU) <= BUDGET
    return evicted
