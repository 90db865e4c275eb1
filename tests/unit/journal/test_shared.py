"""journal/shared.py: many runs in one database, one commit for all of them, several processes."""

import hashlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from tests.support import ROOT, environment
from tests.unit.journal.lossy import lossy_disk
from tests.unit.journal.samples import ENVIRONMENT, HEADER, KEY, MODULE, fill, frames
from tickwork.errors import (
    JournalBusy,
    JournalClosed,
    JournalDamaged,
    JournalExists,
    JournalFormat,
    JournalNotFound,
    JournalWriteFailed,
)
from tickwork.journal import dbapi
from tickwork.journal.check import check_shared
from tickwork.journal.shared import SharedJournals
from tickwork.journal.signing import sign
from tickwork.journal.sqlite import SqliteJournal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def journals(path: Path) -> Iterator[SharedJournals]:
    with SharedJournals.open(path, create=True) as made:
        yield made


def another(path: Path) -> SharedJournals:
    """Return the same database as another process has it: with connections of its own."""
    return SharedJournals.open(path)


def told(journals: SharedJournals, text: str, *, fails: bool = False) -> None:
    """Write a row in a transaction, which may end with an error."""
    with suppress(ZeroDivisionError), journals.transaction() as database:
        database.query("INSERT INTO told VALUES (?)", (text,))
        assert 1 / (0 if fails else 1)


def test_one_commit_keeps_what_all_runs_have_pending(journals: SharedJournals, path: Path) -> None:
    one, two = (journals.create(name, HEADER, ENVIRONMENT) for name in ("r_1", "r_2"))
    for journal, count in ((one, 3), (two, 5)):
        for frame in frames(count):
            journal.append(frame)
    one.flush(durable=True)
    with another(path) as seen:
        assert seen.runs() == ["r_1", "r_2"]
        assert list(seen.open_run("r_1").frames()) == list(frames(3))
        assert list(seen.open_run("r_2").frames()) == list(frames(5))


def test_rows_and_frames_are_kept_together_or_not_at_all(journals: SharedJournals, path: Path) -> None:
    with journals.transaction() as database:
        database.query("CREATE TABLE told (text TEXT)")
    journal = journals.create("r_1", HEADER, ENVIRONMENT)
    journal.append(next(frames(1)))
    told(journals, "undone", fails=True)
    with another(path) as seen:
        assert (seen.runs(), seen.query("SELECT * FROM told")) == ([], [])
    told(journals, "kept")
    with another(path) as seen:
        assert seen.query("SELECT * FROM told") == [("kept",)]
        assert seen.open_run("r_1").length() == 1


def test_a_transaction_within_another_fails_alone_and_ends_with_it(journals: SharedJournals) -> None:
    with journals.transaction(durable=False) as database:
        database.query("CREATE TABLE told (text TEXT)")
        told(journals, "one")
        told(journals, "two", fails=True)
        journals.flush(durable=True)
        assert journals.query("SELECT count(*) FROM sqlite_schema WHERE name = 'told'") == [(0,)]
    assert journals.query("SELECT * FROM told") == [("one",)]


def test_a_reader_in_another_process_follows_a_writer(journals: SharedJournals, path: Path) -> None:
    journal = journals.create("r_1", HEADER, ENVIRONMENT, [MODULE])
    journal.flush()
    with another(path) as seen, seen.open_run("r_1") as reader:
        for count in (1, 5, 200):
            fill(journal, count - journal.length(), every=7)
            journal.flush()
            assert reader.length() == count
            assert list(reader.frames()) == list(frames(count))
            assert reader.frame(count) is None
        journal.close_run("finished")
        assert reader.status().closed
        assert reader.content(hashlib.sha256(MODULE).digest()) == MODULE


def test_who_goes_on_with_a_run_takes_it_from_its_writer(journals: SharedJournals, path: Path) -> None:
    old, other = journals.create("r_1", HEADER, ENVIRONMENT), journals.create("r_2", HEADER, ENVIRONMENT)
    fill(old, 2)
    with another(path) as second:
        new = second.open_run("r_1", write=True)
        sample = list(frames(4))
        old.append(sample[2])
        other.append(sample[0])
        with pytest.raises(JournalBusy, match="another process goes on with run r_1"):
            old.flush(durable=True)
        with pytest.raises(JournalBusy):
            old.append(sample[3])
        # The other run of the process that lost one was written all the same.
        assert second.open_run("r_2").length() == 1
        assert new.length() == 2
        fill(new, 2, durable=True)
        assert list(second.open_run("r_1").frames()) == sample


def test_a_run_is_made_once(journals: SharedJournals, path: Path) -> None:
    journals.create("r_1", HEADER, ENVIRONMENT).flush()
    with pytest.raises(JournalExists):
        journals.create("r_1", HEADER, ENVIRONMENT)
    with another(path) as second:
        here, there = journals.create("r_2", HEADER, ENVIRONMENT), second.create("r_2", HEADER, ENVIRONMENT)
        here.flush()
        with pytest.raises(JournalExists):
            there.flush()


def test_an_id_said_to_be_fresh_that_is_not_is_refused_by_the_flush(journals: SharedJournals) -> None:
    fill(journals.create("r_1", HEADER, ENVIRONMENT), 1)
    journals.flush()
    other = journals.create("r_1", HEADER, ENVIRONMENT, fresh=True)
    with pytest.raises(JournalExists):
        other.flush()


def test_what_is_not_there_is_said_so(journals: SharedJournals, tmp_path: Path) -> None:
    for write in (False, True):
        with pytest.raises(JournalNotFound, match="r_9"):
            journals.open_run("r_9", write=write)
    with pytest.raises(JournalNotFound):
        SharedJournals.open(tmp_path / "none.db")
    journals.create("r_1", HEADER, ENVIRONMENT).close_run("done")
    with pytest.raises(JournalClosed, match="done"):
        journals.open_run("r_1", write=True)


def test_a_run_is_found_by_the_beginning_of_its_id(journals: SharedJournals) -> None:
    for name in ("r_ab", "r_abc", "r_b"):
        journals.create(name, HEADER, ENVIRONMENT).flush()
    assert journals.find("r_b") == ["r_b"]
    assert journals.find("r_ab") == ["r_ab"]
    assert journals.find("r_a") == ["r_ab", "r_abc"]
    assert journals.find("x%_") == []


def test_content_of_several_runs_is_kept_once_and_belongs_to_those_that_named_it(journals: SharedJournals) -> None:
    one, two, three = (journals.create(f"r_{n}", HEADER, ENVIRONMENT, [MODULE][: n % 3]) for n in (1, 2, 3))
    journals.flush()
    name = hashlib.sha256(MODULE).digest()
    assert one.content(name) == two.content(name) == MODULE
    assert journals.query("SELECT count(*) FROM journal_content") == [(1,)]
    assert list(three.tables().contents()) == []


def test_a_check_finds_the_record_that_was_changed(journals: SharedJournals, path: Path) -> None:
    journal = journals.create("r_1", HEADER, ENVIRONMENT, [MODULE])
    fill(journal, 6)
    journal.close_run("finished", sign(KEY, journal.head()))
    good = check_shared(journals.open_run("r_1"))
    assert (good.ticks, good.damage, good.signature_ok, good.sealed) == (6, None, True, False)
    with journals.transaction() as database:
        database.query("UPDATE journal_frame SET turns = x'00' WHERE tick = 4")
    bad = check_shared(journals.open_run("r_1"))
    assert bad.damage is not None
    assert (bad.ticks, bad.damage.record, bad.signature_ok) == (4, 4, False)
    with journals.transaction() as database:
        database.query("DELETE FROM journal_frame WHERE tick = 2")
    found = check_shared(journals.open_run("r_1")).damage
    assert found is not None
    assert "tick 2 is missing" in found.what


@pytest.mark.parametrize("content", [b"", b"plain text, and more of it than a magic number has", b"SQLite format 3\0"])
def test_a_file_that_is_no_store_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises((JournalDamaged, JournalFormat, JournalNotFound)):
        SharedJournals.open(path, create=True)
    assert path.read_bytes() == content


def test_a_journal_is_no_store_and_a_newer_store_is_refused(path: Path) -> None:
    SqliteJournal.create(path, HEADER, ENVIRONMENT).close_run("finished")
    with pytest.raises(JournalFormat, match="no store"):
        SharedJournals.open(path)
    path.unlink()
    with SharedJournals.open(path, create=True) as journals, journals.transaction() as database:
        database.pragma("user_version", 2)
    with pytest.raises(JournalFormat, match="format 2"):
        SharedJournals.open(path)


def test_another_process_that_writes_for_too_long_is_named_and_nothing_is_lost(
    journals: SharedJournals, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbapi, "BUSY_MS", 1)
    with another(path) as second:
        journal = second.create("r_1", HEADER, ENVIRONMENT)
        journal.append(next(frames(1)))
        with journals.transaction(), pytest.raises(JournalBusy, match="too long"):
            second.flush()
        second.flush()
        assert journals.open_run("r_1").length() == 1


def test_after_a_failed_commit_nothing_more_is_written(journals: SharedJournals, path: Path) -> None:
    journal = journals.create("r_1", HEADER, ENVIRONMENT)
    fill(journal, 1)
    journals.database.connection.pragma("max_page_count", 1)
    journal.append(list(frames(2))[1], [bytes(1 << 20)])
    with pytest.raises(JournalWriteFailed, match="full"):
        journal.flush()
    journals.database.connection.pragma("max_page_count", 1 << 30)
    for write in (journal.flush, lambda: journal.put_content(b"more"), lambda: journals.flush(durable=True)):
        with pytest.raises(JournalWriteFailed, match="full"):
            write()
    with another(path) as seen:
        assert seen.open_run("r_1", write=True).length() == 1


def test_threads_that_write_runs_of_their_own_share_commits(journals: SharedJournals) -> None:
    def work(run: str) -> None:
        journal = journals.create(run, HEADER, ENVIRONMENT)
        for frame in frames(20):
            journal.append(frame, [run.encode() * frame.tick])
            journal.flush(durable=frame.tick % 3 == 0)
            assert journal.frame(frame.tick) == frame
            assert journal.length() == frame.tick + 1
        journal.close_run("finished")

    threads = [threading.Thread(target=work, args=(f"r_{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(6):
        report = check_shared(journals.open_run(f"r_{number}"))
        assert (report.ticks, report.damage) == (20, None)


def test_a_run_that_ends_with_the_next_flush_takes_nothing_more(journals: SharedJournals) -> None:
    journal = journals.create("r_1", HEADER, ENVIRONMENT)
    journal.end_run("finished")
    with pytest.raises(JournalClosed):
        journal.append(next(frames(1)))
    assert journals.runs() == []
    journals.flush()
    assert journals.open_run("r_1").status().text == "finished"


WRITER = """
import sys
from tests.unit.journal.samples import ENVIRONMENT, HEADER, frames
from tickwork.journal.shared import SharedJournals

path, *names = sys.argv[1:]
journals = SharedJournals.open(path, create=True)
known = set(journals.runs())
runs = [journals.open_run(n, write=True) if n in known else journals.create(n, HEADER, ENVIRONMENT) for n in names]
for frame in frames(4000):
    for run in runs:
        if frame.tick >= run.length():
            run.append(frame)
    journals.flush(durable=frame.tick % 5 == 0)
    print(frame.tick, flush=True)
"""


@pytest.mark.slow
def test_killed_writers_leave_every_acknowledged_frame_of_every_run(path: Path) -> None:
    source = random.Random(5)
    lengths = [0, 0]
    for _ in range(3):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path), *names],
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=environment(),
            )
            for names in (("r_a", "r_b"), ("r_c", "r_d"))
        ]
        for at, writer in enumerate(writers):
            assert writer.stdout is not None
            acknowledged = -1
            for _ in range(lengths[at] + source.randrange(1, 30)):
                acknowledged = int(writer.stdout.readline())
            writer.kill()
            rest = writer.stdout.read().split("\n")
            lengths[at] = max([acknowledged, *(int(line) for line in rest[:-1])]) + 1
            writer.wait()
            writer.stdout.close()
        with SharedJournals.open(path, write=False) as journals:
            for at, names in enumerate((("r_a", "r_b"), ("r_c", "r_d"))):
                for name in names:
                    report = check_shared(journals.open_run(name))
                    assert report.damage is None
                    assert lengths[at] <= report.ticks <= lengths[at] + 1


@pytest.mark.slow
def test_processes_that_make_the_store_at_once_make_one(path: Path) -> None:
    code = (
        "import sys; from tickwork.journal.shared import SharedJournals\n"
        "with SharedJournals.open(sys.argv[1], create=True) as made:\n"
        "    made.create(sys.argv[2], b'h', b'e').flush(durable=True)\n"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(path), f"r_{number}"], cwd=ROOT, env=environment())
        for number in range(6)
    ]
    assert [one.wait() for one in started] == [0] * 6
    assert [one.name for one in path.parent.iterdir()] == ["state.db"]
    with SharedJournals.open(path, write=False) as journals:
        assert sorted(journals.runs()) == [f"r_{number}" for number in range(6)]


@pytest.mark.slow
def test_a_loss_of_power_leaves_what_was_durable(tmp_path: Path) -> None:
    for seed in range(20):
        source, folder, left = random.Random(seed), tmp_path / f"run {seed}", tmp_path / f"left {seed}"
        durable = [0, 0]
        with lossy_disk() as disk, SharedJournals.open(folder / "state.db", create=True, vfs=disk.name) as journals:
            runs = [journals.create(name, HEADER, ENVIRONMENT) for name in ("r_0", "r_1")]
            journals.flush(durable=True)
            sample = list(frames(20))
            for _ in range(source.randrange(2, 30)):
                run = runs[source.randrange(2)]
                if run.length() < len(sample):
                    run.append(sample[run.length()])
                barrier = source.random() < 0.3
                journals.flush(durable=barrier)
                durable = [one.length() for one in runs] if barrier else durable
            disk.lose_power(source, folder, left)
            lengths = [one.length() for one in runs]
        with SharedJournals.open(left / "state.db") as journals:
            for at, name in enumerate(("r_0", "r_1")):
                journal = journals.open_run(name, write=True)
                report = check_shared(journal)
                assert report.damage is None
                assert durable[at] <= report.ticks <= lengths[at]


def test_a_store_is_trusted_only_with_a_new_sqlite() -> None:
    assert dbapi.sqlite_version_info >= (3, 51, 3)
    assert apsw.SQLITE_VERSION_NUMBER >= 3_051_003


def test_a_store_where_nobody_can_write_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SharedJournals.open(path, create=True) as journals:
        fill(journals.create("r_1", HEADER, ENVIRONMENT), 3)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with SharedJournals.open(path, write=False) as journals:
        assert journals.open_run("r_1").length() == 3
    assert [one.name for one in path.parent.iterdir()] == ["state.db"]


@pytest.mark.slow
def test_a_process_that_writes_without_pause_lets_others_write_too(journals: SharedJournals, path: Path) -> None:
    done = threading.Event()

    def write_on() -> None:
        while not done.is_set():
            with journals.transaction(durable=False) as database:
                database.query("UPDATE journal_barrier SET barriers = barriers + 1")

    busy = threading.Thread(target=write_on)
    busy.start()
    with another(path) as second:
        for frame in frames(10):
            run = second.create(f"r_{frame.tick}", HEADER, ENVIRONMENT)
            run.flush()
        assert len(second.runs()) == 10
    done.set()
    busy.join()


def test_whoever_finds_that_another_waits_lets_it_go_first_once(journals: SharedJournals, path: Path) -> None:
    mark = path.with_name("state.db-wanted")
    mark.touch()
    journals.create("r_1", HEADER, ENVIRONMENT).flush()
    assert not mark.exists()
