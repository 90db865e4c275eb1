"""journal/log_space.py: zeros after a log's end are no frames, whoever reads it, and whatever dies meanwhile."""

import shutil
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from tests.support import ROOT, environment
from tickwork.journal.dbapi import Database
from tickwork.journal.log_space import FIRST_FRAMES, FRAME_BYTES, STEP_FRAMES, LogSpace
from tickwork.journal.wal import HEADER

MANY = 2 * FIRST_FRAMES
MOST = 4000

WRITER = """
import sys
from pathlib import Path
from tickwork.journal.dbapi import Database
database = Database(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    database.begin(durable=True)
    database.query("INSERT INTO t (who, number) VALUES (?, ?)", (sys.argv[2], number))
    database.commit()
    print(number, flush=True)
sys.stdin.read()
"""


def log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "some.db"
    database = Database(made, create=True)
    assert database.to_wal()
    database.script("CREATE TABLE t (id INTEGER PRIMARY KEY, who TEXT, number INTEGER, UNIQUE (who, number)) STRICT")
    database.close()
    return made


def add(database: Database, who: str, count: int) -> None:
    for number in range(count):
        database.begin(durable=False)
        database.query("INSERT INTO t (who, number) VALUES (?, ?)", (who, number))
        database.commit()


def frames_of(database: Database) -> int:
    return database.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)[0]


def numbers(path: Path, who: str) -> list[int]:
    """Return what somebody has written, once SQLite has found the database whole."""
    database = Database(path)
    assert database.pragma("integrity_check") == "ok"
    found = database.query("SELECT number FROM t WHERE who = ? ORDER BY id", (who,))
    database.close()
    return [row[0] for row in found]


def writer(path: Path, who: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), who, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )


def test_a_log_that_grows_is_laid_out_ahead_of_its_commits(path: Path) -> None:
    database = Database(path)
    lengths = list[int]()
    for _ in range(MANY):
        add(database, "one", 1)
        lengths.append(log_of(path).stat().st_size)
        database.begin(durable=False)
        database.query("DELETE FROM t")
        database.commit()
    assert len(set(lengths[MANY // 2 :])) < MANY // 8
    assert lengths[-1] > HEADER.size + frames_of(database) * FRAME_BYTES
    database.close()


def test_who_commits_a_few_times_pays_nothing(path: Path) -> None:
    database = Database(path)
    add(database, "one", 3)
    assert log_of(path).stat().st_size == HEADER.size + frames_of(database) * FRAME_BYTES
    database.close()


def test_zeros_are_written_after_the_end_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    content = b"x" * (HEADER.size + MANY * FRAME_BYTES)
    log.write_bytes(content)
    space = LogSpace(log, MOST)
    assert not space.wanting
    space.note(MANY)
    assert space.wanting
    space.lay_out()
    laid = log.read_bytes()
    assert laid.startswith(content)
    assert not any(laid[len(content) :])
    assert len(laid) - len(content) <= (MANY + STEP_FRAMES) * FRAME_BYTES
    assert not space.wanting
    space.note(MOST)
    assert not space.wanting
    # Another one finds it laid out, and leaves it as it is.
    other = LogSpace(log, MOST)
    other.note(MANY)
    other.lay_out()
    assert not other.wanting
    assert log.read_bytes() == laid


def test_a_log_that_cannot_be_laid_out_is_tried_again_much_later(tmp_path: Path) -> None:
    space = LogSpace(tmp_path / "missing", MOST)
    space.note(MANY)
    space.lay_out()
    assert not space.wanting
    space.note(MANY + STEP_FRAMES + 1)
    assert space.wanting
    assert not list(tmp_path.iterdir())


def test_a_log_that_was_laid_out_is_read_without_its_index(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    database = Database(path)
    add(database, "one", MANY)
    shutil.copy(path, copy)
    shutil.copy(log_of(path), log_of(copy))
    assert log_of(copy).stat().st_size > HEADER.size + frames_of(database) * FRAME_BYTES
    database.close()
    assert numbers(copy, "one") == list(range(MANY))
    assert not log_of(copy).exists()


def test_a_long_log_comes_into_the_database_and_begins_again(path: Path) -> None:
    database = Database(path)
    database.script("CREATE TABLE large (bytes BLOB) STRICT")
    for _ in range(2):
        database.begin(durable=False)
        database.query("INSERT INTO large VALUES (zeroblob(?))", (9_000_000,))
        database.commit()
    assert frames_of(database) > MOST
    long = log_of(path).stat().st_size
    add(database, "one", MANY)
    assert frames_of(database) < 10 * MANY
    assert log_of(path).stat().st_size == long
    database.close()
    assert numbers(path, "one") == list(range(MANY))


@pytest.mark.slow
def test_writers_that_are_killed_between_commits_leave_all_that_was_acknowledged(path: Path) -> None:
    writers = {who: writer(path, who, MANY * 50) for who in ("one", "two")}
    acknowledged = dict[str, int]()
    for who, process in writers.items():
        assert process.stdout is not None
        for _ in range(MANY):
            acknowledged[who] = int(process.stdout.readline())
    for who, process in writers.items():
        process.kill()
        assert process.stdout is not None
        rest = process.stdout.read()
        process.communicate()
        acknowledged[who] = max([acknowledged[who], *(int(line) for line in rest.split("\n")[:-1])])
    assert log_of(path).stat().st_size > HEADER.size + 2 * MANY * FRAME_BYTES
    for who, last in acknowledged.items():
        found = numbers(path, who)
        assert found == list(range(len(found)))
        assert last < len(found) <= last + 2


@pytest.mark.slow
def test_two_processes_lay_out_one_log(path: Path) -> None:
    writers = [writer(path, who, MANY) for who in ("one", "two")]
    for process in writers:
        process.communicate()
        assert process.returncode == 0
    for who in ("one", "two"):
        assert numbers(path, who) == list(range(MANY))
