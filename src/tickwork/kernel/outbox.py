"""Reading an outbox: frames become actions, all of them checked before any of them is applied.

Invariants:
    * A turn is atomic. One malformed or denied frame refuses the whole outbox, so nothing is half applied.
    * Handles are bound by a port, made from the header's lists; no name travels in a frame.
"""

from typing import Final, NamedTuple

from ..codec import FRAME
from ..records import DIRECT, RAW_AGENT, AgentSpec, FrameKind, Header, Status

USER_KINDS: Final = 0x8000
EVERYBODY: Final = "*"
"""Send target that stands for every agent, by number."""

TASK_HEAD_BYTES: Final = 16
"""Fixed part of a task frame's body: priority, tag, dependency count, reserved."""


_SEND, _PUBLISH, _PUBLISH_RETAINED = int(FrameKind.SEND), int(FrameKind.PUBLISH), int(FrameKind.PUBLISH_RETAINED)
_JOIN, _LEAVE, _TASK, _SPAWN = int(FrameKind.JOIN), int(FrameKind.LEAVE), int(FrameKind.TASK), int(FrameKind.SPAWN)
_SKILL, _INFER, _WINDOW_WRITE = int(FrameKind.SKILL), int(FrameKind.INFER), int(FrameKind.WINDOW_WRITE)


Action = tuple[int, int, int, int, int, bytes]
"""One checked frame: kind, target, destination, encoding, size, body.

The target is an agent number (send, task), an index (topic, template, skill, model), a handle (window) or a tag
(timer). The size is that of header and body without padding, as the frame had it; the body holds its padding. It is a
plain tuple because there is one for every message.
"""


class Refused(NamedTuple):
    """Why an outbox was refused as a whole.

    Attributes:
        code: Of a denial, what was not granted, as ``denial`` reads it: with it the record says why.
    """

    status: Status
    detail: str
    code: int = 0


class Handles:
    """The indices of a header's names, made once for all ports."""

    __slots__ = ("models", "skills", "templates", "topics")

    def __init__(self, header: Header) -> None:
        self.topics = {name: index for index, name in enumerate(header.topics)}
        self.skills = {skill.name: index for index, skill in enumerate(header.skills)}
        self.models = {model.name: index for index, model in enumerate(header.models)}
        self.templates = {template.name: index for index, template in enumerate(header.templates)}


class Port:
    """What an agent's handles mean in this run; -1 marks a handle that is declared and not granted.

    Attributes:
        bindings: Bound targets by frame kind, for the kinds that name one.
        peers: Agents it may send to; who is among them may be answered by it and may answer it.
        raw: Whether it may send to any agent by number.
        unbound: Send targets that are granted and do not exist yet.
    """

    __slots__ = ("bindings", "name", "peers", "publish", "raw", "send", "subscribe", "unbound")

    def __init__(self, spec: AgentSpec, handles: Handles, numbers: dict[str, int]) -> None:
        denied = frozenset(spec.denied)

        def bind(kind: str, names: tuple[str, ...], known: dict[str, int]) -> list[int]:
            if not denied:
                return [known.get(name, -1) for name in names]
            return [-1 if f"{kind}:{name}" in denied else known.get(name, -1) for name in names]

        self.name = spec.name
        self.publish = bind("publish", spec.publish, handles.topics)
        self.subscribe = bind("subscribe", spec.subscribe, handles.topics)
        self.send = bind("send", spec.send, numbers)
        self.raw = EVERYBODY in spec.send and "send:*" not in denied
        self.peers = {number for number in self.send if number >= 0}
        self.unbound: dict[str, list[int]] = {}
        for index, name in enumerate(spec.send):
            if self.send[index] < 0 and f"send:{name}" not in denied:
                self.unbound.setdefault(name, []).append(index)
        self.bindings: dict[int, list[int]] = {
            _PUBLISH: self.publish,
            _PUBLISH_RETAINED: self.publish,
            _JOIN: self.subscribe,
            _LEAVE: self.subscribe,
            _TASK: self.send,
            _SKILL: bind("skills", spec.skills, handles.skills),
            _SPAWN: bind("spawn", spec.spawn, handles.templates),
            _INFER: bind("models", spec.models, handles.models),
            _WINDOW_WRITE: list(range(len(spec.windows))),
        }

    def bind_new(self, name: str, number: int) -> None:
        """Bind the send handles that name an agent which has just been spawned."""
        for index in self.unbound.pop(name, []):
            self.send[index] = number
            self.peers.add(number)


def _violation(detail: str) -> Refused:
    return Refused(Status.ABI_VIOLATION, detail)


_unpack = FRAME.unpack_from
_HEADER_BYTES: Final = FRAME.size


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
        start = offset + _HEADER_BYTES
        if start > end:
            return _violation(f"frame header cut off at byte {offset} of the outbox")
        head: tuple[int, ...] = _unpack(outbox, offset)
        size, kind, encoding, _, destination, _, _ = head
        following = offset + ((size + 7) & -8)
        if size < _HEADER_BYTES or following > end:
            return _violation(f"frame at byte {offset} of the outbox has size {size}, {end - offset} bytes are left")
        if kind == _SEND or kind >= USER_KINDS:
            target = send[destination] if destination < len(send) else _raw_target(ports, number, destination)
        elif kind == _PUBLISH:
            target = publish[destination] if destination < len(publish) else _NO_HANDLE
        else:
            target = _target(port, kind, destination)
        if target < 0:
            return _refusal(port, kind, destination, target)
        actions.append((kind, target, destination, encoding, size, outbox[start:following]))
        offset = following
    return actions


_DENIED, _NO_HANDLE, _NO_KIND = -1, -2, -3


def _raw_target(ports: list[Port], number: int, destination: int) -> int:
    """Return the agent an answer goes to: any with a ``*`` grant, else itself or one that may send to this agent."""
    target = destination & ~RAW_AGENT
    if destination < RAW_AGENT or destination == DIRECT or target >= len(ports):
        return _NO_HANDLE
    if ports[number].raw or number in ports[target].peers or target in ports[number].peers or target == number:
        return target
    return _DENIED


def _target(port: Port, kind: int, destination: int) -> int:
    """Return the bound target of a rarer frame, or why there is none."""
    binding = port.bindings.get(kind)
    if binding is not None:
        return binding[destination] if destination < len(binding) else _NO_HANDLE
    return destination if kind in _PLAIN else _NO_KIND


_PLAIN: Final = frozenset({FrameKind.EXIT, FrameKind.TIMER, FrameKind.LOG, FrameKind.METRIC})
"""Kinds whose destination is no handle."""


TOO_MANY: Final = 0
"""Code of a denial: the outbox held more frames than a turn may leave."""

_KIND_BITS: Final = 16
_PLACE_MOST: Final = 0x7FFF
_RAW: Final = -(1 << 31)


def denial(port: Port, spec: AgentSpec, code: int) -> str:
    """Return what a denied turn used and was not granted, and why; the same whether it ran now or long ago."""
    if code == TOO_MANY:
        return f"more than {spec.limits.messages_per_turn} frames in one turn"
    kind, place = code & ((1 << _KIND_BITS) - 1), (code & ~_RAW) >> _KIND_BITS
    name = _kind_name(kind)
    if code < 0:
        return f"{name} to agent {place} is not granted to {port.name!r}"
    names = _names_of(spec, kind)
    wanted = names[place] if place < len(names) else ""
    what = f'{name} to handle {place}, "{wanted}"'
    if wanted in port.unbound and wanted != EVERYBODY:
        return f"{what}: there is no such agent"
    return f"{what}, is not granted to {port.name!r}"


def _names_of(spec: AgentSpec, kind: int) -> tuple[str, ...]:
    """Return what the handles of a kind of frame are called."""
    if kind in (_PUBLISH, _PUBLISH_RETAINED):
        return spec.publish
    if kind in (_JOIN, _LEAVE):
        return spec.subscribe
    if kind in (_SEND, _TASK) or kind >= USER_KINDS:
        return spec.send
    return {_SKILL: spec.skills, _SPAWN: spec.spawn, _INFER: spec.models}.get(kind, ())


def denied_frame(kind: int, destination: int) -> Refused:
    """Return the refusal of an outbox with a frame whose target is declared and not granted.

    A handle and an agent's number have 15 bits: a manifest holds fewer names, and a run fewer agents.
    """
    raw, place = _RAW if destination >= RAW_AGENT else 0, min(destination & ~RAW_AGENT, _PLACE_MOST)
    return Refused(Status.DENIED, "", raw | place << _KIND_BITS | kind)


def _kind_name(kind: int) -> str:
    return FrameKind(kind).name.lower() if kind in FrameKind._value2member_map_ else f"kind {kind}"


def _refusal(port: Port, kind: int, destination: int, target: int) -> Refused:
    name = _kind_name(kind)
    if target == _NO_KIND:
        return _violation(f"an agent may not leave a frame of {name} in its outbox")
    if target == _DENIED:
        return denied_frame(kind, destination)
    return _violation(f"{name} names handle {destination}, which agent {port.name!r} does not have")
