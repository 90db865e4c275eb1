"""Waiting for the first of several descriptors, by looking for a while before sleeping."""

import os
import select
import sys
from typing import Final

from ..clock import Clock


class Watch:
    """Waits for the first of several descriptors that can be read, or written.

    Args:
        numbers: What to begin with.
    """

    def __init__(self, *numbers: int, writing: bool = False) -> None:
        self._writing = writing
        self._numbers = set[int]()
        self._poll = select.poll() if hasattr(select, "poll") else None
        for number in numbers:
            self.add(number)

    def add(self, number: int) -> None:
        """Wait for this one too."""
        self._numbers.add(number)
        if self._poll is not None:
            self._poll.register(number, select.POLLOUT if self._writing else select.POLLIN)

    def remove(self, number: int) -> None:
        """Wait for it no longer."""
        self._numbers.discard(number)
        if self._poll is not None:
            self._poll.unregister(number)

    def wait(self, timeout_s: float | None) -> list[int]:
        """Return who is ready, or has ended, within that time; None waits for ever."""
        if self._poll is not None:
            # Longer than two weeks does not fit into what the system takes.
            limit_ms = None if timeout_s is None else min(timeout_s * 1000, 1 << 30)
            return [number for number, _ in self._poll.poll(limit_ms)]
        mine = list(self._numbers)
        found = select.select([] if self._writing else mine, mine if self._writing else [], [], timeout_s)
        return found[1] if self._writing else found[0]

    def spin(self, clock: Clock, spin_ns: int, timeout_s: float | None) -> list[int]:
        """Return the same, having looked for a while before sleeping."""
        elapsed = clock.elapsed_ns
        until = 0
        poll = self._poll.poll if self._poll is not None else None
        while True:
            for _ in range(_LOOKS):
                if poll is None:
                    found = self.wait(0)
                    if found:
                        return found
                elif ready := poll(0):
                    return [ready[0][0]] if len(ready) == 1 else [number for number, _ in ready]
            now = elapsed()
            until = until or now + spin_ns
            if now >= until:
                return self.wait(timeout_s)
            _give_way()


SHARED_NS: Final = 80_000
"""What of an answer's time went by outside the model where asker and worker share a processor: twice the usual."""

SLOW_MOST: Final = 4
"""So many slow answers in a row are taken for sharing; one alone is an interruption."""

MOVE_NS: Final = 10_000_000
"""Time from one move to the next. Moving takes some 50 us, and helps nobody where all processors are busy."""


class Mover:
    """Takes a thread to another of the processors that it may use.

    A process that is woken may be put on the processor of the one that woke it and now looks for its answer, with
    another idle. As both look, the system sees two that are busy and leaves them there, for a tenth of a second and
    more, in which every answer takes three times as long.

    Attributes:
        moves: How often it did.
    """

    def __init__(self) -> None:
        self.moves = 0
        self._next_ns = 0

    def move(self, now_ns: int) -> None:
        """Go to another processor, if the last move was some time ago."""
        if now_ns >= self._next_ns:
            self._next_ns = now_ns + MOVE_NS
            self._move()

    def _move(self) -> None:
        """Go elsewhere, and be free to go anywhere again."""
        if sys.platform != "linux":
            return
        try:
            allowed = os.sched_getaffinity(0)
            others = allowed - {_processor()}
            if not others:
                return
            try:
                os.sched_setaffinity(0, others)
            finally:
                os.sched_setaffinity(0, allowed)
        except (OSError, ValueError, IndexError):
            # It is not allowed here, or not to be found out; then all stays as it is.
            return
        self.moves += 1


def _processor() -> int:
    """Return the number of the processor that this thread runs on."""
    with open("/proc/thread-self/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rpartition(")")[2].split()[36])


_LOOKS: Final = 16
"""How often a receiver looks before it lets others have the processor."""


def _give_way() -> None:
    """Let another process run that waits for this processor: it may be the one that is waited for."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
