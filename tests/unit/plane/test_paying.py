"""A call's money: what its skill's performer books in the ledger."""

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.plane.engines import plan_of, step, task
from tests.unit.plane.stores import Hands, open_store
from tickwork.clock import SystemClock
from tickwork.driver.performers import Terms
from tickwork.kinds import EffectClass
from tickwork.plane.budgets import Ledger, Purse
from tickwork.plane.calls import Answer, SkillCall, Usage
from tickwork.plane.compiled import Assignment, CostHint
from tickwork.plane.engine import Engine
from tickwork.plane.errors import SkillFailed, SkillTimeout, StoreFailed
from tickwork.plane.live import Staff
from tickwork.plane.profile import ProfileTable, with_changes
from tickwork.plane.skills.performing import Ports, SkillPerformer
from tickwork.plane.skills.registry import Found, pin_of
from tickwork.plane.skills.shapes import SchemaShape
from tickwork.plane.skills.skill import CallContext, Shape, Traits
from tickwork.plane.store.runs import NewRun, RunRow
from tickwork.plane.store.store import Store
from tickwork.records import Effect, Header, Result

PRICE = 400_000
TABLE = with_changes(ProfileTable("a"), {"spending.total_usd": "1"})


class Dear:
    """Costs money whenever it is called, and fails when it is asked to."""

    traits = Traits(
        "dear", "1", "Costs money.", EffectClass.IDEMPOTENT, inline=True, cost=CostHint(500_000, input_micros=1)
    )
    shapes: tuple[Shape, Shape] = (SchemaShape({"type": "object"}), SchemaShape(True))

    def __init__(self) -> None:
        self.calls = 0

    def call(self, given: Mapping[str, Any], context: CallContext) -> Any:
        """Count the call."""
        self.calls += 1
        context.usage = Usage(requests=1, cost_micros=PRICE)
        if given.get("fail"):
            raise SkillFailed("it was asked to fail")
        return self.calls


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Return the ledger of an empty store."""
    store, clock = open_store(tmp_path)
    with store:
        yield Ledger(store, clock)


def _answer(ledger: Ledger, skill: Dear, call: SkillCall) -> Answer:
    found = Found(skill, skill.traits, pin_of(skill.traits, skill))
    ports = Ports(Hands(), purse=Purse(ledger, TABLE, "r"))
    return SkillPerformer(found, ports, run_id="r").answer(call)


def _call(number: int, params: bytes = b"{}", reserved: int = 500_000) -> SkillCall:
    return SkillCall(number, f"each[{number}]", "step", 1, "dear@1", params, reserved_micros=reserved)


def test_what_a_call_has_cost_is_booked_and_the_next_is_refused_before_it_is_made(ledger: Ledger) -> None:
    skill = Dear()
    assert [_answer(ledger, skill, _call(number)).output for number in range(2)] == [b"1", b"2"]
    refused = _answer(ledger, skill, _call(2)).failure
    assert refused is not None
    assert (refused.code, refused.source, refused.retryable, skill.calls) == ("TW7010", "policy", False, 2)
    assert {(one.reserved_micros, one.spent_micros) for one in ledger.spent()} == {(0, 2 * PRICE)}


def test_what_a_failed_call_has_cost_is_booked_too(ledger: Ledger) -> None:
    assert _answer(ledger, Dear(), _call(0, b'{"fail":true}')).failure is not None
    assert {(one.reserved_micros, one.spent_micros) for one in ledger.spent()} == {(0, PRICE)}


def test_a_call_that_costs_nothing_is_not_booked(ledger: Ledger) -> None:
    assert _answer(ledger, Dear(), _call(0, reserved=0)).failure is None
    assert ledger.spent() == []


def test_a_call_that_is_performed_again_is_booked_once(ledger: Ledger) -> None:
    skill = Dear()
    for _ in range(2):
        assert _answer(ledger, skill, _call(0)).output == b"1"
    assert skill.calls == 1, "what is paid for is not asked for again"
    assert {(one.reserved_micros, one.spent_micros) for one in ledger.spent()} == {(0, PRICE)}


def test_a_call_that_gave_no_result_in_time_is_charged_what_was_set_aside_and_marked(ledger: Ledger) -> None:
    class Late(Dear):
        def call(self, given: Mapping[str, Any], context: CallContext) -> Any:
            failed = SkillTimeout("it gave nothing")
            failed.unsent = bool(given.get("unsent"))
            raise failed

    sent, unsent = (_answer(ledger, Late(), _call(number, body)) for number, body in enumerate((b"{}", UNSENT)))
    assert sent.failure is not None
    assert (sent.failure.code, sent.usage) == ("TW7009", Usage(requests=1, cost_micros=500_000, prices="estimated"))
    assert unsent.usage == Usage()
    assert {(one.reserved_micros, one.spent_micros) for one in ledger.spent()} == {(0, 500_000)}


UNSENT = b'{"unsent":true}'


class Locked:
    """A purse whose store is locked for a time."""

    def __init__(self, inner: Purse, times: int) -> None:
        self._inner = inner
        self.left = times

    def reserve(self, key: str, micros: int, step: str, skill: str, *, metered: bool = False) -> bytes:
        return self._inner.reserve(key, micros, step, skill, metered=metered)

    def settle(self, key: str, micros: int, usage: Usage, answer: bytes = b"") -> None:
        self.left -= 1
        if self.left >= 0:
            raise StoreFailed("the store is locked")
        self._inner.settle(key, micros, usage, answer)


@pytest.mark.parametrize(("times", "held", "spent"), [(0, 0, PRICE), (2, 0, PRICE), (3, 500_000, 0)])
def test_a_booking_that_finds_the_store_locked_is_tried_again(
    ledger: Ledger, times: int, held: int, spent: int
) -> None:
    skill = Dear()
    found = Found(skill, skill.traits, pin_of(skill.traits, skill))
    ports = Ports(Hands(), purse=Locked(Purse(ledger, TABLE, "r"), times))
    assert SkillPerformer(found, ports, run_id="r").answer(_call(0)).failure is None
    assert {(one.reserved_micros, one.spent_micros) for one in ledger.spent()} == {(held, spent)}
    ledger.close("r")
    assert {(one.reserved_micros, one.spent_micros) for one in ledger.spent()} == {(0, spent or 500_000)}


def test_what_could_not_be_booked_is_booked_with_the_next_call(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    purse = Purse(ledger, TABLE, "r")
    purse.reserve("1", 500_000, "a", "dear@1")
    with monkeypatch.context() as locked:
        locked.setattr(ledger, "settle", _refuse)
        with pytest.raises(StoreFailed):
            purse.settle("1", 500_000, Usage(cost_micros=PRICE), b"answer")
    purse.reserve("2", 500_000, "b", "dear@1")
    assert {(one.reserved_micros, one.spent_micros) for one in ledger.spent()} == {(500_000, PRICE)}
    assert purse.reserve("1", 500_000, "a", "dear@1") == b"answer"


def _refuse(*_: object) -> None:
    raise StoreFailed("the store is locked")


class Paid:
    """Staffs runs with the dear skill, and dies once it is booked, before anybody has its answer."""

    def __init__(self, store: Store, skill: Dear, *, dies: bool) -> None:
        self._store = store
        self._skill = skill
        self._dies = dies

    def staff(self, row: RunRow, header: Header, assignment: Assignment) -> Staff:
        found = Found(self._skill, self._skill.traits, pin_of(self._skill.traits, self._skill))
        purse = Purse(Ledger(self._store, self._store.clock), TABLE, row.id)
        inner = SkillPerformer(found, Ports(self._store.clock, purse=purse), run_id=row.id)
        performer = Dying(inner) if self._dies else inner
        return Staff({"dear@1": performer}, {"dear@1": Terms(waited=True, inline=True)})


class Dying:
    """Performs a call, and then its process is gone."""

    def __init__(self, inner: SkillPerformer) -> None:
        self._inner = inner

    def perform(self, effect: Effect) -> Result:
        self._inner.perform(effect)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("it is gone")


def test_a_call_that_was_booked_before_a_crash_is_neither_made_nor_booked_again(tmp_path: Path) -> None:
    skill = Dear()
    plan = msgspec.structs.replace(plan_of(step("dear", "pure")), pins=(pin_of(skill.traits, skill),))

    def engine(*, dies: bool) -> tuple[Store, Engine]:
        store = Store.open(tmp_path / "state.db", SystemClock())
        return store, Engine(store, Paid(store, skill, dies=dies))

    child = os.fork()
    if not child:
        _, mortal = engine(dies=True)
        mortal.submit(NewRun(), task(plan))
        mortal.work()
        os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    store, again = engine(dies=False)
    with store, again:
        assert again.work_all() == 1
        (row,) = again.runs.page()
        assert (row.status, row.cost_micros, skill.calls) == ("succeeded", PRICE, 0)
        books = Ledger(store, store.clock)
        assert {(one.reserved_micros, one.spent_micros) for one in books.spent()} == {(0, PRICE)}
        with store.reading_quickly() as database:
            assert not [*database.query("SELECT key FROM idempotency")], "answers are forgotten with the run"
