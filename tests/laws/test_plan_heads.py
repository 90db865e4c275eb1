"""One head: a plan comes to the same digest in whatever order its skills finish, however many at once, wherever."""

import random
import sys

import pytest

from tests.laws.plan_heads import head_of, heads
from tests.support import ROOT, environment, interpreter, missing, run
from tests.unit.plane.executor.drawn import draw, given
from tests.unit.plane.executor.props import Stage

LANES = (1, 2, 8, 32)
SCRIPT = ROOT / "tests" / "laws" / "plan_heads.py"


@pytest.mark.parametrize("seed", range(100, 156))
def test_calls_that_finish_in_the_worst_order_change_no_head(seed: int) -> None:
    orders = (0, 1 + seed, 0, 1 + seed)
    found = {head_of(draw(seed), lanes, seed=seed, order=order) for lanes, order in zip(LANES, orders, strict=True)}
    assert len(found) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in range(1, 51))])
def test_nor_do_they_in_a_plan_of_many_steps(seed: int) -> None:
    count = 2000 if seed % 10 == 0 else random.Random(seed).randint(50, 2000)
    found = {
        head_of(draw(seed, count), lanes, seed=seed, order=order)
        for lanes, order in zip(LANES, (0, 3, 0, 5), strict=True)
    }
    assert len(found) == 1


def played(seed: int, draws: random.Random) -> None:
    """Play a plan to its end, answers coming all at once or a few at a time, while people skip, complete and cancel."""
    stage, meddles, turns = Stage(draw(seed), seed=seed), draws.random() < 0.6, 0
    while stage.ending is None:
        turns += 1
        assert turns < 2000, "it does not come to its end"
        if meddles and stage.issued and draws.random() < 0.25:
            order = "cancel" if draws.random() < 0.03 else draws.choice(("skip", "complete"))
            stage.order(order, draws.choice(stage.issued).path, {"n": 1})
            continue
        assert stage.open, "nothing is open, and the plan has not ended"
        chosen = draws.sample(sorted(stage.open), draws.choice((len(stage.open), 1, min(3, len(stage.open)))))
        stage.answer(*((number, given(stage.open[number])) for number in chosen))
    assert stage.left


@pytest.mark.parametrize("batch", [0, *(pytest.param(batch, marks=pytest.mark.thorough) for batch in range(1, 21))])
def test_a_plan_comes_to_its_end_however_it_is_answered_and_whatever_people_do(batch: int) -> None:
    for seed in (148, *range(batch * 50, batch * 50 + 50)):
        played(seed, random.Random(seed))


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["1", "4294967295"])
def test_another_process_with_another_hash_seed_comes_to_the_same_heads(hash_seed: str) -> None:
    told = run(
        [sys.executable, "-W", "error", SCRIPT, "100", "156"], env=environment(PYTHONHASHSEED=hash_seed), check=True
    )
    assert told.stdout.splitlines() == list(heads(range(100, 156)))


@pytest.mark.slow
def test_another_interpreter_comes_to_the_same_heads() -> None:
    python = interpreter("3.13")
    if run([python, "-c", "import cel_expr_python, pydantic, sqlalchemy"]).returncode:
        missing("what goals need is not installed for Python 3.13: ./ci dev")
    told = run([python, "-W", "error", SCRIPT, "100", "156"], check=True)
    assert told.stdout.splitlines() == list(heads(range(100, 156)))
