"""plane/live.py: nobody who tells a run something waits for its calls."""

import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

import tickwork
from tests.unit.plane.engines import (
    CLASSES,
    PINS,
    Deeds,
    asking,
    begin,
    engine_in,
    plan_of,
    status_of,
    step,
    task,
    waiting,
)
from tickwork.driver.opening import read_header
from tickwork.driver.options import Options
from tickwork.driver.resolve import World
from tickwork.plane.approvals import Approvals
from tickwork.plane.calls import Order, SkillCall
from tickwork.plane.compiled import EXECUTOR_ENTRY, Call, Compiled, CostHint
from tickwork.plane.engine import Engine
from tickwork.plane.executor.agent import PlanExecutor
from tickwork.plane.explain import explain
from tickwork.plane.orders import Orders
from tickwork.plane.store.runs import NewRun
from tickwork.plane.waits import Waits


class Slow:
    """A skill that answers when it is told to."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.gate = threading.Event()

    def hold(self, _call: SkillCall, _key: str) -> Any:
        self.begun.set()
        assert self.gate.wait(30)
        return {}


@contextmanager
def slowly(folder: Path, slow: Slow, *paths: str) -> Generator[tuple[Engine, Deeds]]:
    """Yield an engine whose calls of some steps hang; they come back at the end."""
    deeds = Deeds(dict.fromkeys(paths or ("slow",), slow.hold), inline=False)
    try:
        with engine_in(folder, deeds) as engine:
            yield engine, deeds
    finally:
        slow.gate.set()


def work_until(engine: Engine, slow: Slow, so: Callable[[], bool]) -> None:
    """Work until nothing is left; slow calls come back as soon as something is so, and not before."""

    def look() -> bool:
        if so():
            slow.gate.set()
        return False

    engine.work(stop=look)


def statuses(engine: Engine, run_id: str) -> dict[str, str]:
    with engine.store.journals.open_run(run_id) as journal:
        return {found.path: found.status for found in explain(journal).steps}


def check(engine: Engine, run_id: str) -> None:
    """Check that a run is what its journal says."""
    with engine.store.journals.open_run(run_id) as journal:
        header, _ = read_header(journal)
        assert tickwork.verify(journal, world=World(header, natives={EXECUTOR_ENTRY: PlanExecutor})).equal
        assert tickwork.replay(journal).head == journal.head().d


def tell(engine: Engine, slow: Slow, run_id: str, *orders: Order) -> None:
    """Tell a run something as soon as its slow call is out."""
    assert slow.begun.wait(30)
    for order in orders:
        Orders(engine.store).give(run_id, order)


@contextmanager
def telling(engine: Engine, slow: Slow, run_id: str, *orders: Order) -> Generator[None]:
    thread = threading.Thread(target=tell, args=(engine, slow, run_id, *orders))
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize("kind", ["pure", "idempotent"])
def test_a_run_that_is_cancelled_ends_before_its_slow_call_does(tmp_path: Path, kind: str) -> None:
    slow = Slow()
    with slowly(tmp_path, slow) as (engine, deeds):
        run_id = begin(engine, plan_of(step("slow", kind), step("after", kind, 0), step("quick", kind)))
        with telling(engine, slow, run_id, Order("cancel", by="ann")):
            engine.work()
        assert not slow.gate.is_set()
        assert (status_of(engine, run_id), engine.runs.get(run_id).reason) == ("cancelled", "TW7013 cancelled by ann")
        assert statuses(engine, run_id) == {"slow": "cancelled", "after": "cancelled", "quick": "succeeded"}
        check(engine, run_id)
    assert [path for path, _, _ in deeds.done] == ["slow", "quick"]


def test_a_cancel_waits_for_calls_that_may_have_changed_something_or_that_can_be_undone(tmp_path: Path) -> None:
    slow = Slow()
    undo = Call(CLASSES.index("idempotent"), b"{}", True)
    plan = plan_of(step("pay", "unsafe"), step("book", compensate=undo), step("free", "pure"))
    with slowly(tmp_path, slow, "pay", "book", "free") as (engine, deeds):
        run_id = begin(engine, plan)
        with telling(engine, slow, run_id, Order("cancel")):
            work_until(engine, slow, lambda: taken(engine, run_id))
        assert status_of(engine, run_id) == "cancelled"
        assert [path for path, _, _ in deeds.done].count("book") == 2, "it is undone"
        assert statuses(engine, run_id) == {"pay": "succeeded", "book": "compensated", "free": "cancelled"}
        check(engine, run_id)


def taken(engine: Engine, run_id: str) -> bool:
    """Return whether a run has taken an order."""
    with engine.store.reading_quickly() as database:
        ((count,),) = database.query("SELECT COUNT(taken_us) FROM orders WHERE run_id = ?", (run_id,))
    return bool(count)


def paying(known: bool) -> Compiled:
    """Return a plan of one step that costs something, or of which nobody knows what it costs."""
    hint = CostHint(5 if known else 0, known=known)
    pins = tuple(msgspec.structs.replace(pin, cost=hint) for pin in PINS)
    return msgspec.structs.replace(plan_of(step("slow")), pins=pins)


@pytest.mark.parametrize("known", [True, False])
def test_a_cancel_waits_for_calls_that_cost_something(tmp_path: Path, known: bool) -> None:
    slow = Slow()
    with slowly(tmp_path, slow) as (engine, _):
        run_id = begin(engine, paying(known))
        with telling(engine, slow, run_id, Order("cancel")):
            work_until(engine, slow, lambda: taken(engine, run_id))
        assert (status_of(engine, run_id), statuses(engine, run_id)) == ("cancelled", {"slow": "succeeded"})
        check(engine, run_id)


@pytest.mark.parametrize("kind", ["idempotent", "unsafe"])
def test_a_step_that_is_completed_by_hand_holds_up_nobody(tmp_path: Path, kind: str) -> None:
    slow = Slow()
    plan = plan_of(step("slow", kind), step("next", "idempotent", 0), step("last", "idempotent", 1))
    with slowly(tmp_path, slow) as (engine, deeds):
        run_id = begin(engine, plan)
        done = Order("complete", step="slow", output=msgspec.Raw(b'{"by": "hand"}'))
        with telling(engine, slow, run_id, done):
            work_until(engine, slow, lambda: ("last", "idempotent", 1) in deeds.done)
        assert status_of(engine, run_id) == "succeeded"
        check(engine, run_id)


def test_an_answer_of_a_person_is_taken_while_a_call_is_out(tmp_path: Path) -> None:
    slow = Slow()
    plan = plan_of(step("slow"), asking("one"), waiting("two", kind="signal", signal="go"), asking("three", 2))
    with slowly(tmp_path, slow) as (engine, deeds):
        run_id = begin(engine, plan)
        approvals = Approvals(engine.store)

        def people() -> None:
            assert slow.begun.wait(30)
            answered = set[str]()
            while "three" not in answered:
                for view in approvals.list():
                    answered.add(view.step)
                    approvals.decide(view.id, "grant", by="ann")
                if "one" in answered and "two" not in answered:
                    answered.add("two")
                    Waits(engine.store).send(run_id, "go", b"1", key="k")

        thread = threading.Thread(target=people)
        thread.start()
        work_until(engine, slow, lambda: ("three", "idempotent", 1) in deeds.done)
        thread.join()
        assert status_of(engine, run_id) == "succeeded"
        check(engine, run_id)


def test_results_of_calls_still_enter_together_after_an_order(tmp_path: Path) -> None:
    slow = Slow()
    plan = plan_of(step("slow"), step("quick"), step("after", "idempotent", 1))
    with slowly(tmp_path, slow) as (engine, deeds):
        run_id = begin(engine, plan, x=1)
        seen = list[list[tuple[str, str, int]]]()

        def look() -> bool:
            if taken(engine, run_id):
                seen.append(list(deeds.done))
            return bool(seen)

        with telling(engine, slow, run_id, Order("input", step="x", output=msgspec.Raw(b"2"))):
            work_until(engine, slow, look)
        assert {path for path, _, _ in seen[0]} <= {"slow", "quick"}, "nothing follows from a part of the results"
        assert status_of(engine, run_id) == "succeeded"
        check(engine, run_id)


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(1, 16, 2))
def test_a_run_that_an_order_has_opened_is_gone_on_with_after_every_crash(tmp_path: Path, moment: int) -> None:
    slow = Slow()
    plan = plan_of(step("slow"), asking("ask"), step("after", "idempotent", 0))
    with engine_in(tmp_path, Deeds()) as engine:
        run_id = engine.submit(NewRun(), task(plan), work=False)[0].id

    child = os.fork()
    if not child:
        left = [-1]

        def edge(_: str) -> None:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        deeds = Deeds({"slow": slow.hold}, inline=False)
        with engine_in(tmp_path, deeds, options=Options(edge=edge)) as engine:
            engine.take(run_id)
            while not slow.begun.is_set():
                engine.round()
            left[0] = moment
            Orders(engine.store).give(run_id, Order("cancel", by="ann"))
            engine.work()
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or not status
    deeds = Deeds()
    with engine_in(tmp_path, deeds) as engine:
        engine.work_all()
        assert (status_of(engine, run_id), Approvals(engine.store).list()) == ("cancelled", [])
        assert "after" not in {path for path, _, _ in deeds.done}
        check(engine, run_id)
