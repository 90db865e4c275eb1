"""The audit counts every message."""

import msgspec
import pytest

from tests.laws.corpus import drawn
from tests.laws.recorded import record
from tickwork import codec
from tickwork.driver.options import Options
from tickwork.journal.memory import MemoryJournal
from tickwork.records import DerivedKind, Effect, Frame, Result
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
