"""plane/store/runs.py: one run for a key, one process for a run, nothing that wakes it lost."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from tests.support import ROOT, environment
from tickwork.clock import SteppedClock
from tickwork.journal.dbapi import Database, Row, Value
from tickwork.plane.errors import KeyReused, RunBusy, RunNotFound
from tickwork.plane.store.owners import Owner, is_alive
from tickwork.plane.store.runs import LEASE_US, NewRun, Progress, RunRow, Runs, row_document
from tickwork.plane.store.store import Store
from tickwork.plane.store.tables import run


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state.db", SteppedClock(step_us=10)) as made:
        yield made


@pytest.fixture
def runs(store: Store) -> Runs:
    return Runs(store)


@pytest.fixture
def me(store: Store) -> Iterator[str]:
    with Owner(store.path, "me") as owner:
        yield owner.name


def submit(runs: Runs, key: str = "", **more: object) -> RunRow:
    return runs.submit(msgspec.convert({"key": key, "request": b"a goal", **more}, NewRun))[0]


def test_a_row_has_the_fields_of_its_table() -> None:
    assert [column.name for column in run.c] == list(RunRow.__struct_fields__)


def test_what_an_engine_asks_all_the_time_is_found_among_the_runs_that_somebody_holds(
    store: Store, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()
    query = Database.query

    def heard(database: Database, statement: str, bindings: Sequence[Value] = ()) -> list[Row]:
        asked.append(statement)
        return query(database, statement, bindings)

    monkeypatch.setattr(Database, "query", heard)
    row, _ = runs.submit(NewRun(), owner="me")
    runs.wake([row.id])
    asked.clear()
    assert runs.woken("me") == [row.id]
    assert runs.renew("me") == {row.id}
    assert len(asked) == 3
    monkeypatch.undo()
    for statement in asked:
        plan = store.journals.database.query(f"EXPLAIN QUERY PLAN {statement}", [None] * statement.count("?"))
        assert [step[3] for step in plan] == ["SEARCH run USING INDEX ix_run_lease_owner (lease_owner=?)"]


def test_the_same_key_is_the_same_run_and_another_request_under_it_is_refused(runs: Runs) -> None:
    new = NewRun(key="k", request=b"a goal", name="plan", goal="a goal", tags=("one",))
    made, first = runs.submit(new)
    again, second = runs.submit(new)
    assert (first, second) == (True, False)
    assert again == made == runs.get(made.id)
    with pytest.raises(KeyReused, match="'k'"):
        runs.submit(NewRun(key="k", request=b"another goal"))
    assert submit(runs).id != submit(runs).id
    assert len(runs.page()) == 3


def test_a_thousand_equal_submissions_at_once_make_one_run(store: Store) -> None:
    made: list[tuple[RunRow, bool]] = []

    def work() -> None:
        runs = Runs(store)
        made.extend(runs.submit(NewRun(key="k", request=b"x"), durable=False) for _ in range(125))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1000
    assert sum(fresh for _, fresh in made) == 1
    assert len({row.id for row, _ in made}) == 1


def test_a_run_is_found_by_the_beginning_of_its_id(runs: Runs) -> None:
    for name in ("r_ab", "r_abc", "r_b"):
        submit(runs, run_id=name)
    assert [runs.find(word).id for word in ("r_b", "b", "r_ab", "ab", "abc")] == [
        "r_b",
        "r_b",
        "r_ab",
        "r_ab",
        "r_abc",
    ]
    for word, said in (("r_", "more than one"), ("zz", "no run"), ("", "no run")):
        with pytest.raises(RunNotFound, match=said):
            runs.find(word)
    with pytest.raises(RunNotFound):
        runs.get("r_a")


def test_pages_go_from_new_to_old_and_are_narrowed(runs: Runs, me: str) -> None:
    rows = [submit(runs, profile="a" if at % 2 else "b") for at in range(5)]
    runs.claim(rows[0].id, me)
    assert [row.id for row in runs.page(most=2)] == [rows[4].id, rows[3].id]
    assert [row.id for row in runs.page(before=runs.get(rows[3].id))] == [rows[2].id, rows[1].id, rows[0].id]
    assert [row.id for row in runs.page(profile="a")] == [rows[3].id, rows[1].id]
    assert [row.id for row in runs.page(statuses=("running",))] == [rows[0].id]


def test_forks_and_reruns_are_of_one_family(runs: Runs) -> None:
    first = submit(runs)
    second = submit(runs, parent_id=first.id, relation="rerun")
    third = submit(runs, parent_id=second.id, relation="fork", parent_tick=4)
    submit(runs)
    assert {row.id for row in runs.page(root=first.id)} == {first.id, second.id, third.id}
    assert (third.root_id, third.lineage) == (first.id, third.id)
    assert row_document(third)["relation"] == "fork"


def test_one_process_works_on_a_run_until_it_lets_go_or_dies(store: Store, runs: Runs) -> None:
    row = submit(runs)
    with Owner(store.path, "one"), Owner(store.path, "two"):
        held = runs.claim(row.id, "one")
        assert (held.status, held.fence, held.attempts) == ("running", 1, 0)
        with pytest.raises(RunBusy, match="another process"):
            runs.claim(row.id, "two")
        assert runs.ready() == []
        assert runs.let_go(held, Progress("queued")) is False
        second = runs.claim(row.id, "two")
        with pytest.raises(RunBusy):
            runs.note(held, Progress("running"))
    # Nobody is alive any more, and nobody has said so.
    assert [one.id for one in runs.ready()] == [row.id]
    third = runs.claim(row.id, "three")
    assert (third.fence, third.attempts) == (3, 1)
    with pytest.raises(RunBusy):
        runs.let_go(second, Progress("succeeded"))
    runs.let_go(third, Progress("succeeded", "done", ticks=7, cost_micros=5))
    ended = runs.get(row.id)
    assert (ended.status, ended.ticks, ended.cost_micros, ended.lease_owner) == ("succeeded", 7, 5, "")
    assert ended.ended_us is not None
    with pytest.raises(RunBusy, match="has ended"):
        runs.claim(row.id, "three")
    with pytest.raises(RunNotFound):
        runs.claim("r_none", "three")


def test_a_claim_that_nobody_renews_ends(store: Store, runs: Runs, me: str) -> None:
    row = submit(runs)
    runs.claim(row.id, me, lease_us=1)
    assert [one.id for one in runs.ready()] == [row.id]
    with Owner(store.path, "other") as other:
        runs.claim(row.id, other.name)
        assert runs.renew(me) == set()
        assert runs.renew(other.name) == {row.id}
        assert runs.get(row.id).lease_until_us > LEASE_US


def test_what_wakes_a_run_is_not_lost_whenever_it_comes(runs: Runs, me: str) -> None:
    row = submit(runs)
    held = runs.claim(row.id, me)
    assert runs.woken(me) == []
    runs.wake([row.id])
    assert runs.woken(me) == [row.id]
    assert runs.woken(me) == []
    runs.wake([row.id, row.id])
    assert runs.let_go(held, Progress("waiting")) is True
    assert [one.id for one in runs.ready()] == [row.id]
    held = runs.claim(row.id, me)
    assert runs.let_go(held, Progress("waiting")) is False
    assert runs.ready() == []
    runs.wake([row.id])
    assert [one.id for one in runs.ready()] == [row.id]


def test_a_run_that_waits_for_a_time_is_ready_then(store: Store, runs: Runs, me: str) -> None:
    row = submit(runs)
    due = store.clock.now_us() + 200
    runs.let_go(runs.claim(row.id, me), Progress("waiting", due_us=due))
    assert runs.ready() == []
    while store.clock.now_us() < due:
        pass
    assert [one.id for one in runs.ready()] == [row.id]


def test_ready_runs_come_by_priority_and_age(runs: Runs) -> None:
    old, new, urgent = submit(runs), submit(runs), submit(runs, priority=5)
    assert [row.id for row in runs.ready()] == [urgent.id, old.id, new.id]
    assert [row.id for row in runs.ready(most=1)] == [urgent.id]


def test_runs_of_another_tenant_are_not_there(store: Store, runs: Runs) -> None:
    other = Runs(store, "other")
    row = submit(other, "k")
    assert submit(runs, "k").id != row.id
    assert [one.id for one in other.page()] == [row.id]
    with pytest.raises(RunNotFound):
        runs.get(row.id)
    with pytest.raises(RunNotFound):
        runs.claim(row.id, "me")


@pytest.mark.slow
def test_a_killed_owner_is_dead_at_once(store: Store) -> None:
    code = (
        "import sys; from pathlib import Path; from tickwork.plane.store.owners import Owner\n"
        "owner = Owner(Path(sys.argv[1]), 'worker'); print('here', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(store.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=environment(),
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"here\n"
        assert is_alive(store.path, "worker")
        worker.kill()
        worker.wait()
    assert not is_alive(store.path, "worker")
    assert not is_alive(store.path, "nobody")
