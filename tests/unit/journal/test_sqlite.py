"""A journal in a file: names, locks, formats, what lies beside it."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from tests.support import environment
from tests.unit.journal.samples import ENVIRONMENT, HEADER, LARGE, MODULE, closed_run, fill, frames, open_run
from tickwork.codec import encode
from tickwork.errors import (
    InternalError,
    JournalBusy,
    JournalClosed,
    JournalDamaged,
    JournalExists,
    JournalFormat,
    JournalNotFound,
    JournalWriteFailed,
)
from tickwork.journal.check import check
from tickwork.journal.layout import APPLICATION_ID
from tickwork.journal.seal import PAGE
from tickwork.journal.sqlite import SqliteJournal
from tickwork.records import FORMAT_VERSION


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_folders_are_made_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "today" / "run.twk"
    open_run(path, 1)
    assert SqliteJournal.open(path).length() == 1


def test_a_file_of_that_name_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    for content in (b"", b"precious"):
        path.write_bytes(content)
        with pytest.raises(JournalExists):
            SqliteJournal.create(path, HEADER, ENVIRONMENT)
        assert path.read_bytes() == content
    assert names(tmp_path) == {"run.twk"}


def test_an_absent_journal_is_not_found(tmp_path: Path) -> None:
    for write in (False, True):
        with pytest.raises(JournalNotFound):
            SqliteJournal.open(tmp_path / "run.twk", write=write)
        with pytest.raises(JournalNotFound):
            SqliteJournal.open(tmp_path / "nowhere" / "run.twk", write=write)
    assert names(tmp_path) == set()


def test_a_stranger_s_file_is_refused(tmp_path: Path) -> None:
    text, other = tmp_path / "text.twk", tmp_path / "other.twk"
    text.write_text("dear journal\n" * 1000, encoding="utf-8")
    connection = apsw.Connection(str(other))
    connection.execute("CREATE TABLE frames (tick)")
    connection.close()
    for path in (text, other):
        before = path.read_bytes()
        for write in (False, True):
            with pytest.raises(JournalFormat, match="no journal"):
                SqliteJournal.open(path, write=write)
        assert path.read_bytes() == before


@pytest.mark.parametrize("write", [False, True])
def test_a_newer_format_is_refused_and_both_versions_are_named(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "run.twk"
    open_run(path, 1)
    connection = apsw.Connection(str(path))
    connection.pragma("user_version", FORMAT_VERSION + 6)
    connection.close()
    with pytest.raises(JournalFormat, match=f"format {FORMAT_VERSION + 6}.*formats 1 to {FORMAT_VERSION}"):
        SqliteJournal.open(path, write=write)
    with pytest.raises(JournalFormat, match=f"format {FORMAT_VERSION + 6}"):
        check(path)


def test_an_open_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    open_run(path, 3)
    with SqliteJournal.open(path, write=True) as journal:
        fill(journal, 2)
    with SqliteJournal.open(path) as journal:
        assert list(journal.frames()) == list(frames(5))


def test_frames_that_were_not_flushed_are_gone_with_the_object(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    with SqliteJournal.create(path, HEADER, ENVIRONMENT) as journal:
        fill(journal, 3, every=2)
    assert SqliteJournal.open(path).length() == 2


def test_a_journal_opened_to_read_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    open_run(path, 1)
    with SqliteJournal.open(path) as journal, pytest.raises(InternalError):
        fill(journal, 1)


def test_a_finished_run_is_one_file_and_an_ordinary_database(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    closed_run(path, 4)
    assert names(tmp_path) == {"run.twk"}
    assert path.stat().st_size % PAGE == 0
    for options in ("mode=ro", "mode=ro&immutable=1"):
        connection = apsw.Connection(f"{path.as_uri()}?{options}", apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        assert connection.pragma("integrity_check") == "ok"
        assert connection.pragma("application_id") == APPLICATION_ID
        assert connection.pragma("journal_mode") == "delete"
        assert connection.execute("SELECT count(*) FROM frames").get == 4
        connection.close()


def test_a_finished_run_cannot_be_opened_to_write(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    closed_run(path)
    before = path.read_bytes()
    with pytest.raises(JournalClosed, match="finished"):
        SqliteJournal.open(path, write=True)
    assert path.read_bytes() == before
    assert names(tmp_path) == {"run.twk"}


def test_how_frames_were_grouped_leaves_no_trace(tmp_path: Path) -> None:
    for name, every in (("a.twk", 1), ("b.twk", 3)):
        with SqliteJournal.create(tmp_path / name, HEADER, ENVIRONMENT, [MODULE]) as journal:
            fill(journal, 9, every=every)
            journal.close_run("finished")
    first, second = (tmp_path / name for name in ("a.twk", "b.twk"))
    assert check(first).head == check(second).head
    assert list(SqliteJournal.open(first).frames()) == list(SqliteJournal.open(second).frames())


def test_a_reader_follows_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    with SqliteJournal.create(path, HEADER, ENVIRONMENT) as writer, SqliteJournal.open(path) as reader:
        for count in range(1, 4):
            fill(writer, 1)
            assert reader.length() == count
            assert reader.frame(count - 1) == writer.frame(count - 1)
        fill(writer, 1, every=100)
        assert reader.length() == 3


def test_a_run_can_finish_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    with SqliteJournal.create(path, HEADER, ENVIRONMENT) as writer, SqliteJournal.open(path) as reader:
        fill(writer, 3)
        assert reader.length() == 3
        following = reader.frames()
        next(following)
        if os.name == "nt":
            # Windows renames nothing over an open file: the run stays open and can be closed later.
            with pytest.raises(JournalWriteFailed):
                writer.close_run("finished")
            return
        writer.close_run("finished")
        assert [frame.tick for frame in following] == [1, 2]
        assert list(reader.frames()) == list(frames(3))
    assert names(tmp_path) == {"run.twk"}
    assert check(path).damage is None


def test_large_content_is_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    body = os.urandom(LARGE * 30)
    with SqliteJournal.create(path, HEADER, ENVIRONMENT, [body]) as journal:
        journal.close_run("finished")
    assert SqliteJournal.open(path).content(hashlib.sha256(body).digest()) == body
    assert check(path).damage is None


@pytest.mark.parametrize("write", [False, True])
def test_content_that_has_changed_is_never_given_out(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "a.twk"
    SqliteJournal.create(path, HEADER, ENVIRONMENT, [MODULE]).close()
    with apsw.Connection(str(path)) as connection:
        connection.execute("UPDATE content SET bytes = ?", (MODULE[:-1] + b"!",))
    connection.close()
    journal = SqliteJournal.open(path, write=write)
    with pytest.raises(JournalDamaged):
        journal.content(hashlib.sha256(MODULE).digest())
    journal.close()


def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    with SqliteJournal.create(path, HEADER, ENVIRONMENT) as journal:
        fill(journal, 2)
        with pytest.raises(JournalBusy):
            SqliteJournal.open(path, write=True)
        with pytest.raises(JournalBusy):
            SqliteJournal.create(path, HEADER, ENVIRONMENT)
        assert SqliteJournal.open(path).length() == 2
        fill(journal, 1)
    assert names(tmp_path) == {"run.twk"}
    SqliteJournal.open(path, write=True).close()


def test_the_right_to_write_passes_on_at_the_end_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    journal = SqliteJournal.create(path, HEADER, ENVIRONMENT)
    journal.close_run("finished")
    with pytest.raises(JournalClosed):
        SqliteJournal.open(path, write=True)
    journal.close()


OTHER_WRITER = """
import sys
from tickwork.errors import JournalBusy
from tickwork.journal.sqlite import SqliteJournal
try:
    SqliteJournal.open(sys.argv[1], write=True).close()
except JournalBusy:
    print("busy")
else:
    print("written")
print(SqliteJournal.open(sys.argv[1]).length())
"""


@pytest.mark.slow
def test_two_processes_do_not_write_one_journal(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"

    def other_process() -> list[str]:
        command = [sys.executable, "-c", OTHER_WRITER, str(path)]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout.split()

    with SqliteJournal.create(path, HEADER, ENVIRONMENT) as journal:
        fill(journal, 2)
        assert other_process() == ["busy", "2"]
        fill(journal, 1)
        # Reading the file's bytes in the writing process does not give its locks away.
        check(path)
        assert other_process() == ["busy", "3"]
    assert other_process() == ["written", "3"]


def test_a_failed_creation_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(JournalWriteFailed):
        SqliteJournal.create(blocked / "run.twk", HEADER, ENVIRONMENT)
    assert names(tmp_path) == {"file"}


def test_what_a_killed_creation_left_is_no_obstacle(tmp_path: Path) -> None:
    for suffix in ("-new", "-new-wal", "-lock"):
        (tmp_path / f"run.twk{suffix}").write_bytes(b"")
    open_run(tmp_path / "run.twk", 2)
    assert names(tmp_path) == {"run.twk"}


def test_a_log_that_a_killed_closing_left_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    with SqliteJournal.create(path, HEADER, ENVIRONMENT) as journal:
        fill(journal, 3)
        log = (tmp_path / "run.twk-wal").read_bytes()
        fill(journal, 2)
        journal.close_run("finished")
    (tmp_path / "run.twk-wal").write_bytes(log)
    assert SqliteJournal.open(path).length() == 5
    assert check(path).damage is None


def test_going_on_with_a_journal_that_has_a_gap_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    for statement in ("DELETE FROM frames WHERE tick = 1", "UPDATE frames SET turns = x'00' WHERE tick = 4"):
        path.unlink(missing_ok=True)
        open_run(path, 5)
        connection = apsw.Connection(str(path))
        connection.execute(statement)
        connection.close()
        with pytest.raises(JournalDamaged, match="tick 4"):
            SqliteJournal.open(path, write=True)
        assert names(tmp_path) == {"run.twk"}


def test_the_header_may_be_real(tmp_path: Path) -> None:
    header = encode(("a", 1, b"two"))
    with SqliteJournal.create(str(tmp_path / "run.twk"), header, b"") as journal:
        assert journal.header() == (header, b"")


def test_two_names_of_one_file_are_one_journal(tmp_path: Path) -> None:
    path, other = tmp_path / "run.twk", tmp_path / "other" / "name.twk"
    other.parent.mkdir()
    try:
        other.symlink_to(path)
    except OSError:
        return  # Windows lets not everybody make a link.
    with SqliteJournal.create(other, HEADER, ENVIRONMENT) as journal:
        with pytest.raises(JournalBusy):
            SqliteJournal.open(path, write=True)
        fill(journal, 1)
        journal.close_run("finished")
    assert other.is_symlink()
    assert check(path) == check(other)
    assert names(tmp_path) == {"run.twk", "other"}


def test_what_an_interrupted_closing_left_is_removed_when_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    open_run(path, 2)
    (tmp_path / "run.twk-new").write_bytes(b"half")
    with SqliteJournal.open(path, write=True) as journal:
        fill(journal, 1)
    assert names(tmp_path) == {"run.twk"}


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(JournalNotFound):
        SqliteJournal.open(tmp_path)
    with pytest.raises(JournalExists):
        SqliteJournal.create(tmp_path, HEADER, ENVIRONMENT)
    with pytest.raises(JournalNotFound):
        check(tmp_path)
