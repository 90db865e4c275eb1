"""Frames between processes of this machine: the only file here that knows sockets.

Shape: of a frame, u32 length of the head, u32 number of things handed over, u64 length of the body; then head and
body. What is handed over are descriptors of sockets and shared memory: on POSIX beside the bytes, so that a process
that may not open any can still be given some; on Windows each as 4 bytes of length and what ``socket.share`` gives.

Invariants:
    * One thread at a time sends, and one at a time receives; a lock is the owner's to add.
    * Nothing is sent by ``sendto`` or ``sendmsg`` unless something is handed over: a confined process has neither.
    * A receiver looks for a while without sleeping, since waking up takes longer than most answers do.
    * Who sends is not believed: a frame has bounds, and one that has begun ends within a time, or the channel does.
"""

import contextlib
import errno
import os
import socket
import stat
import struct
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..clock import Clock, SystemClock
from ..errors import InternalError
from .watch import Watch

FRAME_MOST: Final = 1 << 24
"""Bytes of the longest head, and of the longest body where nobody said another bound; more is the work of something
else."""

HANDED_MOST: Final = 4
PATIENCE_S: Final = 30.0
"""How long the rest of a frame may take where nobody said. Units: seconds."""

SPIN_NS: Final = 200_000
"""How long a receiver looks before it sleeps. Being woken takes some 50 us, so this doubles the cost of the unlucky."""

_STALL_NS: Final = SPIN_NS if (os.cpu_count() or 1) > 1 else 0
"""The same for the rest of a frame, which its sender is just writing."""

_HEAD: Final = struct.Struct("<IIQ")
_SHARED: Final = struct.Struct("<I")
_CHUNK: Final = 1 << 16
_SHORT: Final = _CHUNK + 4096
"""What is read at once: all of a frame with 64 KiB of tensors, and less than what a C library maps anew each time."""
_WHOLE: Final = (1 << 17) + 4096
"""Bytes of the buffer in which a connection for requests takes a frame: all of one with 128 KiB of tensors."""
_JOINED: Final = 2048
"""Up to here, putting a frame together is quicker than having the system do it."""
_ANCILLARY: Final = socket.CMSG_SPACE(4 * HANDED_MOST) if hasattr(socket, "CMSG_SPACE") else 0
_WINDOWS: Final = sys.platform == "win32"


_LOOKING: Final = threading.Lock()
"""Held by the one thread of this process that looks for longer than usual."""


class ChannelClosed(Exception):
    """The other side is gone, or what it sent is no frame. Never shown to a person."""


class ChannelSlow(Exception):
    """The other side took too long to read. Never shown to a person."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """A frame.

    Attributes:
        body: What followed the head.
        handed: Descriptors that are the receiver's now. Order: as they were handed over.
    """

    head: bytes
    body: memoryview
    handed: tuple[int, ...] = ()


class Channel:
    """One end of a pair of sockets, or of a connection.

    Args:
        spin_ns: How long to look for a frame before sleeping; 0 where there is one processor.
        peer: Process id of who will receive; only Windows asks for it, where something is handed over.
        most: Bytes of the longest body that is received.
        patience_s: How long the rest of a frame may take.

    Attributes:
        plain: Whether nothing is ever handed over here; what comes along all the same is closed by the system.
    """

    def __init__(
        self,
        end: socket.socket,
        *,
        spin_ns: int = 0,
        peer: int = 0,
        most: int = FRAME_MOST,
        patience_s: float = PATIENCE_S,
        clock: Clock | None = None,
    ) -> None:
        end.setblocking(False)
        self._socket = end
        self._number = end.fileno()
        self._spin_ns = spin_ns if (os.cpu_count() or 1) > 1 else 0
        self._clock = clock or SystemClock()
        self._kept = b""
        self._handed: list[int] = []
        self._buffer = self._shown = memoryview(b"")
        self._readable = Watch(self._number)
        self._most = most
        self._patience_s = patience_s
        self._until_ns = 0
        self.peer = peer
        self.plain = _WINDOWS
        self._expected_ns = 0

    def fileno(self) -> int:
        """Return the descriptor, to wait for or to hand over."""
        return self._number

    def send(self, head: bytes, *parts: bytes | memoryview, handing: Sequence[int] = (), timeout_s: float = 30) -> None:
        """Send a frame.

        Args:
            handing: Descriptors to hand over; they stay the sender's to close. On Windows, of sockets.

        Raises:
            ChannelClosed: The other side is gone.
            ChannelSlow: It did not read for so long.
        """
        if not handing and not _WINDOWS:
            self.post(head, parts[0] if len(parts) == 1 else b"".join(parts), timeout_s)
            return
        try:
            self._send_slowly(head, sum(map(len, parts)), parts, handing, timeout_s)
        except OSError as error:
            raise ChannelClosed from error

    def post(self, head: bytes, body: bytes | memoryview, timeout_s: float = 30) -> None:
        """Send a frame with which nothing is handed over; the shortest way, for requests and answers.

        Raises:
            ChannelClosed: The other side is gone.
            ChannelSlow: It did not read for so long.
        """
        if _WINDOWS:
            self.send(head, body, timeout_s=timeout_s)
            return
        size = len(body)
        start = _HEAD.pack(len(head), 0, size) + head
        try:
            try:
                if size <= _JOINED:
                    sent = os.write(self._number, start + body if size else start)
                else:
                    sent = os.writev(self._number, (start, body))
            except BlockingIOError:
                sent = 0
            if sent < len(start) + size:
                self._write_rest((start, body), sent, timeout_s)
        except OSError as error:
            raise ChannelClosed from error

    def _write_rest(self, parts: Sequence[bytes | memoryview], sent: int, timeout_s: float) -> None:
        """Write what of a frame has not been written yet."""
        for part in parts:
            if sent < len(part):
                self._write(memoryview(part).cast("B")[sent:], timeout_s)
            sent = max(0, sent - len(part))

    def _send_slowly(
        self, head: bytes, size: int, parts: Sequence[bytes | memoryview], handing: Sequence[int], timeout_s: float
    ) -> None:
        """Send a long frame, or one with which something is handed over."""
        shared = [_share(number, self.peer) for number in handing] if _WINDOWS else []
        start = b"".join((_HEAD.pack(len(head), len(handing), size), *shared, head))
        sent = 0
        if handing and not _WINDOWS:
            sent = socket.send_fds(self._socket, [start], list(handing))
        self._write(memoryview(start)[sent:], timeout_s)
        for part in parts:
            self._write(memoryview(part).cast("B"), timeout_s)

    def _write(self, rest: memoryview, timeout_s: float) -> None:
        while rest:
            try:
                count = self._socket.send(rest) if _WINDOWS else os.write(self._number, rest)
            except BlockingIOError:
                if not Watch(self._number, writing=True).wait(timeout_s):
                    raise ChannelSlow from None
                continue
            rest = rest[count:]

    def ready(self) -> bool:
        """Return whether something can be read without waiting: a frame, its beginning, or the end."""
        return bool(self._kept or self._readable.wait(0))

    def receive(self, timeout_s: float | None = None) -> Received | None:
        """Return the next frame, or None if none began within that time.

        Raises:
            ChannelClosed: The other side is gone, or sent no frame.
        """
        if not self._kept and not self._await(timeout_s):
            return None
        return self.read()

    def read(self) -> Received:
        """Return the next frame, of which something is there already.

        Raises:
            ChannelClosed: The other side is gone, or sent no frame.
        """
        if not self._kept and self.plain:
            frame = self._read_whole()
            if frame is not None:
                return frame
        elif not self._kept:
            # Most frames are short and come alone: these are taken apart without being put together first.
            data = self._kept = self._read(_SHORT)
            if len(data) >= _HEAD.size:
                head_bytes, count, body_bytes = _HEAD.unpack_from(data)
                if not count and len(data) == _HEAD.size + head_bytes + body_bytes:
                    self._kept = b""
                    at = _HEAD.size + head_bytes
                    return Received(data[_HEAD.size : at], memoryview(data)[at:])
        head_bytes, count, body_bytes = _HEAD.unpack(self._take(_HEAD.size))
        if body_bytes > self._most or head_bytes > FRAME_MOST or count > HANDED_MOST:
            raise ChannelClosed
        shared = [self._take(self._shared_bytes()) for _ in range(count)] if _WINDOWS else []
        head = self._take(head_bytes)
        body = self._take_body(body_bytes)
        self._until_ns = 0
        if _WINDOWS:
            return Received(head, body, tuple(_unshare(one) for one in shared))
        # The beginning of the next frame may have come along, with what it hands over.
        handed, self._handed = tuple(self._handed[:count]), self._handed[count:]
        if len(handed) != count:
            close_all(handed)
            raise ChannelClosed
        return Received(head, body, handed)

    def _read_whole(self) -> Received | None:
        """Return a frame that fits into the buffer for them; of another one, keep what there is and return None.

        Its body is there until the next frame is read.
        """
        if not self._buffer:
            self._buffer = memoryview(bytearray(_WHOLE))
            self._shown = self._buffer.toreadonly()
        buffer = self._buffer
        got = self._read_into(buffer)
        head_bytes, count, body_bytes = _HEAD.unpack_from(buffer) if got >= _HEAD.size else (0, 1, 0)
        at = _HEAD.size + head_bytes
        whole = at + body_bytes
        if got == whole and not count and body_bytes <= self._most:
            # Most frames come alone and whole.
            self._until_ns = 0
            return Received(bytes(buffer[_HEAD.size : at]), self._shown[at:whole])
        if count or whole > _WHOLE or body_bytes > self._most:
            self._kept = bytes(buffer[:got])
            return None
        while got < whole:
            # The system hands over a long frame in pieces; a receiver that is quick sees the first before the last.
            got += self._read_into(buffer[got:whole])
        self._kept = bytes(buffer[whole:got])
        self._until_ns = 0
        return Received(bytes(buffer[_HEAD.size : at]), self._shown[at:whole])

    def _shared_bytes(self) -> int:
        """Return how long a socket is that is handed over as bytes."""
        (size,) = _SHARED.unpack(self._take(_SHARED.size))
        if size > _CHUNK:
            raise ChannelClosed
        return int(size)

    def expect(self, within_ns: int) -> None:
        """Look that long for the next frame before sleeping, if that is longer than usual and nobody else does so."""
        self._expected_ns = within_ns

    def _await(self, timeout_s: float | None) -> bool:
        """Return whether something can be read, having looked for a while and then slept."""
        if not self._spin_ns or timeout_s == 0:
            return bool(self._readable.wait(timeout_s))
        if self._expected_ns > self._spin_ns and _LOOKING.acquire(blocking=False):
            try:
                if self._readable.spin(self._clock, self._expected_ns, 0):
                    return True
            finally:
                _LOOKING.release()
            return bool(self._readable.wait(timeout_s))
        return bool(self._readable.spin(self._clock, self._spin_ns, timeout_s))

    def _take(self, size: int) -> bytes:
        """Return the next bytes, waiting for the rest of a frame as long as the other side lives."""
        while len(self._kept) < size:
            self._kept += self._read(max(_CHUNK, size - len(self._kept)))
        taken, self._kept = self._kept[:size], self._kept[size:]
        return taken

    def _take_body(self, size: int) -> memoryview:
        if size <= _CHUNK:
            return memoryview(self._take(size))
        try:
            body = memoryview(bytearray(size))
        except MemoryError as error:
            raise ChannelClosed from error
        at = min(size, len(self._kept))
        body[:at], self._kept = self._kept[:at], self._kept[at:]
        while at < size:
            at += self._read_into(body[at:])
        return body.toreadonly()

    def _read(self, most: int) -> bytes:
        while True:
            try:
                if self.plain:
                    found = self._socket.recv(most)
                else:
                    found, ancillary, _, _ = self._socket.recvmsg(most, _ANCILLARY)
                    if ancillary:
                        self._keep_handed(ancillary)
            except BlockingIOError:
                self._stall()
                continue
            except OSError as error:
                raise ChannelClosed from error
            if not found:
                raise ChannelClosed
            return found

    def _read_into(self, place: memoryview) -> int:
        while True:
            try:
                count = self._socket.recv_into(place)
            except BlockingIOError:
                self._stall()
                continue
            except OSError as error:
                raise ChannelClosed from error
            if not count:
                raise ChannelClosed
            return count

    def _keep_handed(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for _, _, numbers in ancillary:
            whole = len(numbers) // 4
            self._handed += struct.unpack(f"={whole}i", numbers[: 4 * whole])
        if len(self._handed) > 2 * HANDED_MOST:
            # No frame speaks of so many; a process has only so many to have.
            raise ChannelClosed

    def _stall(self) -> None:
        """Wait for more of a frame, but not longer than all of it may take.

        Raises:
            ChannelClosed: The rest did not come.
        """
        now = self._clock.elapsed_ns()
        self._until_ns = self._until_ns or now + int(self._patience_s * 1e9)
        left_s = (self._until_ns - now) / 1e9
        if left_s <= 0 or not self._readable.spin(self._clock, _STALL_NS, left_s):
            raise ChannelClosed

    def hang_up(self) -> None:
        """End the connection for both sides; whoever waits here sees the end too."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of this end; the other side sees the end."""
        close_all(self._handed)
        self._handed = []
        # The system gives the number to the next one that is opened, and nothing more may be written to that.
        self._number = -1
        self._socket.close()

    def __del__(self) -> None:
        # A channel may be dropped with the thread that used it.
        self._socket.close()


if sys.platform == "win32":

    def _share(number: int, peer: int) -> bytes:
        """Return a socket as bytes that another process can make it from again."""
        end = socket.socket(fileno=number)
        try:
            shared = end.share(peer)
        finally:
            end.detach()
        return _SHARED.pack(len(shared)) + shared

    def _unshare(shared: bytes) -> int:
        return socket.fromshare(shared).detach()

else:

    def _share(number: int, peer: int) -> bytes:
        raise InternalError(f"descriptor {number} is handed to process {peer} as bytes")

    def _unshare(shared: bytes) -> int:
        raise InternalError(f"{len(shared)} bytes are taken for a socket")


def close_all(numbers: Sequence[int]) -> None:
    """Close descriptors that were handed over and are not wanted."""
    for number in numbers:
        socket.close(number)


def make_pair(
    *, spin_ns: int = 0, peer: int = 0, most: int = FRAME_MOST, patience_s: float = PATIENCE_S
) -> tuple[Channel, Channel]:
    """Return two channels that are each other's other side; what is said is of the first."""
    one, other = socket.socketpair()
    return Channel(one, spin_ns=spin_ns, peer=peer, most=most, patience_s=patience_s), Channel(other)


def adopt(number: int, *, peer: int = 0, most: int = FRAME_MOST, patience_s: float = PATIENCE_S) -> Channel:
    """Return a channel over a descriptor that was handed over.

    Raises:
        OSError: It is no socket, and closed now.
    """
    try:
        return Channel(socket.socket(fileno=number), peer=peer, most=most, patience_s=patience_s)
    except OSError:
        with contextlib.suppress(OSError):
            os.close(number)
        raise


def take_channel() -> Channel:
    """Return a child's channel to its parent: standard input, out of reach of anything that prints or reads.

    On Windows, where a socket cannot be standard input, the socket is read from there.
    """
    if sys.platform == "win32":
        source = os.fdopen(os.dup(0), "rb")
        size = _SHARED.unpack(source.read(_SHARED.size))[0]
        end = socket.fromshare(source.read(size))
        source.close()
    else:
        end = socket.socket(fileno=os.dup(0))
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        os.close(nowhere)
    os.dup2(2, 1)
    return Channel(end, peer=os.getppid())


def share_with(channel: Channel, peer: int) -> bytes:
    """Return what ``take_channel`` of a child reads on Windows; empty elsewhere."""
    return _share(channel.fileno(), peer) if _WINDOWS else b""


_PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ECONNABORTED, errno.EINTR})
"""Errors after which a listener goes on."""

PAUSE_S: Final = 0.1
_CREDENTIALS: Final = struct.Struct("=iII")


def is_own(end: socket.socket) -> bool:
    """Return whether the process at the other end of a socket file is this user's, where the system can say."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True
    _, user, _ = _CREDENTIALS.unpack(end.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return bool(user == os.geteuid())


def _clear(path: Path) -> None:
    """Remove what an earlier listener has left, and nothing else.

    Raises:
        FileExistsError: Something else is there.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(mode) and path.stat().st_size < _NOTE_BYTES if _WINDOWS else stat.S_ISSOCK(mode)):
        raise FileExistsError(errno.EEXIST, "something else than a socket is there")
    path.unlink(missing_ok=True)


_NOTE_BYTES: Final = 256
"""More than port and key take on Windows."""


class Listener:
    """Where other processes of the same user find a host: a socket file, or on Windows a port and a key beside it.

    Args:
        path: The socket file; on Windows the file that names port and key. Its folder must be the user's alone.
        key: What a caller must show on Windows, where a port is open to every user of the machine.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._key = key.encode()
        self._closing = threading.Event()
        _clear(path)
        if _WINDOWS:
            self._socket = socket.create_server(("127.0.0.1", 0))
            path.write_text(f"{self._socket.getsockname()[1]} {key}")
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            try:
                self._socket.bind(str(path))
                # Nobody can connect before it listens, so the mode is in time.
                path.chmod(0o600)
                self._socket.listen()
            except OSError:
                self._socket.close()
                raise

    def accept(self) -> Channel:
        """Return the next caller's channel.

        Raises:
            ChannelClosed: Nobody can call any more.
        """
        while True:
            try:
                end, _ = self._socket.accept()
            except OSError as error:
                if error.errno not in _PASSING:
                    raise ChannelClosed from error
                # The caller is gone, or there are too many of them for now; others may be served later.
                self._closing.wait(PAUSE_S)
                continue
            if not _WINDOWS:
                if is_own(end):
                    return Channel(end)
                end.close()
                continue
            channel = Channel(end)
            try:
                shown = channel.receive(1.0)
            except ChannelClosed:
                shown = None
            if shown is not None and shown.head == self._key:
                channel.peer = int.from_bytes(shown.body, "little")
                return channel
            channel.close()

    def close(self) -> None:
        """Stop listening; an ``accept`` that waits ends."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)


def connect(path: Path) -> Channel:
    """Return a channel to who listens there.

    Raises:
        ChannelClosed: Nobody does.
    """
    try:
        if not _WINDOWS:
            end = socket.socket(socket.AF_UNIX)
            try:
                end.connect(str(path))
            except OSError:
                end.close()
                raise
            if not is_own(end):
                # What is asked and answered is this user's alone.
                end.close()
                raise ChannelClosed
            return Channel(end)
        port, _, key = path.read_text().partition(" ")
        channel = Channel(socket.create_connection(("127.0.0.1", int(port))))
    except (OSError, ValueError) as error:
        raise ChannelClosed from error
    channel.send(key.encode(), os.getpid().to_bytes(8, "little"))
    return channel
