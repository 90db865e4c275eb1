"""A disk that refuses: nothing acknowledged is lost, nothing is tried again, nothing half is left."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.support import missing
from tests.unit.journal.disk import Fault, FaultyDisk, faulty_disk
from tests.unit.journal.samples import ENVIRONMENT, HEADER, MODULE, closed_run, fill, frames, open_run
from tickwork.errors import JournalNotFound, JournalWriteFailed
from tickwork.journal.check import check
from tickwork.journal.sqlite import SqliteJournal

TICKS = 6


@pytest.fixture
def disk() -> Iterator[FaultyDisk]:
    with faulty_disk() as one:
        yield one


def run_until_failure(path: Path, disk: FaultyDisk) -> int:
    """Run to the end or the first failure; return how many frames were acknowledged."""
    acknowledged = 0
    journal: SqliteJournal | None = None
    try:
        journal = SqliteJournal.create(path, HEADER, ENVIRONMENT, [MODULE], vfs=disk.name)
        for frame in frames(TICKS):
            journal.append(frame, [b"content of tick %d" % frame.tick])
            journal.flush(durable=frame.tick % 2 == 1)
            acknowledged += 1
        journal.close_run("finished")
    except JournalWriteFailed:
        if journal is not None:
            still_refused(journal)
    finally:
        if journal is not None:
            journal.close()
    return acknowledged


def still_refused(journal: SqliteJournal) -> None:
    for _ in range(2):
        with pytest.raises(JournalWriteFailed):
            journal.put_content(b"more")
        with pytest.raises(JournalWriteFailed):
            journal.flush(durable=True)


def points_of(fault: Fault, folder: Path, disk: FaultyDisk) -> int:
    disk.arm(fault, -1)
    assert run_until_failure(folder / "rehearsal.twk", disk) == TICKS
    return disk.points


@pytest.mark.slow
@pytest.mark.parametrize("fault", Fault)
def test_a_fault_at_any_write_or_sync_loses_nothing_acknowledged(
    fault: Fault, tmp_path: Path, disk: FaultyDisk
) -> None:
    points = points_of(fault, tmp_path, disk)
    assert points > (6 if fault is Fault.BROKEN_SYNC else 30)
    for at in range(points):
        path = tmp_path / f"{at}" / "run.twk"
        disk.arm(fault, at)
        acknowledged = run_until_failure(path, disk)
        assert disk.failed
        if not path.exists():
            assert acknowledged == 0
            assert list(path.parent.iterdir()) == []
            continue
        sound_after_failure(path, acknowledged)


def sound_after_failure(path: Path, acknowledged: int) -> None:
    """Read, check, and finish a run that failed."""
    report = check(path)
    assert report.damage is None
    assert report.ticks in {acknowledged, acknowledged + 1}
    if not report.sealed:
        with SqliteJournal.open(path, write=True) as journal:
            fill(journal, TICKS - journal.length())
            journal.close_run("finished")
    with SqliteJournal.open(path) as journal:
        assert list(journal.frames()) == list(frames(TICKS))
    assert check(path).damage is None
    assert [entry.name for entry in path.parent.iterdir()] == ["run.twk"]


def test_a_full_disk_is_an_error_that_says_so(tmp_path: Path, disk: FaultyDisk) -> None:
    path = tmp_path / "run.twk"
    with SqliteJournal.create(path, HEADER, ENVIRONMENT, vfs=disk.name) as journal:
        fill(journal, 2)
        disk.arm(Fault.FULL, 0)
        with pytest.raises(JournalWriteFailed, match=r"could not be written(.|\n)*full(.|\n)*--resume"):
            fill(journal, 1)
        assert journal.length() == 2
        still_refused(journal)
    assert check(path).ticks == 2


def test_an_interrupted_write_is_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.twk"

    def interrupted(_: SqliteJournal, __: bool) -> None:
        raise KeyboardInterrupt

    with SqliteJournal.create(path, HEADER, ENVIRONMENT) as journal:
        fill(journal, 1)
        with monkeypatch.context() as patch:
            patch.setattr(SqliteJournal, "_commit", interrupted)
            with pytest.raises(KeyboardInterrupt):
                fill(journal, 1)
        still_refused(journal)
    with SqliteJournal.open(path, write=True) as journal:
        fill(journal, 1)
    assert check(path).ticks == 2


@pytest.mark.slow
def test_a_disk_that_really_fills_up_loses_nothing_acknowledged(tmp_path: Path) -> None:
    folder = small_disk(tmp_path)
    try:
        path = folder / "run.twk"
        journal = SqliteJournal.create(path, HEADER, ENVIRONMENT)
        kept = write_until_refused(journal)
        journal.close()
        assert 0 < kept < 400
        report = check(path)
        assert (report.ticks, report.damage) == (kept, None)
        for entry in folder.iterdir():
            shutil.copy(entry, tmp_path / entry.name)
        with SqliteJournal.open(tmp_path / "run.twk", write=True) as journal:
            assert journal.length() == kept
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_folder_that_nobody_can_write_is_read_all_the_same(tmp_path: Path) -> None:
    folder = small_disk(tmp_path)
    try:
        closed_run(folder / "closed.twk", 3)
        open_run(folder / "open.twk", 3)
        with SqliteJournal.create(tmp_path / "live.twk", HEADER, ENVIRONMENT) as journal:
            fill(journal, 3)
            for suffix in ("", "-wal"):
                shutil.copy(f"{tmp_path / 'live.twk'}{suffix}", f"{folder / 'killed.twk'}{suffix}")
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        for name in ("closed", "open"):
            assert check(folder / f"{name}.twk").ticks == 3
            assert list(SqliteJournal.open(folder / f"{name}.twk").frames()) == list(frames(3))
        with pytest.raises(JournalNotFound, match=r"copy killed.twk and killed.twk-wal"):
            SqliteJournal.open(folder / "killed.twk")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def write_until_refused(journal: SqliteJournal) -> int:
    for frame in frames(400, turns=60):
        journal.append(frame)
        try:
            journal.flush(durable=True)
        except JournalWriteFailed:
            return frame.tick
    return 400


def small_disk(tmp_path: Path) -> Path:
    """Mount a disk of 1 MiB, or skip the test (fail it in CI) where that is not ours to do."""
    if os.name == "nt" or os.geteuid() != 0 or shutil.which("mount") is None:
        missing("only root can mount a small disk")
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        missing("this machine does not let root mount a tmpfs")
    return folder


def test_the_version_of_sqlite_is_one_that_keeps_its_logs() -> None:
    assert apsw.SQLITE_VERSION_NUMBER >= 3_051_003
