"""Native agents: Python classes with the shape of a sandboxed agent, for trusted code.

A native agent is three functions of frozen data. Its state is a value, so a failed turn is undone by forgetting
what it returned.

The same class also runs sandboxed: the base module for Python carries this very file, so nothing here may use more
than the standard library, ``msgspec.Struct``, the records, the codec and the tensors.

Invariants:
    * An agent's class holds no state of its own: whatever a turn depends on is in the state, the inbox or the context.
    * An outbox holds the same frames a module would leave; the kernel cannot tell the two apart.
"""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec

from .codec import encode_frame
from .records import AGAIN, DIRECT, OUTSIDE, RAW_AGENT, UNTIL_MESSAGE, AgentSpec, Encoding, FrameKind, Message
from .tensors import Tensor, check_tensor, encode_tensors

_DELAY: Final = struct.Struct("<Q")
_TASK_HEAD: Final = struct.Struct("<iIII")
_WRITE: Final = struct.Struct("<QQ32x")
_PLACE: Final = struct.Struct("<IIQQ")
_USER_KINDS: Final = 0x8000
_MASK: Final = (1 << 64) - 1


def read_config(config: bytes) -> dict[str, Any]:
    """Return an agent's configuration, the ``config`` table of its world; empty where there is none."""
    settings: dict[str, Any] = json.loads(config) if config else {}
    return settings


class Random:
    """The random numbers of one turn, the same that a module draws with ``tw_random``.

    Args:
        seed: The turn's, from the context.

    Source: splitmix64, Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
    """

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed

    def next(self) -> int:
        """Return the next number. Bounds: 64 bits."""
        self._state = mixed = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _MASK
        return mixed ^ mixed >> 31

    def below(self, bound: int) -> int:
        """Return a number from 0 to ``bound`` - 1, each equally likely; 0 for a bound of 0. Bounds: 32 bits."""
        least = (1 << 32) % bound if bound else 0
        while True:
            product = (self.next() >> 32) * bound
            if product & 0xFFFFFFFF >= least:
                return product >> 32


class Write(NamedTuple):
    """Bytes for a window of which the agent is the writer."""

    handle: int
    offset: int
    content: bytes


class Outbox:
    """What a turn wants done. Names are looked up in the agent's own lists; an unknown one raises ``KeyError``.

    Args:
        agent, tick: Stand in every frame, as a module's SDK writes them.
    """

    __slots__ = ("_agent", "_parts", "_spec", "_tick", "code", "writes")

    def __init__(self, spec: AgentSpec, agent: int = 0, tick: int = 0) -> None:
        self._spec = spec
        self._agent = agent
        self._tick = tick
        self._parts: list[bytes] = []
        self.writes: list[Write] = []
        self.code = UNTIL_MESSAGE

    def __len__(self) -> int:
        return len(self._parts)

    def _add(self, kind: int, destination: int, body: bytes, encoding: int = Encoding.BYTES) -> None:
        self._parts.append(encode_frame(kind, encoding, self._agent, destination, len(self._parts), self._tick, body))

    def _handle(self, names: tuple[str, ...], name: str, what: str) -> int:
        if name not in names:
            raise KeyError(
                f"agent {self._spec.name!r} declares no {what} {name!r}; it has {', '.join(names) or 'none'}"
            )
        return names.index(name)

    def send(self, target: str | int, body: bytes, *, encoding: int = Encoding.BYTES) -> None:
        """Send a message to an agent by name, or answer a message's ``source``."""
        self._add(FrameKind.SEND, self._target(target), body, encoding)

    def frame(self, kind: int, target: str | int, body: bytes, *, encoding: int = Encoding.BYTES) -> None:
        """Send a frame of a kind of the user's own, 0x8000 to 0xFFFF; it is delivered with that kind."""
        if not _USER_KINDS <= kind <= 0xFFFF:
            raise ValueError(f"kinds from {_USER_KINDS:#x} on are the user's, not {kind:#x}")
        self._add(kind, self._target(target), body, encoding)

    def _target(self, target: str | int) -> int:
        if isinstance(target, str):
            return self._handle(self._spec.send, target, "send target")
        if target == OUTSIDE:
            raise ValueError("the message came from outside the run: there is nobody to answer")
        return RAW_AGENT | target

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

    def infer(self, model: str, body: bytes, *, encoding: int = Encoding.JSON) -> None:
        """Ask a model; its answer comes as a RESULT frame with bit 31 of the destination set."""
        self._add(FrameKind.INFER, self._handle(self._spec.models, model, "model"), body, encoding)

    def infer_tensors(self, model: str, given: Iterable[Tensor]) -> None:
        """Ask a model for its outputs on tensors, one for each input. Its RESULT is read with ``decode_tensors``.

        Raises:
            ModelInputInvalid: TW6004, a tensor does not hold what it says.
        """
        given = tuple(given)
        for tensor in given:
            check_tensor(tensor)
        self.infer(model, encode_tensors(given), encoding=Encoding.TENSOR)

    def infer_window(self, model: str, window: str, offset: int, length: int) -> None:
        """Ask a model for what lies in a window: tensors of ``length`` bytes, as the window is when the tick is over.

        The agent is the window's writer or one of its readers.
        """
        place = _PLACE.pack(self._handle(self._spec.windows, window, "window"), 0, offset, length)
        self._add(FrameKind.INFER, self._handle(self._spec.models, model, "model"), place, Encoding.IN_WINDOW)

    def write(self, window: str, content: bytes, *, offset: int = 0) -> None:
        """Write a window of which the agent is the writer; readers see it when the tick is committed."""
        handle = self._handle(self._spec.windows, window, "window")
        self.writes.append(Write(handle, offset, content))
        self._add(FrameKind.WINDOW_WRITE, handle, _WRITE.pack(offset, len(content)))

    def spawn(self, template: str, config: bytes = b"") -> None:
        """Ask for a new agent from a template."""
        self._add(FrameKind.SPAWN, self._handle(self._spec.spawn, template, "template"), config, Encoding.JSON)

    def log(self, text: str) -> None:
        """Leave a line for people."""
        self._add(FrameKind.LOG, 0, text.encode())

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

    def refuse(self, code: int) -> None:
        """End the turn as failed with a negative code, a ``Refusal`` or the user's own: nothing of it has happened."""
        if not -(1 << 31) <= code < 0:
            raise ValueError(f"a turn fails with a negative code of 32 bits, not {code}")
        self.code = code

    def settled(self, *, stepping: bool) -> int:
        """Return the turn's return code. Only a step says when the next one is: init and shutdown return 0."""
        code: object = self.code
        if not isinstance(code, int) or not -(1 << 31) <= code < 1 << 31:
            raise ValueError(f"a turn's code is a 32-bit integer, not {code!r}")
        return int(code) if stepping or code < 0 else 0

    def encode(self) -> bytes:
        """Return the outbox as the bytes that are its record."""
        return b"".join(self._parts)


class Context(msgspec.Struct, frozen=True):
    """What a turn knows besides its state and its inbox.

    Attributes:
        seed: This turn's random seed.
        wall_us: The tick's wall-clock sample with the ``clock`` capability, else 0. Units: microseconds since 1970.
        windows: Contents of the windows that the agent reads, as last announced.
    """

    tick: int
    seed: int
    agent: int
    wall_us: int
    spec: AgentSpec
    windows: Mapping[str, bytes] = {}

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.spec.name

    def outbox(self) -> Outbox:
        """Return an empty outbox."""
        return Outbox(self.spec, self.agent, self.tick)

    def random(self) -> Random:
        """Return the turn's random numbers from their start: ask once per turn."""
        return Random(self.seed)

    def topic(self, message: Message) -> str:
        """Return the name of the topic a message came by, or an empty text."""
        by_topic = message.kind in (FrameKind.MESSAGE, FrameKind.RETAINED) and message.destination != DIRECT
        return self.spec.subscribe[message.destination] if by_topic else ""

    def from_outside(self, message: Message) -> bool:
        """Return whether no agent sent the message."""
        return message.source == OUTSIDE


S = TypeVar("S")


@runtime_checkable
class Agent(Protocol[S]):
    """An agent in Python. ``S`` is its state: a frozen dataclass, a frozen ``msgspec.Struct`` or another value."""

    def init(self, config: bytes, context: Context) -> tuple[S, Outbox]:
        """Return the first state."""
        ...

    def turn(self, state: S, inbox: tuple[Message, ...], context: Context) -> tuple[S, Outbox]:
        """Return the state after the messages of one tick."""
        ...

    def shutdown(self, state: S, context: Context) -> tuple[S, Outbox]:
        """Return the last state; this outbox still counts."""
        ...


@runtime_checkable
class Movable(Protocol[S]):
    """An agent whose state another version of it can take over."""

    def save(self, state: S) -> bytes:
        """Return the state as bytes that ``load`` of the other version understands."""
        ...

    def load(self, saved: bytes, context: Context) -> S:
        """Return the state that ``save`` wrote; called in place of ``init``."""
        ...
