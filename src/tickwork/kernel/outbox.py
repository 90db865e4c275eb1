"""Reading an outbox: frames become actions, all of them checked before any of them is applied.

Invariants:
    * A turn is atomic. One malformed or denied frame refuses the whole outbox, so nothing is half applied.
    * Handles are bound by a port, made from the header's lists; no name travels in a frame.
"""

from typing import Final, NamedTuple

import msgspec

from ..codec import FRAME
from ..records import DIRECT, RAW_AGENT, AgentSpec, FrameKind, Header, Status
from .state import State, TopicState

USER_KINDS: Final = 0x8000
TASK_HEAD_BYTES: Final = 16
"""Fixed part of a task frame's body: priority, tag, dependency count, reserved."""


class SkillPort(msgspec.Struct, frozen=True):
    """A granted skill: its name and effect class."""

    name: str
    effect_class: int


class Action(NamedTuple):
    """One checked frame.

    Attributes:
        target: Agent number (send, task), index (topic, template, skill) or tag (timer).
        size: Header and body without padding, as the frame had it.
        body: Body and padding.
    """

    kind: int
    target: int
    destination: int
    encoding: int
    size: int
    body: bytes


class Refused(NamedTuple):
    """Why an outbox was refused as a whole."""

    status: Status
    detail: str


class Port:
    """What an agent's handles mean in this run; -1 marks a handle that is declared and not granted."""

    __slots__ = ("bindings", "name", "publish", "raw", "send", "send_names", "skills", "spawn", "subscribe")

    def __init__(self, spec: AgentSpec, header: Header, numbers: dict[str, int]) -> None:
        denied = frozenset(spec.denied)
        topics = {name: index for index, name in enumerate(header.topics)}
        skills = {skill.name: index for index, skill in enumerate(header.skills)}
        templates = {template.name: index for index, template in enumerate(header.templates)}

        def bind(kind: str, names: tuple[str, ...], known: dict[str, int]) -> list[int]:
            return [-1 if f"{kind}:{name}" in denied else known.get(name, -1) for name in names]

        self.name = spec.name
        self.publish = bind("publish", spec.publish, topics)
        self.subscribe = bind("subscribe", spec.subscribe, topics)
        self.skills = bind("skills", spec.skills, skills)
        self.spawn = bind("spawn", spec.spawn, templates)
        self.send_names = spec.send
        self.send = bind("send", spec.send, numbers)
        self.raw = "*" in spec.send and "send:*" not in denied
        self.bindings = {
            FrameKind.PUBLISH: self.publish,
            FrameKind.PUBLISH_RETAINED: self.publish,
            FrameKind.JOIN: self.subscribe,
            FrameKind.LEAVE: self.subscribe,
            FrameKind.SKILL: self.skills,
            FrameKind.SPAWN: self.spawn,
        }

    def bind_new(self, name: str, number: int) -> None:
        """Bind send handles that name an agent which has just been spawned."""
        for index, known in enumerate(self.send_names):
            if known == name and self.send[index] < 0:
                self.send[index] = number


def _violation(detail: str) -> Refused:
    return Refused(Status.ABI_VIOLATION, detail)


_unpack = FRAME.unpack_from
_HEADER_BYTES = FRAME.size
_SEND, _PUBLISH = int(FrameKind.SEND), int(FrameKind.PUBLISH)


def read_outbox(ports: list[Port], number: int, outbox: bytes) -> list[Action] | Refused:
    """Return the checked actions of an outbox in frame order, or why all of it is refused.

    Args:
        ports: Every agent's port, by number; an answer to a source needs the receiver's.
    """
    port = ports[number]
    send, publish = port.send, port.publish
    actions: list[Action] = []
    offset, end = 0, len(outbox)
    while offset < end:
        if end - offset < _HEADER_BYTES:
            return _violation(f"frame header cut off at byte {offset} of the outbox")
        size, kind, encoding, _, destination, _, _ = _unpack(outbox, offset)
        following = offset + ((size + 7) & ~7)
        if size < _HEADER_BYTES or following > end:
            return _violation(f"frame at byte {offset} of the outbox has size {size}, {end - offset} bytes are left")
        target = -1
        if kind == _SEND or kind >= USER_KINDS:
            target = send[destination] if destination < len(send) else _raw_target(ports, number, destination)
        elif kind == _PUBLISH:
            target = publish[destination] if destination < len(publish) else -2
        else:
            target = _target(port, kind, destination)
        if target < 0:
            return _refusal(port, kind, destination, target)
        actions.append(Action(kind, target, destination, encoding, size, outbox[offset + _HEADER_BYTES : following]))
        offset = following
    return actions


def _raw_target(ports: list[Port], number: int, destination: int) -> int:
    """Return the agent an answer goes to: any with a ``*`` grant, else one that may itself send to this agent."""
    target = destination & ~RAW_AGENT
    if destination < RAW_AGENT or destination == DIRECT or target >= len(ports):
        return -2
    if ports[number].raw or number in ports[target].send or target in ports[number].send:
        return target
    return -1


def _target(port: Port, kind: int, destination: int) -> int:
    """Return the bound target of a rarer frame; -1 where it is not granted, -2 where no such handle exists."""
    binding = port.bindings.get(kind)  # type: ignore[call-overload]  # any integer may be asked for
    if binding is not None:
        return binding[destination] if destination < len(binding) else -2
    if kind == FrameKind.TASK:
        return port.send[destination] if destination < len(port.send) else -2
    if kind in _PLAIN:
        return destination
    return -3


_PLAIN: Final = frozenset(
    {FrameKind.EXIT, FrameKind.TIMER, FrameKind.LOG, FrameKind.METRIC, FrameKind.INFER, FrameKind.WINDOW_WRITE}
)


def _refusal(port: Port, kind: int, destination: int, target: int) -> Refused:
    name = FrameKind(kind).name.lower() if kind in FrameKind._value2member_map_ else f"kind {kind}"
    if target == -3:
        return _violation(f"an agent may not leave a frame of {name} in its outbox")
    if target == -1:
        return Refused(Status.DENIED, f"{name} to handle {destination} of agent {port.name!r} is not granted")
    return _violation(f"{name} names handle {destination}, which agent {port.name!r} does not have")


def topic_of(state: State, index: int) -> TopicState:
    """Return the topic an action's target names."""
    return state.topics[index]
