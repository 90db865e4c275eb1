"""A store that refuses while runs are under way: who works stops with one error, and whoever comes next goes on."""

import os
import resource
import signal
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.plane.engines import Deeds, begin, engine_in, plan_of, status_of, step, task
from tests.unit.plane.test_engine import EVERY, Mortal, people_decide
from tickwork.journal import dbapi
from tickwork.journal.dbapi import Database
from tickwork.plane.approvals import Approvals
from tickwork.plane.errors import StoreFailed
from tickwork.plane.store.runs import NewRun


@pytest.mark.parametrize("at", [2, 3, 4])
def test_a_store_that_is_locked_for_too_long_ends_the_work_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    monkeypatch.setattr(dbapi, "BUSY_MS", 30)
    plan = plan_of(*(step(f"s{n}", "unsafe", *([n - 1] if n else [])) for n in range(4)))
    deeds, held = Deeds(), list[int]()
    with engine_in(tmp_path, deeds) as engine:
        run_id = begin(engine, plan)
        with closing(Database(tmp_path / "state.db")) as other:

            def lock() -> bool:
                if len(deeds.done) == at and not held:
                    held.append(at)
                    other.begin(durable=True)
                return False

            with pytest.raises(StoreFailed, match="writing"):
                engine.work(stop=lock)
            other.rollback()
        # The same engine goes on from what is kept.

        engine.work([run_id])
        for view in Approvals(engine.store).list():
            assert (view.kind, view.step) == ("lost", f"s{at - 1}")
            Approvals(engine.store).decide(view.id, "complete", by="ann", value={})
        engine.work_all()
        assert status_of(engine, run_id) == "succeeded"
    done = [path for path, _, _ in deeds.done]
    assert len(done) == len(set(done)), "nothing unsafe was done twice"


@pytest.mark.slow
def test_a_disk_that_is_full_ends_the_work_and_not_the_run(tmp_path: Path) -> None:
    refused = 0
    paths = [one.id for one in EVERY.plans[0].steps]
    with engine_in(tmp_path, Deeds()) as engine:
        run_id = engine.submit(NewRun(), task(EVERY), work=False)[0].id
    for number in range(60):
        room = 30_000 + 4_000 * number
        mortal = Mortal(tmp_path, 0)
        child = os.fork()
        if not child:
            status = 3
            try:
                # A file that would grow beyond the limit is refused, as by a disk without room.
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
                with engine_in(tmp_path, Deeds(dict.fromkeys(paths, mortal.do))) as engine:
                    engine.work_all()
                status = 0
            except StoreFailed:
                status = 69
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status in (0, 69)
        refused += status == 69
        with engine_in(tmp_path, Deeds()) as engine:
            if not engine.runs.get(run_id).open:
                break
            people_decide(engine, tmp_path / "deeds")
    with engine_in(tmp_path, Deeds()) as engine:
        assert status_of(engine, run_id) == "succeeded"
    assert refused
    done = [line.split()[0] for line in (tmp_path / "deeds").read_text(encoding="utf-8").splitlines()]
    for path in ("compensable", "unsafe", "pay", "asked"):
        assert done.count(path) == 1, path
