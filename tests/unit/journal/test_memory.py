"""A journal in memory loses in a crash what a disk would lose."""

import pytest

from tests.unit.journal.samples import ENVIRONMENT, HEADER, fill, frames
from tickwork.errors import JournalIncomplete
from tickwork.journal.memory import MemoryJournal


def test_a_crash_loses_what_was_not_flushed() -> None:
    journal = MemoryJournal(HEADER, ENVIRONMENT)
    fill(journal, 3)
    fill(journal, 2, every=100)
    name = journal.put_content(b"pending")
    survivor = journal.after_crash()
    assert list(survivor.frames()) == list(frames(3))
    with pytest.raises(JournalIncomplete):
        survivor.content(name)
    assert journal.length() == 5


def test_a_loss_of_power_leaves_what_was_durable() -> None:
    journal = MemoryJournal(HEADER, ENVIRONMENT)
    fill(journal, 2, durable=True)
    kept = journal.put_content(b"kept")
    journal.flush(durable=True)
    fill(journal, 3)
    assert journal.after_crash().length() == 5
    survivor = journal.after_crash(power_lost=True)
    assert survivor.length() == 2
    assert survivor.content(kept) == b"kept"


def test_the_survivor_of_a_crash_goes_on_by_itself() -> None:
    journal = MemoryJournal(HEADER, ENVIRONMENT)
    fill(journal, 2)
    survivor = journal.after_crash()
    fill(survivor, 2)
    assert survivor.length() == 4
    assert journal.length() == 2
    assert survivor.after_crash(power_lost=True).length() == 2


def test_a_finished_run_survives_whole() -> None:
    journal = MemoryJournal(HEADER, ENVIRONMENT)
    fill(journal, 2, every=100)
    journal.close_run("finished")
    survivor = journal.after_crash(power_lost=True)
    assert survivor.length() == 2
    assert survivor.status().closed


def test_closing_drops_what_was_not_flushed() -> None:
    journal = MemoryJournal(HEADER, ENVIRONMENT)
    fill(journal, 2)
    fill(journal, 1, every=100)
    journal.close()
    assert journal.length() == 2
