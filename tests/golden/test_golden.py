"""Old bytes stay readable: every stored journal replays, verifies and can be looked into."""

from pathlib import Path

import pytest

from tests.golden.record import SIGNING_KEY
from tickwork.driver.look import frame_at, messages_between, state_at
from tickwork.driver.options import Options
from tickwork.driver.verify import replay, verify
from tickwork.journal.check import check
from tickwork.journal.signing import sign
from tickwork.journal.store import Head

GOLDEN = Path(__file__).resolve().parent
JOURNALS = sorted(GOLDEN.glob("*.twk"))
HEADS = dict(line.split() for line in (GOLDEN / "heads.txt").read_text(encoding="utf-8").splitlines())

every_journal = pytest.mark.parametrize("path", JOURNALS, ids=lambda path: path.stem)


def test_every_stored_journal_has_its_head_written_down() -> None:
    assert [path.stem for path in JOURNALS] == sorted(HEADS)
    assert JOURNALS


@every_journal
def test_a_stored_journal_replays_to_its_head(path: Path) -> None:
    assert replay(path).head.hex() == HEADS[path.stem]


@pytest.mark.slow
@every_journal
def test_a_stored_journal_comes_out_again_when_its_turns_are_executed(path: Path) -> None:
    found = verify(path, options=Options(folder=GOLDEN))
    assert found.equal, found.divergence or found.damage
    assert found.run.head.hex() == HEADS[path.stem]


@every_journal
def test_the_chains_and_the_signature_of_a_stored_journal_hold(path: Path) -> None:
    report = check(path)
    assert (report.damage, report.signature_ok) == (None, True)
    assert report.key_id == sign(SIGNING_KEY, Head(0, bytes(32), bytes(32))).key_id


@every_journal
def test_a_stored_journal_can_be_looked_into_at_every_tick(path: Path) -> None:
    length = replay(path).frames
    assert state_at(path).tick == length
    assert frame_at(path, 0).inputs is not None
    assert len(list(messages_between(path, 0, length - 1))) > length
