"""An asker's line to the host: started when it is first needed, and started again where it is lost."""

import threading
from pathlib import Path
from typing import Final

import msgspec

from ..clock import Clock
from ..errors import InternalError, ModelHostLost
from . import wire
from .arena import Arena, make_arena
from .asking import Wanted
from .channel import SPIN_NS, Channel, ChannelClosed, ChannelSlow, connect, make_pair
from .launch import Child, start_fresh
from .link import Link

BACKOFF_S: Final = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Wait before each attempt to reach a host; after the last it is given up."""

END_S: Final = 10

ANSWER_MOST: Final = 1 << 31
"""Bytes of the longest answer that comes in a frame: the first of its length, before the shared memory has grown."""

PATIENCE_S: Final = 5.0
"""How long the rest of an answer may take, even past a deadline, once it has begun."""


class HostSlow(Exception):
    """The host did not answer before the deadline. Never shown to a person."""


class Line:
    """Reaches the host, by a channel of its own for each thread that asks at the same time.

    Args:
        setup: What a host is started with.
        address: The socket of a host that is there already, instead of starting one.
    """

    def __init__(self, setup: wire.Setup, address: Path | None, clock: Clock) -> None:
        self._setup = setup
        self._address = address
        self._clock = clock
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._idle = list[Channel]()
        self._closed = threading.Event()

    @property
    def pid(self) -> int:
        """Number of the host's process; 0 where there is none, or none of ours."""
        return self._child.pid if self._child is not None else 0

    def ask(
        self, question: wire.Question, deadline_ns: int | None = None, handing: tuple[int, ...] = ()
    ) -> wire.Answer:
        """Return what the host says, started or reached again if it is lost: all that is asked may be asked twice.

        Raises:
            HostSlow: There is no answer by the deadline.
            ModelHostLost: TW6009.
            TickworkError: What the host met.
        """
        for wait_s in BACKOFF_S:
            if self._closed.wait(wait_s):
                raise ModelHostLost("a question came after close", fix="ask inside the `with` block, or before close()")
            try:
                channel = self._take()
            except ChannelClosed:
                continue
            try:
                channel.send(wire.encode(question), handing=handing)
                frame = channel.receive(self._left_s(deadline_ns))
            except (ChannelClosed, ChannelSlow):
                self._lose(channel)
                continue
            if frame is None:
                # Its answer may still come, and would be taken for that to another question.
                channel.close()
                raise HostSlow
            answer = self._decode(frame.head)
            self._idle.append(channel)
            if isinstance(answer, wire.Failed):
                raise wire.raised(answer)
            return answer
        raise ModelHostLost(
            "the process that owns the models cannot be reached",
            where=str(self._address or ""),
            why="it ended again each time it was started" if self._address is None else "nobody listens there",
            fix="look at its messages above" if self._address is None else "start it: tickwork models serve",
        )

    def _decode(self, head: bytes) -> wire.Answer:
        try:
            return wire.decode_answer(head)
        except msgspec.DecodeError as error:
            raise InternalError("the host says what is not known here", why=str(error)) from error

    def _left_s(self, deadline_ns: int | None) -> float | None:
        return None if deadline_ns is None else max(0.0, (deadline_ns - self._clock.elapsed_ns()) / 1e9)

    def _take(self) -> Channel:
        """Return a channel that nobody uses.

        Raises:
            ChannelClosed: The host is gone, and will be started at the next attempt.
        """
        try:
            return self._idle.pop()
        except IndexError:
            pass
        if self._address is not None:
            return connect(self._address)
        with self._lock:
            child = self._living()
            mine, theirs = make_pair(peer=child.pid)
            try:
                child.channel.send(wire.encode(wire.Connect()), handing=[theirs.fileno()])
                if child.channel.receive(END_S) is None:
                    raise ChannelClosed
            except (ChannelClosed, ChannelSlow):
                mine.close()
                self._bury()
                raise ChannelClosed from None
            finally:
                theirs.close()
            return mine

    def _living(self) -> Child:
        """Return the host, started if there is none. The caller holds the lock."""
        if self._child is None:
            self._child = start_fresh("host")
            try:
                self._child.channel.send(wire.encode(self._setup))
            except (ChannelClosed, ChannelSlow):
                self._bury()
                raise ChannelClosed from None
        return self._child

    def _lose(self, channel: Channel) -> None:
        """Forget channels to a host that is gone."""
        channel.close()
        while self._idle:
            self._idle.pop().close()

    def _bury(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            child.channel.close()

    def connect(self, wanted: Wanted, tick: int, deadline_ns: int | None) -> Link:
        """Return a connection to the worker of a model, which is loaded if it is not.

        Raises:
            HostSlow: It is not loaded by the deadline.
            TickworkError: It cannot be loaded.
        """
        mine, theirs = make_pair(spin_ns=SPIN_NS, peer=self.pid, most=ANSWER_MOST, patience_s=PATIENCE_S)
        mine.plain = True
        arena: Arena = make_arena(self._clock)
        try:
            handing = (theirs.fileno(), arena.number) if arena.number >= 0 else (theirs.fileno(),)
            answer = self.ask(wire.Acquire(wanted, tick, arena.name), deadline_ns, handing)
            assert isinstance(answer, wire.Acquired)
        except BaseException:
            mine.close()
            arena.close()
            raise
        finally:
            theirs.close()
        return Link(wanted, answer, mine, arena, self._clock)

    def close(self) -> None:
        """Leave the host; one that was started here ends."""
        self._closed.set()
        while self._idle:
            self._idle.pop().close()
        with self._lock:
            if self._child is not None:
                # It sees the end of its channel, ends its workers, and then itself.
                self._child.channel.close()
                if self._child.wait(END_S) is None:
                    self._child.kill()
                    self._child.wait(END_S)
                self._child = None
