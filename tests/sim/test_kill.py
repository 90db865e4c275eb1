"""kill -9: a real process with a real journal dies anywhere, and the run goes on to the head it would have had."""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import pytest

from tests.sim import victim
from tests.support import environment, missing
from tickwork import codec
from tickwork.driver.diff import diff
from tickwork.driver.performers import ArtifactRequest
from tickwork.driver.run import resume, run
from tickwork.journal.check import check
from tickwork.journal.sqlite import SqliteJournal
from tickwork.records import DerivedKind, FrameKind
from tickwork.sim import Draw

KILLS = 50
BATCHES = 4
"""200 kills in all, in batches that several workers may share."""

VICTIM = Path(victim.__file__)

pytestmark = [pytest.mark.slow]


class Nursery:
    """Starts runs in processes of their own and ends them."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(VICTIM), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=environment(),
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._say, self._hear = self._process.stdin, self._process.stdout
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._hear, selectors.EVENT_READ)

    def run(self, name: str, kill_after_s: float) -> int:
        """Return the exit status of a run that is killed after so many seconds, if it has not ended by then."""
        self._say.write(f"{name}\n")
        self._say.flush()
        child = int(self._hear.readline())
        if not self._ready.select(kill_after_s):
            # It may end, and be gone, just now.
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return int(self._hear.readline())

    def close(self) -> None:
        """End the process that starts the others."""
        self._say.close()
        self._process.wait(10)
        self._hear.close()
        self._ready.close()


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    """Return a place where runs start."""
    if not hasattr(os, "fork"):
        missing("this system cannot start a run without starting an interpreter")
    found = Nursery(tmp_path)
    yield found
    found.close()


def artifacts(folder: Path) -> dict[str, bytes]:
    """Return the finished artifacts of a run by name."""
    return {path.name: path.read_bytes() for path in folder.glob("*.bin")}


def read(path: Path) -> tuple[bool, bytes, set[str]]:
    """Return whether a journal's run is over, its head, and the names of the artifacts that its records ask for."""
    with closing(SqliteJournal.open(path)) as journal:
        frames = list(journal.frames())
        asked = [
            frame.body
            for tick in frames
            for turn in codec.decode_turns(tick.turns)
            for frame in codec.decode_frames(turn.outcome.outbox)
            if frame.kind == FrameKind.SKILL
        ]
        effects = sum(item.kind == DerivedKind.EFFECT for tick in frames for item in codec.decode_derived(tick.derived))
        assert len(asked) == effects
        names = {msgspec.msgpack.decode(body, type=ArtifactRequest).name for body in asked}
        return journal.status().closed, journal.head().d, names


@pytest.mark.parametrize(
    "batch", [0, *(pytest.param(batch, marks=pytest.mark.thorough) for batch in range(1, BATCHES))]
)
def test_a_run_killed_anywhere_ends_in_the_head_of_one_that_was_not(
    nursery: Nursery, tmp_path: Path, batch: int
) -> None:
    world = victim.world()
    expected = run(world, journal=tmp_path / "whole.twk", options=victim.options(tmp_path, "whole"))
    draw, killed, unborn, whole_s = Draw(batch), 0, 0, 1.0
    for number in range(3 * KILLS):
        if killed == KILLS:
            break
        name = f"k{number}"
        path = tmp_path / f"{name}.twk"
        start = time.monotonic()
        if nursery.run(name, whole_s * draw.below(1000) / 1000) == 0:
            whole_s = time.monotonic() - start  # It was too late; how long a run takes depends on what else runs here.
            continue
        killed += 1
        if not path.exists():
            unborn += 1
            assert artifacts(tmp_path / name) == {}
            continue
        report = check(path)
        assert report.damage is None, f"kill {number}: {report.damage}"
        closed, head, asked = read(path)
        assert set(artifacts(tmp_path / name)) <= asked, f"kill {number}: an effect left before its intent was durable"
        if not closed:
            head = resume(path, world=world, options=victim.options(tmp_path, name)).head
        assert head == expected.head, f"kill {number}: {diff(tmp_path / 'whole.twk', path).divergence}"
        assert artifacts(tmp_path / name) == artifacts(tmp_path / "whole")
    assert killed == KILLS
    assert unborn < KILLS // 3, "most runs must be killed while they are under way"
