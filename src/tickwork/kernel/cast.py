"""The cast: the agents of a run and what may happen to them between and within turns.

Invariants:
    * Agents are only ever added; a stopped agent keeps its number and its name.
    * What the shell must do about an agent (make, undo, reset, retire) is noted in ``done`` as it is decided.
"""

from typing import NamedTuple

import msgspec

from ..records import AgentSpec, Derived, DerivedKind, Effect, FrameKind, Header
from . import graph
from .bus import Bus, kind_of
from .outbox import Action, Handles, Port
from .state import AgentState, AgentStatus, RunStatus, State, TaskState, new_agent
from .windows import Windows


class Commit(msgspec.Struct):
    """What a tick's commit asks of its shell.

    Attributes:
        undo: Agents whose last turn must be rolled back although it ran well: the kernel refused its outbox.
        reset: Agents to begin again from a fresh instance.
        retire: Agents that will not run again.
        placed: Agents that came into being, with what to make them from. Order: by number.
        swapped: Agents whose place another version has taken, with what it is made from. Order: as admitted.
        changed: Agents whose spec an input has changed, with the new one. Order: as admitted.
        effects: Intents, to be released once durable. Order: issue.
    """

    undo: list[int] = []
    reset: list[int] = []
    retire: list[int] = []
    placed: list[tuple[int, AgentSpec]] = []
    swapped: list[tuple[int, AgentSpec]] = []
    changed: list[tuple[int, AgentSpec]] = []
    effects: list[Effect] = []


class Request(NamedTuple):
    """A request to a model whose tensors lie in a window, until the tick's windows have flipped.

    Attributes:
        slot: Place in the schedule of the turn that made it.
        number: The sequence number it was given.
    """

    slot: int
    agent: int
    number: int
    action: Action


class Cast:
    """The agents of one run, their ports, and the bus between them.

    Attributes:
        requests: Those of this tick to models that are still to be issued. Order: number.
    """

    def __init__(self, header: Header, state: State) -> None:
        self.header = header
        self.state = state
        self.derived: list[Derived] = []
        self.bus = Bus(state, self.derived)
        self.numbers = {agent.name: agent.number for agent in state.agents}
        self.topics = {topic.name: index for index, topic in enumerate(state.topics)}
        self.task_tags = {(task.owner, task.tag): task.number for task in state.tasks if task.owner >= 0}
        self._handles = Handles(header)
        self._unbound: dict[str, list[Port]] = {}
        self.ports: list[Port] = []
        self.done = Commit()
        self.requests: list[Request] = []
        self.reseeded = False
        self.windows = Windows(state, self.bus, self.numbers)
        self.clocked = self._reads_clock()
        for agent in state.agents:
            self._add_port(agent.spec)

    def _add_port(self, spec: AgentSpec) -> None:
        port = Port(spec, self._handles, self.numbers)
        self.ports.append(port)
        for name in port.unbound:
            self._unbound.setdefault(name, []).append(port)

    def rebind(self, agent: AgentState) -> None:
        """Bind an agent's handles anew, after its spec has changed."""
        before = self.ports[agent.number]
        for waiting in self._unbound.values():
            if before in waiting:
                waiting.remove(before)
        port = self.ports[agent.number] = Port(agent.spec, self._handles, self.numbers)
        for name in port.unbound:
            self._unbound.setdefault(name, []).append(port)
        self.clocked = self._reads_clock()

    def change_spec(self, agent: AgentState, spec: AgentSpec) -> None:
        """Give an agent another spec of the same code, and let the shell know."""
        agent.spec = spec
        self.rebind(agent)
        self.done.changed.append((agent.number, spec))

    def _reads_clock(self) -> bool:
        """Return whether a tick's wall-clock sample is of use to any agent, or to one that may be spawned."""
        return any(spec.clock for spec in self.header.templates) or any(a.spec.clock for a in self.state.agents)

    def join_all(self, agent: AgentState) -> None:
        """Subscribe an agent to every topic of its list that it was granted."""
        for handle, index in enumerate(self.ports[agent.number].subscribe):
            if index >= 0:
                self.bus.join(agent, index, handle)

    def finish_task(self, agent: AgentState) -> None:
        """Mark the agent's task done and queue what waited for it, if the agent has seen the task."""
        state = self.state
        if self.has_unseen_task(agent):
            return
        self.bus.note(DerivedKind.TASK_DONE, agent.number, agent.task, state.tasks[agent.task].name)
        for task in graph.finish(state, agent):
            self.queue_task(task)

    def has_unseen_task(self, agent: AgentState) -> bool:
        """Return whether the agent's task still lies in its mailbox, behind more than one inbox holds."""
        return agent.task >= 0 and any(kind_of(frame) == FrameKind.TASK_READY for frame in agent.mail)

    def queue_task(self, task: TaskState) -> None:
        """Queue a task that waits for nothing; a task of a stopped agent fails."""
        if self.state.agents[task.agent].status == AgentStatus.STOPPED:
            self.fail_tasks([task.number])
        else:
            graph.enqueue(self.state, task, self.state.tick + 1)

    def fail_tasks(self, tasks: list[int]) -> None:
        """Fail tasks and what waits for them."""
        for task in graph.fail(self.state, tasks):
            self.bus.note(DerivedKind.TASK_FAILED, task.agent, task.number, task.name)

    def stop_agent(self, agent: AgentState, reason: str) -> None:
        """Take an agent out of the schedule for good; its mail becomes dead letters, its timers go."""
        state = self.state
        agent.status = AgentStatus.STOPPED
        self.bus.note(DerivedKind.STOPPED, agent.number, 0, reason)
        tasks, agent.queue = [*agent.queue, *([agent.task] if agent.task >= 0 else [])], []
        self.fail_tasks(tasks)
        if agent.timers:
            state.timers = [timer for timer in state.timers if timer.agent != agent.number]
            agent.timers = 0
        self.bus.clear_mail(agent, reason)
        if state.status != RunStatus.STOPPING:  # When all agents stop, a record for each subscription says nothing.
            self.bus.unsubscribe_all(agent)
        self.done.retire.append(agent.number)

    def next_name(self, template: AgentSpec) -> str:
        """Return the name of the next agent that is spawned from a template."""
        return f"{template.name}-{len(self.state.agents)}"

    def spawn(self, template: AgentSpec, parent: int, config: bytes, encoding: int) -> AgentState:
        """Add an agent; it is initialised at the next tick."""
        state = self.state
        number = len(state.agents)
        spec = msgspec.structs.replace(template, name=self.next_name(template))
        if config:
            spec = msgspec.structs.replace(spec, config=config, config_encoding=encoding)
        agent = new_agent(number, spec.name, spec, parent, state.seed, state.tick + 1)
        state.agents.append(agent)
        self.numbers[spec.name] = number
        self._add_port(spec)
        for port in self._unbound.pop(spec.name, []):
            port.bind_new(spec.name, number)
        self.bus.note(DerivedKind.SPAWNED, number, parent & 0xFFFFFFFF, spec.name)
        self.join_all(agent)
        self.done.placed.append((number, spec))
        return agent
