"""Runs into a journal that the caller made."""

import msgspec
import pytest

from tickwork import codec
from tickwork.driver.resolve import make_world, new_header
from tickwork.driver.run import run
from tickwork.driver.verify import replay
from tickwork.errors import JournalExists
from tickwork.journal.memory import MemoryJournal
from tickwork.native import Context, Outbox
from tickwork.records import AgentSpec, Environment, Message

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
