"""Runs that change hands at the worst moment: nothing leaves twice, and what happens to one is no other's affair."""

from pathlib import Path

import pytest

from tests.unit.plane.engines import Deeds, begin, engine_in, plan_of, status_of, step, task
from tickwork.plane.live import Live
from tickwork.plane.store.runs import NewRun, Progress
from tickwork.plane.store.sql import update
from tickwork.plane.store.tables import run

ONE = plan_of(step("a"), step("pay", "unsafe", 0))


@pytest.mark.parametrize("moment", [1, 2, 3, 4])
def test_who_has_lost_a_run_while_it_slept_lets_nothing_leave(
    tmp_path: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    deeds, slept = Deeds(), Deeds()
    advance, left = Live.advance, [moment]
    with engine_in(tmp_path, deeds) as other, engine_in(tmp_path, slept) as sleeper:
        run_id = sleeper.submit(NewRun(), task(ONE), work=False)[0].id

        def sleep_through(live: Live) -> None:
            advance(live)
            if live.row.id != run_id or live.journal.journals is not sleeper.store.journals:
                return
            left[0] -= 1
            if not left[0]:
                # The lease is over meanwhile, and another process has taken the run and come to its end.
                with other.store.begin() as connection:
                    connection.execute(update(run).where(run.c.id == run_id).values(lease_until_us=0))
                other.work([run_id])

        monkeypatch.setattr(Live, "advance", sleep_through)
        sleeper.take(run_id)
        good = sleeper.submit(NewRun(), task(ONE))[0].id
        sleeper.work()
        assert status_of(sleeper, good) == "succeeded"
        done = [path for path, _, _ in deeds.done + slept.done]
        assert done.count("pay") == 2, "of each run one"
        # What was out already when the run was lost, may have happened: that is for people to say.
        assert status_of(other, run_id) == ("succeeded" if moment < 3 else "waiting")


def test_a_run_whose_last_frame_was_kept_and_no_more_comes_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deeds, advance = Deeds(), Live.advance

    def die(_live: Live) -> Progress:
        raise KeyboardInterrupt

    with engine_in(tmp_path, deeds) as engine, monkeypatch.context() as patched:
        run_id = begin(engine, ONE)

        def advance_and_keep(live: Live) -> None:
            advance(live)
            # As any other thread of this process does that writes a row.
            with engine.store.begin():
                pass

        patched.setattr(Live, "advance", advance_and_keep)
        patched.setattr(Live, "finish", die)
        with pytest.raises(KeyboardInterrupt):
            engine.work()
    with engine_in(tmp_path, deeds) as engine:
        rounds = iter(range(50))
        engine.work([run_id], stop=lambda: next(rounds) > 40)
        assert status_of(engine, run_id) == "succeeded"
        assert engine.store.journals.open_run(run_id).status().closed
    assert [path for path, _, _ in deeds.done] == ["a", "pay"]
