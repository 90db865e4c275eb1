"""The fold."""

from collections.abc import Sequence

import msgspec
import pytest

from tests.unit.driver.troupe import chat, empty, options
from tickwork import codec
from tickwork.driver.crew import Crew
from tickwork.driver.fold import Diverged, Fold, open_machine, read_inputs, read_turns
from tickwork.driver.run import run
from tickwork.errors import JournalDamaged, JournalIncomplete, ReplayDivergence
from tickwork.journal.memory import MemoryJournal
from tickwork.kernel import Commit, Flip
from tickwork.records import Frame, Input, Outcome, Status, Turn


def made(visibility: str = "next") -> MemoryJournal:
    world = chat(ticks=8, visibility=visibility)
    journal = empty(world)
    run(world, journal=journal, options=options())
    return journal


class Liar(Crew):
    """A crew that remembers what it was asked to compute and comes to nothing good."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def compute(self, turns: Sequence[Turn]) -> list[Outcome]:
        self.asked += [(turn.tick, turn.agent) for turn in turns]
        return [Outcome(Status.OK, 0, 0, b"") for _ in turns]

    def follow(self, commit: Commit) -> None:
        return

    def flip(self, flips: Sequence[Flip]) -> None:
        return

    def adopt(self, commit: Commit) -> None:
        return

    def close(self) -> None:
        return


@pytest.mark.parametrize("visibility", ["next", "linear"])
def test_a_fold_without_a_crew_believes_what_is_recorded(visibility: str) -> None:
    journal = made(visibility)
    fold = Fold(journal, open_machine(journal.header()[0])[1], None)
    for frame in journal.frames():
        assert fold.feed(frame) == read_inputs(journal, frame)
    assert fold.turns > 0
    assert fold.failed > 0


@pytest.mark.parametrize("visibility", ["next", "linear"])
def test_a_fold_with_a_crew_compares_what_comes_out(visibility: str) -> None:
    journal = made(visibility)
    fold = Fold(journal, open_machine(journal.header()[0])[1], Liar())
    with pytest.raises(Diverged) as caught:
        list(map(fold.feed, journal.frames()))
    assert caught.value.divergence.record.startswith("turns[0]")


@pytest.mark.parametrize("visibility", ["next", "linear"])
def test_with_another_engine_a_recorded_failure_is_not_executed(visibility: str) -> None:
    journal, liar = made(visibility), Liar()
    fold = Fold(journal, open_machine(journal.header()[0])[1], liar, same_engine=False)
    failed = set()
    for frame in journal.frames():
        failed |= {(frame.tick, turn.agent) for turn in read_turns(journal, frame) if turn.outcome.status != 0}
        try:
            fold.feed(frame)
        except Diverged:
            break
    assert not failed & set(liar.asked)


def test_frames_out_of_turn_are_refused() -> None:
    journal = made()
    fold = Fold(journal, open_machine(journal.header()[0])[1], None)
    frame = journal.frame(1)
    assert frame is not None
    with pytest.raises(ReplayDivergence, match="frame 1 follows tick -1"):
        fold.feed(frame)


def test_detached_bodies_are_put_back_and_missing_ones_told() -> None:
    body = bytes(40_000)
    kept, detached = codec.detach_input(Input(1, "x", "a", body=body))
    parts: list[bytes] = []
    codec.encode_turn(0, 1, Outcome(0, 0, 0, body), 3, parts)
    frame = Frame(0, codec.encode_inputs([kept]), b"".join(parts), b"\x90", b"", bytes(32), bytes(32))
    journal = MemoryJournal(b"", b"", [body])
    assert detached == read_inputs(journal, frame)[0].body == body
    turn = read_turns(journal, frame)[0]
    assert (turn.outcome.outbox, turn.outcome.fuel) == (body, 3)
    with pytest.raises(JournalIncomplete):
        read_inputs(MemoryJournal(b"", b""), frame)
    with pytest.raises(JournalDamaged):
        read_turns(journal, msgspec.structs.replace(frame, turns=b"torn"))
