"""The warm process: it has imported what runs models, and forks on demand. Linux only.

Invariants:
    * It makes no session and reads no model, so that whatever it forks begins with the same clean memory.
    * It has one thread, which receives and forks: another one's locks would stay closed for ever in what is forked.
    * What it forked dies with it, also where it is killed.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from typing import Final

from .channel import Channel, ChannelClosed, adopt, close_all, take_channel

_PR_SET_PDEATHSIG: Final = 1
_HEAVY: Final = ("numpy", "onnxruntime", "tickwork.infer.sessions")
_ROLES: Final = frozenset({"worker", "inspector"})
_INSPECTOR: Final = ("tickwork.infer.inspector", "tickwork.infer.graph", "tickwork.infer.sessions")
"""What only inspectors need: imported before the first of them is forked, for all of them."""


def main() -> None:
    """Serve until the channel ends; not at all where a library has started a thread, so that nothing is forked."""
    channel = take_channel()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in _HEAVY:
        # Where a package is missing, who is forked says so.
        with contextlib.suppress(ImportError):
            import_module(name)
    with contextlib.suppress(ImportError):
        # Remembered for all that are forked: hashing the library takes a tenth of a second.
        import_module("tickwork.infer.providers").library_digest()
    serve(channel)


def serve(channel: Channel) -> None:
    """Fork on demand, and report who ended."""
    waking, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _nothing)
    poll = select.poll()
    poll.register(channel.fileno(), select.POLLIN)
    poll.register(waking, select.POLLIN)
    living = set[int]()
    serving: Callable[[], None] | None = None
    with contextlib.suppress(ChannelClosed):
        while serving is None:
            poll.poll()
            with contextlib.suppress(BlockingIOError):
                os.read(waking, 4096)
            _report(channel, living)
            # Two frames may have come at once; the second would not wake anybody again.
            while serving is None and channel.ready():
                serving = _take(channel, living)
        os.close(waking)
        os.close(woken)
    if serving is not None:
        _be(serving)


def _be(serving: Callable[[], None]) -> None:
    """Run what was forked to its end. Libraries would wait at exit for threads that only the parent has."""
    status = 1
    try:
        serving()
        status = 0
    finally:
        if status:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(status)


def _nothing(number: int, frame: object) -> None:
    del number, frame


def _report(channel: Channel, living: set[int]) -> None:
    """Say who ended."""
    while living:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        living.discard(pid)
        channel.send(f"ended {pid} {os.waitstatus_to_exitcode(status)}".encode())


def _take(channel: Channel, living: set[int]) -> Callable[[], None] | None:
    """Do what a frame asks; return what to do where this process is the one that was forked."""
    frame = channel.receive()
    if frame is None:
        return None
    word, _, name = frame.head.decode().partition(" ")
    if word == "kill":
        if int(name) in living:
            os.kill(int(name), signal.SIGKILL)
        return None
    if word != "fork" or name not in _ROLES or len(frame.handed) != 1:
        close_all(frame.handed)
        return None
    if name == "inspector":
        for module in _INSPECTOR:
            with contextlib.suppress(ImportError):
                import_module(module)
    parent = os.getpid()
    pid = os.fork()
    if pid:
        close_all(frame.handed)
        living.add(pid)
        channel.send(f"forked {pid}".encode())
        return None
    channel.close()
    _follow(parent)
    return _Role(name, frame.handed[0]).serve


def _follow(parent: int) -> None:
    """End when the parent does."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        sys.exit()


class _Role:
    """What a forked process is to be."""

    def __init__(self, name: str, number: int) -> None:
        self._name = name
        self._number = number

    def serve(self) -> None:
        """Be it, until its channel ends."""
        serve: Callable[[Channel], None] = import_module(f"tickwork.infer.{self._name}").serve
        serve(adopt(self._number, peer=os.getppid()))
