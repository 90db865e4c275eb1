"""Forks: a prefix shared, something changed, the rest live."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from tickwork.driver.diff import diff
from tickwork.driver.fork import Edit, fork
from tickwork.driver.look import state_at
from tickwork.driver.resolve import World
from tickwork.driver.run import resume, resume_journal, run
from tickwork.driver.verify import replay, verify
from tickwork.errors import JournalDamaged, JournalIncomplete, TickOutOfRange
from tickwork.journal.memory import MemoryJournal
from tickwork.journal.sqlite import SqliteJournal
from tickwork.native import Context, Outbox
from tickwork.records import EffectClass, FeedSpec, Input, InputKind, Limits, Message, SkillSpec

SEED = Input(InputKind.RESEED, "operator", number=7)


def made(world: World, **fields: Any) -> tuple[MemoryJournal, bytes]:
    journal = empty(world)
    return journal, run(world, journal=journal, options=options(Echo(), **fields)).head


@pytest.mark.parametrize("visibility", ["next", "linear"])
@pytest.mark.parametrize("at", [0, 1, 7, 20])
def test_a_fork_that_changes_nothing_has_the_head_of_the_original(at: int, visibility: str) -> None:
    world = chat(visibility=visibility)
    journal, head = made(world)
    assert fork(journal, at=at, world=world, options=options()).head == head


@pytest.mark.parametrize("ordering", ["issue", "arrival"])
def test_effects_of_the_prefix_are_not_performed_again(ordering: str) -> None:
    world = asking(ordering=ordering)
    journal, head = made(world)
    for at in range(journal.length() + 1):
        again = Echo()
        assert fork(journal, at=at, world=world, options=options(again)).head == head
        assert all(effect.tick >= at for effect in again.seen)


def test_a_change_enters_at_the_tick_of_the_fork_and_shows_in_the_diff() -> None:
    world = chat()
    journal, head = made(world)
    copy = empty(world)
    done = fork(journal, at=9, to=copy, edit=Edit((SEED,)), world=world, options=options())
    assert done.head != head
    found = diff(journal, copy)
    assert (found.equal, found.common) == (False, 9)
    assert replay(copy).head == done.head
    assert verify(copy, world=world, options=options()).equal


def test_a_changed_forks_effects_have_keys_of_their_own() -> None:
    world = asking()
    journal, _ = made(world)
    plain, changed = Echo(), Echo()
    fork(journal, at=2, world=world, options=options(plain))
    fork(journal, at=2, edit=Edit((SEED,)), world=world, options=options(changed))
    assert {effect.number for effect in plain.seen} == {effect.number for effect in changed.seen}
    assert not {effect.key for effect in plain.seen} & {effect.key for effect in changed.seen}


def listen(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
    return


ROWS = 12
FEED = b"tick,value\n" + b"".join(b"%d,%d\n" % (n // 2, n) for n in range(ROWS * 2))


def fed(**fields: Any) -> World:
    feeds = (
        FeedSpec("one", codec.digest(FEED), "a", False, "tick"),
        FeedSpec("two", codec.digest(FEED), "t", True, "tick"),
    )
    actors = {spec("a"): acting(listen), spec("b", subscribe=("t",)): acting(listen)}
    return stage(actors, ticks=0, files=(FEED,), feeds=feeds, **fields)


def heard(journal: MemoryJournal) -> list[str]:
    inputs = (codec.decode_inputs(frame.inputs) for frame in journal.frames())
    return [item.source for items in inputs for item in items if item.source.startswith("feed:")]


@pytest.mark.parametrize("dropped", ["source:feed:one", "agent:a"])
def test_what_a_fork_leaves_out_stays_out(dropped: str) -> None:
    world = fed()
    journal = empty(world)
    run(world, journal=journal, options=options())
    copy = empty(world)
    fork(journal, at=4, to=copy, edit=Edit((), (dropped,)), world=world, options=options())
    before = [source for frame in journal.frames(0, 3) for source in _sources(codec.decode_inputs(frame.inputs))]
    assert heard(copy).count("feed:one") == before.count("feed:one")
    assert heard(copy).count("feed:two") == ROWS * 2


def _sources(items: tuple[Input, ...]) -> list[str]:
    return [item.source for item in items]


@pytest.mark.parametrize("max_inputs", [1, 3, 4096])
def test_a_resumed_fork_leaves_out_what_the_fork_left_out(max_inputs: int) -> None:
    world = fed(max_inputs=max_inputs)
    journal = empty(world)
    run(world, journal=journal, options=options())
    edit = Edit((), ("topic:t",))
    whole, part = empty(world), empty(world)
    head = fork(journal, at=3, to=whole, edit=edit, world=world, options=options()).head
    fork(journal, at=3, to=part, edit=edit, world=world, options=options(stop=stop_after(2)))
    assert not part.status().closed
    done = resume_journal(part, None, world=world, decisions={}, options=options())
    assert done.head == head
    assert frames_of(part) == frames_of(whole)


def test_a_fork_of_a_fork_leaves_out_what_its_parent_left_out() -> None:
    world = fed()
    journal, first = empty(world), empty(world)
    run(world, journal=journal, options=options())
    head = fork(journal, at=3, to=first, edit=Edit((), ("topic:t",)), world=world, options=options()).head
    assert fork(first, at=6, world=world, options=options()).head == head


@pytest.mark.parametrize("max_inputs", [1, 4096])
@pytest.mark.parametrize("ordering", ["issue", "arrival"])
def test_a_resumed_fork_keeps_the_results_that_its_parent_has(ordering: str, max_inputs: int, tmp_path: Path) -> None:
    world = asking(EffectClass.UNSAFE, ordering=ordering, max_inputs=max_inputs)
    journal, head = made(world)
    for at in range(1, journal.length()):
        part, again = tmp_path / f"{at}.twk", Echo()
        cut = fork(journal, at=at, to=part, world=world, options=options(again, stop=lambda: True))
        assert cut.frames == at
        assert resume(part, world=world, options=options(again)).head == head
        assert all(effect.tick >= at for effect in again.seen)


def test_a_fork_of_an_interrupted_fork_keeps_them_too(tmp_path: Path) -> None:
    world = asking(EffectClass.UNSAFE)
    journal, head = made(world)
    part = tmp_path / "a.twk"
    fork(journal, at=2, to=part, world=world, options=options(stop=lambda: True))
    again = Echo()
    assert fork(part, at=2, world=world, options=options(again)).head == head
    assert all(effect.tick >= 2 for effect in again.seen)


def inputs_at(path: Path, tick: int) -> list[tuple[Input, ...]]:
    with SqliteJournal.open(path) as journal:
        return [codec.decode_inputs(frame.inputs) for frame in journal.frames(tick, tick + 1)]


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("point", ["admit", "seal"])
def test_a_fork_that_is_killed_before_its_first_tick_still_has_its_change(point: str, tmp_path: Path) -> None:
    world = chat(max_inputs=1)
    journal, _ = made(world)
    edit = Edit((SEED, Input(InputKind.MESSAGE, "operator", "a", body=b"hello")), ("agent:b",))
    part = tmp_path / "a.twk"
    head = fork(journal, at=9, edit=edit, world=world, options=options()).head

    def die(edge: str) -> None:
        if edge == point:
            raise Killed

    with pytest.raises(Killed):
        fork(journal, at=9, to=part, edit=edit, world=world, options=options(edge=die))
    assert fork(part, at=9, world=world, options=options()).head == head
    done = resume(part, world=world, options=options())
    assert (done.head, [len(items) for items in inputs_at(part, 9)]) == (head, [3, 0])
    assert head != replay(journal).head


def test_a_fork_that_has_not_its_whole_prefix_is_never_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, part = chat(), tmp_path / "a.twk"
    journal, _ = made(world)

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(SqliteJournal, "flush", die)
        with pytest.raises(Killed):
            fork(journal, at=9, to=part, world=world, options=options())
    with pytest.raises(JournalIncomplete, match="before it was one"):
        resume(part, world=world, options=options())


def test_a_fork_that_is_stopped_at_once_has_its_change_in_the_journal() -> None:
    world = chat()
    journal, _ = made(world)
    whole, part = empty(world), empty(world)
    head = fork(journal, at=9, to=whole, edit=Edit((SEED,)), world=world, options=options()).head
    fork(journal, at=9, to=part, edit=Edit((SEED,)), world=world, options=options(stop=lambda: True))
    assert part.length() == 10
    assert resume_journal(part, None, world=world, decisions={}, options=options()).head == head


@pytest.mark.parametrize("at", [-1, 1000])
def test_a_tick_the_run_has_not_is_refused(at: int) -> None:
    world = chat(ticks=3)
    journal, _ = made(world)
    with pytest.raises(TickOutOfRange, match="no tick"):
        fork(journal, at=at, world=world, options=options())


def test_nothing_can_be_changed_after_the_end() -> None:
    world = chat(ticks=3)
    journal, head = made(world)
    assert fork(journal, at=journal.length(), world=world, options=options()).head == head
    with pytest.raises(TickOutOfRange, match="nothing can be changed"):
        fork(journal, at=journal.length(), edit=Edit((SEED,)), world=world, options=options())


def test_a_damaged_prefix_is_not_copied_into_a_new_chain() -> None:
    world = fed()
    journal = empty(world)
    run(world, journal=journal, options=options())
    frame = journal._frames[2]
    journal._frames[2] = msgspec.structs.replace(frame, inputs=frame.inputs.replace(b"feed:one", b"feed:two", 1))
    with pytest.raises(JournalDamaged, match="chain"):
        fork(journal, at=5, world=world, options=options())


def test_large_inputs_results_and_outboxes_travel_into_the_fork() -> None:
    world = large()
    journal = empty(world)
    done = run(world, journal=journal, options=options(Echo(50_000)))
    copy = empty(world)
    forked = fork(journal, at=journal.length() - 2, to=copy, world=world, options=options(Echo(50_000)))
    assert forked.head == done.head
    assert replay(copy).head == done.head
    assert verify(copy, world=world, options=options()).equal


def large() -> World:
    roomy = Limits(inbox_bytes=1 << 20)
    body = b"x" * 40_000

    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        if state.turns < 2:
            outbox.sleep(0)
            outbox.send("b", body)
            outbox.call("do", b"ask")

    feed = b"row\n" + b"y" * 40_000 + b"\n"
    actors = {
        spec("a", send=("b",), skills=("do",), limits=roomy): acting(step),
        spec("b", limits=roomy): acting(listen),
    }
    return stage(
        actors,
        ticks=0,
        files=(feed,),
        skills=(SkillSpec("do", 1),),
        feeds=(FeedSpec("one", codec.digest(feed), "b", False),),
    )


def test_a_result_larger_than_the_inbox_is_told_and_replays() -> None:
    world = asking(asks=1)
    journal = empty(world)
    done = run(world, journal=journal, options=options(Echo(70_000)))
    assert replay(journal).head == done.head
    assert done.status == "complete"


@given(st.integers(0, 20), st.integers(0, 2**64 - 1))
def test_two_forks_with_the_same_change_are_equal(at: int, seed: int) -> None:
    world = chat(ticks=6)
    journal, _ = made(world)
    edit = Edit((Input(InputKind.RESEED, "operator", number=seed),))
    at = min(at, journal.length() - 1)
    heads = {fork(journal, at=at, edit=edit, world=world, options=options()).head for _ in range(2)}
    assert len(heads) == 1


def test_operator_inputs_do_what_they_say() -> None:
    world = chat()
    journal, _ = made(world)
    copy = empty(world)
    stop = Input(InputKind.STOP_AGENT, "operator", "a")
    fork(journal, at=5, to=copy, edit=Edit((stop,)), world=world, options=options())
    assert [agent.status for agent in state_at(copy, 6).agents] == ["stopped", "active"]
