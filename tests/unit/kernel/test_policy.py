"""Scheduling policies."""

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kernel.stage import Stage, message, spec, world
from tickwork.kernel.policy import POLICIES
from tickwork.kernel.state import initial_state
from tickwork.native import Outbox
from tickwork.records import TaskSpec


def awake(outbox: Outbox) -> None:
    outbox.sleep(0)


def served(stage: Stage, ticks: int) -> list[list[str]]:
    names = [agent.name for agent in stage.machine.state.agents]
    return [stage.run((), dict.fromkeys(names, awake)).order for _ in range(ticks)]


def test_fifo_serves_who_has_been_ready_longest() -> None:
    stage = Stage(world(spec("a"), spec("b"), spec("c"), policy="fifo", turns_per_tick=1))
    assert served(stage, 6) == [["a"], ["b"], ["c"], ["a"], ["b"], ["c"]]


def test_fifo_breaks_ties_by_number() -> None:
    assert served(Stage(world(spec("a"), spec("b"), spec("c"))), 2) == [["a", "b", "c"]] * 2


def test_fifo_counts_from_the_message_that_made_an_agent_ready() -> None:
    stage = Stage(world(spec("a"), spec("b"), spec("c"), turns_per_tick=3))
    stage.start()
    stage.tick()
    stage.header = stage.machine.header = world(spec("a"), spec("b"), spec("c"), turns_per_tick=1)
    assert stage.tick(message("c"), message("b")).order == ["b"]
    assert stage.tick(message("a")).order == ["c"]
    assert stage.tick().order == ["a"]


def test_priority_serves_the_highest_first_and_then_who_waited() -> None:
    agents = (spec("low"), spec("high", priority=5), spec("middle", priority=1), spec("also", priority=5))
    stage = Stage(world(*agents, policy="priority"))
    assert served(stage, 1) == [["high", "also", "middle", "low"]]


def test_round_robin_goes_on_after_the_last_it_served() -> None:
    agents = [spec(name) for name in "abcde"]
    stage = Stage(world(*agents, policy="round_robin", turns_per_tick=2))
    assert served(stage, 5) == [["a", "b"], ["c", "d"], ["e", "a"], ["b", "c"], ["d", "e"]]


def test_dag_serves_agents_with_tasks_by_priority_then_rank() -> None:
    stage = Stage(
        world(
            *(spec(name) for name in "abcd"),
            policy="dag",
            tasks=(
                TaskSpec("root", "d", 0),
                TaskSpec("urgent", "c", 9),
                TaskSpec("leaf", "b", 0, 0, b"", (0,)),
                TaskSpec("late root", "a", 0),
            ),
        )
    )
    assert stage.start().order == ["a", "b", "c", "d"]
    assert stage.tick().order == ["c", "d", "a", "b"]
    assert stage.tick().order == ["b"]


@given(st.sampled_from(sorted(POLICIES)), st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 5)), max_size=8))
def test_a_policy_orders_the_ready_agents_and_leaves_the_state_alone(name: str, agents: list[tuple[int, int]]) -> None:
    header = world(*(spec(f"a{n}", priority=priority) for n, (priority, _) in enumerate(agents)))
    state = initial_state(header, bytes(32))
    for agent, (_, since) in zip(state.agents, agents, strict=True):
        agent.ready_since = since
    before = list(state.agents)
    order = POLICIES[name](state, list(state.agents))
    assert sorted(agent.number for agent in order) == list(range(len(agents)))
    assert state.agents == before
    assert order == POLICIES[name](state, list(state.agents))
