"""A call's money: what its skill's performer books in the ledger."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plane.stores import Hands, open_store
from tickwork.kinds import EffectClass
from tickwork.plane.budgets import Ledger, Purse
from tickwork.plane.calls import Answer, SkillCall, Usage
from tickwork.plane.errors import SkillFailed
from tickwork.plane.profile import ProfileTable, with_changes
from tickwork.plane.skills.performing import Ports, SkillPerformer
from tickwork.plane.skills.registry import Found, pin_of
from tickwork.plane.skills.shapes import SchemaShape
from tickwork.plane.skills.skill import CallContext, Shape, Traits

PRICE = 400_000
TABLE = with_changes(ProfileTable("a"), {"spending.total_usd": "1"})


class Dear:
    """Costs money whenever it is called, and fails when it is asked to."""

    traits = Traits("dear", "1", "Costs money.", EffectClass.IDEMPOTENT, inline=True)
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
        assert _answer(ledger, skill, _call(0)).failure is None
    assert {(one.reserved_micros, one.spent_micros) for one in ledger.spent()} == {(0, PRICE)}
