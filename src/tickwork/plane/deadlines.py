"""A call that may hang, and whoever waits for it no longer than they said.

A thread cannot be stopped from outside. One that has not come back in time is left alone, and its result is thrown
away; it belongs to nobody, and does not keep the process from ending.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Final, ParamSpec, TypeVar, cast

MOST_LEFT: Final = 64
"""Threads that may be left hanging at once. From then on calls with a deadline are refused: whatever they wait for
answers nobody, and each thread holds memory."""

MOST_IDLE: Final = 32

P = ParamSpec("P")
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


class Lanes(Executor):
    """Threads for what is performed beside each other. None of them keeps the process from ending, however long it is
    at its work, and none is started while another is idle.

    Args:
        most: Threads at once; what else is given waits. Order: as given.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._begun = 0
        self._idle = threading.Semaphore(0)
        self._given: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a function called by one of the threads, and return what will hold its result."""
        future = Future[T]()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - It belongs to whoever asked, and is raised there.
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            self._given.put(work)
            if not self._idle.acquire(blocking=False) and self._begun < self._most:
                self._begun += 1
                threading.Thread(target=self._work, name=f"tickwork-lane_{self._begun}", daemon=True).start()
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:
        """Let the threads go, each when it has done what it is at. Nothing may be given to them afterwards."""
        del wait, cancel_futures
        with self._lock:
            while not self._given.empty():
                self._given.get()
            for _ in range(self._begun):
                self._given.put(None)

    def _work(self) -> None:
        while True:
            try:
                work = self._given.get_nowait()
            except queue.Empty:
                self._idle.release()
                work = self._given.get()
            if work is None:
                return
            work()
            del work
