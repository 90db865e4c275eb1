"""plane/engine.py and live.py: runs go on until they wait or end, whoever else is at work, and after every crash."""

import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.plane.engines import (
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
from tickwork.clock import SteppedClock
from tickwork.driver.options import Options
from tickwork.plane.approvals import Approvals
from tickwork.plane.calls import Failure, Order, SkillCall
from tickwork.plane.compiled import RetryRule
from tickwork.plane.dead_letters import DeadLetters
from tickwork.plane.engine import Engine, Outcome
from tickwork.plane.errors import RunBusy, RunNotFound
from tickwork.plane.orders import Orders
from tickwork.plane.store.runs import DEAD, NewRun
from tickwork.plane.waits import Waits

THREE = plan_of(
    step("a", params={"x": "${inputs.x}"}),
    step("b", "idempotent", 0, params={"x": "${steps.a.output.x}"}),
    step("c", "idempotent", 1, params={"x": "${steps.b.output.x}"}),
    outputs={"x": "${steps.c.output.x}"},
)


def outputs(engine: Engine, run_id: str) -> Any:
    ending = engine.outcomes[run_id].ending
    assert ending is not None
    return msgspec.json.decode(ending.output)


@pytest.mark.parametrize("inline", [True, False])
def test_a_plan_runs_to_its_end(tmp_path: Path, inline: bool) -> None:
    deeds = Deeds(inline=inline)
    with engine_in(tmp_path, deeds) as engine:
        run_id = begin(engine, THREE, x=7)
        engine.work()
        row = engine.runs.get(run_id)
        assert (row.status, row.calls, row.lease_owner, outputs(engine, run_id)) == ("succeeded", 3, "", {"x": 7})
        assert engine.store.journals.open_run(run_id).status().closed
    assert [path for path, _, _ in deeds.done] == ["a", "b", "c"]


def test_the_head_does_not_depend_on_threads_or_on_other_runs(tmp_path: Path) -> None:
    wide = plan_of(*(step(f"s{n}", params={"n": n}) for n in range(20)), step("end", "idempotent", *range(20)))
    heads = set[bytes]()
    for inline, lanes in ((True, 1), (False, 1), (False, 8)):
        with engine_in(tmp_path / f"{inline}{lanes}", Deeds(inline=inline), lanes=lanes) as engine:
            runs = [begin(engine, wide) for _ in range(3)]
            engine.work()
            heads |= {engine.outcomes[run_id].head for run_id in runs}
    assert len(heads) == 1


def test_a_run_is_gone_on_with_by_another_process_after_this_one_let_go(tmp_path: Path) -> None:
    deeds = Deeds()
    with engine_in(tmp_path, deeds) as engine:
        run_id = engine.submit(NewRun(), task(THREE, x=1), work=False)[0].id
        assert status_of(engine, run_id) == "queued"
    with engine_in(tmp_path, deeds) as engine:
        assert engine.work_all() == 1
        assert outputs(engine, run_id) == {"x": 1}
        with pytest.raises(RunBusy):
            engine.work([run_id])
        with pytest.raises(RunNotFound):
            engine.work(["r_none"])


def test_who_stays_goes_on_with_what_others_queue_and_ends_when_told_to(tmp_path: Path) -> None:
    over, deeds = list[Outcome](), Deeds()
    with engine_in(tmp_path, deeds) as engine, engine_in(tmp_path, deeds) as other:

        def stop() -> bool:
            # Nothing is queued before somebody waits for it, and the second run only once the first has ended.
            if len(over) < 2 and len(other.runs.page()) == len(over):
                other.submit(NewRun(), task(THREE, x=1), work=False)
            return len(over) == 2

        assert engine.work_all(stop=stop, stay=True, over=over.append) == 2
        assert engine.outcomes == {}
    assert [one.progress.status for one in over] == ["succeeded"] * 2


def test_what_stops_an_engine_lets_its_runs_go_as_they_are(tmp_path: Path) -> None:
    deeds = Deeds()
    with engine_in(tmp_path, deeds) as engine:
        run_id = begin(engine, THREE, x=1)
        engine.work(stop=lambda: len(deeds.done) == 2)
        assert status_of(engine, run_id) == "queued"
    with engine_in(tmp_path, deeds) as engine:
        engine.work_all()
        assert outputs(engine, run_id) == {"x": 1}


def test_a_run_that_cannot_be_opened_is_set_aside_and_the_others_go_on(tmp_path: Path) -> None:
    with engine_in(tmp_path, Deeds()) as engine:
        bad = engine.runs.submit(NewRun())[0].id
        good = begin(engine, THREE, x=1)
        engine.work_all()
        assert (status_of(engine, bad), status_of(engine, good)) == ("dead_lettered", "succeeded")
        letters = DeadLetters(engine.store)
        (letter,) = letters.list()
        assert (letter.run_id, letter.reason.split(":")[0]) == (bad, "TW2001")
        letters.requeue(bad)
        assert (status_of(engine, bad), letters.list()) == ("queued", [])
        engine.work_all()
        letters.discard(bad)
        assert (status_of(engine, bad), [one.status for one in letters.list(status="")]) == (
            "failed",
            ["requeued", "discarded"],
        )
        with pytest.raises(RunNotFound):
            letters.requeue(bad)


def test_a_run_whose_workers_die_again_and_again_is_set_aside(tmp_path: Path) -> None:
    with engine_in(tmp_path, Deeds()) as engine:
        run_id = engine.submit(NewRun(), task(THREE, x=1), work=False)[0].id
        for number in range(7):
            engine.runs.claim(run_id, f"dead{number}")
        engine.work([run_id])
        assert status_of(engine, run_id) == "dead_lettered"


def test_a_run_that_gets_further_is_gone_on_with_however_often_its_workers_die(tmp_path: Path) -> None:
    deeds, plan = Deeds(), plan_of(*(step(f"s{n}", "pure", *([n - 1] if n else [])) for n in range(30)))
    with engine_in(tmp_path, deeds) as engine:
        run_id = engine.submit(NewRun(), task(plan), work=False)[0].id
    for number in range(1, 12):
        with engine_in(tmp_path, deeds) as engine:
            engine.take(run_id)
            for _ in range(2):
                engine.round()
            engine.store.journals.flush(durable=True)
            assert engine.runs.get(run_id).status == "running", number
    with engine_in(tmp_path, deeds) as engine:
        engine.work([run_id])
        assert status_of(engine, run_id) == "succeeded"


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_a_run_that_waits_is_rows_until_somebody_answers(tmp_path: Path) -> None:
    deeds = Deeds()
    plan = plan_of(step("a"), asking("b", 0, params={"to": "ann"}), step("c", "idempotent", 1))
    with engine_in(tmp_path, deeds) as engine:
        run_id = begin(engine, plan)
        engine.work()
        row = engine.runs.get(run_id)
        assert (row.status, row.reason, row.lease_owner) == ("waiting", "approval b", "")
        assert engine.work_all() == 0
    with engine_in(tmp_path, deeds) as engine:
        approvals = Approvals(engine.store)
        (view,) = approvals.list()
        assert (view.step, view.skill, msgspec.json.decode(view.arguments)) == ("b", "idempotent@1", {"to": "ann"})
        assert approvals.decide(view.id, "grant", by="ann")[1]
        assert engine.work_all() == 1
        assert status_of(engine, run_id) == "succeeded"
    assert [path for path, _, _ in deeds.done] == ["a", "b", "c"]


def test_an_answer_reaches_a_run_that_is_at_work(tmp_path: Path) -> None:
    gate, asked = threading.Event(), threading.Event()

    def hold(_call: SkillCall, _key: str) -> Any:
        asked.set()
        assert gate.wait(30)
        return {}

    plan = plan_of(step("slow"), asking("ask"), ordering="arrival")
    deeds = Deeds({"slow": hold}, inline=False)
    with engine_in(tmp_path, deeds) as engine:
        run_id = begin(engine, plan)
        approvals = Approvals(engine.store)

        def person() -> None:
            assert asked.wait(30)
            while not (views := approvals.list()):
                pass
            approvals.decide(views[0].id, "grant", by="ann")

        thread = threading.Thread(target=person)
        thread.start()

        def agreed() -> bool:
            found = any(path == "ask" for path, _, _ in deeds.done)
            if found:
                gate.set()
            return found

        engine.work(stop=agreed)
        thread.join()
        engine.work_all()
        assert status_of(engine, run_id) == "succeeded"


@pytest.mark.slow
def test_sixty_four_approvals_are_answered_in_any_order_with_a_restart_between_each(tmp_path: Path) -> None:
    count = 64
    plan = plan_of(step("above"), *(asking(f"s{n}", 0) for n in range(count)), ordering="arrival")
    deeds, order = Deeds(), random.Random(7)
    with engine_in(tmp_path, deeds) as engine:
        run_id = begin(engine, plan)
        engine.work()
    for left in range(count, 0, -1):
        with engine_in(tmp_path, deeds) as engine:
            views = Approvals(engine.store).list(run_id=run_id)
            assert len(views) == left
            Approvals(engine.store).decide(order.choice(views).id, "grant", by="ann")
            engine.work_all()
    with engine_in(tmp_path, deeds) as engine:
        assert status_of(engine, run_id) == "succeeded"
    assert sorted(path for path, _, _ in deeds.done) == sorted(["above", *(f"s{n}" for n in range(count))])


def test_a_short_time_is_waited_for_and_a_long_one_is_not(tmp_path: Path) -> None:
    clock = SteppedClock(step_us=20_000)
    plan = plan_of(waiting("soon", kind="timer", timer_ms=500), waiting("late", 0, kind="timer", timer_ms=3_600_000))
    with engine_in(tmp_path, Deeds(), clock=clock) as engine:
        run_id = begin(engine, plan)
        engine.work()
        row = engine.runs.get(run_id)
        assert (row.status, row.reason) == ("waiting", "timer late")
        assert row.due_us is not None
    with engine_in(tmp_path, Deeds(), clock=SteppedClock(start_us=row.due_us, step_us=10)) as engine:
        assert engine.work_all() == 1
        assert status_of(engine, run_id) == "succeeded"


def test_a_failed_call_is_tried_again_after_its_pause(tmp_path: Path) -> None:
    def fail_twice(call: SkillCall, _key: str) -> Any:
        return Failure("TW7008", "no", retryable=True) if call.attempt < 3 else {"attempt": call.attempt}

    plan = plan_of(step("a", retry=RetryRule(3, 1000), on_error="retry"), outputs="${steps.a.output}")
    deeds = Deeds({"a": fail_twice})
    with engine_in(tmp_path, deeds, clock=SteppedClock(step_us=20_000)) as engine:
        run_id = begin(engine, plan)
        engine.work()
        assert outputs(engine, run_id) == {"attempt": 3}


def test_a_signal_comes_before_or_after_the_step_that_waits_for_it(tmp_path: Path) -> None:
    plan = plan_of(
        waiting("one", kind="signal", signal="go"),
        waiting("two", 0, kind="signal", signal="go"),
        outputs=["${steps.one.output}", "${steps.two.output}"],
    )
    with engine_in(tmp_path, Deeds()) as engine:
        run_id = begin(engine, plan)
        waits = Waits(engine.store)
        assert waits.send(run_id, "go", b"1", key="k")
        assert not waits.send(run_id, "go", b"1", key="k")
        engine.work()
        assert engine.runs.get(run_id).reason == "signal two"
        waits.send(run_id, "go", b"2")
        engine.work_all()
        assert outputs(engine, run_id) == [1, 2]


def test_people_skip_complete_and_cancel(tmp_path: Path) -> None:
    plan = plan_of(asking("a"), asking("b", 0), asking("c", 1), outputs="${steps.b.output}")
    with engine_in(tmp_path, Deeds()) as engine:
        run_id = begin(engine, plan)
        engine.work()
        orders, approvals = Orders(engine.store), Approvals(engine.store)
        assert orders.give(run_id, Order("skip", step="a"), key="k")
        assert not orders.give(run_id, Order("skip", step="a"), key="k")
        engine.work_all()
        assert [view.step for view in approvals.list()] == ["b"]
        orders.give(run_id, Order("complete", step="b", output=msgspec.Raw(b'{"by": "hand"}')))
        engine.work_all()
        assert [view.step for view in approvals.list()] == ["c"]
        orders.give(run_id, Order("cancel", by="ann"))
        engine.work_all()
        assert (status_of(engine, run_id), approvals.list()) == ("cancelled", [])
        assert {view.status for view in approvals.list(status="")} == {"cancelled"}


# -- crashes -----------------------------------------------------------------------------------------------------------


def live_once(work: Callable[[], None]) -> bool:
    """Do something in a process of its own; return whether it came to its end."""
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or not status, "it failed in another way than by being killed"
    return not os.WIFSIGNALED(status)


class Mortal:
    """Skills that write to a file what they did, in a process that is killed at one of its moments."""

    def __init__(self, folder: Path, moment: int) -> None:
        self.folder = folder
        self.left = moment
        self.log = folder / "deeds"

    def pass_by(self, _name: str = "") -> None:
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)

    def do(self, call: SkillCall, key: str) -> Any:
        self.pass_by()
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{call.path} {key}\n")
        self.pass_by()
        return {"did": call.path}


def people_decide(engine: Engine, log: Path) -> None:
    """Agree to every step; of a lost call look whether it happened, and say so."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    happened = {line.split()[0] for line in lines}
    approvals = Approvals(engine.store)
    for view in approvals.list():
        if view.kind == "lost" and view.step in happened:
            approvals.decide(view.id, "complete", by="ann", value={"did": view.step})
        else:
            approvals.decide(view.id, "grant", by="ann")


EVERY = plan_of(
    step("pure", "pure"),
    step("idempotent", "idempotent", 0),
    step("compensable", "compensable", 1),
    step("unsafe", "unsafe", 2),
    step("pay", "unsafe", 2),
    asking("asked", 3, 4, kind="unsafe"),
    step("end", "idempotent", 5),
    outputs="${steps.end.output}",
)


def survive(folder: Path, moments: random.Random) -> int:
    """Run a plan of every class of skills, killed again and again; return how many lives it took."""
    folder.mkdir()
    paths = [one.id for one in EVERY.plans[0].steps]
    deeds = Deeds()
    with engine_in(folder, deeds) as engine:
        run_id = engine.submit(NewRun(), task(EVERY), work=False)[0].id
    lives = 0
    while True:
        mortal = Mortal(folder, moments.randrange(1, 60))

        def live(mortal: Mortal = mortal) -> None:
            again = Deeds(dict.fromkeys(paths, mortal.do))
            with engine_in(folder, again, options=Options(edge=mortal.pass_by)) as engine:
                engine.work_all()

        live_once(live)
        lives += 1
        with engine_in(folder, deeds) as engine:
            row = engine.runs.get(run_id)
            if row.status == DEAD:
                DeadLetters(engine.store).requeue(run_id)  # Several lives in a row ended before their first frame.
            elif not row.open:
                break
            people_decide(engine, folder / "deeds")
    assert row.status == "succeeded", row.reason
    done = [line.split() for line in (folder / "deeds").read_text(encoding="utf-8").splitlines()]
    keys = {path: {key for known, key in done if known == path} for path in paths}
    assert all(len(found) <= 1 for found in keys.values()), "a receiver that honours the key sees one call"
    for path in ("compensable", "unsafe", "pay", "asked"):
        assert sum(known == path for known, _ in done) == 1, f"{path} was done more than once"
    return lives


@pytest.mark.slow
def test_no_effect_is_lost_or_repeated_however_often_the_process_is_killed(tmp_path: Path) -> None:
    moments = random.Random(11)
    lives = [survive(tmp_path / str(number), moments) for number in range(4)]
    assert sum(lives) > len(lives)


@pytest.mark.slow
def test_a_thousand_equal_submissions_at_once_make_one_run(tmp_path: Path) -> None:
    with engine_in(tmp_path, Deeds()):
        pass
    children = list[int]()
    for number in range(4):
        child = os.fork()
        if not child:
            with engine_in(tmp_path, Deeds()) as engine:
                found = {engine.submit(NewRun(key="k"), task(THREE, x=1), work=False)[0].id for _ in range(250)}
            (tmp_path / f"found{number}").write_text(" ".join(found), encoding="utf-8")
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    found = {(tmp_path / f"found{number}").read_text(encoding="utf-8") for number in range(4)}
    with engine_in(tmp_path, Deeds()) as engine:
        assert found == {row.id for row in engine.runs.page()}
        assert len(found) == len(engine.store.journals.runs()) == 1
