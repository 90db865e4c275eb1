"""Skills called as a run calls them, and servers over loopback that answer well or badly."""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from tickwork import codec
from tickwork.clock import SystemClock
from tickwork.plane.calls import Answer, SkillCall
from tickwork.plane.profile import GrantsTable
from tickwork.plane.secrets import SecretBox
from tickwork.plane.skills.configuration import Configuration
from tickwork.plane.skills.granting import grant_parts
from tickwork.plane.skills.performing import Ports, SkillPerformer
from tickwork.plane.skills.registry import Found, Registry
from tickwork.plane.skills.skill import Artifacts
from tickwork.records import Effect

CLOCK = SystemClock()
NOTHING = GrantsTable()


def found(name: str, project: Path = Path(), **keys: Any) -> Found:
    """Return a shipped skill, or one of another name where ``kind`` is among the keys."""
    return Registry.load(Configuration({name: keys}, project=project), installed=False).find(name)


def answer(
    skill: Found | str,
    params: Mapping[str, Any],
    grants: GrantsTable = NOTHING,
    *,
    project: Path = Path(),
    secrets: Mapping[str, str] | None = None,
    parts: Mapping[str, Any] | None = None,
    artifacts: Artifacts | None = None,
    **call: Any,
) -> Answer:
    """Return what comes of a call."""
    skill = found(skill, project) if isinstance(skill, str) else skill
    given = {**grant_parts(grants, project=project, clock=CLOCK), **(parts or {})}
    ports = Ports(CLOCK, SecretBox(secrets or {}), parts=given)
    if artifacts is not None:
        ports = msgspec.structs.replace(ports, artifacts=lambda *_: artifacts)
    performer = SkillPerformer(skill, ports, run_id="run-1")
    attempt: int = call.pop("attempt", 1)
    request = SkillCall(7, "load", "step", attempt, skill.reference, json.dumps(params).encode(), **call)
    effect = Effect(3, 1, 0, skill.reference, skill.pin.effect_class, b"k" * 32, 2, codec.encode(request))
    result = performer.perform(effect)
    assert (result.number, result.code) == (3, 0)
    return msgspec.msgpack.decode(result.body, type=Answer)


def output(*arguments: Any, **options: Any) -> Any:
    """Return the output of a call that succeeds."""
    made = answer(*arguments, **options)
    assert made.failure is None, made.failure
    return json.loads(made.output)


def failure(*arguments: Any, **options: Any) -> str:
    """Return code and text of a call that fails."""
    made = answer(*arguments, **options)
    assert made.failure is not None, made.output
    return f"{made.failure.code} {made.failure.message}"


class Server:
    """Answers each connection on loopback with what a script sends, and remembers what was asked."""

    def __init__(self, script: Callable[[socket.socket], None] | bytes) -> None:
        self._script = script if callable(script) else lambda connection: connection.sendall(script)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.place = f"127.0.0.1:{self.port}"
        self.heard: list[bytes] = []
        self.closed = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.set()
        self._socket.close()

    @property
    def grants(self) -> GrantsTable:
        """What lets an agent reach it."""
        return GrantsTable((self.place,), loopback=True)

    def _listen(self) -> None:
        while not self.closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            try:
                self.heard.append(_request(connection))
                self._script(connection)
            except OSError:
                pass


def _request(connection: socket.socket) -> bytes:
    """Return one whole request."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        part = connection.recv(65536)
        if not part:
            return raw
        raw += part
    head, _, body = raw.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-le")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def reply(body: bytes = b"", *lines: str, status: str = "200 OK") -> bytes:
    """Return an answer over HTTP."""
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *lines]
    return "\r\n".join([*head, "", ""]).encode() + body
