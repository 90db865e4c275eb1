"""Damage in the write-ahead log is told from a torn tail."""

import random
import shutil
from pathlib import Path

import pytest

from tests.unit.journal.samples import ENVIRONMENT, HEADER, fill, frames
from tickwork.errors import JournalDamaged
from tickwork.journal.check import check
from tickwork.journal.seal import PAGE
from tickwork.journal.sqlite import SqliteJournal
from tickwork.journal.wal import FRAME, checksum, find_log_damage, frame_sums
from tickwork.journal.wal import HEADER as LOG_HEADER

LENGTH = FRAME.size + PAGE


def killed(folder: Path, ticks: int = 6, *, durable: bool = False) -> Path:
    """Leave a journal and its log as a killed writer does."""
    folder.mkdir(exist_ok=True)
    live = folder / "live.twk"
    path = folder / "run.twk"
    with SqliteJournal.create(live, HEADER, ENVIRONMENT) as journal:
        fill(journal, ticks, durable=durable)
        for suffix in ("", "-wal"):
            shutil.copy(f"{live}{suffix}", f"{path}{suffix}")
    live.unlink()
    return path


def log_of(path: Path) -> bytes:
    return path.with_name(path.name + "-wal").read_bytes()


def put_log(path: Path, content: bytes) -> None:
    path.with_name(path.name + "-wal").write_bytes(content)
    path.with_name(path.name + "-shm").unlink(missing_ok=True)


def changed(content: bytes, offset: int) -> bytes:
    return content[:offset] + bytes([content[offset] ^ 1]) + content[offset + 1 :]


def test_the_checksum_is_that_of_sqlite(tmp_path: Path) -> None:
    log = log_of(killed(tmp_path))
    *_, first, second = LOG_HEADER.unpack_from(log)
    sums = checksum(log[:24], (0, 0), "<")
    assert sums == (first, second)
    for offset in range(LOG_HEADER.size, len(log), LENGTH):
        sums = frame_sums(log[offset : offset + LENGTH], sums, "<")
        assert sums == FRAME.unpack_from(log, offset)[3:]


def test_a_log_as_a_killed_writer_leaves_it_is_whole(tmp_path: Path) -> None:
    path = killed(tmp_path)
    assert find_log_damage(lambda offset, count: log_of(path)[offset : offset + count], len(log_of(path)), 0) is None
    report = check(path)
    assert (report.ticks, report.damage) == (6, None)


def test_every_sampled_flip_before_durable_records_is_found_and_going_on_is_refused(tmp_path: Path) -> None:
    path = killed(tmp_path, durable=True)
    log = log_of(path)
    source = random.Random(4)
    # The last transaction takes two frames of the log; the one before it is known to be durable because of them.
    for _ in range(25):
        place = source.randrange(len(log) - 6 * LENGTH)
        put_log(path, changed(log, place))
        damage = check(path).damage
        assert damage is not None, f"byte {place}"
        assert damage.offset is not None
        assert place - LENGTH < damage.offset <= place
        with pytest.raises(JournalDamaged, match="durable records follow"):
            SqliteJournal.open(path, write=True)
        assert log_of(path) == changed(log, place), "a refused journal is left as it was"
    put_log(path, log)
    assert check(path).ticks == 6


def test_a_flip_before_records_that_no_sync_promised_is_told_and_cut_when_the_run_goes_on(tmp_path: Path) -> None:
    path = killed(tmp_path)
    log = log_of(path)
    put_log(path, changed(log, len(log) - LENGTH - 9))
    report = check(path)
    assert report.damage is not None
    assert report.damage.record == report.ticks < 6
    with SqliteJournal.open(path, write=True) as journal:
        fill(journal, 6 - journal.length())
    report = check(path)
    assert (report.ticks, report.damage) == (6, None)


def test_a_torn_tail_is_the_end(tmp_path: Path) -> None:
    path = killed(tmp_path)
    log = log_of(path)
    for cut in (1, 30, 700, LENGTH - 1):
        put_log(path, log[:-cut])
        report = check(path)
        assert (report.ticks, report.damage) == (5, None)
    put_log(path, changed(log, len(log) - 5))
    report = check(path)
    assert (report.ticks, report.damage) == (5, None)
    with SqliteJournal.open(path, write=True) as journal:
        fill(journal, 3)
        assert list(journal.frames()) == list(frames(8))


def test_what_a_former_generation_left_in_the_log_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    with SqliteJournal.create(path, HEADER, ENVIRONMENT) as journal:
        fill(journal, 9)
        journal._connection.wal_checkpoint()  # pyright: ignore[reportPrivateUsage]  # Makes the log start anew.
        fill(journal, 2)
        report = check(path)
        assert (report.ticks, report.damage) == (11, None)


def test_an_empty_or_short_log_is_no_damage() -> None:
    for length in (0, 20, 32):
        assert find_log_damage(lambda offset, count: bytes(32)[offset : offset + count], length, 0) is None
