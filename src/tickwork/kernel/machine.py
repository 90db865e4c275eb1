"""The machine: a run as a fold. Feed it inputs, ask for turns, give it outcomes; it never asks for anything itself.

One tick is ``admit`` → ``plan`` → ``turns`` → ``commit`` → ``seal``. With ``visibility = "linear"``
the middle two repeat slot by slot.

Invariants:
    * Equal headers and equal inputs give equal records, whoever computed the turns and in whatever order they came.
    * An outcome given to ``commit`` is believed: whether it was computed now or recorded long ago makes no difference.
    * Nothing here raises for what an agent did; that is a record.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from .. import codec
from ..codec import FRAME, encode_frame, encode_turn
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
    Status,
    Turn,
)
from . import graph
from .apply import admit_input, apply_action, issue_requests
from .cast import Cast, Commit
from .outbox import TOO_MANY, USER_KINDS, Action, Port, Refused, denial, read_outbox
from .policy import POLICIES
from .random import BLOCK_TICKS, seed_block
from .state import MAX_DRAIN_TICKS, NEVER, AgentState, AgentStatus, RunStatus, State, encode_state, initial_state
from .supervise import supervise
from .windows import NOTHING, Flip, Shown

_pack = FRAME.pack
_HEADER_BYTES: Final = FRAME.size
_MESSAGE: Final = int(FrameKind.MESSAGE)
_SEND, _PUBLISH, _EXIT = int(FrameKind.SEND), int(FrameKind.PUBLISH), int(FrameKind.EXIT)
_INIT, _STEP, _SHUTDOWN = int(Operation.INIT), int(Operation.STEP), int(Operation.SHUTDOWN)
_ACTIVE, _STOPPED = int(AgentStatus.ACTIVE), int(AgentStatus.STOPPED)
_OPEN, _DRAINING = int(RunStatus.OPEN), int(RunStatus.DRAINING)
_STOPPING, _SETTLING = int(RunStatus.STOPPING), int(RunStatus.SETTLING)
# A member of an enumeration costs 60 ns to name, which counts where it happens for every message.

_NO_SEEDS: Final[tuple[int, tuple[int, ...]]] = (-1, ())


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
        state: Where to go on, between two ticks; None begins before tick 0.

    Law: a machine made from an encoded and decoded state goes on to the same records.
    """

    def __init__(self, header: Header, lineage: bytes, *, state: State | None = None) -> None:
        self.header = header
        self.state = initial_state(header, lineage) if state is None else state
        self.cast = Cast(header, self.state)
        self.bus = self.cast.bus
        self._parts: list[bytes] = []
        self._content: list[bytes] = []
        self._fuel: list[int] = []
        self._details: list[tuple[int, str]] = []
        self._seeds: list[tuple[int, tuple[int, ...]]] = [_NO_SEEDS] * len(self.state.agents)
        self._policy = POLICIES[header.policy]
        self._linear = header.visibility == "linear"
        self._windowed = any(spec.limits.window_ticks for spec in (*header.agents, *header.templates))
        if state is None:
            for agent in self.state.agents:
                self.cast.join_all(agent)
            graph.add_tasks(self.state, header.tasks, self.cast.numbers)

    @property
    def clocked(self) -> bool:
        """Whether a tick's wall-clock sample is of use to anybody."""
        return self.cast.clocked

    def take_flips(self) -> list[Flip]:
        """Return what was written to windows since the last call. Order: commit."""
        flips = self.cast.windows.flips
        if flips:
            self.cast.windows.flips = []
        return flips

    @property
    def done(self) -> Commit:
        """What the tick's commits have asked of the shell so far."""
        return self.cast.done

    # -- admit ---------------------------------------------------------------------------------------------------------

    def admit(self, inputs: Sequence[Input]) -> None:
        """Begin the tick: fire due timers, then let the inputs in, in the order given."""
        state = self.state
        assert state.status < RunStatus.COMPLETE, "a closed run takes no more inputs"
        self.cast.done = Commit()
        self.bus.slot, self.bus.visible = -1, state.tick
        state.wall_us = 0
        if state.timers:
            self._fire_timers()
        if state.windows:
            self.cast.windows.keep_hours()
        for item in inputs:
            admit_input(self.cast, item)
        if self.cast.reseeded:
            self.cast.reseeded = False
            self._seeds.clear()
        missing = len(state.agents) - len(self._seeds)
        if missing:
            self._seeds += [_NO_SEEDS] * missing
        self.bus.flush_retained()
        self.bus.drain_deferred()

    def _fire_timers(self) -> None:
        state = self.state
        due = 0
        while due < len(state.timers) and state.timers[due].due <= state.tick:
            timer = state.timers[due]
            due += 1
            agent = state.agents[timer.agent]
            agent.timers -= 1
            self.bus.note(DerivedKind.TIMER_FIRED, timer.agent, timer.number)
            frame = encode_frame(FrameKind.TIMER_FIRED, 0, OUTSIDE, timer.tag, timer.number, state.tick, b"")
            self.bus.put(agent, frame)
        del state.timers[:due]

    # -- plan ----------------------------------------------------------------------------------------------------------

    def plan(self) -> list[int]:
        """Return the agents to run in this tick, in schedule order. Pure but for starting ready tasks."""
        state = self.state
        tick = state.tick
        if state.status == _SETTLING:
            return []
        if state.status == _STOPPING:
            return [a.number for a in state.agents if a.status == AgentStatus.ACTIVE and a.started]
        if state.tasks:
            self._start_tasks()
        if state.status == _DRAINING:
            shown = self.cast.windows.fresh()
            ready = [
                a
                for a in state.agents
                if a.status == 0 and (a.mail or a.unfinished or a.number in shown) and not a.deferred
            ]
        elif self._linear:
            ready = [a for a in state.agents if a.status == 0 and not a.deferred]
        elif state.windows:
            shown = self.cast.windows.fresh()
            ready = [
                a
                for a in state.agents
                if (a.mail or a.wake <= tick or not a.started or a.number in shown) and a.status == 0 and not a.deferred
            ]
        else:
            ready = [
                a
                for a in state.agents
                if (a.mail or a.wake <= tick or not a.started) and a.status == 0 and not a.deferred
            ]
        if self._windowed:
            ready = [a for a in ready if self._affords(a)]
        order = self._policy(state, ready) if len(ready) > 1 else ready
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
            while (task := graph.start_next(state, agent)) is not None:
                frame = encode_frame(
                    FrameKind.TASK_READY, task.encoding, OUTSIDE, task.tag, task.number, state.tick, task.body
                )
                if len(frame) <= agent.spec.limits.inbox_bytes:
                    task.body = b""
                    self.bus.note(DerivedKind.TASK_STARTED, agent.number, task.number, task.name)
                    self.bus.put(agent, frame)
                    break
                self.cast.fail_tasks([task.number])  # No inbox could ever hold it.

    def turns(self, slots: Sequence[int], *, replaying: bool = False) -> list[Turn]:
        """Return the turns of these slots and take their mailbox cuts.

        Args:
            replaying: Leave out what only an execution needs: seeds and fuel. The state that follows is the same.
        """
        state = self.state
        tick = state.tick
        operation = _SHUTDOWN if state.status == _STOPPING else _STEP
        block, place = divmod(tick, BLOCK_TICKS)
        fresh = self.cast.windows.fresh() if state.windows and operation == _STEP else ()
        turns: list[Turn] = []
        for number in slots:
            agent = state.agents[number]
            if self._linear and not (
                agent.mail or agent.wake <= tick or not agent.started or operation == _SHUTDOWN or number in fresh
            ):
                continue
            spec = agent.spec
            if not agent.started:
                turns.append(self._init_turn(agent, tick))
                continue
            shown = NOTHING
            if number in fresh:
                shown = self._shown(agent)
            if agent.mail_bytes <= spec.limits.inbox_bytes and not shown.told:
                inbox, count = b"".join(agent.mail), len(agent.mail)
                if count:
                    agent.mail, agent.mail_bytes = [], 0
            else:
                inbox, count = self._cut(agent, shown)
            limits = spec.limits
            if limits.window_ticks:
                self._roll_window(agent)
            if replaying:
                turns.append(Turn(number, operation, tick, 0, 0, 0, count, inbox, shown.views))
                continue
            known = self._seeds[number]
            if known[0] != block:
                known = self._seeds[number] = (block, seed_block(agent.key, block))
            fuel = self._fuel_left(agent) if limits.window_ticks else limits.fuel
            wall_us = state.wall_us if spec.clock else 0
            turns.append(Turn(number, operation, tick, known[1][place], fuel, wall_us, count, inbox, shown.views))
        return turns

    def _init_turn(self, agent: AgentState, tick: int) -> Turn:
        spec = agent.spec
        config = encode_frame(FrameKind.CONFIG, spec.config_encoding, OUTSIDE, DIRECT, 0, tick, spec.config)
        block, place = divmod(tick, BLOCK_TICKS)
        known = self._seeds[agent.number] = (block, seed_block(agent.key, block))
        wall_us = self.state.wall_us if spec.clock else 0
        fuel = spec.limits.fuel
        if spec.limits.window_ticks:
            self._roll_window(agent)
            fuel = self._fuel_left(agent)
        return Turn(agent.number, _INIT, tick, known[1][place], fuel, wall_us, 1, config)

    def _shown(self, agent: AgentState) -> Shown:
        """Return what windows show before a turn; nothing where the oldest message would not fit beside it."""
        shown = self.cast.windows.show(agent)
        room = agent.spec.limits.inbox_bytes - len(shown.frames)
        return NOTHING if agent.mail and len(agent.mail[0]) > room else shown

    def _cut(self, agent: AgentState, shown: Shown) -> tuple[bytes, int]:
        """Return the frames of what windows show, and after them the oldest messages that fit the inbox."""
        room, count = agent.spec.limits.inbox_bytes - len(shown.frames), 0
        for frame in agent.mail:
            if len(frame) > room:
                break
            room -= len(frame)
            count += 1
        inbox = b"".join(agent.mail[:count])
        del agent.mail[:count]
        agent.mail_bytes -= len(inbox)
        return shown.frames + inbox, shown.told + count

    def _roll_window(self, agent: AgentState) -> None:
        """Begin the fuel quota's window that holds this tick, if it has not begun."""
        tick, length = self.state.tick, agent.spec.limits.window_ticks
        if tick >= agent.window_start + length:
            agent.window_start, agent.window_fuel = tick - tick % length, 0

    def _affords(self, agent: AgentState) -> bool:
        """Return whether the fuel quota's window covers a whole turn; else the agent waits for the next window."""
        limits = agent.spec.limits
        if not limits.window_ticks:
            return True
        self._roll_window(agent)
        return limits.window_fuel - agent.window_fuel >= min(limits.fuel, limits.window_fuel)

    def _fuel_left(self, agent: AgentState) -> int:
        limits = agent.spec.limits
        return max(0, min(limits.fuel, limits.window_fuel - agent.window_fuel))

    # -- commit --------------------------------------------------------------------------------------------------------

    def commit(self, turns: Sequence[Turn], outcomes: Sequence[Outcome]) -> None:
        """Apply the outcomes in slot order. May be called several times in a tick when visibility is linear."""
        state, bus, ports = self.state, self.bus, self.cast.ports
        agents, parts, fuel, linear = state.agents, self._parts, self._fuel, self._linear
        bus.visible = state.tick if linear else state.tick + 1
        bus.drain_deferred()
        for turn, outcome in zip(turns, outcomes, strict=True):
            bus.slot += 1
            number, outbox, used = turn.agent, outcome.outbox, outcome.fuel
            agent = agents[number]
            limits = agent.spec.limits
            charged = 0
            if limits.window_ticks:
                charged = used
                agent.window_fuel += charged
            fuel.append(used)
            status = outcome.status
            if status == 0:
                actions = read_outbox(ports, number, outbox) if outbox else []
                if limits.messages_per_turn and len(actions) > limits.messages_per_turn:
                    actions = Refused(Status.DENIED, "", TOO_MANY)
                if isinstance(actions, Refused):
                    outcome = Outcome(actions.status, actions.code, used, b"", actions.detail)
                    status = actions.status
                    self.done.undo.append(number)
                else:
                    self._apply(agent, turn, outcome.code, actions)
            if status != 0:
                if status == Status.DENIED:
                    outcome = self._note_denial(ports[number], agent, outcome)
                self._details.append((bus.slot, outcome.detail))
                supervise(self.cast, agent, turn, outcome)
            detached = encode_turn(number, turn.operation, outcome, charged, parts)
            if detached is not None:
                self._content.append(detached)
            if linear:
                bus.flush_retained()

    def _note_denial(self, port: Port, agent: AgentState, outcome: Outcome) -> Outcome:
        """Record what a turn used and was not granted; return its outcome with that as its text."""
        why = denial(port, agent.spec, outcome.code)
        self.bus.note(DerivedKind.DENIED, agent.number, 0, why)
        return Outcome(outcome.status, outcome.code, outcome.fuel, b"", why)

    def _apply(self, agent: AgentState, turn: Turn, code: int, actions: list[Action]) -> None:
        """Apply a good turn: when it wants to run again, its frames in order, and last whether it leaves."""
        if agent.failures and (turn.operation != _INIT or agent.spec.supervision.policy != "restart"):
            agent.failures = 0  # To have begun again is no success yet.
        self._schedule(agent, turn, code)
        if turn.views:
            self.cast.windows.saw(agent.number, turn.views)
        state, bus = self.state, self.bus
        agents, tick, number, visible = state.agents, state.tick, agent.number, bus.visible
        leaves = False
        for action in actions:
            kind, index, _, encoding, size, body = action
            if kind == _SEND or kind >= USER_KINDS:
                state.seq = seq = state.seq + 1
                frame = _pack(size, _MESSAGE if kind == _SEND else kind, encoding, number, DIRECT, seq, tick) + body
                target = agents[index]
                limits, mail, length = target.spec.limits, target.mail, len(frame)
                room = target.mail_bytes + length
                # The common case of Bus.deliver, in line: most of a tick's time is spent here.
                if (
                    room <= limits.mailbox_bytes
                    and len(mail) < limits.mailbox_messages
                    and length <= limits.inbox_bytes
                    and target.status != _STOPPED
                    and not agent.deferred
                ):
                    if not mail and target.ready_since > visible:
                        target.ready_since = visible
                    mail.append(frame)
                    target.mail_bytes = room
                else:
                    bus.deliver(target, frame, number, seq)
            elif kind == _PUBLISH:
                state.seq = seq = state.seq + 1
                for subscription in state.topics[index].subscribers:
                    frame = _pack(size, _MESSAGE, encoding, number, subscription.handle, seq, tick) + body
                    bus.deliver(agents[subscription.agent], frame, number, seq)
            elif kind == _EXIT:
                leaves = True
            else:
                apply_action(self.cast, agent, action)
        if leaves:
            self.cast.stop_agent(agent, "it asked to exit")

    def _schedule(self, agent: AgentState, turn: Turn, code: int) -> None:
        """Set when the agent is due again and settle the task it worked on."""
        following = turn.tick + 1
        if turn.operation == _STEP:
            agent.unfinished = code == AGAIN or code < 0
            if 0 <= code < AGAIN:
                agent.wake = wake = following + code
                agent.ready_since = following if agent.mail else wake
            elif code == UNTIL_MESSAGE:
                agent.wake = NEVER
                agent.ready_since = following if agent.mail else NEVER
            else:  # AGAIN, or the outbox was full: its work goes on.
                agent.wake = agent.ready_since = following
                return
            if agent.task >= 0:
                self.cast.finish_task(agent)
        elif turn.operation == _INIT:
            agent.started = True
            agent.wake = agent.ready_since = following

    # -- seal ----------------------------------------------------------------------------------------------------------

    def seal(self) -> Sealed:
        """End the tick and return its records."""
        state, bus = self.state, self.bus
        bus.visible = state.tick + 1
        if self.cast.requests:
            issue_requests(self.cast)
        bus.slot = -1
        bus.flush_retained()
        if state.status != _OPEN:
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
        if state.status == _DRAINING:
            state.drained += 1
            under_way = any(
                (a.mail or a.unfinished) and a.status == AgentStatus.ACTIVE and a.started for a in state.agents
            ) or bool(state.windows and self.cast.windows.fresh())
            if not under_way or state.drained >= MAX_DRAIN_TICKS:
                state.status = RunStatus.STOPPING
                for agent in state.agents:
                    self.bus.clear_mail(agent, "the run closed")
        elif state.status == _STOPPING:
            for agent in state.agents:
                if agent.status != AgentStatus.STOPPED:
                    self.cast.stop_agent(agent, "the run closed")
            state.status = RunStatus.SETTLING
        if state.status == _SETTLING and not state.effects:
            state.status = RunStatus.COMPLETE
            self.bus.note(DerivedKind.CLOSED, OUTSIDE, state.tick)

    @property
    def ticks(self) -> int:
        """Ticks until the run was asked to close, or so far."""
        return min(self.state.tick, self.state.closing_since)

    @property
    def idle(self) -> bool:
        """Whether nothing will happen any more unless something new comes from outside."""
        return not self.state.effects and self.quiet

    @property
    def quiet(self) -> bool:
        """Whether nothing will happen any more but by an effect's result or something else from outside."""
        state = self.state
        if state.timers or state.status != _OPEN:
            return False
        if state.windows and any(not state.agents[number].deferred for number in self.cast.windows.fresh()):
            return False
        for agent in state.agents:
            if agent.deferred:
                if self.bus.deliverable(agent.deferred[0]):
                    return False
            elif agent.status == _ACTIVE and (agent.mail or not agent.started or agent.wake < NEVER or agent.queue):
                return False
        return True
