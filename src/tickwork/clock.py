"""Time and entropy: the one file that asks the machine for either."""

import os
import time
from typing import Protocol


class Clock(Protocol):
    """Where wall time and unique names come from."""

    def now_us(self) -> int:
        """Return the wall-clock time. Units: microseconds since 1970, UTC."""
        ...

    def elapsed_ns(self) -> int:
        """Return a time that never goes back. Units: nanoseconds from an unknown start."""
        ...

    def unique(self) -> str:
        """Return a text nobody else has: letters and digits, sortable by time."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_us(self) -> int:
        """Return the wall-clock time. Units: microseconds since 1970, UTC."""
        return time.time_ns() // 1000

    def elapsed_ns(self) -> int:
        """Return a monotonic time. Units: nanoseconds."""
        return time.monotonic_ns()

    def unique(self) -> str:
        """Return 12 hexadecimal digits of time and 10 of the system's entropy."""
        return f"{self.now_us() // 1000:012x}{os.urandom(5).hex()}"


class SteppedClock:
    """A clock that moves by a fixed step at each look, for runs that must be alike in their hints too."""

    def __init__(self, start_us: int = 0, step_us: int = 1000) -> None:
        self._now_us = start_us
        self._step_us = step_us

    def now_us(self) -> int:
        """Return the next time. Units: microseconds."""
        self._now_us += self._step_us
        return self._now_us

    def elapsed_ns(self) -> int:
        """Return the next time. Units: nanoseconds."""
        return self.now_us() * 1000

    def unique(self) -> str:
        """Return a text made of the next time."""
        return f"{self.now_us():022x}"
