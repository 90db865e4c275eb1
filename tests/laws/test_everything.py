"""Laws where everything happens at once, tried at every tick."""

import os
import signal
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import msgspec
import pytest

from tests.laws.corpus import CORPUS
from tests.laws.everything import PANE, TOUR
from tests.laws.recorded import Recorded, empty_journal, prefix, record
from tickwork.driver.fork import Edit, fork
from tickwork.driver.plans import Swap
from tickwork.driver.run import resume, resume_journal
from tickwork.driver.verify import verify
from tickwork.records import Input, InputKind, Outcome, Turn
from tickwork.sandbox.processes import ProcessPool

pytestmark = pytest.mark.slow

NAMES = ("everything", "everything-linear")
EDIT = Edit(
    (
        Input(InputKind.GRANT, "operator", "reader", body=b"windows:first"),
        Input(InputKind.RESEED, "operator", number=7),
    ),
    ("topic:seen",),
    (Swap("tour", TOUR["c"], 9, "restart"), Swap("reader", PANE, 16, "keep_image")),
)


@pytest.fixture(scope="module", params=NAMES)
def made(request: pytest.FixtureRequest, recorded: Callable[[str], Recorded]) -> Recorded:
    """The run of each of the worlds."""
    return recorded(request.param)


@pytest.mark.parametrize("snapshot_ticks", [0, 1, 3])
def test_a_run_killed_at_any_tick_resumes_to_its_head(made: Recorded, snapshot_ticks: int) -> None:
    options = msgspec.structs.replace(made.options, snapshot_ticks=snapshot_ticks)
    whole = record(made.world, options)
    assert whole.run.head == made.run.head
    for ticks in range(whole.journal.length() + 1):
        cut = prefix(whole, ticks)
        assert resume_journal(cut, None, world=made.world, decisions={}, options=options).head == made.run.head, ticks


def test_a_fork_at_any_tick_is_the_original(made: Recorded) -> None:
    for at in range(made.journal.length() + 1):
        copy = empty_journal(made.world, made.options)
        assert fork(made.journal, at=at, to=copy, world=made.world, options=made.options).head == made.run.head, at


@pytest.mark.parametrize("workers", [0, 2])
def test_a_changed_fork_stopped_at_any_tick_resumes_to_its_head(made: Recorded, workers: int, tmp_path: Path) -> None:
    options = msgspec.structs.replace(made.options, workers=workers)
    whole = tmp_path / "whole.twk"
    done = fork(made.journal, at=8, to=whole, edit=EDIT, world=made.world, options=options)
    assert verify(whole, world=made.world, options=options).equal
    for ticks in range(0, done.frames - 9, 5 if workers else 1):
        part, left = tmp_path / f"{ticks}.twk", iter(range(ticks))
        stop = msgspec.structs.replace(options, stop=lambda left=left: next(left, None) is None)
        assert fork(made.journal, at=8, to=part, edit=EDIT, world=made.world, options=stop).status == "interrupted"
        assert resume(part, world=made.world, options=options).head == done.head, ticks


@pytest.mark.skipif(os.name != "posix", reason="workers are killed by signal")
def test_workers_killed_in_any_tick_change_no_head(made: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    compute, calls = ProcessPool.compute, count()

    def computing(pool: ProcessPool, turns: Sequence[Turn]) -> list[Outcome]:
        pids = pool.worker_pids()
        if next(calls) % 5 == 0 and pids:
            os.kill(pids[0], signal.SIGKILL)
        return compute(pool, turns)

    monkeypatch.setattr(ProcessPool, "compute", computing)
    assert record(made.world, msgspec.structs.replace(made.options, workers=2)).run.head == made.run.head


def test_the_worlds_are_of_the_corpus() -> None:
    assert set(NAMES) <= set(CORPUS)
