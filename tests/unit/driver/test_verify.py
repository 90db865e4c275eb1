"""Replay and verify."""

from pathlib import Path

import msgspec
import pytest

from tests.unit.driver.troupe import Echo, Memory, acting, asking, chat, empty, options, spec, stage
from tickwork import codec
from tickwork.driver.options import Progress
from tickwork.driver.resolve import World
from tickwork.driver.run import run
from tickwork.driver.verify import replay, verify
from tickwork.errors import JournalDamaged, JournalFormat, ReplayDivergence
from tickwork.journal.memory import MemoryJournal
from tickwork.native import Context, Outbox
from tickwork.records import Frame, Limits, Message, Supervision


def made(world: World) -> MemoryJournal:
    journal = empty(world)
    run(world, journal=journal, options=options(Echo()))
    return journal


def relinked(journal: MemoryJournal, tick: int, **changes: bytes) -> MemoryJournal:
    """Return the journal with a frame changed and the chain made anew, as a forger would."""
    other = MemoryJournal(*journal.header())
    heads = codec.start_chain(*journal.header())
    for frame in journal.frames():
        if frame.tick == tick:
            frame = msgspec.structs.replace(frame, **changes)
        linked = codec.link(heads, frame.tick, frame.inputs, frame.turns, frame.derived, frame.hints)
        heads = (linked.d, linked.f)
        other.append(linked)
    other._contents = journal._contents
    other.flush()
    return other


def frame_of(journal: MemoryJournal, tick: int) -> Frame:
    frame = journal.frame(tick)
    assert frame is not None
    return frame


WORLDS = [
    chat(),
    chat(visibility="linear"),
    chat(policy="round_robin", turns_per_tick=1),
    chat(checkpoint_every=1),
    asking(),
    asking(ordering="arrival"),
]


@pytest.mark.parametrize("world", WORLDS)
def test_a_replay_has_the_head_of_the_run_and_performs_nothing(world: World) -> None:
    journal = empty(world)
    done = run(world, journal=journal, options=options(Echo()))
    again = replay(journal)
    assert (again.head, again.turns, again.failed, again.frames) == (done.head, done.turns, done.failed, done.frames)
    assert again.status == done.status


@pytest.mark.parametrize("world", WORLDS)
def test_a_verification_executes_every_turn_and_finds_the_same_bytes(world: World) -> None:
    found = verify(made(world), world=world, options=options())
    assert (found.equal, found.divergence, found.damage) == (True, None, None)


def test_a_replay_of_windows_of_fuel_has_the_same_state_roots() -> None:
    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        outbox.sleep(0)

    bound = Limits(window_fuel=100, window_ticks=3)
    world = stage({spec("a", limits=bound): acting(step)}, ticks=10, checkpoint_every=1)
    journal = made(world)
    assert replay(journal).head == journal.head().d


def test_a_failed_run_replays_and_verifies() -> None:
    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        raise RuntimeError

    world = stage({spec("a", supervision=Supervision("escalate")): acting(step)})
    journal = made(world)
    again = replay(journal)
    assert (again.status, again.head) == ("failed", journal.head().d)
    assert verify(journal, world=world, options=options()).equal


def test_a_refused_outbox_is_refused_again_when_it_is_executed_again() -> None:
    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        outbox.sleep(0)
        for _ in range(1 + state.turns % 3):
            outbox.log("x")

    bound = Limits(messages_per_turn=1)
    world = stage({spec("a", limits=bound, supervision=Supervision("retry", 2)): acting(step)}, ticks=12)
    journal = made(world)
    found = verify(journal, world=world, options=options())
    assert found.equal
    assert found.run.failed > 0


def test_agents_that_do_something_else_now_are_found_at_the_first_record() -> None:
    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        outbox.sleep(0)
        outbox.log(word[0] if state.turns >= 3 else "same")

    word = ["then"]
    world = stage({spec("a"): acting(step)}, ticks=8)
    journal = made(world)
    word[0] = "now"
    found = verify(journal, world=world, options=options())
    assert found.divergence is not None
    where = found.divergence
    assert (where.tick, where.record, where.agent) == (4, "turns[0].outbox[0]", "a")
    assert (where.expected, where.actual) == ("then", "now")
    assert not found.equal


def test_a_changed_byte_is_damage_and_named_by_its_tick() -> None:
    world = chat(ticks=6)
    journal = made(world)
    frame = frame_of(journal, 3)
    journal._frames[3] = msgspec.structs.replace(frame, turns=frame.turns[:-1] + b"!")
    with pytest.raises(JournalDamaged) as caught:
        replay(journal)
    assert caught.value.record == 3
    found = verify(journal, world=world, options=options())
    assert found.damage is not None
    assert (found.equal, found.damage.record) == (False, 3)


def test_a_derived_record_that_was_forged_with_its_chain_diverges() -> None:
    world = chat(ticks=6)
    forged = relinked(made(world), 3, derived=codec.encode_derived(()))
    with pytest.raises(ReplayDivergence, match="tick 3"):
        replay(forged)
    assert verify(forged, world=world, options=options()).divergence is not None


@pytest.mark.parametrize("part", ["inputs", "turns"])
def test_a_record_that_cannot_be_read_is_damage_even_with_a_proper_chain(part: str) -> None:
    forged = relinked(made(chat(ticks=6)), 3, **{part: b"\xc1nonsense that is long enough to hold a header"})
    with pytest.raises(JournalDamaged, match="cannot be read") as caught:
        replay(forged)
    assert caught.value.record == 3


def test_a_turn_of_an_agent_that_was_not_planned_diverges() -> None:
    world = chat(ticks=6)
    journal = made(world)
    one = next(iter(codec.decode_turns(frame_of(journal, 3).turns)))
    forged = relinked(journal, 3, turns=frame_of(journal, 3).turns[: 24 + one.size])
    for visibility in (forged,):
        with pytest.raises(ReplayDivergence, match="schedule"):
            replay(visibility)


def test_a_frame_after_the_end_diverges() -> None:
    journal = made(chat(ticks=2))
    other = MemoryJournal(*journal.header())
    for frame in journal.frames():
        other.append(frame)
    last = journal.head()
    other.append(codec.link((last.d, last.f), last.tick + 1, b"\x90", b"", b"\x90", codec.encode(codec.Hints())))
    with pytest.raises(ReplayDivergence, match="present"):
        replay(other)


def test_a_journal_of_newer_semantics_is_refused() -> None:
    header = msgspec.structs.replace(chat().header, semantics=99)
    journal = MemoryJournal(codec.encode(header), made(chat(ticks=1)).header()[1])
    with pytest.raises(JournalFormat, match="semantics 99"):
        replay(journal)


def test_a_journal_whose_record_0_is_nonsense_is_damaged() -> None:
    with pytest.raises(JournalDamaged, match="record 0"):
        replay(MemoryJournal(b"nonsense", b"nonsense"))


def test_a_journal_without_a_tick_replays_to_its_header() -> None:
    journal = empty(chat())
    assert replay(journal).head == codec.start_chain(*journal.header())[0]


def test_progress_is_told_by_ticks() -> None:
    told: list[Progress] = []
    journal = made(chat(ticks=6))
    replay(journal, options=options(progress=told.append, progress_ticks=5))
    assert {item.verb for item in told} == {"replay"}
    assert told[0].tick == 5


def test_a_file_is_verified_by_its_seals_first(tmp_path: Path) -> None:
    world, path = chat(ticks=6), tmp_path / "run.twk"
    run(world, journal=path, options=options())
    assert verify(path, world=world, options=options()).equal
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(bytes(body))
    found = verify(path, world=world, options=options())
    assert (found.equal, found.divergence) == (False, None)
    assert found.damage is not None
