"""A snapshot of 50 agents of 64 KiB, against a bare copy of their memories and a hash of the pages that changed."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import tickwork as tw
from tickwork.driver.snapshots import Snapshots
from tickwork.sandbox.inline import InlinePool
from tickwork.sandbox.pages import PAGE_BYTES

from . import ours
from .measure import Effort, Line, Stand
from .ours import AGENTS

SNAPSHOT, COPY = "snapshot", "copy and hash"
CHANGED = 4
"""Pages of an agent that change between two snapshots, of its 16; a turn of the demo's agents changes two to four."""


class _Scribbled:
    """A live run whose agents' memories are written to between two snapshots, as turns would."""

    def __init__(self, folder: Path) -> None:
        self._live = ours.Ticking(ours.talking(1), None, tw.Options(cache=folder, snapshot_ticks=0))
        loop = self._live.loop
        self.machine, self.crew = loop.machine, loop.crew
        pool = loop.crew._pool
        assert isinstance(pool, InlinePool)
        self.memories = [pool.slot(agent)._instance._memory for agent in range(AGENTS)]  # type: ignore[union-attr]
        self._snapshots = Snapshots()
        self._snapshots.take(self.machine, self.crew, 0, 0)
        self._count = 0

    def scribble(self) -> None:
        """Change one byte in each of the first pages of every agent."""
        self._count = (self._count + 1) & 0xFF
        for memory in self.memories:
            for at in range(0, CHANGED * PAGE_BYTES, PAGE_BYTES):
                memory[at + 4000] = self._count

    def snapshot(self, times: int) -> None:
        """Write, then take a snapshot, so many times."""
        for _ in range(times):
            self.scribble()
            taken = self._snapshots.take(self.machine, self.crew, 0, 0)
            if taken is None or not CHANGED <= len(taken[1]) <= 1 + AGENTS * CHANGED:
                raise RuntimeError("a snapshot does not hold the pages that changed")

    def copy(self, times: int) -> None:
        """Write, then copy every memory and hash the pages that were written to."""
        for _ in range(times):
            self.scribble()
            for memory in self.memories:
                copied = memory.tobytes()
                for at in range(0, CHANGED * PAGE_BYTES, PAGE_BYTES):
                    hashlib.sha256(copied[at : at + PAGE_BYTES]).digest()

    def close(self) -> None:
        """End the run."""
        self.memories.clear()
        self._live.close()


def snapshots(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure one snapshot of a run, state and images, of which a quarter of the pages have changed."""
    with Stand(folder) as stand:
        run = stand.hold(_Scribbled(folder))
        stand.case(SNAPSHOT, run.snapshot)
        stand.case(COPY, run.copy)
        found = stand.measure(effort)
    note = f"{AGENTS} agents of 64 KiB, {CHANGED} of 16 pages changed in each"
    yield found.absolute("snapshot", SNAPSHOT, "ms", "<= 5", note=note)
    yield found.compared("snapshot-copy", SNAPSHOT, COPY, "ms", "<= 3", note="the copy knows which pages changed")
