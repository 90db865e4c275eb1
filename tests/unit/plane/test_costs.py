"""plane/costs.py: what a run has cost, and how much of it nobody has counted."""

from tests.unit.plane.executor.props import assign, params_of, plan, play, step
from tickwork.plane.calls import Answer, SkillCall, Usage
from tickwork.plane.costs import costs_of
from tickwork.plane.explain import explain
from tickwork.plane.prices import ESTIMATED


def answer(call: SkillCall) -> Answer:
    prices = params_of(call)["prices"]
    return Answer(0, b"{}", usage=Usage(requests=1, cost_micros=100, model="m", prices=prices))


def test_what_nobody_has_counted_is_told_apart() -> None:
    given = ["table 1", f"table 1, {ESTIMATED}", ESTIMATED]
    done = play(assign(plan(*(step(f"s{n}", params={"prices": prices}) for n, prices in enumerate(given)))), answer)
    costs = costs_of(explain(done.journal))
    assert [(row.prices, row.settled_micros, row.estimated_micros) for row in costs.rows] == [
        ("table 1", 100, 0),
        ("table 1, estimated", 100, 100),
        ("estimated", 100, 100),
    ]
    assert (costs.total.settled_micros, costs.total.estimated_micros) == (300, 200)
