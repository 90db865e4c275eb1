"""The machine: a run as a fold. Feed it inputs, ask for turns, give it outcomes; it never asks for anything itself.

One tick is ``admit`` → ``plan`` → ``turns`` → ``commit`` → ``seal``. With ``visibility = "linear"`` the middle two repeat slot by slot.

Invariants:
    * Equal headers and equal inputs give equal records, whatever computed the turns and in whatever order they came back.
    * An outcome given to ``commit`` is believed: whether it was computed now or recorded long ago makes no difference.
    * Nothing here raises for what an agent did; that is a record.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from .. import codec
from ..codec import FRAME, encode_frame
from ..records import (
    AGAIN,
    DIRECT,
    OUTSIDE,
    UNTIL_MESSAGE,
    DerivedKind,
    FrameKind,
    Header,
    Input,
    Operation,
    Outcome,
    Refusal,
    Status,
    Turn,
)
from . import graph
from .apply import admit_input, apply_action
from .cast import Cast, Commit
from .outbox import USER_KINDS, Action, Refused, read_outbox
from .policy import POLICIES
from .random import BLOCK_TICKS, seed_block
from .state import MAX_DRAIN_TICKS, NEVER, AgentState, AgentStatus, RunStatus, encode_state, initial_state
from .supervise import supervise

_pack = FRAME.pack
_HEADER_BYTES: Final = FRAME.size
_MESSAGE: Final = int(FrameKind.MESSAGE)
_SEND, _PUBLISH = int(FrameKind.SEND), int(FrameKind.PUBLISH)


class Sealed(msgspec.Struct, frozen=True):
    """A finished tick's records.

    Attributes:
        turns, derived: The encoded parts of the frame.
        content: Bodies that the turns detach.
        fuel: Instructions each turn used, in slot order; a hint.
        details: What a person may want to know of failed turns, by slot; a hint.
    """

    turns: bytes
    derived: bytes
    content: list[bytes]
    fuel: list[int]
    details: list[tuple[int, str]]


class Machine:
    """The kernel of one run.

    Args:
        header: Record 0.
        lineage: SHA-256 of the encoded header.
    """

    def __init__(self, header: Header, lineage: bytes) -> None:
        self.header = header
        self.state = initial_state(header, lineage)
        self.cast = Cast(header, self.state)
        self.bus = self.cast.bus
        self._parts: list[bytes] = []
        self._content: list[bytes] = []
        self._fuel: list[int] = []
        self._details: list[tuple[int, str]] = []
        self._seeds: list[tuple[int, tuple[int, ...]]] = [(-1, ())] * len(self.state.agents)
        self._policy = POLICIES[header.policy]
        self._linear = header.visibility == "linear"
        self.clocked = any(spec.clock for spec in (*header.agents, *header.templates))
        for agent in self.state.agents:
            self.cast.join_all(agent)
        graph.add_tasks(self.state, header.tasks, self.cast.numbers)

    @property
    def done(self) -> Commit:
        """What the tick's commits have asked of the shell so far."""
        return self.cast.done

    # -- admit ----------------------------------------------------------------------------------------------------------

    def admit(self, inputs: Sequence[Input]) -> None:
        """Begin the tick: fire due timers, then let the inputs in, in the order given."""
        state = self.state
        assert state.status < RunStatus.COMPLETE, "a closed run takes no more inputs"
        self.cast.done = Commit()
        self.bus.slot, self.bus.visible = -1, state.tick
        state.wall_us = 0
        self._fire_timers()
        for item in inputs:
            admit_input(self.cast, item)
        if self.cast.reseeded or len(self._seeds) < len(state.agents):
            self.cast.reseeded = False
            self._seeds = [(-1, ())] * len(state.agents)
        self.bus.flush_retained()
        for agent in state.agents:
            if agent.deferred:
                self.bus.drain_deferred(agent)

    def _fire_timers(self) -> None:
        state = self.state
        due = 0
        while due < len(state.timers) and state.timers[due].due <= state.tick:
            timer = state.timers[due]
            due += 1
            agent = state.agents[timer.agent]
            agent.timers -= 1
            if agent.status == AgentStatus.STOPPED:
                continue
            self.bus.note(DerivedKind.TIMER_FIRED, timer.agent, timer.number)
            frame = encode_frame(FrameKind.TIMER_FIRED, 0, OUTSIDE, timer.tag, timer.number, state.tick, b"")
            self.bus.put(agent, frame)
        del state.timers[:due]

    # -- plan -----------------------------------------------------------------------------------------------------------

    def plan(self) -> list[int]:
        """Return the agents to run in this tick, in schedule order. Pure but for starting ready tasks."""
        state = self.state
        tick = state.tick
        if state.status == RunStatus.SETTLING:
            return []
        if state.status == RunStatus.STOPPING:
            return [a.number for a in state.agents if a.status == AgentStatus.ACTIVE and a.started]
        if state.tasks:
            self._start_tasks()
        if state.status == RunStatus.DRAINING:
            ready = [a for a in state.agents if a.status == 0 and a.mail and not a.deferred]
        elif self._linear:
            ready = [a for a in state.agents if a.status == 0 and not a.deferred]
        else:
            ready = [
                a
                for a in state.agents
                if (a.mail or a.wake <= tick or not a.started) and a.status == 0 and not a.deferred
            ]
        order = self._policy(state, ready)
        bound = self.header.turns_per_tick
        if bound and len(order) > bound:
            order = order[:bound]
        if order:
            state.cursor = order[-1].number + 1
        return [agent.number for agent in order]

    def _start_tasks(self) -> None:
        state = self.state
        for agent in state.agents:
            if not agent.queue or agent.status != AgentStatus.ACTIVE or not agent.started:
                continue
            task = graph.start_next(state, agent)
            if task is not None:
                self.bus.note(DerivedKind.TASK_STARTED, agent.number, task.number, task.name)
                frame = encode_frame(
                    FrameKind.TASK_READY, task.encoding, OUTSIDE, task.tag, task.number, state.tick, task.body
                )
                self.bus.put(agent, frame)

    def turns(self, slots: Sequence[int], *, replaying: bool = False) -> list[Turn]:
        """Return the turns of these slots and take their mailbox cuts.

        Args:
            replaying: Leave out what only an execution needs: seeds and fuel.
        """
        state = self.state
        tick = state.tick
        operation = int(Operation.SHUTDOWN if state.status == RunStatus.STOPPING else Operation.STEP)
        block, place = divmod(tick, BLOCK_TICKS)
        turns: list[Turn] = []
        for number in slots:
            agent = state.agents[number]
            if self._linear and not (agent.mail or agent.wake <= tick or not agent.started or operation == 2):
                continue
            spec = agent.spec
            if not agent.started:
                turns.append(self._init_turn(agent, tick))
                continue
            if agent.mail_bytes <= spec.limits.inbox_bytes:
                inbox, count = b"".join(agent.mail), len(agent.mail)
                if count:
                    agent.mail, agent.mail_bytes = [], 0
            else:
                inbox, count = self._cut(agent)
            if replaying:
                turns.append(Turn(number, operation, tick, 0, 0, 0, count, inbox))
                continue
            known = self._seeds[number]
            if known[0] != block:
                known = self._seeds[number] = (block, seed_block(agent.key, block))
            fuel = spec.limits.fuel if not spec.limits.window_ticks else self._fuel_left(agent)
            turns.append(
                Turn(number, operation, tick, known[1][place], fuel, state.wall_us if spec.clock else 0, count, inbox)
            )
        return turns

    def _init_turn(self, agent: AgentState, tick: int) -> Turn:
        spec = agent.spec
        config = encode_frame(FrameKind.CONFIG, spec.config_encoding, OUTSIDE, DIRECT, 0, tick, spec.config)
        seed = seed_block(agent.key, tick // BLOCK_TICKS)[tick % BLOCK_TICKS]
        wall_us = self.state.wall_us if spec.clock else 0
        return Turn(agent.number, Operation.INIT, tick, seed, spec.limits.fuel, wall_us, 1, config)

    def _cut(self, agent: AgentState) -> tuple[bytes, int]:
        """Take the oldest messages that fit the inbox."""
        room, count = agent.spec.limits.inbox_bytes, 0
        for frame in agent.mail:
            if len(frame) > room:
                break
            room -= len(frame)
            count += 1
        inbox = b"".join(agent.mail[:count])
        del agent.mail[:count]
        agent.mail_bytes -= len(inbox)
        return inbox, count

    def _fuel_left(self, agent: AgentState) -> int:
        limits = agent.spec.limits
        if self.state.tick >= agent.window_start + limits.window_ticks:
            agent.window_start = self.state.tick - self.state.tick % limits.window_ticks
            agent.window_fuel = 0
        return max(0, min(limits.fuel, limits.window_fuel - agent.window_fuel))

    # -- commit ---------------------------------------------------------------------------------------------------------

    def commit(self, turns: Sequence[Turn], outcomes: Sequence[Outcome]) -> None:
        """Apply the outcomes in slot order. May be called several times in a tick when visibility is linear."""
        state, bus, ports = self.state, self.bus, self.cast.ports
        bus.visible = state.tick if self._linear else state.tick + 1
        for turn, outcome in zip(turns, outcomes, strict=True):
            bus.slot += 1
            agent = state.agents[turn.agent]
            limits = agent.spec.limits
            charged = 0
            if limits.window_ticks:
                charged = outcome.fuel
                agent.window_fuel += charged
            if outcome.status == 0:
                actions = read_outbox(ports, turn.agent, outcome.outbox) if outcome.outbox else []
                if limits.messages_per_turn and len(actions) > limits.messages_per_turn:
                    actions = Refused(Status.DENIED, f"more than {limits.messages_per_turn} frames in one turn")
                if type(actions) is Refused:
                    outcome = Outcome(actions.status, outcome.code, outcome.fuel, b"", actions.detail)
                    self.done.undo.append(turn.agent)
                else:
                    self._apply(agent, turn, outcome, actions)  # type: ignore[arg-type]
            self._fuel.append(outcome.fuel)
            if outcome.status != 0:
                self._details.append((bus.slot, outcome.detail))
                supervise(self.cast, agent, turn, outcome)
            detached = codec.encode_turn(turn.agent, turn.operation, outcome, charged, self._parts)
            if detached is not None:
                self._content.append(detached)
            if self._linear:
                bus.flush_retained()

    def _apply(self, agent: AgentState, turn: Turn, outcome: Outcome, actions: list[Action]) -> None:
        """Apply a good turn: its frames in order, then when it wants to run again."""
        state, bus = self.state, self.bus
        agents, tick, number = state.agents, state.tick, agent.number
        agent.failures = 0
        self._schedule(agent, turn, outcome.code)
        for action in actions:
            kind, index, _, encoding, size, body = action
            if kind == _SEND or kind >= USER_KINDS:
                state.seq = seq = state.seq + 1
                delivered = _MESSAGE if kind == _SEND else kind
                frame = _pack(size, delivered, encoding, number, DIRECT, seq, tick) + body
                target = agents[index]
                limits = target.spec.limits
                room = target.mail_bytes + len(frame)
                if (
                    len(target.mail) < limits.mailbox_messages
                    and room <= limits.mailbox_bytes
                    and len(frame) <= limits.inbox_bytes
                    and target.status != AgentStatus.STOPPED
                ):
                    if not target.mail and target.ready_since > bus.visible:
                        target.ready_since = bus.visible
                    target.mail.append(frame)
                    target.mail_bytes = room
                else:
                    bus.deliver(target, frame, number, seq)
            elif kind == _PUBLISH:
                state.seq = seq = state.seq + 1
                for subscription in state.topics[index].subscribers:
                    frame = _pack(size, _MESSAGE, encoding, number, subscription.handle, seq, tick) + body
                    bus.deliver(agents[subscription.agent], frame, number, seq)
            else:
                apply_action(self.cast, agent, action)

    def _schedule(self, agent: AgentState, turn: Turn, code: int) -> None:
        """Set when the agent is due again and settle the task it worked on."""
        tick = turn.tick
        if turn.operation == Operation.SHUTDOWN:
            return
        if turn.operation == Operation.INIT:
            agent.started = True
            agent.wake = agent.ready_since = tick + 1
            return
        if code == Refusal.OUTBOX_FULL or code == AGAIN:
            agent.wake = agent.ready_since = tick + 1
            return
        agent.wake = NEVER if code == UNTIL_MESSAGE else tick + 1 + code
        agent.ready_since = min(agent.wake, tick + 1) if agent.mail else agent.wake
        if agent.task >= 0:
            self.cast.finish_task(agent)

    # -- seal -----------------------------------------------------------------------------------------------------------

    def seal(self) -> Sealed:
        """End the tick and return its records."""
        state, bus = self.state, self.bus
        bus.slot = -1
        bus.visible = state.tick + 1
        bus.flush_retained()
        self._advance()
        every = self.header.checkpoint_every
        state.tick += 1
        if every and state.tick % every == 0:
            bus.note(DerivedKind.STATE_ROOT, OUTSIDE, state.tick, "", codec.digest(encode_state(state)))
        derived = codec.encode_derived(self.cast.derived)
        sealed = Sealed(b"".join(self._parts), derived, self._content, self._fuel, self._details)
        self._parts, self._content, self._fuel, self._details = [], [], [], []
        self.cast.derived.clear()
        return sealed

    def _advance(self) -> None:
        """Move a closing run on: drain, stop, settle, complete."""
        state = self.state
        if state.status == RunStatus.DRAINING:
            state.drained += 1
            under_way = any(a.mail and a.status == AgentStatus.ACTIVE and a.started for a in state.agents)
            if not under_way or state.drained >= MAX_DRAIN_TICKS:
                state.status = RunStatus.STOPPING
        elif state.status == RunStatus.STOPPING:
            for agent in state.agents:
                if agent.status != AgentStatus.STOPPED:
                    self.cast.stop_agent(agent, "the run closed")
            state.status = RunStatus.SETTLING
        if state.status == RunStatus.SETTLING and not state.effects:
            state.status = RunStatus.COMPLETE
            self.bus.note(DerivedKind.CLOSED, OUTSIDE, state.tick)

    @property
    def idle(self) -> bool:
        """Whether nothing will happen any more unless something comes from outside."""
        state = self.state
        if state.timers or state.effects or state.status != RunStatus.OPEN:
            return False
        return not any(
            a.status == AgentStatus.ACTIVE and (a.mail or not a.started or a.wake < NEVER or a.queue or a.deferred)
            for a in state.agents
        )
