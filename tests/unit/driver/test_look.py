"""Looking into a run."""

import msgspec
import pytest

from tests.unit.driver.troupe import Echo, asking, chat, empty, options
from tickwork import codec
from tickwork.driver.look import agent_number, frame_at, machine_at, messages_between, state_at
from tickwork.driver.resolve import World
from tickwork.driver.run import run
from tickwork.errors import AgentNotFound, JournalDamaged, TickOutOfRange
from tickwork.journal.memory import MemoryJournal


def made(world: World) -> MemoryJournal:
    journal = empty(world)
    run(world, journal=journal, options=options(Echo()))
    return journal


JOURNAL = made(chat(ticks=12))


def test_the_state_after_a_tick_is_that_of_the_run() -> None:
    view = state_at(JOURNAL, 5)
    assert view.tick == 6
    assert [agent.name for agent in view.agents] == ["a", "b"]
    assert view.topics[0].subscribers == ("a", "b")
    assert len(view.root) == 64
    assert state_at(JOURNAL).status == "complete"


def test_the_root_shown_is_the_root_recorded() -> None:
    journal = made(chat(ticks=12, checkpoint_every=4))
    frame = journal.frame(7)
    assert frame is not None
    roots = [item.digest.hex() for item in codec.decode_derived(frame.derived) if item.digest]
    # A root is taken of the state before its own record, which is not part of the state.
    assert roots == [state_at(journal, 7).root]


def test_a_tick_is_shown_with_its_inputs_turns_messages_and_records() -> None:
    view = frame_at(JOURNAL, 3)
    assert {turn.agent for turn in view.turns} <= {"a", "b"}
    assert {message.kind for message in view.messages} == {"send", "publish_retained"}
    assert all(message.target in ("a", "b", "t") for message in view.messages)
    assert any(item.startswith("lost_write") for item in view.derived)


def test_a_failed_turn_is_shown_with_its_reason() -> None:
    failed = [turn for tick in range(2, 12) for turn in frame_at(JOURNAL, tick).turns if turn.status != "ok"]
    assert {turn.detail for turn in failed} == {"RuntimeError: now and then"}


def test_messages_are_listed_by_tick_and_agent() -> None:
    found = list(messages_between(JOURNAL, 2, 4, "a"))
    assert {view.tick for view in found} == {2, 3, 4}
    assert all("a" in (view.source, view.target) for view in found)
    assert len(list(messages_between(JOURNAL, 2, 4))) > len(found)


def test_effects_and_their_results_are_shown() -> None:
    journal = made(asking(asks=1))
    assert state_at(journal, 1).effects[0].endswith(" do")
    assert frame_at(journal, 2).inputs[0].target.startswith("effect ")


@pytest.mark.parametrize("tick", [-1, 1000])
def test_a_tick_the_run_has_not_is_refused(tick: int) -> None:
    with pytest.raises(TickOutOfRange, match=str(tick)):
        state_at(JOURNAL, tick)


def test_an_agent_is_found_by_name_or_number() -> None:
    machine = machine_at(JOURNAL, 1)
    assert (agent_number(machine, "b"), agent_number(machine, "1")) == (1, 1)
    for unknown in ("c", "2", "-1", "²"):
        with pytest.raises(AgentNotFound, match="no agent"):
            agent_number(machine, unknown)


def test_a_journal_without_a_tick_shows_its_beginning() -> None:
    journal = empty(chat())
    assert state_at(journal).tick == 0
    with pytest.raises(TickOutOfRange, match="no tick"):
        frame_at(journal)


def test_looking_into_a_damaged_journal_says_so() -> None:
    journal = made(chat(ticks=6))
    journal._frames[2] = msgspec.structs.replace(journal._frames[2], inputs=b"\xc1")
    for look in (state_at, frame_at):
        with pytest.raises(JournalDamaged):
            look(journal, 4)
