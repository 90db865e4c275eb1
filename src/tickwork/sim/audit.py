"""The audit: a finished run folded once more while its messages are counted.

The account is kept from records alone, by rules simple enough to be believed on sight, and compared after every tick
with the mailboxes the kernel has: what was offered is taken, lost and recorded as such, or waits. Nothing else
may happen to a message.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from .. import codec
from ..codec import TurnRecord
from ..driver.fold import open_machine, read_inputs, read_turns
from ..journal.store import JournalReader
from ..kernel import Machine, RunStatus
from ..kernel.state import AgentStatus
from ..kernel.swap import read_order, why_not
from ..records import (
    DIRECT,
    OUTSIDE,
    AgentSpec,
    Derived,
    DerivedKind,
    Frame,
    FrameKind,
    Input,
    InputKind,
    Message,
    Operation,
    Status,
    Turn,
)

USER_KINDS: Final = 0x8000
SPOKEN: Final = frozenset({FrameKind.MESSAGE, FrameKind.RETAINED})
LOSING: Final = frozenset({"reject", "drop_new", "drop_old", "larger than the inbox", "larger than the mailbox"})
"""Notes of an OVERFLOW record that mean a message is gone; ``defer`` is the one that does not."""

REFUSING: Final = frozenset({"reject", "larger than the inbox", "larger than the mailbox"})
"""Notes of an OVERFLOW record after which the sender is told."""

ANSWERED: Final = frozenset({FrameKind.WINDOW_WRITE, FrameKind.SKILL, FrameKind.INFER})
"""Kinds of frames that a DENIED record tells of after the turn, with an answer to the agent."""


class Topics:
    """Who would hear each topic, by the rules alone."""

    def __init__(self, machine: Machine) -> None:
        self.hearing = [{known.agent for known in topic.subscribers} for topic in machine.state.topics]
        self.kept = [topic.version > 0 for topic in machine.state.topics]
        self.written: set[int] = set()

    def join(self, agent: int, topic: int) -> int:
        """Subscribe; return the copies of a retained value that this hands out."""
        if agent in self.hearing[topic]:
            return 0
        self.hearing[topic].add(agent)
        return int(self.kept[topic] and topic not in self.written)

    def leave_all(self, agent: int) -> None:
        """Unsubscribe an agent that has stopped."""
        for hearing in self.hearing:
            hearing.discard(agent)

    def retain(self, topic: int) -> None:
        """Write a retained value; it is handed out when the slot or the tick ends."""
        self.written.add(topic)
        self.kept[topic] = True

    def flush(self) -> int:
        """Return the copies that the values written since the last call make."""
        copies = sum(len(self.hearing[topic]) for topic in self.written)
        self.written.clear()
        return copies


class Audit:
    """Folds a journal and keeps the account.

    Attributes:
        faults: What does not add up, each with its tick. Nothing after the first faulty tick is looked at.
    """

    def __init__(self, journal: JournalReader) -> None:
        self.journal = journal
        _, self.machine = open_machine(journal.header()[0])
        self.topics = Topics(self.machine)
        self.linear = self.machine.header.visibility == "linear"
        self.faults: list[str] = []
        self._offered = 0
        self._taken = 0
        self._newcomer = 0
        self._stopping: set[int] = set()
        self._specs: dict[int, AgentSpec] = {}
        self._joined: set[tuple[int, int]] = set()
        self._heard: dict[tuple[int, str, int], int] = {}

    def run(self) -> list[str]:
        """Return what does not add up."""
        # What agents subscribe to before tick 0 is in the first frame's records, and no value is retained yet.
        for frame in self.journal.frames():
            self._tick(frame)
            if self.faults:
                break
        return self.faults

    def _tick(self, frame: Frame) -> None:
        machine, state = self.machine, self.machine.state
        before = _waiting(machine)
        self._offered = self._taken = 0
        inputs = read_inputs(self.journal, frame)
        self._stopping = {agent.number for agent in state.agents if agent.status == AgentStatus.STOPPED}
        self._specs, self._joined = {}, set()
        for item in inputs:
            self._count_input(item)
        gone = {agent.number for agent in state.agents if agent.status == AgentStatus.STOPPED}
        machine.admit(inputs)
        self._offered += self.topics.flush()
        self._follow_inputs(gone)
        recorded = read_turns(self.journal, frame)
        if self.linear:
            waiting = iter(recorded)
            for slot in machine.plan():
                self._commit(machine.turns([slot], replaying=True), waiting)
        else:
            self._commit(machine.turns(machine.plan(), replaying=True), iter(recorded))
        self._offered += self.topics.flush()
        sealed = machine.seal()
        tick = frame.tick
        if (sealed.turns, sealed.derived) != (frame.turns, frame.derived):
            self.faults.append(f"tick {tick}: a replay derives other records than the run")
            return
        derived = codec.decode_derived(frame.derived)
        self._offered += _offered_by_records(derived)
        self._balance(tick, before, _lost(derived))
        if state.status < RunStatus.STOPPING:
            self._compare_topics(tick)

    # -- counting ----------------------------------------------------------------------------------------------------

    def _count_input(self, item: Input) -> None:
        names = self.machine.header.topics
        if item.kind == InputKind.MESSAGE:
            self._offered += item.target in self.machine.cast.numbers
        elif item.kind == InputKind.PUBLISH and item.target in names:
            self._offered += len(self.topics.hearing[names.index(item.target)])
        elif item.kind == InputKind.PUBLISH_RETAINED and item.target in names:
            self.topics.retain(names.index(item.target))
        elif item.kind == InputKind.SWAP_AGENT and not item.code:
            self._count_swap(item)
        elif item.kind in (InputKind.GRANT, InputKind.REVOKE):
            self._count_grant(item, granted=item.kind == InputKind.GRANT)
        elif item.kind == InputKind.STOP_AGENT and item.target in self.machine.cast.numbers:
            self._stopping.add(self.machine.cast.numbers[item.target])
            self.topics.leave_all(self.machine.cast.numbers[item.target])

    def _count_grant(self, item: Input, *, granted: bool) -> None:
        """Join or leave a topic whose subscription is granted or revoked."""
        word, number = item.body.decode(errors="replace"), self.machine.cast.numbers.get(item.target)
        key, _, name = word.partition(":")
        if number is None or number in self._stopping or key != "subscribe":
            return
        spec = self._specs.get(number, self.machine.state.agents[number].spec)
        if name not in spec.subscribe or name not in self.machine.header.topics or (word in spec.denied) != granted:
            return
        rest = tuple(known for known in spec.denied if known != word)
        self._specs[number] = msgspec.structs.replace(spec, denied=rest if granted else (*rest, word))
        if granted:
            self._offered += self.topics.join(number, self._topic(name))
            self._joined.add((number, spec.subscribe.index(name)))
        else:
            self.topics.hearing[self._topic(name)].discard(number)

    def _count_swap(self, item: Input) -> None:
        """Leave the topics that a new version may not hear, and join those that only it declares."""
        order, number = read_order(item), self.machine.cast.numbers.get(item.target)
        agent = self.machine.state.agents[number] if number is not None else None
        if order is None or agent is None or why_not(agent, item.target, order) or agent.number in self._specs:
            return
        self._specs[agent.number] = order.spec
        names, new = self.machine.header.topics, order.spec
        granted = {name for name in new.subscribe if f"subscribe:{name}" not in new.denied}
        for topic, name in enumerate(names):
            if name not in granted:
                self.topics.hearing[topic].discard(agent.number)
            elif name not in agent.spec.subscribe:
                self._offered += self.topics.join(agent.number, topic)
                self._joined.add((agent.number, new.subscribe.index(name)))

    def _follow_inputs(self, gone: set[int]) -> None:
        """Follow what inputs led to. A result for an agent that has gone is settled and makes no message."""
        for item in self.machine.cast.derived:
            if item.kind == DerivedKind.STOPPED and item.slot < 0:
                gone.add(item.agent)
                self.topics.leave_all(item.agent)
            elif item.kind == DerivedKind.EFFECT_SETTLED and item.agent not in gone:
                self._offered += 1

    def _commit(self, turns: Sequence[Turn], recorded: Iterator[TurnRecord]) -> None:
        """Commit turns, then count them one by one."""
        machine = self.machine
        items = list(islice(recorded, len(turns)))
        planned = [(turn.agent, turn.operation) for turn in turns]
        if planned != [(item.agent, item.operation) for item in items]:
            self.faults.append(f"tick {machine.state.tick}: the schedule plans other turns than the journal has")
            return
        closing = machine.state.status == RunStatus.STOPPING
        self._newcomer = len(machine.state.agents)
        slot = machine.bus.slot
        machine.commit(turns, [item.outcome for item in items])
        stopped = [(item.slot, item.agent) for item in machine.cast.derived if item.kind == DerivedKind.STOPPED]
        for turn, item in zip(turns, items, strict=True):
            slot += 1
            if item.outcome.status == Status.OK:
                self._count_turn(turn, item)
            for place, agent in stopped if not closing else ():
                if place == slot:
                    self.topics.leave_all(agent)
        if self.linear:
            self._offered += self.topics.flush()

    def _count_turn(self, turn: Turn, item: TurnRecord) -> None:
        if turn.operation != Operation.INIT:
            shown = {(view.window, view.epoch) for view in turn.views}
            self._taken += turn.count - len(shown)  # What windows show is told anew and waits in no mailbox.
            self._check_order(turn)
        for frame in codec.decode_frames(item.outcome.outbox):
            self._count_frame(turn.agent, frame)

    def _count_frame(self, agent: int, frame: Message) -> None:
        """Add the copies that one frame of an outbox makes."""
        spec, topics, handle = self.machine.state.agents[agent].spec, self.topics, frame.destination
        if frame.kind == FrameKind.SEND or frame.kind >= USER_KINDS:
            self._offered += 1
        elif frame.kind == FrameKind.PUBLISH:
            self._offered += len(topics.hearing[self._topic(spec.publish[handle])])
        elif frame.kind == FrameKind.PUBLISH_RETAINED:
            topics.retain(self._topic(spec.publish[handle]))
        elif frame.kind == FrameKind.JOIN:
            self._offered += topics.join(agent, self._topic(spec.subscribe[handle]))
        elif frame.kind == FrameKind.LEAVE:
            topics.hearing[self._topic(spec.subscribe[handle])].discard(agent)
        elif frame.kind == FrameKind.SPAWN:
            self._count_spawn(spec.spawn[handle])

    def _topic(self, name: str) -> int:
        return self.machine.header.topics.index(name)

    def _count_spawn(self, template: str) -> None:
        spec = next(known for known in self.machine.header.templates if known.name == template)
        for name in spec.subscribe:
            if name in self.machine.header.topics and f"subscribe:{name}" not in spec.denied:
                self._offered += self.topics.join(self._newcomer, self._topic(name))
        self._newcomer += 1

    # -- comparing ---------------------------------------------------------------------------------------------------

    def _balance(self, tick: int, before: int, lost: int) -> None:
        after = _waiting(self.machine)
        if before + self._offered != self._taken + lost + after:
            self.faults.append(
                f"tick {tick}: messages do not add up: {before} waited and {self._offered} were offered, "
                f"but {self._taken} were taken, {lost} are recorded as lost and {after} wait now"
            )

    def _compare_topics(self, tick: int) -> None:
        for topic, hearing in zip(self.machine.state.topics, self.topics.hearing, strict=True):
            if {known.agent for known in topic.subscribers} != hearing:
                self.faults.append(f"tick {tick}: topic {topic.name} has other subscribers than joined it")

    def _check_order(self, turn: Turn) -> None:
        """Check that what one agent says to another, and what is said on a topic, comes in the order it was said.

        A retained value is in the order of its topic alone: one that joining hands out was said long ago.
        """
        for message in codec.decode_frames(turn.inbox):
            if message.kind not in SPOKEN and message.kind < USER_KINDS:
                continue
            if message.kind != FrameKind.RETAINED:
                self._check_stream(turn, message, (turn.agent, "agent", message.source))
            if message.destination != DIRECT:
                self._check_stream(turn, message, (turn.agent, "topic", message.destination))
            if message.kind == FrameKind.RETAINED and (turn.agent, message.destination) in self._joined:
                continue  # An input handed it out in this tick; it was said before.
            if not self.linear and message.source != OUTSIDE and message.tick >= turn.tick:
                self.faults.append(f"tick {turn.tick}: message {message.seq} was heard in the tick it was sent")

    def _check_stream(self, turn: Turn, message: Message, stream: tuple[int, str, int]) -> None:
        before = self._heard.get(stream, 0)
        if message.seq <= before:
            who, what, which = stream
            self.faults.append(
                f"tick {turn.tick}: agent {who} heard message {message.seq} of {what} {which} after message {before}"
            )
        self._heard[stream] = message.seq


def _waiting(machine: Machine) -> int:
    """Return how many messages wait, in mailboxes and at their senders."""
    return sum(len(agent.mail) + len(agent.deferred) for agent in machine.state.agents)


def _offered_by_records(derived: Sequence[Derived]) -> int:
    """Return how many messages the kernel itself has made: timers, tasks, and answers to refused ones."""
    made = sum(item.kind in (DerivedKind.TIMER_FIRED, DerivedKind.TASK_STARTED) for item in derived)
    refused = sum(item.kind == DerivedKind.OVERFLOW and item.note in REFUSING for item in derived)
    unheard = sum(item.kind == DerivedKind.DEAD_LETTER and item.agent == OUTSIDE for item in derived)
    escalated = sum(item.kind == DerivedKind.ESCALATED and item.number != OUTSIDE for item in derived)
    denied = sum(item.kind == DerivedKind.DENIED and item.number in ANSWERED for item in derived)
    return made + refused - unheard + escalated + denied


def _lost(derived: Sequence[Derived]) -> int:
    """Return how many messages the records say are gone."""
    dead = sum(item.kind == DerivedKind.DEAD_LETTER and item.agent != OUTSIDE for item in derived)
    return dead + sum(item.kind == DerivedKind.OVERFLOW and item.note in LOSING for item in derived)


class Settled(msgspec.Struct, frozen=True):
    """The effects a journal tells of.

    Attributes:
        asked: Keys of intents.
        open: Effects whose result is not in, by number: the record of the intent, with its tick.
    """

    asked: frozenset[bytes]
    open: dict[int, tuple[int, Derived]]


def read_effects(journal: JournalReader) -> Settled:
    """Return which effects a journal tells of."""
    asked: set[bytes] = set()
    open_: dict[int, tuple[int, Derived]] = {}
    for frame in journal.frames():
        for item in codec.decode_derived(frame.derived):
            if item.kind == DerivedKind.EFFECT:
                asked.add(item.digest)
                open_[item.number] = (frame.tick, item)
            elif item.kind == DerivedKind.EFFECT_SETTLED:
                open_.pop(item.number, None)
    return Settled(frozenset(asked), open_)
