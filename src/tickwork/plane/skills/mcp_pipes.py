"""A server of skills as a process of this machine, spoken to through its pipes, one message a line.

The SDK's own transport reads lines of any length. This one does not: whoever answers without end is stopped.

Invariants:
    * A process that was started is stopped when the streams are left, and with it whatever it has started in its group.
    * It inherits what every program needs, and beside that what it is configured with: no key of this machine.
"""

import asyncio
import os
import signal
import subprocess
from asyncio.subprocess import SubprocessStreamProtocol
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client import Transport
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCResponse, jsonrpc_message_adapter

MOST_MESSAGE_BYTES: Final = 16 << 20
"""What one message may have: an image that becomes an artifact fits, a flood does not."""

MOST_TALK_BYTES: Final = 4 << 20
"""What a server may send between two answers: notes of how far it has come, questions. They are kept, at some times
their size, until somebody has looked at them."""

MOST_TOLD_BYTES: Final = 2048
"""How much of the end of what a server writes to its standard error is kept, for the text of an error."""

GRACE_S: Final = 0.5
"""How long a server has after its input ends, and again after it was asked to end, before it is made to."""

GIVE_UP_S: Final = 5.0
"""How long the system has to end a process that it was told to end."""


class Fate(msgspec.Struct):
    """What became of a server.

    Attributes:
        reason: Why nothing can be said to it any more; empty while it can.
        told: The end of what it wrote to its standard error.
        hung: Whether it did not answer, so that it is not asked to end but made to.
        talk: What it has sent since it last answered. Units: bytes.
    """

    reason: str = ""
    told: bytes = b""
    hung: bool = False
    talk: int = 0

    def end(self, reason: str) -> None:
        """Note a reason; the first one stays."""
        self.reason = self.reason or reason

    def hear(self, message: JSONRPCMessage, size: int) -> bool:
        """Return whether a message may be passed on: whoever only talks, and answers nothing, is not listened to."""
        answers = isinstance(message, JSONRPCResponse | JSONRPCError)
        self.talk = 0 if answers else self.talk + size
        if self.talk > MOST_TALK_BYTES:
            self.end(f"sent more than {MOST_TALK_BYTES:,} bytes that nobody asked for")
        return self.talk <= MOST_TALK_BYTES


class _Child(SubprocessStreamProtocol):
    """The pipes of a process, and whether it has ended: a pipe may stay open in the hands of a child of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=MOST_MESSAGE_BYTES, loop=loop)
        self.ended = asyncio.Event()

    def process_exited(self) -> None:
        """Take note."""
        super().process_exited()
        self.ended.set()


Incoming = MemoryObjectSendStream[SessionMessage | Exception]
Outgoing = MemoryObjectReceiveStream[SessionMessage]


def piped(command: Sequence[str], environment: Mapping[str, str], folder: Path, fate: Fate) -> Transport:
    """Return a transport to a process, which is started when it is entered.

    Args:
        environment: Beside what every program needs.
        folder: What its relative paths count from.

    Raises:
        OSError: On entering it, the process cannot be started.
    """
    return _piped(command, environment, folder, fate)


@asynccontextmanager
async def _piped(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, fate: Fate
) -> AsyncGenerator[
    tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]
]:
    loop = asyncio.get_running_loop()
    transport, child = await loop.subprocess_exec(
        lambda: _Child(loop),
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**get_default_environment(), **environment},
        cwd=folder,
        start_new_session=True,
    )
    arriving, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, leaving = anyio.create_memory_object_stream[SessionMessage](0)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    tasks = [
        asyncio.ensure_future(_read(child.stdout, arriving, fate)),
        asyncio.ensure_future(_write(child.stdin, leaving, arriving, fate)),
        asyncio.ensure_future(_listen(child.stderr, fate)),
    ]
    try:
        yield incoming, outgoing
    finally:
        outgoing.close()
        await _stop(transport, child, child.stdin, hung=fate.hung)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in (arriving, incoming, leaving):
            stream.close()
        transport.close()


async def _read(pipe: asyncio.StreamReader, arriving: Incoming, fate: Fate) -> None:
    with arriving:
        while True:
            try:
                line = await pipe.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                fate.end(f"sent a message of more than {MOST_MESSAGE_BYTES:,} bytes")
                return
            except (asyncio.IncompleteReadError, ConnectionError):
                fate.end("ended")
                return
            if not line.lstrip().startswith(b"{"):
                # Many a server writes greetings where only messages belong; they harm nobody.
                continue
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                fate.end("sent what is no message")
                return
            if not fate.hear(message, len(line)):
                return
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await arriving.send(SessionMessage(message))


async def _write(pipe: asyncio.StreamWriter, leaving: Outgoing, arriving: Incoming, fate: Fate) -> None:
    async for item in leaving:
        line = item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        try:
            pipe.write(line)
            await pipe.drain()
        except (ConnectionError, RuntimeError):
            fate.end("ended")
            # Whoever waits for an answer learns by this that none comes.
            arriving.close()
            return


async def _listen(pipe: asyncio.StreamReader, fate: Fate) -> None:
    while chunk := await pipe.read(4096):
        fate.told = (fate.told + chunk)[-MOST_TOLD_BYTES:]


async def _stop(
    transport: asyncio.SubprocessTransport, child: _Child, pipe: asyncio.StreamWriter, *, hung: bool
) -> None:
    """End a process as the protocol asks: its input ends, then it is asked, then it is made to.

    Source: MCP 2025-11-25, Lifecycle, Shutdown.
    """
    with suppress(ConnectionError, RuntimeError):
        pipe.close()
    if not hung and not await _ended(child, GRACE_S):
        _tell(transport, signal.SIGTERM)
        await _ended(child, GRACE_S)
    # Also where it has ended by itself: what it has started goes with it.
    _tell(transport, getattr(signal, "SIGKILL", signal.SIGTERM))
    await _ended(child, GIVE_UP_S)


async def _ended(child: _Child, within_s: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(child.ended.wait(), within_s)
    return child.ended.is_set()


def _tell(transport: asyncio.SubprocessTransport, kind: signal.Signals) -> None:
    """Send a signal to a process and to its group; on Windows the process alone is ended."""
    with suppress(ProcessLookupError, PermissionError):
        if os.name == "nt":
            transport.kill()
        else:
            os.killpg(transport.get_pid(), kind)
