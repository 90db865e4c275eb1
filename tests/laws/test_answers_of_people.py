"""People answer in any order, each in a process of its own: nothing above a wait runs twice, and all of it replays."""

import os
import random
from collections import Counter
from pathlib import Path

import pytest

import tickwork
from tests.unit.plane.engines import Deeds, asking, engine_in, plan_of, step, task
from tickwork.driver.opening import read_header
from tickwork.driver.resolve import World
from tickwork.plane.approvals import Approvals
from tickwork.plane.calls import SkillCall
from tickwork.plane.compiled import EXECUTOR_ENTRY
from tickwork.plane.executor.agent import PlanExecutor
from tickwork.plane.store.runs import NewRun


def answer_one(folder: Path, deeds: Deeds, pick: random.Random) -> None:
    """Answer one approval and go on with the run, as a command does; now and then say the same twice."""
    with engine_in(folder, deeds) as engine:
        approvals = Approvals(engine.store)
        chosen = pick.choice(approvals.list())
        assert approvals.decide(chosen.id, "grant", by="ann")[1]
        if pick.random() < 0.3:
            assert not approvals.decide(chosen.id, "grant", by="ann")[1]
        engine.work([chosen.run_id])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "seed"), [(6, 1), *(pytest.param(64, seed, marks=pytest.mark.thorough) for seed in (2, 3))]
)
def test_as_many_answers_by_as_many_processes(tmp_path: Path, count: int, seed: int) -> None:
    log = tmp_path / "deeds"

    def note(call: SkillCall, _key: str) -> dict[str, str]:
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{call.path}\n")
        return {"did": call.path}

    plan = plan_of(step("above"), *(asking(f"s{n}", 0) for n in range(count)), ordering="arrival")
    deeds = Deeds(dict.fromkeys(["above", *(f"s{n}" for n in range(count))], note))
    with engine_in(tmp_path, deeds) as engine:
        run_id = engine.submit(NewRun(), task(plan))[0].id
        engine.work()
    for number in range(count):
        child = os.fork()
        if not child:
            status = 1
            try:
                answer_one(tmp_path, deeds, random.Random(seed * 1000 + number))
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    done = Counter(log.read_text(encoding="utf-8").splitlines())
    assert done == Counter({"above": 1, **{f"s{n}": 1 for n in range(count)}})
    with engine_in(tmp_path, Deeds()) as engine, engine.store.journals.open_run(run_id) as journal:
        assert engine.runs.get(run_id).status == "succeeded"
        header, _ = read_header(journal)
        found = tickwork.verify(journal, world=World(header, natives={EXECUTOR_ENTRY: PlanExecutor}))
        assert found.equal
        assert tickwork.replay(journal).head == journal.head().d
    assert done == Counter(log.read_text(encoding="utf-8").splitlines()), "replay performs nothing"
