"""A call that may hang, and whoever waits for it no longer than they said.

A thread cannot be stopped from outside. One that has not come back in time is left alone, and its result is thrown
away; it belongs to nobody, and does not keep the process from ending.
"""

import queue
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

MOST_LEFT: Final = 64
"""Threads that may be left hanging at once. From then on calls with a deadline are refused: whatever they wait for
answers nobody, and each thread holds memory."""

MOST_IDLE: Final = 32

T = TypeVar("T")


class Overdue(Exception):
    """No result before the deadline."""


class Crowded(Exception):
    """Too many earlier calls still hang."""


class _Worker:
    """A thread that does one call after the other."""

    def __init__(self, home: "Threads") -> None:
        self._home = home
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[tuple[bool, Any]]]] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._work, name="tickwork-call", daemon=True).start()

    def begin(self, function: Callable[[], T]) -> "queue.SimpleQueue[tuple[bool, Any]]":
        reply: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        self._calls.put((function, reply))
        return reply

    def _work(self) -> None:
        while True:
            function, reply = self._calls.get()
            try:
                outcome = True, function()
            except BaseException as error:  # noqa: BLE001 - It belongs to whoever asked, and is raised there.
                outcome = False, error
            # The reply goes first: whoever waits then finds it, or has said that nobody does.
            reply.put(outcome)
            del function, reply, outcome
            if not self._home.free(self):
                return


class Threads:
    """Threads for calls with a deadline. They are kept for the next call, and none is started before it is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = list[_Worker]()
        self._left = set[_Worker]()

    def call(self, function: Callable[[], T], within_ms: int) -> T:
        """Return what a function returns.

        Args:
            within_ms: 0 or less waits for ever.

        Raises:
            Overdue: It has not returned in time. It goes on for itself, and what it comes to is thrown away.
            Crowded: Too many earlier calls are in that state.
        """
        with self._lock:
            if len(self._left) >= MOST_LEFT:
                raise Crowded
            worker = self._idle.pop() if self._idle else None
        worker = worker or _Worker(self)
        reply = worker.begin(function)
        try:
            good, value = reply.get(timeout=within_ms / 1000 if within_ms > 0 else None)
        except queue.Empty:
            with self._lock:
                if not reply.empty():
                    good, value = reply.get()
                else:
                    self._left.add(worker)
                    raise Overdue from None
        if good:
            return cast("T", value)
        raise cast("BaseException", value)

    def free(self, worker: _Worker) -> bool:
        """Take a worker back whose call has ended, and return whether it is kept."""
        with self._lock:
            self._left.discard(worker)
            if len(self._idle) >= MOST_IDLE:
                return False
            self._idle.append(worker)
            return True

    @property
    def left(self) -> int:
        """How many calls hang that nobody waits for any more."""
        with self._lock:
            return len(self._left)
