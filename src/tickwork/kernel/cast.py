"""The cast: the agents of a run and what may happen to them between and within turns.

Invariants:
    * Agents are only ever added; a stopped agent keeps its number and its name.
    * What the shell must do about an agent (make, undo, reset, retire) is noted in ``done`` in the order it was decided.
"""

import msgspec

from ..records import AgentSpec, Derived, DerivedKind, Effect, Header
from . import graph
from .bus import Bus
from .outbox import Port
from .state import AgentState, AgentStatus, RunStatus, State, new_agent


class Commit(msgspec.Struct):
    """What a tick's commit asks of its shell.

    Attributes:
        undo: Agents whose last turn must be rolled back although it ran well: the kernel refused its outbox.
        reset: Agents to begin again from a fresh instance.
        retire: Agents that will not run again.
        placed: Agents that came into being, with what to make them from. Order: by number.
        effects: Intents, to be released once durable. Order: issue.
    """

    undo: list[int] = []
    reset: list[int] = []
    retire: list[int] = []
    placed: list[tuple[int, AgentSpec]] = []
    effects: list[Effect] = []


class Cast:
    """The agents of one run, their ports, and the bus between them."""

    def __init__(self, header: Header, state: State) -> None:
        self.header = header
        self.state = state
        self.derived: list[Derived] = []
        self.bus = Bus(state, self.derived)
        self.numbers = {agent.name: agent.number for agent in state.agents}
        self.ports = [Port(agent.spec, header, self.numbers) for agent in state.agents]
        self.done = Commit()
        self.reseeded = False

    def join_all(self, agent: AgentState) -> None:
        """Subscribe an agent to every topic of its list that it was granted."""
        for handle, index in enumerate(self.ports[agent.number].subscribe):
            if index >= 0:
                self.bus.join(agent, index, handle)

    def finish_task(self, agent: AgentState) -> None:
        """Mark the agent's task done and note what became ready."""
        state = self.state
        self.bus.note(DerivedKind.TASK_DONE, agent.number, agent.task, state.tasks[agent.task].name)
        graph.finish(state, agent)

    def fail_tasks(self, agent: AgentState) -> None:
        """Fail the agent's tasks and what waits for them."""
        for task in graph.fail(self.state, agent):
            self.bus.note(DerivedKind.TASK_FAILED, task.agent, task.number, task.name)

    def stop_agent(self, agent: AgentState, reason: str) -> None:
        """Take an agent out of the schedule for good; its mail becomes dead letters."""
        agent.status = AgentStatus.STOPPED
        self.bus.note(DerivedKind.STOPPED, agent.number, 0, reason)
        self.fail_tasks(agent)
        self.bus.clear_mail(agent, reason)
        if self.state.status < RunStatus.STOPPING:
            self.bus.unsubscribe_all(agent)
        self.done.retire.append(agent.number)

    def spawn(self, template: AgentSpec, parent: int, config: bytes, encoding: int) -> AgentState:
        """Add an agent; it is initialised at the next tick."""
        state = self.state
        number = len(state.agents)
        spec = msgspec.structs.replace(template, name=f"{template.name}-{number}")
        if config:
            spec = msgspec.structs.replace(spec, config=config, config_encoding=encoding)
        agent = new_agent(number, spec.name, spec, parent, state.seed, state.tick + 1)
        state.agents.append(agent)
        self.numbers[spec.name] = number
        port = Port(spec, self.header, self.numbers)
        self.ports.append(port)
        for other in self.ports:
            other.bind_new(spec.name, number)
        self.bus.note(DerivedKind.SPAWNED, number, parent & 0xFFFFFFFF, spec.name)
        self.join_all(agent)
        self.done.placed.append((number, spec))
        return agent
