"""Hard limits of money hold to the last micro-dollar, however many calls of however many runs and processes at once."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.plane.engines import Deeds, engine_in
from tickwork.clock import SystemClock
from tickwork.driver.performers import Terms
from tickwork.kinds import EffectClass
from tickwork.plane.asking import waiting_performers
from tickwork.plane.budgets import Ledger, Purse
from tickwork.plane.calls import Usage
from tickwork.plane.compiled import AgentPin, Assignment, Budget, Call, Compiled, CostHint, Plan, Step
from tickwork.plane.live import Staff
from tickwork.plane.profile import ProfileTable, with_changes
from tickwork.plane.skills.performing import Ports, SkillPerformer
from tickwork.plane.skills.registry import Found, pin_of
from tickwork.plane.skills.shapes import SchemaShape
from tickwork.plane.skills.skill import CallContext, Traits
from tickwork.plane.store.runs import NewRun, RunRow
from tickwork.plane.store.store import Store
from tickwork.records import Header

PRICE = 10_000
CALLS = 100
PROCESSES, RUNS = 2, 2


class Dear:
    """Costs as much as was set aside for it."""

    traits = Traits("dear", "1", "Costs money.", EffectClass.IDEMPOTENT, cost=CostHint(per_call_micros=PRICE))
    shapes = SchemaShape({"type": "object"}), SchemaShape(True)

    def call(self, given: Any, context: CallContext) -> int:
        """Spend it."""
        assert given == {}
        context.usage = Usage(requests=1, cost_micros=PRICE)
        return 1


FOUND = Found(Dear(), Dear.traits, pin_of(Dear.traits, Dear()))


class Paying(Deeds):
    """Staffs runs with a skill that is paid from what all runs of a profile share."""

    def __init__(self, total_usd: str = "") -> None:
        super().__init__()
        changes = {"spending.total_usd": total_usd} if total_usd else {}
        self.table = with_changes(ProfileTable("a"), changes)

    def staff(self, row: RunRow, header: Header, assignment: Assignment) -> Staff:
        assert self.waits is not None
        purse = Purse(Ledger(self.store, SystemClock()), self.table, row.id)
        performers: dict[str, Any] = waiting_performers(self.waits, row.id)
        terms = dict.fromkeys(performers, Terms(waited=False, inline=True))
        performers["dear@1"] = SkillPerformer(FOUND, Ports(SystemClock(), purse=purse), run_id=row.id)
        terms["dear@1"] = Terms(waited=True)
        return Staff(performers, terms)

    store: Store


def plan(limit: int = -1) -> Assignment:
    """Return a plan of many calls beside each other."""
    steps = tuple(Step(f"s{n}", call=Call(0), on_error="continue") for n in range(CALLS))
    compiled = Compiled((Plan("p", "1", steps, budget=Budget(limit)),), (FOUND.pin,), b"{}", bytes(32))
    return Assignment("", b"{}", AgentPin(), compiled)


def worked(folder: Path, deeds: Paying, assignment: Assignment, runs: int) -> list[tuple[int, int]]:
    """Return what each of some runs has cost, and how many of its steps went well."""
    with engine_in(folder, deeds, lanes=16) as engine:
        deeds.store = engine.store
        ids = [engine.submit(NewRun(), assignment)[0].id for _ in range(runs)]
        engine.work()
        endings = [engine.outcomes[one].ending for one in ids]
        return [(one.usage.cost_micros, dict(one.steps).get("succeeded", 0)) for one in endings if one is not None]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0, PRICE - 1, PRICE, 37 * PRICE + 5, CALLS * PRICE])
def test_a_run_spends_no_more_than_its_plan_may(tmp_path: Path, limit: int) -> None:
    assert worked(tmp_path, Paying(), plan(limit), 1) == [(limit // PRICE * PRICE, limit // PRICE)]


@pytest.mark.slow
def test_runs_of_several_processes_spend_together_no_more_than_their_profile_may(tmp_path: Path) -> None:
    with engine_in(tmp_path, Deeds()):
        pass
    deeds, children = Paying("1.005"), list[int]()
    for number in range(PROCESSES):
        child = os.fork()
        if not child:
            status = 1
            try:
                spent = worked(tmp_path, deeds, plan(), RUNS)
                (tmp_path / f"spent{number}").write_bytes(msgspec.json.encode(spent))
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * PROCESSES
    spent = [one for n in range(PROCESSES) for one in msgspec.json.decode((tmp_path / f"spent{n}").read_bytes())]
    assert len(spent) == PROCESSES * RUNS
    assert sum(cost for cost, _ in spent) == 100 * PRICE, "all that there was, and no more"
    assert sum(good for _, good in spent) == 100
    with Store.open(tmp_path / "state.db", SystemClock()) as store:
        (booked,) = (one for one in Ledger(store, SystemClock()).spent("profile:a") if one.hard_micros >= 0)
        assert (booked.spent_micros, booked.reserved_micros, booked.calls) == (100 * PRICE, 0, 100)
