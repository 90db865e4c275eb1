"""Running a world, and going on with an interrupted run."""

from pathlib import Path

import msgspec
import pytest

from tests.unit.driver.troupe import Echo, asking, chat, empty, options, stop_after
from tickwork import codec
from tickwork.clock import SteppedClock
from tickwork.driver.fork import fork
from tickwork.driver.resolve import World, make_world, new_header
from tickwork.driver.run import resume, resume_journal, run
from tickwork.driver.verify import replay, verify
from tickwork.errors import EffectUndecided, JournalClosed, JournalExists
from tickwork.journal.memory import MemoryJournal
from tickwork.native import Context, Outbox
from tickwork.records import AgentSpec, Effect, EffectClass, Environment, FeedSpec, Input, InputKind, Message, Result

ENVIRONMENT = codec.encode(Environment("r_test", 0, "3.11", "test", "test", "0"))


class Count(msgspec.Struct, frozen=True):
    turns: int = 0


class Counter:
    def init(self, config: bytes, context: Context) -> tuple[Count, Outbox]:
        return Count(), context.outbox()

    def turn(self, state: Count, inbox: tuple[Message, ...], context: Context) -> tuple[Count, Outbox]:
        outbox = context.outbox()
        outbox.sleep(0)
        return Count(state.turns + 1), outbox

    def shutdown(self, state: Count, context: Context) -> tuple[Count, Outbox]:
        return state, context.outbox()


WORLD = make_world(
    new_header("counted", 5, (AgentSpec("counter", "native", "test:Counter", bytes(32)),)),
    natives={"test:Counter": Counter},
)


def given(name: str = "counted") -> MemoryJournal:
    return MemoryJournal(codec.encode(msgspec.structs.replace(WORLD.header, name=name)), ENVIRONMENT)


def test_a_run_into_a_given_journal_continues_the_chains_of_its_own_record_0() -> None:
    journal = given()
    done = run(WORLD, journal=journal)
    assert replay(journal).head == done.head == run(WORLD).head


def test_a_journal_of_another_world_is_refused() -> None:
    with pytest.raises(JournalExists, match="another run"):
        run(WORLD, journal=given("another"))


def test_a_journal_that_has_ticks_is_refused() -> None:
    journal = given()
    run(WORLD, journal=journal)
    with pytest.raises(JournalExists, match="another run"):
        run(WORLD, journal=journal)


def test_a_given_journal_holds_what_the_run_needs_to_be_verified() -> None:
    feed = b"row\n1\n"
    spec = FeedSpec("f", codec.digest(feed), "counter", False)
    header = msgspec.structs.replace(WORLD.header, feeds=(spec,))
    world = make_world(header, feeds=[feed], natives={"test:Counter": Counter})
    journal = MemoryJournal(codec.encode(header), ENVIRONMENT)
    run(world, journal=journal)
    assert journal.content(codec.digest(feed)) == feed
    assert verify(journal, world=world).equal


def test_a_run_in_a_file_is_signed_closed_and_cannot_be_resumed(tmp_path: Path) -> None:
    path = tmp_path / "run.twk"
    done = run(WORLD, journal=path, options=options(signing_key=bytes(range(32))))
    assert (done.journal, done.status) == (path, "complete")
    assert verify(path, world=WORLD).signed_by
    with pytest.raises(JournalClosed, match="finished"):
        resume(path, world=WORLD)


def test_a_run_in_a_file_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    whole = run(WORLD, journal=tmp_path / "whole.twk")
    path = tmp_path / "part.twk"
    part = run(WORLD, journal=path, options=options(stop=stop_after(3)))
    assert (part.status, part.frames) == ("interrupted", 3)
    done = resume(path, world=WORLD)
    assert (done.head, done.status, done.journal, done.turns) == (whole.head, "complete", path, whole.turns)


def test_two_runs_of_one_world_have_one_head_whatever_the_clock() -> None:
    clocks = [SteppedClock(start, step) for start, step in ((0, 1), (10**15, 7))]
    assert len({run(WORLD, options=options(clock=clock)).head for clock in clocks}) == 1


def lost(effect_class: EffectClass) -> tuple[World, MemoryJournal]:
    """Return a run that died between an effect's release and its result."""
    world = asking(effect_class, asks=1)
    journal = empty(world)

    class Dies(BaseException):
        pass

    class Deadly(Echo):
        def perform(self, effect: Effect) -> Result:
            raise Dies

    with pytest.raises(Dies):
        run(world, journal=journal, options=options(Deadly()))
    return world, journal


@pytest.mark.parametrize("effect_class", [EffectClass.PURE, EffectClass.IDEMPOTENT])
def test_a_lost_result_is_asked_for_again_under_the_same_key(effect_class: EffectClass) -> None:
    world, journal = lost(effect_class)
    echo, other = Echo(), Echo()
    done = resume_journal(journal, None, world=world, decisions={}, options=options(echo))
    assert done.head == run(world, options=options(other)).head
    assert [effect.key for effect in echo.seen] == [effect.key for effect in other.seen]


def test_an_unsafe_effect_whose_result_is_lost_waits_for_a_person() -> None:
    world, journal = lost(EffectClass.UNSAFE)
    echo = Echo()
    with pytest.raises(EffectUndecided, match="nobody knows") as caught:
        resume_journal(journal, None, world=world, decisions={}, options=options(echo))
    assert "=retry" in caught.value.fix
    assert echo.seen == []
    number = int(caught.value.fix.split("--decide ")[1].split("=")[0])
    done = resume_journal(journal, None, world=world, decisions={number: "retry"}, options=options(echo))
    assert done.head == run(world, options=options(Echo())).head
    assert len(echo.seen) == 1


def test_a_fork_of_a_run_that_lost_an_unsafe_result_waits_for_a_person_too() -> None:
    world, journal = lost(EffectClass.UNSAFE)
    echo, copy = Echo(), empty(world)
    with pytest.raises(EffectUndecided, match="nobody knows") as caught:
        fork(journal, at=journal.length(), to=copy, world=world, options=options(echo))
    assert (echo.seen, copy.length()) == ([], 0)
    number = int(caught.value.fix.split("--decide ")[1].split("=")[0])
    done = fork(journal, at=journal.length(), to=copy, world=world, decisions={number: "fail"}, options=options(echo))
    assert done.status == "complete"
    assert number not in [effect.number for effect in echo.seen]


def test_an_operator_may_declare_an_effect_failed() -> None:
    world, journal = lost(EffectClass.UNSAFE)
    with pytest.raises(EffectUndecided) as caught:
        resume_journal(journal, None, world=world, decisions={}, options=options())
    number = int(caught.value.fix.split("--decide ")[1].split("=")[0])
    done = resume_journal(journal, None, world=world, decisions={number: "fail"}, options=options(Echo()))
    results = [
        item for frame in journal.frames() for item in codec.decode_inputs(frame.inputs) if item.number == number
    ]
    assert [(item.source, item.code) for item in results] == [("operator", -1)]
    assert replay(journal).head == done.head
    assert verify(journal, world=world).equal


def test_what_a_world_plans_to_enter_enters_at_its_tick() -> None:
    planned = tuple((tick, Input(InputKind.MESSAGE, "operator", "a", body=b"%d" % tick, size=1)) for tick in (5, 2))
    world = msgspec.structs.replace(chat(ticks=9), inputs=planned)
    journal = empty(world)
    whole = run(world, journal=journal, options=options(Echo()))
    entered = [
        (frame.tick, item.body)
        for frame in journal.frames()
        for item in codec.decode_inputs(frame.inputs)
        if item.source == "operator"
    ]
    assert entered == [(2, b"2"), (5, b"5")]
    cut = empty(world)
    for frame in journal.frames(0, 3):
        cut.append(frame)
    assert resume_journal(cut, None, world=world, decisions={}, options=options(Echo())).head == whole.head
