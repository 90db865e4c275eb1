"""The bus: mailboxes, topics and what happens when a mailbox is full.

Invariants:
    * One writer gives every message its sequence number, at commit; hence FIFO per topic and per pair.
    * A message is either in exactly one mailbox, deferred at its sender, or recorded as dropped or dead.
    * Subscribers of a topic are served in subscription order.
"""

import struct
from collections.abc import Callable
from typing import Final

from ..codec import encode_frame
from ..records import DIRECT, OUTSIDE, Derived, DerivedKind, FrameKind, Refusal
from .state import NEVER, AgentState, AgentStatus, Deferred, State, Subscription, TopicState

ERROR_TEXT_BYTES: Final = 200
"""Text of an error frame is cut here, so that a refusal is never larger than what caused it could be."""

_KIND: Final = struct.Struct("<4xH")
_DESTINATION: Final = struct.Struct("<12xI")
_SEQ: Final = struct.Struct("<16xQ")

_KEPT: Final = frozenset((FrameKind.RESULT, FrameKind.ERROR, FrameKind.TIMER_FIRED, FrameKind.TASK_READY))
"""What ``drop_old`` never drops: the kernel put it there, and nobody would send it again."""


def kind_of(frame: bytes) -> int:
    """Return the kind in a frame's header."""
    kind: int = _KIND.unpack_from(frame)[0]
    return kind


def seq_of(frame: bytes) -> int:
    """Return the sequence number in a frame's header."""
    seq: int = _SEQ.unpack_from(frame)[0]
    return seq


def handle_of(frame: bytes) -> int:
    """Return the topic's handle in a frame's header, ``DIRECT`` for a message that comes by none."""
    handle: int = _DESTINATION.unpack_from(frame)[0]
    return handle


class Bus:
    """Delivers frames within one state and notes consequences in ``derived``."""

    def __init__(self, state: State, derived: list[Derived]) -> None:
        self.state = state
        self.derived = derived
        self.slot = -1
        self.visible = 0
        self._written: dict[int, None] = {}
        self._deferring = {agent.number for agent in state.agents if agent.deferred}
        self._members = [{known.agent for known in topic.subscribers} for topic in state.topics]

    def note(self, kind: int, agent: int, number: int = 0, note: str = "", digest: bytes = b"") -> None:
        """Add a derived record at the current slot."""
        self.derived.append(Derived(kind, self.slot, agent, number, note, digest))

    def next_seq(self) -> int:
        """Return the next number of the run's total order."""
        self.state.seq += 1
        return self.state.seq

    def put(self, agent: AgentState, frame: bytes) -> None:
        """Append a frame to a mailbox, whatever its bounds."""
        if not agent.mail:
            agent.ready_since = min(agent.ready_since, self.visible)
        agent.mail.append(frame)
        agent.mail_bytes += len(frame)

    def has_room(self, agent: AgentState, size: int) -> bool:
        """Return whether a frame of ``size`` bytes fits the mailbox's bounds."""
        limits = agent.spec.limits
        return len(agent.mail) < limits.mailbox_messages and agent.mail_bytes + size <= limits.mailbox_bytes

    def deliver(self, agent: AgentState, frame: bytes, sender: int, seq: int) -> None:
        """Put a frame into a mailbox, or do what the receiver's overflow policy says."""
        limits, size = agent.spec.limits, len(frame)
        if agent.status == AgentStatus.STOPPED:
            self.bury(agent.number, seq, "the receiver has stopped")
        elif size > limits.inbox_bytes:
            self.note(DerivedKind.OVERFLOW, agent.number, seq, "larger than the inbox")
            self.refuse(sender, Refusal.TOO_BIG, FrameKind.SEND, seq, "message larger than the receiver's inbox")
        elif size > limits.mailbox_bytes or not limits.mailbox_messages:
            self.note(DerivedKind.OVERFLOW, agent.number, seq, "larger than the mailbox")
            self.refuse(sender, Refusal.TOO_BIG, FrameKind.SEND, seq, "message larger than the receiver's mailbox")
        elif self._waits_for(sender, agent.number):
            self._defer(agent, frame, sender, seq)  # A later message never overtakes one that waits.
        elif self.has_room(agent, size) and not self._topic_waits(agent.number, frame):
            self.put(agent, frame)
        else:
            self._overflow(agent, frame, sender, seq)

    def _waits_for(self, sender: int, target: int) -> bool:
        return sender != OUTSIDE and any(item.target == target for item in self.state.agents[sender].deferred)

    def _topic_waits(self, target: int, frame: bytes) -> bool:
        """Return whether an earlier message of the frame's topic waits for the same receiver, at whichever sender."""
        handle, seq = handle_of(frame), seq_of(frame)
        if handle == DIRECT or not self._deferring:
            return False
        waiting = (item for sender in self._deferring for item in self.state.agents[sender].deferred)
        return any(
            item.target == target and handle_of(item.frame) == handle and seq_of(item.frame) < seq for item in waiting
        )

    def _defer(self, agent: AgentState, frame: bytes, sender: int, seq: int) -> None:
        self.note(DerivedKind.OVERFLOW, agent.number, seq, "defer")
        self.state.agents[sender].deferred.append(Deferred(agent.number, frame))
        self._deferring.add(sender)

    def _overflow(self, agent: AgentState, frame: bytes, sender: int, seq: int) -> None:
        policy = agent.spec.limits.overflow
        if policy == "defer":
            if sender != OUTSIDE and not self._closes_cycle(sender, agent.number):
                self._defer(agent, frame, sender, seq)
                return
            policy = "reject"
        if policy == "drop_old" and self._drop_oldest(agent, len(frame)):
            self.put(agent, frame)
            return
        self.note(DerivedKind.OVERFLOW, agent.number, seq, policy)
        if policy == "reject":
            self.refuse(sender, Refusal.TOO_BIG, FrameKind.SEND, seq, "the receiver's mailbox is full")

    def _drop_oldest(self, agent: AgentState, size: int) -> bool:
        """Drop the oldest messages, each with a record, until ``size`` bytes find room; return whether they do."""
        place = 0
        while place < len(agent.mail) and not self.has_room(agent, size):
            if kind_of(agent.mail[place]) in _KEPT:
                place += 1
                continue
            dropped = agent.mail.pop(place)
            agent.mail_bytes -= len(dropped)
            self.note(DerivedKind.OVERFLOW, agent.number, seq_of(dropped), "drop_old")
        return self.has_room(agent, size)

    def _closes_cycle(self, sender: int, target: int) -> bool:
        """Return whether ``target`` already waits, directly or not, for ``sender`` to take its mail."""
        seen = {sender}
        pending = [target]
        while pending:
            number = pending.pop()
            if number == sender:
                return True
            if number in seen:
                continue
            seen.add(number)
            pending.extend(item.target for item in self.state.agents[number].deferred)
        return False

    def drain_deferred(self) -> None:
        """Deliver the deferred messages that now find room. Order: sequence, over all senders.

        It happens between a receiver's cut and the commit of new messages, so that those that wait come first. Behind
        one that finds no room stay its sender's other messages, and later ones of its topic.
        """
        if not self._deferring:
            return
        agents = self.state.agents
        waiting = sorted(
            (seq_of(item.frame), sender, place, item)
            for sender in self._deferring
            for place, item in enumerate(agents[sender].deferred)
        )
        blocked: set[int] = set()
        held: set[tuple[int, int]] = set()
        for _, sender, place, item in waiting:
            stream = (item.target, handle_of(item.frame))
            if sender not in blocked and stream not in held and self._settle(item):
                continue
            if stream[1] != DIRECT:
                held.add(stream)
            if sender not in blocked:
                blocked.add(sender)
                del agents[sender].deferred[:place]
        for sender in self._deferring - blocked:
            agents[sender].deferred = []
        self._deferring = blocked

    def deliverable(self, item: Deferred) -> bool:
        """Return whether a deferred message need not wait any longer."""
        target = self.state.agents[item.target]
        if target.status == AgentStatus.STOPPED:
            return True
        return self.has_room(target, len(item.frame)) and not self._topic_waits(item.target, item.frame)

    def _settle(self, item: Deferred) -> bool:
        target = self.state.agents[item.target]
        if target.status == AgentStatus.STOPPED:
            self.bury(target.number, seq_of(item.frame), "the receiver has stopped")
        elif self.has_room(target, len(item.frame)):
            self.put(target, item.frame)
        else:
            return False
        return True

    def bury(self, agent: int, seq: int, reason: str) -> None:
        """Record a dead letter."""
        self.state.dead_letters += 1
        self.note(DerivedKind.DEAD_LETTER, agent, seq, reason)

    def refuse(
        self,
        agent: int,
        code: int,
        kind: int,
        seq: int,
        text: str,
        *,
        bounded: bool = True,
        destination: int = DIRECT,
    ) -> None:
        """Tell an agent that a frame of its was refused.

        Args:
            bounded: Whether a full mailbox makes it a dead letter. An effect's failure is told in any case.
            destination: Of the ERROR frame: a model's handle where it answers a request to the model.
        """
        if agent == OUTSIDE:
            self.bury(OUTSIDE, seq, text)
            return
        state = self.state.agents[agent]
        body = int(code).to_bytes(4, "little", signed=True) + kind.to_bytes(4, "little") + seq.to_bytes(8, "little")
        body += text.encode()[:ERROR_TEXT_BYTES].decode(errors="ignore").encode()
        number = self.next_seq()
        frame = encode_frame(FrameKind.ERROR, 0, OUTSIDE, destination, number, self.state.tick, body)
        if state.status == AgentStatus.STOPPED or (bounded and not self.has_room(state, len(frame))):
            self.bury(agent, number, "no room for a refusal")
        else:
            self.put(state, frame)

    def send(self, target: AgentState, kind: int, encoding: int, source: int, body: bytes) -> None:
        """Deliver an unpadded body from outside or from the kernel itself."""
        seq = self.next_seq()
        self.deliver(target, encode_frame(kind, encoding, source, DIRECT, seq, self.state.tick, body), source, seq)

    def publish(self, topic: TopicState, kind: int, encoding: int, source: int, body: bytes) -> None:
        """Deliver one body to every subscriber, all under one sequence number."""
        seq = self.next_seq()
        for subscription in topic.subscribers:
            frame = encode_frame(kind, encoding, source, subscription.handle, seq, self.state.tick, body)
            self.deliver(self.state.agents[subscription.agent], frame, source, seq)

    def retain(self, index: int, encoding: int, source: int, body: bytes) -> None:
        """Write a topic's retained value; the last writer of a tick wins and a lost write is a record."""
        topic = self.state.topics[index]
        if index in self._written:
            self.note(DerivedKind.LOST_WRITE, topic.writer, topic.version, topic.name)
        else:
            self._written[index] = None
            topic.version += 1
        topic.encoding, topic.value, topic.writer, topic.written = encoding, body, source, self.state.tick

    def flush_retained(self) -> None:
        """Deliver the values written since the last call to their subscribers. Order: first write."""
        if not self._written:
            return
        for index in self._written:
            topic = self.state.topics[index]
            self.publish(topic, FrameKind.RETAINED, topic.encoding, topic.writer, topic.value)
        self._written.clear()

    def join(self, agent: AgentState, index: int, handle: int) -> None:
        """Subscribe an agent to a topic and hand it the retained value, if there is one."""
        topic, members = self.state.topics[index], self._members[index]
        if agent.number in members:
            return
        members.add(agent.number)
        topic.subscribers.append(Subscription(agent.number, handle))
        self.note(DerivedKind.JOINED, agent.number, handle, topic.name)
        if topic.version and index not in self._written:
            seq = self.next_seq()
            frame = encode_frame(
                FrameKind.RETAINED, topic.encoding, topic.writer, handle, seq, self.state.tick, topic.value
            )
            self.deliver(agent, frame, OUTSIDE, seq)

    def leave(self, agent: AgentState, index: int) -> None:
        """Unsubscribe an agent from a topic."""
        topic, members = self.state.topics[index], self._members[index]
        if agent.number not in members:
            return
        members.remove(agent.number)
        handles = {known.handle for known in topic.subscribers if known.agent == agent.number}
        topic.subscribers = [known for known in topic.subscribers if known.agent != agent.number]
        self.note(DerivedKind.LEFT, agent.number, 0, topic.name)
        for sender in sorted(self._deferring):
            self._bury_deferred(self.state.agents[sender], agent.number, handles)

    def _bury_deferred(self, sender: AgentState, target: int, handles: set[int]) -> None:
        """Bury what a sender has deferred to one who has left its topic."""
        kept: list[Deferred] = []
        for item in sender.deferred:
            if item.target == target and handle_of(item.frame) in handles:
                self.bury(target, seq_of(item.frame), "the receiver has left the topic")
            else:
                kept.append(item)
        sender.deferred = kept
        if not kept:
            self._deferring.discard(sender.number)

    def redirect(self, sender: AgentState, target: int, rebound: Callable[[bytes], bytes | None]) -> None:
        """Give what a sender has deferred to an agent other handles; bury what gets None."""
        kept: list[Deferred] = []
        for item in sender.deferred:
            frame = rebound(item.frame) if item.target == target else item.frame
            if frame is None:
                self.bury(target, seq_of(item.frame), "the new version cannot be given it")
            else:
                kept.append(item if frame is item.frame else Deferred(target, frame))
        sender.deferred = kept
        if not kept:
            self._deferring.discard(sender.number)

    def clear_mail(self, agent: AgentState, reason: str) -> None:
        """Move an agent's mail and its deferred messages to the dead letters."""
        for frame in agent.mail:
            self.bury(agent.number, seq_of(frame), reason)
        for item in agent.deferred:
            self.bury(item.target, seq_of(item.frame), "the sender has stopped")
        agent.mail, agent.mail_bytes, agent.deferred = [], 0, []
        self._deferring.discard(agent.number)

    def unsubscribe_all(self, agent: AgentState) -> None:
        """Drop every subscription of an agent that will not run again."""
        for index in range(len(self.state.topics)):
            self.leave(agent, index)
        agent.wake = agent.ready_since = NEVER
