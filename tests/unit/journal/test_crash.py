"""A process is killed, a machine loses power: the journal is a gap-free prefix with all that was promised."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, environment
from tests.unit.journal.lossy import lossy_disk
from tests.unit.journal.samples import ENVIRONMENT, HEADER, MODULE, fill, frames
from tickwork.journal import sqlite
from tickwork.journal.check import check
from tickwork.journal.sqlite import SqliteJournal

ENDLESS_WRITER = """
import sys
from pathlib import Path
from tests.unit.journal.samples import ENVIRONMENT, HEADER, frames
from tickwork.journal.sqlite import SqliteJournal

path = Path(sys.argv[1])
journal = SqliteJournal.open(path, write=True) if path.exists() else SqliteJournal.create(path, HEADER, ENVIRONMENT)
for frame in frames(4000):
    if frame.tick >= journal.length():
        journal.append(frame)
        journal.flush(durable=frame.tick % 5 == 0)
        print(frame.tick, flush=True)
"""


@pytest.mark.slow
def test_a_killed_writer_leaves_every_acknowledged_frame(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    source = random.Random(9)
    length = 0
    for _ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", ENDLESS_WRITER, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment(),
        )
        assert writer.stdout is not None
        acknowledged = -1
        for _ in range(source.randrange(1, 60)):
            acknowledged = int(writer.stdout.readline())
        writer.kill()
        # What it wrote between the last line that was read and its end.
        rest = writer.stdout.read().split("\n")
        acknowledged = max([acknowledged, *(int(line) for line in rest[:-1])])
        writer.wait()
        writer.stdout.close()
        report = check(path)
        assert report.damage is None
        assert acknowledged + 1 <= report.ticks <= acknowledged + 2
        assert report.ticks > length
        length = report.ticks
    with SqliteJournal.open(path, write=True) as journal:
        assert list(journal.frames()) == list(frames(length))
        journal.close_run("finished")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.twk"]


def write_and_lose_power(folder: Path, left: Path, source: random.Random) -> tuple[int, int]:
    """Write some ticks, then lose a part of what was not synced; return how many were durable and how many flushed."""
    durable = flushed = 0
    with (
        lossy_disk() as disk,
        SqliteJournal.create(folder / "run.twk", HEADER, ENVIRONMENT, [MODULE], vfs=disk.name) as journal,
    ):
        for frame in frames(source.randrange(2, 30)):
            journal.append(frame)
            barrier = source.random() < 0.3
            journal.flush(durable=barrier)
            flushed = frame.tick + 1
            durable = flushed if barrier else durable
        disk.lose_power(source, folder, left)
    return durable, flushed


@pytest.mark.slow
@pytest.mark.parametrize("checkpoint_pages", [4, 4000])
def test_a_loss_of_power_leaves_what_was_durable_whatever_else_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint_pages: int
) -> None:
    monkeypatch.setattr(sqlite, "_CHECKPOINT_PAGES", checkpoint_pages)
    holes = 0
    for seed in range(80):
        left, source = tmp_path / f"left {seed}", random.Random(seed)
        durable, flushed = write_and_lose_power(tmp_path / f"run {seed}", left, source)
        holes += what_is_left_is_sound(left / "run.twk", durable, flushed)
    assert holes > 0, "some loss left whole records after a hole"


def what_is_left_is_sound(path: Path, durable: int, flushed: int) -> bool:
    """Check and go on with a run after a loss of power; return whether the loss left a hole."""
    report = check(path)
    assert durable <= report.ticks <= flushed
    assert report.damage is None or report.damage.record == report.ticks < flushed
    with SqliteJournal.open(path, write=True) as journal:
        assert journal.length() == report.ticks
        fill(journal, 2)
        journal.close_run("finished")
    assert check(path).damage is None
    return report.damage is not None


def test_what_a_killed_writer_had_flushed_is_made_durable_by_who_goes_on(tmp_path: Path) -> None:
    folder, left = tmp_path / "run", tmp_path / "left"
    folder.mkdir()
    with lossy_disk() as disk:
        killed = SqliteJournal.create(folder / "run.twk", HEADER, ENVIRONMENT, [MODULE], vfs=disk.name)
        fill(killed, 4)
        # Its lock goes with a killed process; its writes stay in the system's memory.
        killed._release()
        with SqliteJournal.open(folder / "run.twk", write=True, vfs=disk.name) as journal:
            assert journal.length() == 4
            journal.flush(durable=True)
            disk.lose_power(random.Random(0), folder, left)
        killed.close()
    assert check(left / "run.twk").ticks == 4
