"""Laws: what holds of every run, tried on every world of the corpus."""

from collections.abc import Callable, Sequence

import msgspec
import pytest

from tests.laws.corpus import CORPUS, SNAPSHOT_TICKS
from tests.laws.recorded import Recorded, empty_journal, prefix, record
from tickwork import codec
from tickwork.driver import run as driver
from tickwork.driver.crew import Crew
from tickwork.driver.diff import diff
from tickwork.driver.fold import Fold, open_machine
from tickwork.driver.fork import Edit, fork
from tickwork.driver.opening import executing
from tickwork.driver.run import resume_journal, run
from tickwork.driver.verify import replay, verify
from tickwork.kernel import Machine
from tickwork.kernel.state import decode_state, encode_state
from tickwork.records import Input, InputKind, Outcome, Turn
from tickwork.sim import Draw
from tickwork.sim.audit import Audit

Get = Callable[[str], Recorded]

every_world = pytest.mark.parametrize("name", CORPUS)


@every_world
def test_a_replay_has_the_head_of_the_run(recorded: Get, name: str) -> None:
    made = recorded(name)
    again = replay(made.journal)
    assert (again.head, again.turns, again.failed) == (made.run.head, made.run.turns, made.run.failed)


@every_world
def test_a_verification_finds_every_record_equal(recorded: Get, name: str) -> None:
    made = recorded(name)
    found = verify(made.journal, world=made.world, options=made.options)
    assert found.equal, found.divergence


@every_world
def test_a_replay_is_a_fold_that_can_stop_and_go_on_anywhere(recorded: Get, name: str) -> None:
    made = recorded(name)
    header, machine = open_machine(made.journal.header()[0])
    fold = Fold(made.journal, machine, None)
    for frame in made.journal.frames():
        fold.feed(frame)
        fold.machine = Machine(header, b"", state=decode_state(encode_state(fold.machine.state)))
    assert fold.machine.state.tick == made.journal.length()


@every_world
@pytest.mark.parametrize("share", [0, 30, 75, 100])
def test_a_prefix_of_a_run_is_a_run(recorded: Get, name: str, share: int) -> None:
    made = recorded(name)
    length = made.journal.length() * share // 100
    cut = prefix(made, length)
    head = made.journal.frame(length - 1)
    assert replay(cut).head == (head.d if head else codec.start_chain(*cut.header())[0])
    resumed = resume_journal(cut, None, world=made.world, decisions={}, options=made.options)
    assert resumed.head == made.run.head
    assert diff(made.journal, cut).equal


@every_world
@pytest.mark.parametrize("share", [0, 10, 50, 90, 100])
def test_a_fork_without_a_change_is_the_original(recorded: Get, name: str, share: int) -> None:
    made = recorded(name)
    at, copy = made.journal.length() * share // 100, empty_journal(made.world, made.options)
    forked = fork(made.journal, at=at, to=copy, world=made.world, options=made.options)
    assert forked.head == made.run.head
    assert diff(made.journal, copy).equal


@every_world
def test_a_fork_with_a_change_differs_from_the_tick_of_the_fork_on(recorded: Get, name: str) -> None:
    made = recorded(name)
    at, copy = made.journal.length() // 2, empty_journal(made.world, made.options)
    edit = Edit((Input(InputKind.RESEED, "operator", number=7),))
    forked = fork(made.journal, at=at, to=copy, edit=edit, world=made.world, options=made.options)
    found = diff(made.journal, copy)
    assert forked.head != made.run.head
    assert (found.equal, found.common) == (False, at)
    assert verify(copy, world=made.world, options=made.options).equal


@every_world
@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_goes_on_from_a_snapshot_as_if_it_had_been_folded(recorded: Get, name: str, workers: int) -> None:
    made = recorded(name)
    options = msgspec.structs.replace(made.options, workers=workers)
    length = made.journal.length() * 3 // 4
    cut = prefix(made, length)
    with executing(cut, made.world, options, until=length) as (_, _, fold):
        kept = [frame.tick + 1 for frame in cut.frames() if codec.decode_hints(frame.hints).snapshot]
        assert fold.begins == max(kept, default=0)
        assert kept or length < SNAPSHOT_TICKS
    resumed = resume_journal(cut, None, world=made.world, decisions={}, options=options)
    assert (resumed.head, resumed.turns, resumed.failed) == (made.run.head, made.run.turns, made.run.failed)


@every_world
def test_a_run_whose_snapshots_are_lost_is_folded_from_its_beginning(recorded: Get, name: str) -> None:
    made = recorded(name)
    length = made.journal.length() // 2
    cut = prefix(made, length, snapshots=False)
    with executing(cut, made.world, made.options, until=length) as (_, _, fold):
        assert fold.begins == 0
    assert resume_journal(cut, None, world=made.world, decisions={}, options=made.options).head == made.run.head


@every_world
def test_the_difference_of_a_run_with_itself_is_empty(recorded: Get, name: str) -> None:
    journal = recorded(name).journal
    found = diff(journal, journal)
    assert (found.equal, found.common, found.divergence) == (True, journal.length(), None)


@every_world
def test_messages_come_in_order_and_none_is_lost_without_a_record(recorded: Get, name: str) -> None:
    assert Audit(recorded(name).journal).run() == []


@every_world
def test_a_second_run_gives_the_same_bytes(recorded: Get, name: str) -> None:
    made = recorded(name)
    again = record(CORPUS[name](), made.options)
    parts = [
        [(frame.inputs, frame.turns, frame.derived, frame.d) for frame in one.journal.frames()] for one in (made, again)
    ]
    assert parts[0] == parts[1]


@every_world
def test_another_seed_gives_another_head(recorded: Get, name: str) -> None:
    made = recorded(name)
    header = msgspec.structs.replace(made.world.header, seed=made.world.header.seed ^ 1)
    other = record(msgspec.structs.replace(made.world, header=header), made.options)
    assert other.run.head != made.run.head


@every_world
def test_the_order_in_which_turns_are_computed_changes_nothing(
    recorded: Get, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recorded(name)
    for seed in range(20):
        draw = Draw(seed)

        class Shuffled(Crew):
            def compute(self, turns: Sequence[Turn], draw: Draw = draw) -> list[Outcome]:
                outcomes: dict[int, Outcome] = {}
                for index in draw.shuffled(range(len(turns))):
                    outcomes[index] = super().compute([turns[index]])[0]
                return [outcomes[index] for index in range(len(turns))]

        monkeypatch.setattr(driver, "Crew", Shuffled)
        journal = empty_journal(made.world, made.options)
        assert run(made.world, journal=journal, options=made.options).head == made.run.head
