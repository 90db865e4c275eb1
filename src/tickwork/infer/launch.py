"""Starts the processes that know models: a fresh Python for each, or on Linux a fork of one that is warm.

A fresh process spends a quarter of a second importing what runs models; the warm one has done that, has made no
session, runs one thread of its own, and does nothing but fork. What it forks ends with it.

A module that can be started has ``serve(channel)``, and ``main()`` that serves the channel of standard input.
"""

import signal
import subprocess
import sys
import threading
from typing import Final, Protocol

from ..errors import ModelHostLost
from ..sandbox.child import start_child
from .channel import Channel, ChannelClosed, make_pair, share_with

WAIT_S: Final = 10


class Child(Protocol):
    """A process that was started.

    Attributes:
        channel: To it.
        pid: Its number.
    """

    channel: Channel
    pid: int

    def kill(self) -> None:
        """End it at once; whoever reads its channels sees the end."""
        ...

    def wait(self, timeout_s: float = WAIT_S) -> int | None:
        """Return how it ended: the exit status, or the negative number of a signal; None if it has not by then."""
        ...


def exit_text(status: int | None) -> str:
    """Return how a process ended, as a person would say it: ``signal SIGFPE``, ``exit status 1``."""
    if status is None:
        return "no exit yet"
    if status < 0:
        try:
            return f"signal {signal.Signals(-status).name}"
        except ValueError:
            return f"signal {-status}"
    return f"exit status {status}"


class Launcher:
    """Starts processes, each with a channel to whoever called.

    Args:
        warm: Whether to keep a warm process to fork from, where the system can.
    """

    def __init__(self, *, warm: bool = True) -> None:
        self._warm = warm and sys.platform == "linux"
        self._zygote: _Zygote | None = None
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Begin to warm up, so that the first start need not wait for it."""
        if self._warm:
            with self._lock:
                self._living_zygote()

    def start(self, role: str) -> Child:
        """Return a process that serves as ``role``, a module of ``infer``.

        Raises:
            ModelHostLost: TW6009, the system starts none.
        """
        if self._warm:
            try:
                with self._lock:
                    return self._living_zygote().fork(role)
            except ChannelClosed:
                # It may have been killed at this very moment; a fresh process needs nobody.
                pass
        return start_fresh(role)

    def _living_zygote(self) -> "_Zygote":
        if self._zygote is not None and self._zygote.gone:
            self._zygote.close()
            self._zygote = None
        if self._zygote is None:
            self._zygote = _Zygote()
        return self._zygote

    def close(self) -> None:
        """End the warm process, and with it all that it forked."""
        with self._lock:
            if self._zygote is not None:
                self._zygote.close()
                self._zygote = None


class _Fresh:
    """A process of its own making."""

    def __init__(self, channel: Channel, process: "subprocess.Popen[bytes]") -> None:
        self.channel = channel
        self.pid = process.pid
        self._process = process

    def kill(self) -> None:
        """End it."""
        self._process.kill()

    def wait(self, timeout_s: float = WAIT_S) -> int | None:
        """Return how it ended."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None


def start_fresh(role: str) -> Child:
    """Return a new process that runs ``main()`` of a module of ``infer``.

    Raises:
        ModelHostLost: TW6009, the system starts none.
    """
    mine, theirs = make_pair()
    try:
        if sys.platform == "win32":
            process = start_child(f"infer.{role}", sink=subprocess.DEVNULL)
            mine.peer = process.pid
            pipe = process.stdin
            assert pipe is not None
            pipe.write(share_with(theirs, process.pid))
            pipe.close()
        else:
            process = start_child(f"infer.{role}", source=theirs.fileno(), sink=subprocess.DEVNULL)
    except OSError as error:
        mine.close()
        raise ModelHostLost(
            "a process for models cannot be started", why=error.strerror or "", fix="look for memory and process limits"
        ) from error
    finally:
        theirs.close()
    return _Fresh(mine, process)


class _Forked:
    """A process that the warm one forked."""

    def __init__(self, channel: Channel, pid: int, zygote: "_Zygote") -> None:
        self.channel = channel
        self.pid = pid
        self._zygote = zygote

    def kill(self) -> None:
        """End it. Only its parent knows whether the number is still its own, so the parent does it."""
        self._zygote.kill(self.pid)

    def wait(self, timeout_s: float = WAIT_S) -> int | None:
        """Return how it ended; with its parent, where that is gone."""
        return self._zygote.wait(self.pid, timeout_s)


class _Zygote:
    """The warm process, seen from outside.

    Attributes:
        gone: Whether it has ended.
    """

    def __init__(self) -> None:
        self._child = start_fresh("zygote")
        self._sending = threading.Lock()
        self._told = threading.Condition()
        self._forked: list[int] = []
        self._ended: dict[int, int] = {}
        self.gone = False
        threading.Thread(target=self._listen, name="tickwork-zygote", daemon=True).start()

    def _listen(self) -> None:
        """Take what it says until it ends."""
        try:
            while (frame := self._child.channel.receive()) is not None:
                word, _, rest = frame.head.decode().partition(" ")
                numbers = [int(number) for number in rest.split()]
                with self._told:
                    if word == "forked":
                        self._forked.append(numbers[0])
                    else:
                        self._ended[numbers[0]] = numbers[1]
                    self._told.notify_all()
        except ChannelClosed:
            pass
        with self._told:
            self.gone = True
            self._told.notify_all()

    def fork(self, role: str) -> Child:
        """Return a new process. One thread at a time.

        Raises:
            ChannelClosed: The warm process is gone.
        """
        mine, theirs = make_pair()
        try:
            with self._sending:
                self._child.channel.send(f"fork {role}".encode(), handing=[theirs.fileno()])
            with self._told:
                if not self._told.wait_for(lambda: self._forked or self.gone, WAIT_S):
                    # What it says later would be taken for the answer to the next request.
                    self.gone = True
                if self.gone:
                    raise ChannelClosed
                pid = self._forked.pop(0)
        except ChannelClosed:
            mine.close()
            raise
        finally:
            theirs.close()
        return _Forked(mine, pid, self)

    def kill(self, pid: int) -> None:
        """Have it end a process of its own."""
        with self._sending:
            try:
                self._child.channel.send(f"kill {pid}".encode())
            except ChannelClosed:
                self.gone = True

    def wait(self, pid: int, timeout_s: float) -> int | None:
        """Return how a process ended."""
        with self._told:
            self._told.wait_for(lambda: pid in self._ended or self.gone, timeout_s)
            return self._ended.get(pid, -int(signal.SIGKILL) if self.gone else None)

    def close(self) -> None:
        """End it."""
        self._child.kill()
        self._child.wait()
        self._child.channel.hang_up()
