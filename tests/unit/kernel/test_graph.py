"""Task graphs."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kernel.stage import Stage, spec, supervision, trap, world
from tickwork.kernel.graph import find_cycle
from tickwork.records import DerivedKind, TaskSpec

graphs = st.integers(1, 8).flatmap(
    lambda count: st.lists(
        st.lists(st.integers(0, count - 1), max_size=3).map(lambda known: tuple(dict.fromkeys(known))),
        min_size=count,
        max_size=count,
    )
)


def test_a_cycle_is_named_with_its_first_task_repeated() -> None:
    assert find_cycle([(1,), (2,), (0,), (0,)]) == [0, 1, 2, 0]
    assert find_cycle([(0,)]) == [0, 0]
    assert find_cycle([(), (0,), (0, 1)]) == []


def test_a_long_chain_is_no_matter_of_depth() -> None:
    count = 50_000
    assert find_cycle([(index + 1,) for index in range(count)] + [()]) == []


@given(graphs)
def test_a_cycle_is_found_exactly_where_no_order_exists(depends_on: list[tuple[int, ...]]) -> None:
    cycle = find_cycle(depends_on)
    done: set[int] = set()
    while ready := [n for n, known in enumerate(depends_on) if n not in done and done.issuperset(known)]:
        done.update(ready)
    assert bool(cycle) == (len(done) < len(depends_on))
    assert all(after in depends_on[before] for before, after in pairwise(cycle))
    assert not cycle or cycle[0] == cycle[-1]


@pytest.mark.slow
@given(graphs, st.lists(st.integers(-2, 2), min_size=8, max_size=8), st.integers(0, 8))
def test_every_task_of_a_world_runs_after_those_it_depends_on_or_fails_with_one_of_them(
    depends_on: list[tuple[int, ...]], priorities: list[int], failing: int
) -> None:
    """Law: topological order; the failure of a task fails all that waits for it and nothing else."""
    if find_cycle(depends_on):
        return
    tasks = tuple(TaskSpec(str(n), f"w{n % 3}", priorities[n], 0, b"", known) for n, known in enumerate(depends_on))
    workers = [spec(f"w{n}", supervision=supervision("restart")) for n in range(3)]
    stage = Stage(world(*workers, tasks=tasks, policy="dag"))
    started: list[int] = []
    failed: set[int] = set()
    for _ in range(60):
        due = [a for a in stage.machine.state.agents if a.queue and a.started and a.task < 0]
        acts = {a.name: trap() for a in due if a.queue[0] == failing}
        tick = stage.run((), acts)
        started += [item.number for item in tick.notes(DerivedKind.TASK_STARTED)]
        failed |= {item.number for item in tick.notes(DerivedKind.TASK_FAILED)}
    assert len(set(started)) == len(started)
    assert set(started) | failed == set(range(len(tasks)))
    for place, number in enumerate(started):
        assert set(depends_on[number]) <= set(started[:place])
    expected = {failing} & set(range(len(tasks)))
    while more := {n for n, known in enumerate(depends_on) if expected & set(known)} - expected:
        expected |= more
    assert failed == expected
