"""A receiver over loopback, in a process of its own, that does what it is told once for a key and writes it down."""

import os
import signal
import socket
from pathlib import Path
from types import TracebackType
from typing import Final, Self

ONCE: Final = ("idempotency-key", "webhook-id")
"""Headers by which a repetition is known."""


class Receiver:
    """Answers one request after the other. ``log`` holds a line for each that came: its path and its key."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._socket.getsockname()[1]
        self._child = 0

    def __enter__(self) -> Self:
        self._child = os.fork()
        if not self._child:
            try:
                while True:
                    connection, _ = self._socket.accept()
                    with connection:
                        self._answer(connection)
            finally:
                os._exit(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
        self._socket.close()

    def _answer(self, connection: socket.socket) -> None:
        try:
            head = _head(connection)
            if not head:
                return
            path = head[0].split()[1]
            found = dict(line.split(": ", 1) for line in head[1:])
            key = next((found[name] for name in ONCE if name in found), "")
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{path} {key}\n")
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        except OSError:
            pass  # Whoever asked has been killed.

    def heard(self) -> list[tuple[str, str]]:
        """Return all requests that have come until now: path and key. Order: as they came."""
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"GET /seen HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
            while connection.recv(4096):
                pass
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [(path, key) for path, _, key in (line.partition(" ") for line in lines) if path != "/seen"]


def _head(connection: socket.socket) -> list[str]:
    """Return the lines of a request, its head in small letters but the first; nothing of one that broke off."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        part = connection.recv(65536)
        if not part:
            return []
        raw += part
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    lines = [f"{name.lower()}: {value.strip()}" for name, _, value in (line.partition(":") for line in rest)]
    length = next((int(line.split()[1]) for line in lines if line.startswith("content-length")), 0)
    while len(body) < length:
        part = connection.recv(65536)
        if not part:
            return []  # It was killed while it sent: nothing has been asked for.
        body += part
    return [first, *lines]
