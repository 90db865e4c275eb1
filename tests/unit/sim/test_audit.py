"""The audit counts every message."""

import msgspec
import pytest

from tests.laws.corpus import drawn
from tests.laws.recorded import record
from tests.unit.driver.troupe import Memory, acting, spec, stage
from tickwork import codec
from tickwork.driver.options import Options
from tickwork.journal.memory import MemoryJournal
from tickwork.native import Context, Outbox
from tickwork.records import DerivedKind, Effect, Frame, Input, InputKind, Message, Result
from tickwork.sim.audit import Audit, read_effects


class Silent:
    def perform(self, effect: Effect) -> Result:
        return Result(effect.number, 0, 0, b"")


@pytest.fixture(scope="module")
def journal() -> MemoryJournal:
    silent = Silent()
    found = record(drawn(18), Options(performers={"read": silent, "write": silent, "pay": silent}))
    assert found.run.turns > 10
    return found.journal


def copied(journal: MemoryJournal, tick: int, change: Frame) -> MemoryJournal:
    copy = MemoryJournal(*journal.header())
    for frame in journal.frames():
        copy.append(change if frame.tick == tick else frame)
    return copy


def test_a_run_adds_up(journal: MemoryJournal) -> None:
    assert Audit(journal).run() == []


def test_a_record_that_is_missing_is_named_with_its_tick(journal: MemoryJournal) -> None:
    frame = next(frame for frame in journal.frames() if codec.decode_derived(frame.derived))
    spoilt = msgspec.structs.replace(frame, derived=codec.encode_derived(codec.decode_derived(frame.derived)[1:]))
    faults = Audit(copied(journal, frame.tick, spoilt)).run()
    assert faults == [f"tick {frame.tick}: a replay derives other records than the run"]


def test_a_turn_that_is_missing_is_another_schedule(journal: MemoryJournal) -> None:
    spoilt = msgspec.structs.replace(next(journal.frames()), turns=b"")
    assert "plans other turns" in Audit(copied(journal, 0, spoilt)).run()[0]


def test_effects_are_read_from_records_alone(journal: MemoryJournal) -> None:
    derived = [item for frame in journal.frames() for item in codec.decode_derived(frame.derived)]
    found = read_effects(journal)
    assert len(found.asked) == sum(item.kind == DerivedKind.EFFECT for item in derived)
    assert found.open == {}


def test_a_value_that_a_grant_hands_out_was_said_before() -> None:
    def step(state: Memory, inbox: tuple[Message, ...], context: Context, outbox: Outbox) -> None:
        if context.name == "a" and not state.turns:
            outbox.publish("t", b"kept", retain=True)

    hears = spec("b", subscribe=("t",), denied=("subscribe:t",))
    world = stage({spec("a", publish=("t",)): acting(step), hears: acting(step)}, ticks=9)
    orders = [(InputKind.GRANT, 4), (InputKind.REVOKE, 5), (InputKind.GRANT, 5), (InputKind.STOP_AGENT, 6)]
    inputs = tuple((tick, Input(kind, "operator", "b", body=b"subscribe:t")) for kind, tick in orders)
    found = record(msgspec.structs.replace(world, inputs=inputs), Options())
    assert Audit(found.journal).run() == []
    named = [item.kind for frame in found.journal.frames() for item in codec.decode_derived(frame.derived)]
    assert (named.count(DerivedKind.JOINED), named.count(DerivedKind.LEFT)) == (2, 2)
