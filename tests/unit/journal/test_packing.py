"""journal/packing.py: a run of a database becomes a file that says the same."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.journal.samples import ENVIRONMENT, HEADER, KEY, MODULE, fill, frames
from tickwork.errors import JournalDamaged, JournalExists, JournalWriteFailed
from tickwork.journal.check import check
from tickwork.journal.packing import pack
from tickwork.journal.shared import SharedJournals
from tickwork.journal.signing import sign
from tickwork.journal.sqlite import SqliteJournal


@pytest.fixture
def journals(tmp_path: Path) -> Iterator[SharedJournals]:
    with SharedJournals.open(tmp_path / "state.db", create=True) as made:
        yield made


def test_a_finished_run_becomes_a_sealed_file_of_the_same_head(journals: SharedJournals, tmp_path: Path) -> None:
    other = journals.create("r_0", HEADER, ENVIRONMENT, [b"of another run"])
    run = journals.create("r_1", HEADER, ENVIRONMENT, [MODULE])
    for one in (other, run):
        fill(one, 300, every=50)
    run.close_run("finished", sign(KEY, run.head()))
    path = tmp_path / "run.twk"
    assert pack(run, path) == run.head()
    report = check(path)
    assert (report.sealed, report.damage, report.signature_ok, report.head) == (True, None, True, run.head())
    with SqliteJournal.open(path) as packed:
        assert packed.header() == run.header()
        assert list(packed.frames()) == list(frames(300))
        assert list(packed.tables().contents()) == [(hashlib.sha256(MODULE).digest(), MODULE)]
        assert packed.status() == run.status()


def test_an_open_run_becomes_a_file_that_is_open_too(journals: SharedJournals, tmp_path: Path) -> None:
    run = journals.create("r_1", HEADER, ENVIRONMENT)
    fill(run, 3)
    path = tmp_path / "run.twk"
    pack(journals.open_run("r_1"), path)
    with SqliteJournal.open(path, write=True) as packed:
        assert packed.head() == run.head()
        fill(packed, 1)
    assert sorted(one.name for one in tmp_path.iterdir() if one.name.startswith("run")) == ["run.twk"]


def test_nothing_is_overwritten_and_nothing_is_left_behind(journals: SharedJournals, tmp_path: Path) -> None:
    run = journals.create("r_1", HEADER, ENVIRONMENT, [MODULE])
    fill(run, 5)
    path = tmp_path / "run.twk"
    path.write_bytes(b"mine")
    with pytest.raises(JournalExists):
        pack(run, path)
    assert path.read_bytes() == b"mine"
    with pytest.raises(JournalWriteFailed):
        pack(run, path / "below")
    before = {one.name for one in tmp_path.iterdir()}
    with journals.transaction() as database:
        database.query("UPDATE journal_frame SET turns = x'00' WHERE tick = 3")
    with pytest.raises(JournalDamaged, match="not those that were written"):
        pack(run, tmp_path / "damaged.twk")
    with journals.transaction() as database:
        database.query("UPDATE journal_content SET bytes = x'00'")
    with pytest.raises(JournalDamaged, match="not what its digest says"):
        pack(run, tmp_path / "damaged.twk")
    assert {one.name for one in tmp_path.iterdir()} == before
