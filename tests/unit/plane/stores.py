"""A store for a test, with a clock that moves only when it is looked at or told to."""

from pathlib import Path

from tickwork.plane.store.store import Store

START_US = 1_790_000_000_000_000
DAY_US = 86_400_000_000


class Hands:
    """A clock whose hands are moved by the test; each look moves them by a microsecond."""

    def __init__(self) -> None:
        self.at_us = START_US

    def now_us(self) -> int:
        """Return the time. Units: microseconds."""
        self.at_us += 1
        return self.at_us

    def elapsed_ns(self) -> int:
        """Return the time. Units: nanoseconds."""
        return self.now_us() * 1000

    def unique(self) -> str:
        """Return a text nobody else has."""
        return f"{self.now_us():022x}"


def open_store(folder: Path, clock: Hands | None = None) -> tuple[Store, Hands]:
    """Return the store of a folder and its clock."""
    clock = clock or Hands()
    return Store.open(folder / "state.db", clock), clock
