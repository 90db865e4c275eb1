"""Scheduling policies: pure functions from the ready agents to the order of their slots.

Each takes the state, the ready agents in order of their numbers, and returns a new list. The commit order of a tick is
the order returned here, so a policy decides who wins a conflict, never what a turn computes.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Final

from .state import AgentState, State

Policy = Callable[[State, list[AgentState]], list[AgentState]]

_ready_since = attrgetter("ready_since")


def fifo(state: State, ready: list[AgentState]) -> list[AgentState]:
    """Return the agents by how long they have been ready, ties by number."""
    return sorted(ready, key=_ready_since)


def priority(state: State, ready: list[AgentState]) -> list[AgentState]:
    """Return the agents by priority, highest first, then as ``fifo``."""
    return sorted(ready, key=lambda agent: (-agent.spec.priority, agent.ready_since))


def round_robin(state: State, ready: list[AgentState]) -> list[AgentState]:
    """Return the agents in the order of their numbers, beginning after the one that was served last."""
    later = [agent for agent in ready if agent.number >= state.cursor]
    return later + [agent for agent in ready if agent.number < state.cursor]


def dag(state: State, ready: list[AgentState]) -> list[AgentState]:
    """Return agents with a task first, by (priority, topological rank, task number), then the others as ``fifo``."""

    def place(agent: AgentState) -> tuple[int, int, int, int]:
        if agent.task < 0:
            return (1, 0, 0, agent.ready_since)
        task = state.tasks[agent.task]
        return (0, -task.priority, task.rank, task.number)

    return sorted(ready, key=place)


POLICIES: Final[dict[str, Policy]] = {"fifo": fifo, "priority": priority, "round_robin": round_robin, "dag": dag}
