"""One suite for every journal, whatever it is kept in."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.journal.samples import ENVIRONMENT, HEADER, KEY, LARGE, MODULE, fill, frames
from tickwork.codec import start_chain
from tickwork.errors import InternalError, JournalClosed, JournalIncomplete
from tickwork.journal.memory import MemoryJournal
from tickwork.journal.shared import SharedJournal, SharedJournals
from tickwork.journal.signing import sign
from tickwork.journal.sqlite import SqliteJournal
from tickwork.journal.store import HEADER_TICK, Head, Journal, RunStatus

Make = Callable[[Path], Journal]


def in_memory(_: Path) -> Journal:
    return MemoryJournal(HEADER, ENVIRONMENT, [MODULE])


def in_sqlite(folder: Path) -> Journal:
    return SqliteJournal.create(folder / "run.twk", HEADER, ENVIRONMENT, [MODULE])


def in_shared(folder: Path) -> Journal:
    journals = SharedJournals.open(folder / "state.db", create=True)
    journals.create("r_other", HEADER, ENVIRONMENT).close_run("another run")
    return journals.create("r_1", HEADER, ENVIRONMENT, [MODULE])


def in_shared_flushed(folder: Path) -> Journal:
    journals = SharedJournals.open(folder / "state.db", create=True)
    with journals.create("r_1", HEADER, ENVIRONMENT, [MODULE]) as made:
        made.flush(durable=True)
    return journals.open_run("r_1", write=True)


@pytest.fixture(params=[in_memory, in_sqlite, in_shared, in_shared_flushed])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    make: Make = request.param
    made = make(tmp_path)
    yield made
    made.close()
    if isinstance(made, SharedJournal):
        made.journals.close()


def test_a_new_journal_has_its_header_and_no_frame(journal: Journal) -> None:
    assert journal.header() == (HEADER, ENVIRONMENT)
    assert journal.length() == 0
    assert journal.head() == Head(HEADER_TICK, *start_chain(HEADER, ENVIRONMENT))
    assert journal.status() == RunStatus(closed=False)
    assert journal.content(hashlib.sha256(MODULE).digest()) == MODULE
    assert list(journal.frames()) == []
    assert journal.frame(0) is None


@pytest.mark.parametrize("flushed", [True, False])
def test_what_was_appended_is_read_back_flushed_or_not(journal: Journal, flushed: bool) -> None:
    sample = list(frames(7))
    fill(journal, 7, every=1 if flushed else 100)
    assert list(journal.frames()) == sample
    assert journal.frame(3) == sample[3]
    assert journal.frame(-1) is None
    assert journal.frame(7) is None
    assert journal.length() == 7
    assert journal.head() == Head(6, sample[6].d, sample[6].f)


def test_a_range_of_frames_has_both_its_ends(journal: Journal) -> None:
    fill(journal, 7, every=3)
    assert [frame.tick for frame in journal.frames(2, 4)] == [2, 3, 4]
    assert [frame.tick for frame in journal.frames(5)] == [5, 6]
    assert [frame.tick for frame in journal.frames(last=1)] == [0, 1]
    assert [frame.tick for frame in journal.frames(5, 6)] == [5, 6]
    assert list(journal.frames(4, 2)) == []
    assert list(journal.frames(7)) == []


def test_a_frame_out_of_turn_is_our_own_mistake(journal: Journal) -> None:
    sample = list(frames(3))
    journal.append(sample[0])
    for wrong in (sample[0], sample[2]):
        with pytest.raises(InternalError):
            journal.append(wrong)
    journal.append(sample[1])


@pytest.mark.parametrize("flushed", [True, False])
def test_content_is_found_by_its_digest(journal: Journal, flushed: bool) -> None:
    body = bytes(LARGE)
    name = journal.put_content(body)
    other = b"named by a record"
    journal.append(next(frames(1)), [other])
    if flushed:
        journal.flush()
    assert name == hashlib.sha256(body).digest()
    assert journal.content(name) == body
    assert journal.content(hashlib.sha256(other).digest()) == other


def test_the_same_content_may_be_put_twice(journal: Journal) -> None:
    name = journal.put_content(b"twice")
    journal.flush()
    assert journal.put_content(b"twice") == name
    journal.flush()
    assert journal.content(name) == b"twice"


def test_empty_content_is_content(journal: Journal) -> None:
    name = journal.put_content(b"")
    assert journal.content(name) == b""
    journal.flush()
    assert journal.content(name) == b""


def test_content_that_is_missing_is_said_to_be(journal: Journal) -> None:
    with pytest.raises(JournalIncomplete, match="abab"):
        journal.content(b"\xab" * 32)


def test_a_flush_without_anything_new_does_nothing(journal: Journal) -> None:
    fill(journal, 2)
    journal.flush()
    journal.flush(durable=True)
    journal.flush(durable=True)
    assert journal.length() == 2


def test_signed_heads_are_kept_in_order(journal: Journal) -> None:
    fill(journal, 2)
    first = sign(KEY, journal.head())
    journal.sign(first)
    assert journal.signatures() == (first,)
    journal.flush()
    fill(journal, 2)
    second = sign(KEY, journal.head())
    journal.close_run("finished", second)
    assert journal.signatures() == (first, second)


def test_a_finished_run_can_be_read_and_not_written(journal: Journal) -> None:
    fill(journal, 3, every=2)
    journal.close_run("finished")
    assert journal.status() == RunStatus(closed=True, text="finished")
    assert list(journal.frames()) == list(frames(3))
    assert journal.length() == 3
    assert journal.header() == (HEADER, ENVIRONMENT)
    for write in (
        lambda: journal.append(list(frames(4))[3]),
        lambda: journal.put_content(b"late"),
        lambda: journal.sign(sign(KEY, journal.head())),
        journal.flush,
        lambda: journal.close_run("again"),
    ):
        with pytest.raises(JournalClosed, match="finished"):
            write()


def test_a_run_may_finish_before_its_first_tick(journal: Journal) -> None:
    journal.close_run("nothing to do")
    assert journal.length() == 0
    assert journal.status().text == "nothing to do"


def test_a_journal_may_be_closed_twice(journal: Journal) -> None:
    fill(journal, 1)
    journal.close()
    journal.close()
