"""Native agents: Python classes with the shape of a sandboxed agent, for trusted code.

A native agent is three functions of frozen data. Its state is a value, so a failed turn is undone by forgetting
what it returned.

Invariants:
    * An agent's class holds no state of its own: whatever a turn depends on is in the state, the inbox or the context.
    * An outbox holds the same frames a module would leave; the kernel cannot tell the two apart.
"""

import struct
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar, runtime_checkable

import msgspec

from .codec import encode_frame
from .records import AGAIN, DIRECT, OUTSIDE, RAW_AGENT, UNTIL_MESSAGE, AgentSpec, Encoding, FrameKind, Message

_DELAY: Final = struct.Struct("<Q")
_TASK_HEAD: Final = struct.Struct("<iIII")


class Outbox:
    """What a turn wants done. Names are looked up in the agent's own lists; an unknown one raises ``KeyError``."""

    __slots__ = ("_parts", "_spec", "code")

    def __init__(self, spec: AgentSpec) -> None:
        self._spec = spec
        self._parts: list[bytes] = []
        self.code = UNTIL_MESSAGE

    def _add(self, kind: int, destination: int, body: bytes, encoding: int = Encoding.BYTES) -> None:
        self._parts.append(encode_frame(kind, encoding, 0, destination, 0, 0, body))

    def _handle(self, names: tuple[str, ...], name: str, what: str) -> int:
        if name not in names:
            raise KeyError(
                f"agent {self._spec.name!r} declares no {what} {name!r}; it has {', '.join(names) or 'none'}"
            )
        return names.index(name)

    def send(self, target: str | int, body: bytes, *, encoding: int = Encoding.BYTES) -> None:
        """Send a message to an agent by name, or answer a message's ``source``."""
        if isinstance(target, int):
            if target == OUTSIDE:
                raise ValueError("the message came from outside the run: there is nobody to answer")
            self._add(FrameKind.SEND, RAW_AGENT | target, body, encoding)
        else:
            self._add(FrameKind.SEND, self._handle(self._spec.send, target, "send target"), body, encoding)

    def publish(self, topic: str, body: bytes, *, retain: bool = False, encoding: int = Encoding.BYTES) -> None:
        """Publish on a topic; ``retain`` makes it the topic's value until the next one."""
        kind = FrameKind.PUBLISH_RETAINED if retain else FrameKind.PUBLISH
        self._add(kind, self._handle(self._spec.publish, topic, "topic to publish"), body, encoding)

    def join(self, topic: str) -> None:
        """Subscribe to a topic of the agent's list."""
        self._add(FrameKind.JOIN, self._handle(self._spec.subscribe, topic, "topic to subscribe"), b"")

    def leave(self, topic: str) -> None:
        """Unsubscribe from a topic."""
        self._add(FrameKind.LEAVE, self._handle(self._spec.subscribe, topic, "topic to subscribe"), b"")

    def timer(self, ticks: int, tag: int = 0) -> None:
        """Ask for a TIMER_FIRED frame with ``tag`` in ``ticks`` ticks, at least one."""
        self._add(FrameKind.TIMER, tag, _DELAY.pack(ticks))

    def task(self, agent: str, tag: int, body: bytes, *, priority: int = 0, depends_on: Sequence[int] = ()) -> None:
        """Add a task for an agent. ``depends_on`` holds tags of this agent's earlier tasks."""
        tags = b"".join(known.to_bytes(4, "little") for known in depends_on)
        head = _TASK_HEAD.pack(priority, tag, len(depends_on), 0) + tags + bytes(-len(tags) & 7)
        self._add(FrameKind.TASK, self._handle(self._spec.send, agent, "send target"), head + body)

    def call(self, skill: str, body: bytes, *, encoding: int = Encoding.MSGPACK) -> None:
        """Ask for an effect; its result comes as a RESULT frame."""
        self._add(FrameKind.SKILL, self._handle(self._spec.skills, skill, "skill"), body, encoding)

    def spawn(self, template: str, config: bytes = b"") -> None:
        """Ask for a new agent from a template."""
        self._add(FrameKind.SPAWN, self._handle(self._spec.spawn, template, "template"), config, Encoding.JSON)

    def log(self, text: str) -> None:
        """Leave a line for people."""
        self._add(FrameKind.LOG, 0, text.encode(), Encoding.JSON)

    def metric(self, name: str, value: int) -> None:
        """Leave a measurement for people."""
        self._add(FrameKind.METRIC, 0, f"{name}={value}".encode())

    def exit(self) -> None:
        """Ask to be stopped after this turn."""
        self._add(FrameKind.EXIT, 0, b"")

    def sleep(self, ticks: int) -> None:
        """Ask for the next step after ``ticks`` ticks without one; 0 is the next tick. A message wakes it earlier."""
        if not 0 <= ticks < AGAIN:
            raise ValueError(f"an agent sleeps 0 to {AGAIN - 1} ticks, not {ticks}")
        self.code = ticks

    def wait(self) -> None:
        """Sleep until a message comes, the default."""
        self.code = UNTIL_MESSAGE

    def again(self) -> None:
        """Ask to go on at the next tick with work that is not finished."""
        self.code = AGAIN

    def encode(self) -> bytes:
        """Return the outbox as the bytes that are its record."""
        return b"".join(self._parts)


class Context(msgspec.Struct, frozen=True):
    """What a turn knows besides its state and its inbox.

    Attributes:
        seed: This turn's random seed.
        wall_us: The tick's wall-clock sample with the ``clock`` capability, else 0. Units: microseconds since 1970.
    """

    tick: int
    seed: int
    agent: int
    wall_us: int
    spec: AgentSpec

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.spec.name

    def outbox(self) -> Outbox:
        """Return an empty outbox."""
        return Outbox(self.spec)

    def topic(self, message: Message) -> str:
        """Return the name of the topic a message came by, or an empty text."""
        by_topic = message.kind in (FrameKind.MESSAGE, FrameKind.RETAINED) and message.destination != DIRECT
        return self.spec.subscribe[message.destination] if by_topic else ""

    def from_outside(self, message: Message) -> bool:
        """Return whether no agent sent the message."""
        return message.source == OUTSIDE


S = TypeVar("S", bound=msgspec.Struct)


@runtime_checkable
class Agent(Protocol[S]):
    """A native agent. ``S`` is its state, a frozen struct."""

    def init(self, config: bytes, context: Context) -> tuple[S, Outbox]:
        """Return the first state."""
        ...

    def turn(self, state: S, inbox: tuple[Message, ...], context: Context) -> tuple[S, Outbox]:
        """Return the state after the messages of one tick."""
        ...

    def shutdown(self, state: S, context: Context) -> tuple[S, Outbox]:
        """Return the last state; this outbox still counts."""
        ...
