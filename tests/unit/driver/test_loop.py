"""The loop: order of inputs, effects, closing, durability."""

from concurrent.futures import Executor, Future
from typing import Any

import msgspec
import pytest

from tests.unit.driver.troupe import (
    Echo,
    Memory,
    acting,
    asking,
    chat,
    empty,
    frames_of,
    options,
    spec,
    stage,
    stop_after,
)
from tickwork import codec
from tickwork.driver.feeds import Feed
from tickwork.driver.fork import fork
from tickwork.driver.loop import Inbox, Loop, Mark, read_mark, settle_unknown, whole_batches
from tickwork.driver.options import Progress
from tickwork.driver.performers import Parked
from tickwork.driver.resolve import World
from tickwork.driver.run import resume_journal, run
from tickwork.driver.verify import replay
from tickwork.journal.memory import MemoryJournal
from tickwork.journal.store import Signature
from tickwork.native import Context, Outbox
from tickwork.records import Effect, EffectClass, FeedSpec, Input, InputKind, Message, Result, SkillSpec, Supervision


def inputs_of(journal: MemoryJournal) -> list[list[str]]:
    return [[InputKind(item.kind).name for item in codec.decode_inputs(frame.inputs)] for frame in journal.frames()]


def still(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
    return


def test_a_world_in_which_nothing_happens_closes_by_itself() -> None:
    for ticks in (0, 1000):
        world = stage({spec("a"): acting(still)}, ticks=ticks)
        journal = empty(world)
        done = run(world, journal=journal, options=options())
        assert (done.status, done.frames) == ("complete", 4)
        assert inputs_of(journal)[2] == ["CLOSE"]


def test_a_run_closes_at_its_horizon() -> None:
    world = chat(ticks=5)
    journal = empty(world)
    run(world, journal=journal, options=options())
    assert inputs_of(journal)[5] == ["CLOSE"]


def feed(rows: bytes, *, to: str = "a", topic: bool = False, name: str = "f") -> FeedSpec:
    return FeedSpec(name, codec.digest(rows), to, topic, "tick")


def test_rows_beyond_what_a_tick_takes_enter_later_and_in_order() -> None:
    rows = b"tick,n\n" + b"".join(b"0,%d\n" % n for n in range(10))
    world = stage({spec("a"): acting(still)}, ticks=0, files=(rows,), feeds=(feed(rows),), max_inputs=4)
    journal = empty(world)
    run(world, journal=journal, options=options())
    taken = [[item.body for item in codec.decode_inputs(frame.inputs)] for frame in journal.frames()]
    assert [len(items) for items in taken[:2]] == [4, 4]
    assert [body for items in taken for body in items if body] == [b"0,%d" % n for n in range(10)]


def test_a_resumed_run_takes_the_rows_it_had_not_taken() -> None:
    rows = b"tick,n\n" + b"".join(b"%d,%d\n" % (n // 5, n) for n in range(20))
    world = stage({spec("a"): acting(still)}, ticks=0, files=(rows,), feeds=(feed(rows),), max_inputs=3)
    whole = empty(world)
    head = run(world, journal=whole, options=options()).head
    for ticks in range(1, 7):
        part = empty(world)
        assert run(world, journal=part, options=options(stop=stop_after(ticks))).status == "interrupted"
        assert resume_journal(part, None, world=world, decisions={}, options=options()).head == head


def planned(tick: int, text: bytes) -> tuple[int, Input]:
    return tick, Input(InputKind.MESSAGE, "script", "a", body=text)


def test_planned_inputs_that_found_no_room_enter_after_a_resume_and_in_a_fork() -> None:
    inputs = tuple(planned(tick, b"same" if tick == 2 else b"%d" % n) for tick in (1, 2, 5) for n in range(3))
    world = stage({spec("a"): acting(still)}, ticks=12, max_inputs=2)
    world = msgspec.structs.replace(world, inputs=inputs)
    whole = empty(world)
    head = run(world, journal=whole, options=options()).head
    assert [names.count("MESSAGE") for names in inputs_of(whole)[:8]] == [0, 2, 2, 2, 0, 2, 1, 0]
    for ticks in range(1, 7):
        part = empty(world)
        assert run(world, journal=part, options=options(stop=stop_after(ticks))).status == "interrupted"
        assert resume_journal(part, None, world=world, decisions={}, options=options()).head == head
        assert fork(whole, at=ticks, world=world, options=options()).head == head


def test_planned_inputs_whose_tick_is_past_do_not_enter_late() -> None:
    world = stage({spec("a"): acting(still)}, ticks=12, max_inputs=2)
    part = empty(world)
    run(world, journal=part, options=options(stop=stop_after(2)))
    later = msgspec.structs.replace(world, inputs=(planned(1, b"late"), planned(3, b"in time")))
    resume_journal(part, None, world=later, decisions={}, options=options())
    assert [names for names in inputs_of(part) if names] == [["MESSAGE", "CLOSE"]]


def test_results_in_issue_order_enter_in_the_next_tick() -> None:
    world = asking(asks=2)
    journal = empty(world)
    run(world, journal=journal, options=options(Echo()))
    assert inputs_of(journal)[1:4] == [[], ["RESULT"], ["RESULT"]]


@pytest.mark.parametrize(
    ("batches", "room", "count"),
    [
        ([0, 0, 0], 2, 2),
        ([0, 0], 5, 2),
        ([1, 1, 2, 2], 2, 2),
        ([1, 1, 2, 2], 3, 4),
        ([0, 1, 1, 1], 2, 4),
        ([1, 1, 1, 0], 2, 3),
        ([1, 2, 1, 2, 0], 2, 4),
        ([1, 0, 1, 0], 1, 3),
    ],
)
def test_a_batch_that_begins_to_enter_enters_whole(batches: list[int], room: int, count: int) -> None:
    assert whole_batches(batches, room) == count


class Patient(Executor):
    """Gives no result before it is waited for, last one first."""

    def __init__(self) -> None:
        self.waited = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        patient = self

        class Late(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                if not self.done():
                    patient.waited += 1
                    self.set_result(fn(*args, **kwargs))
                return super().result(timeout)

        return Late()


def test_a_run_that_only_waits_for_an_effect_writes_no_empty_ticks_meanwhile() -> None:
    world = asking(asks=1, ordering="arrival", ticks=0)
    journal, patient = empty(world), Patient()
    done = run(world, journal=journal, options=options(Echo(), executor=lambda: patient))
    assert patient.waited == 1
    assert done.frames < 10
    assert replay(journal).head == done.head


def test_the_clock_is_sampled_only_for_who_may_see_it_and_is_an_input() -> None:
    seen: list[int] = []

    def look(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        seen.append(context.wall_us)
        if state.turns < 2:
            outbox.sleep(0)

    world = stage({spec("a", clock=True): acting(look)})
    journal = empty(world)
    done = run(world, journal=journal, options=options())
    samples = [item.number for f in journal.frames() for item in codec.decode_inputs(f.inputs) if item.kind == 5]
    assert seen == samples[1:4]
    assert len(set(seen)) == 3
    assert replay(journal).head == done.head
    assert all("CLOCK" not in kinds for kinds in inputs_of(_run(chat(ticks=3))))


def _run(world: World) -> MemoryJournal:
    journal = empty(world)
    run(world, journal=journal, options=options())
    return journal


class Watched(MemoryJournal):
    """Notes what was durable when something was released."""

    def __init__(self, world: World) -> None:
        given = empty(world)
        super().__init__(*given.header(), world.contents)
        self.durable_frames = 0

    def flush(self, durable: bool = False) -> None:
        super().flush(durable)
        if durable:
            self.durable_frames = self.length()


def test_an_effect_is_released_only_once_its_intent_is_durable() -> None:
    world = asking()
    journal = Watched(world)

    class Witness(Echo):
        def perform(self, effect: Effect) -> Result:
            assert journal.durable_frames > effect.tick
            return super().perform(effect)

    witness = Witness()
    run(world, journal=journal, options=options(witness))
    assert len(witness.seen) == 3


def test_an_effect_goes_out_again_only_once_its_intent_is_durable_again() -> None:
    world = asking()
    journal = Watched(world)

    class Dies(Exception):
        pass

    def edge(name: str) -> None:
        if name == "release":
            raise Dies

    with pytest.raises(Dies):
        run(world, journal=journal, options=options(Echo(), edge=edge))
    journal.durable_frames = 0
    witness = Echo()

    class Witness(Echo):
        def perform(self, effect: Effect) -> Result:
            assert journal.durable_frames > effect.tick
            return witness.perform(effect)

    resume_journal(journal, None, world=world, decisions={}, options=options(Witness()))
    assert len(witness.seen) == 3


def test_a_failed_run_releases_nothing() -> None:
    def ask(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        outbox.call("do", b"x")

    def fail(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        raise RuntimeError

    actors = {
        spec("a", skills=("do",)): acting(ask),
        spec("b", supervision=Supervision("escalate")): acting(fail),
    }
    world = stage(actors, skills=(SkillSpec("do", 2),))
    echo, journal = Echo(), empty(world)
    done = run(world, journal=journal, options=options(echo))
    assert (done.status, echo.seen) == ("failed", [])
    assert (journal.status().closed, journal.status().text) == (True, "failed")
    assert replay(journal).head == done.head


def test_a_run_that_failed_and_was_not_closed_is_closed_by_resuming() -> None:
    def ask(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        outbox.call("do", b"x")
        outbox.sleep(0)
        if state.turns:
            raise RuntimeError

    world = stage(
        {spec("a", skills=("do",), supervision=Supervision("escalate")): acting(ask)}, skills=(SkillSpec("do", 2),)
    )

    class Unclosed(MemoryJournal):
        broken = True

        def close_run(self, status: str, signature: Signature | None = None) -> None:
            if self.broken:
                raise KeyboardInterrupt
            super().close_run(status, signature)

    journal = Unclosed(*empty(world).header())
    with pytest.raises(KeyboardInterrupt):
        run(world, journal=journal, options=options(Echo(), executor=Patient))
    journal.broken = False
    assert resume_journal(journal, None, world=world, decisions={}, options=options()).status == "failed"


def test_progress_is_told_now_and_then_and_at_the_end() -> None:
    told: list[Progress] = []
    done = run(chat(ticks=10), options=options(progress=told.append, progress_ticks=4))
    assert [item.tick for item in told] == [*range(4, done.frames + 1, 4), done.frames]
    assert (told[-1].turns, told[-1].failed) == (done.turns, done.failed)
    assert done.failed > 0


@pytest.mark.slow
@pytest.mark.parametrize("world", [chat(), chat(visibility="linear"), asking(), asking(ordering="arrival")])
def test_a_run_stopped_after_any_tick_and_resumed_has_the_same_frames(world: World) -> None:
    whole = empty(world)
    head = run(world, journal=whole, options=options(Echo())).head
    for ticks in range(whole.length()):
        part = empty(world)
        assert run(world, journal=part, options=options(Echo(), stop=stop_after(ticks))).frames == ticks
        done = resume_journal(part, None, world=world, decisions={}, options=options(Echo()))
        assert done.head == head
        assert frames_of(part) == frames_of(whole)


# -- the inbox --------------------------------------------------------------------------------------------------------


def result(number: int) -> Result:
    return Result(number, 0, 0, b"r")


def test_operator_inputs_enter_before_results_and_results_before_rows() -> None:
    rows = b"tick,n\n0,x\n"
    inbox = Inbox([Feed(feed(rows), rows)])
    inbox.offer([result(1)])
    inbox.recall([(0, Input(InputKind.RESULT, "effect", number=2))])
    inbox.change([Input(InputKind.RESEED, "operator")])
    taken = inbox.take(0, 10, closing=False)
    assert [(item.kind, item.number) for item in taken] == [
        (InputKind.RESEED, 0),
        (InputKind.RESULT, 2),
        (InputKind.RESULT, 1),
        (InputKind.MESSAGE, 0),
    ]
    assert inbox.empty


def test_no_more_than_the_bound_is_taken() -> None:
    inbox = Inbox([])
    inbox.offer([result(n) for n in range(5)])
    assert [len(inbox.take(tick, 2, closing=False)) for tick in range(4)] == [2, 2, 1, 0]


def test_a_recalled_result_waits_for_its_tick() -> None:
    inbox = Inbox([])
    inbox.recall([(3, Input(InputKind.RESULT, "effect", number=2))])
    assert [len(inbox.take(tick, 9, closing=False)) for tick in range(5)] == [0, 0, 0, 1, 0]


def test_a_closing_run_takes_results_and_no_rows() -> None:
    rows = b"tick,n\n0,x\n"
    inbox = Inbox([Feed(feed(rows), rows)])
    inbox.offer([result(1)])
    assert [item.kind for item in inbox.take(0, 10, closing=True)] == [InputKind.RESULT]
    assert not inbox.empty


def test_a_mark_is_read_back_and_other_bodies_leave_nothing_out() -> None:
    assert read_mark(codec.encode(Mark(bytes(32), ("topic:t",)))) == ("topic:t",)
    assert read_mark(bytes(32)) == ()
    assert read_mark(b"") == ()


def effect(number: int, effect_class: int) -> Effect:
    return Effect(number, 0, 0, "do", effect_class, bytes(32), 0, b"")


def test_lost_results_are_settled_by_the_class_of_the_effect() -> None:
    effects = [effect(n, n % 3) for n in range(6)]
    again, decided, undecided = settle_unknown(effects, {2: "fail", 0: "fail"})
    assert [item.number for item in again] == [1, 3, 4]
    assert [(item.number, item.code) for item in decided] == [(0, -1), (2, -1)]
    assert [item.number for item in undecided] == [5]
    assert settle_unknown(effects, {5: "retry", 2: "retry"})[2] == []


def test_the_loop_links_each_frame_to_the_one_before() -> None:
    journal = _run(chat(ticks=4))
    heads = codec.start_chain(*journal.header())
    for frame in journal.frames():
        linked = codec.link(heads, frame.tick, frame.inputs, frame.turns, frame.derived, frame.hints)
        assert linked == frame
        heads = (frame.d, frame.f)


# -- waiting -----------------------------------------------------------------------------------------------------------


class Deferring(Echo):
    """Parks what it is asked until it is told that somebody has answered."""

    answered = False

    def perform(self, effect: Effect) -> Result | Parked:  # type: ignore[override]
        return super().perform(effect) if self.answered else Parked()


@pytest.mark.parametrize("ordering", ["issue", "arrival"])
def test_a_run_that_waits_for_a_person_stops_and_goes_on_from_there(ordering: str) -> None:
    world = asking(asks=1, ticks=0, ordering=ordering)
    journal, person = empty(world), Deferring()
    stopped = run(world, journal=journal, options=options(person))
    assert (stopped.status, journal.length(), journal.status().closed) == ("waiting", 3, False)
    again = resume_journal(journal, None, world=world, decisions={}, options=options(person))
    assert (again.status, journal.length()) == ("waiting", 3)
    person.answered = True
    done = resume_journal(journal, None, world=world, decisions={}, options=options(person))
    assert (done.status, inputs_of(journal)[3]) == ("complete", ["RESULT"])
    assert replay(journal).head == done.head


def test_a_run_that_has_closed_waits_for_what_is_parked() -> None:
    world, person = asking(asks=1, ticks=3), Deferring()
    journal = empty(world)
    assert run(world, journal=journal, options=options(person)).status == "waiting"
    person.answered = True
    done = resume_journal(journal, None, world=world, decisions={}, options=options(person))
    assert (done.status, replay(journal).head) == ("complete", done.head)


def test_a_compensable_effect_whose_result_is_lost_waits_for_a_person() -> None:
    lost = Effect(1, 0, 0, "do", EffectClass.COMPENSABLE, bytes(32), 0, b"")
    assert settle_unknown([lost], {}) == ([], [], [lost])
    assert settle_unknown([lost], {1: "retry"}) == ([lost], [], [])


def test_frames_of_several_loops_are_made_durable_between_their_advance_and_their_release() -> None:
    class Paced(Loop):
        def tick(self) -> None:
            self.advance()
            assert self.must_flush == bool(self.machine.done.effects)
            self.journal.flush(durable=True)
            frames = journal.durable_frames
            self.release(durable=True)
            assert journal.durable_frames == frames

    world, echo = asking(asks=2), Echo()
    journal, whole = Watched(world), empty(world)
    head = run(world, journal=whole, options=options(Echo())).head
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tickwork.driver.run.Loop", Paced)
        assert run(world, journal=journal, options=options(echo)).head == head
    assert len(echo.seen) == 2
