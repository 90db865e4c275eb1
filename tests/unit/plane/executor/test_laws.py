"""Laws that hold for every plan, over plans that are drawn."""

import hashlib
import random
from collections import Counter

import msgspec
import pytest

import tickwork
from tests.unit.plane.executor.drawn import chain, draw, given
from tests.unit.plane.executor.props import Played, Stage, play
from tickwork.plane.compiled import EXECUTOR_ENTRY, Assignment
from tickwork.plane.executor.agent import PlanExecutor
from tickwork.plane.executor.rows import each
from tickwork.plane.executor.state import StepStatus
from tickwork.plane.world import plan_world

SEEDS = range(56)
ENDED = {"succeeded", "partially_succeeded", "failed", "cancelled"}


def shuffled(seed: int, *, cancels: bool = False) -> Stage:
    """Return a drawn plan that has been played to its end, answers coming in any order and number."""
    draws = random.Random(seed)
    stage = Stage(draw(seed), seed=seed)
    when = draws.randint(0, 12) if cancels else -1
    turns = 0
    while stage.ending is None:
        if turns == when:
            stage.order("cancel")
        elif draws.random() < 0.03:
            stage.turn()
        else:
            assert stage.open, "nothing is open, and the plan has not ended"
            chosen = draws.sample(sorted(stage.open), draws.randint(1, min(4, len(stage.open))))
            stage.answer(*((number, given(stage.open[number])) for number in chosen))
        turns += 1
    return stage


@pytest.mark.parametrize("seed", SEEDS)
def test_however_answers_come_every_step_ends_and_nothing_is_done_twice(seed: int) -> None:
    for stage in (shuffled(seed), shuffled(seed, cancels=True)):
        ending = stage.ending
        assert ending is not None
        assert ending.status in ENDED
        assert stage.left
        done = Counter((one.path, one.purpose, one.attempt) for one in stage.issued if one.purpose != "system")
        assert all(count == 1 for count in done.values())
        skills = [asked for asked in stage.open.values() if asked.purpose != "system"]
        assert not skills, "the results of skills are all taken"
        for _, scope in stage.state.scopes:
            assert all(state.status >= StepStatus.SUCCEEDED for state in each(scope.steps))
        assert not stage.state.items
        assert sum(count for _, count in ending.steps) == len(tuple(each(stage.state.scopes[0][1].steps)))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_step_begins_before_those_it_comes_after(seed: int) -> None:
    stage = Stage(draw(seed), seed=seed)
    compiled = msgspec.msgpack.decode(stage.config, type=Assignment).compiled
    assert compiled is not None
    steps = {found.id: found for found in compiled.plans[0].steps}
    names = [found.id for found in compiled.plans[0].steps]
    seen = 0
    while stage.ending is None:
        for asked in stage.issued[seen:]:
            name = asked.path.partition("/")[0].partition("[")[0].partition("~")[0]
            before = steps[name].after
            if asked.purpose == "compensate" or not before:
                continue
            over = [stage.status(names[place]) in ("succeeded", "failed", "skipped") for place in before]
            assert sum(over) >= steps[name].join if steps[name].join else all(over), asked.path
        seen = len(stage.issued)
        number = next(iter(stage.open))
        stage.answer((number, given(stage.open[number])))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_head_does_not_depend_on_how_many_work_at_once(seed: int) -> None:
    heads = {play(draw(seed), given, lanes=lanes, seed=seed).run.head for lanes in (1, 2, 8, 32)}
    assert len(heads) == 1


def checked(done: Played, assignment: Assignment) -> None:
    found = tickwork.verify(done.journal, world=plan_world(assignment))
    assert found.equal


@pytest.mark.parametrize("seed", [3, 14, 25])
def test_a_run_verifies_and_replays_to_the_same_head(seed: int) -> None:
    assignment = draw(seed)
    done = play(assignment, given, seed=seed)
    assert tickwork.replay(done.journal).head == done.run.head
    checked(done, assignment)
    assert plan_world(assignment).natives == {EXECUTOR_ENTRY: PlanExecutor}


@pytest.mark.slow
def test_a_plan_of_two_thousand_steps_has_one_head_too() -> None:
    done = [play(draw(5, 2000), given, lanes=lanes) for lanes in (1, 2, 8, 32)]
    assert len({one.run.head for one in done}) == 1
    assert len(done[0].skills.calls) > 1000


@pytest.mark.slow
def test_a_chain_of_two_thousand_steps_comes_to_its_end() -> None:
    assert play(chain(2000)).output == {"s1999": {"n": 1999}}


def test_this_version_of_the_executor_leaves_what_it_always_left() -> None:
    """Whoever changes what a turn leaves gives the executor's entry another number, or old runs do not verify."""
    left = hashlib.sha256(b"".join(b"".join(shuffled(seed).outboxes) for seed in range(12)))
    assert (EXECUTOR_ENTRY, left.hexdigest()[:16]) == ("tickwork:plan-1", "af4eec7d4800587c")


def test_the_same_turn_twice_leaves_the_same_outbox() -> None:
    one, other = shuffled(11), shuffled(11)
    assert one.outboxes == other.outboxes
