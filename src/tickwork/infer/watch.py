"""Waiting for the first of several descriptors, by looking for a while before sleeping."""

import os
import select
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


_LOOKS: Final = 16
"""How often a receiver looks before it lets others have the processor."""


def _give_way() -> None:
    """Let another process run that waits for this processor: it may be the one that is waited for."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
