"""plane/waits.py: what a run waits for is a row that is opened once and answered once."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from tests.unit.plane.stores import Hands, open_store
from tickwork.journal.dbapi import Cursor, Value
from tickwork.plane.calls import ApprovalDecision, ApprovalRequest
from tickwork.plane.errors import KeyReused, RunNotFound, SkillInputInvalid, WaitClosed, WaitNotFound
from tickwork.plane.store.runs import NewRun, Progress, Runs
from tickwork.plane.store.store import Store
from tickwork.plane.waits import INPUT, Looked, NewWait, Waits

HOUR_MS = 3_600_000


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Store, Hands]]:
    store, hands = open_store(tmp_path)
    with store:
        yield store, hands


@pytest.fixture
def waits(opened: tuple[Store, Hands]) -> Waits:
    return Waits(opened[0])


def approval(**fields: object) -> NewWait:
    given = {"kind": "step", "step": "a", "skill": "s@1", "arguments": {"x": 1}, **fields}
    request = msgspec.json.encode(given)
    asked = msgspec.json.decode(request, type=ApprovalRequest)
    return NewWait("approval", "a", request, delay_ms=asked.timeout_ms, approval=asked)


def decision(looked: Looked) -> ApprovalDecision:
    assert looked.answer is not None
    return msgspec.json.decode(looked.answer, type=ApprovalDecision)


def test_the_waits_of_a_run_are_found_by_the_run_and_not_among_all_that_are_open(
    waits: Waits, opened: tuple[Store, Hands], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits.look("r", "e", NewWait("signal", "s", b"{}", name="n"))
    asked = list[str]()
    execute = Cursor.execute

    def heard(cursor: Cursor, statement: str, parameters: Sequence[Value] = ()) -> Cursor:
        if "wait" in statement:
            asked.append(statement)
        return execute(cursor, statement, parameters)

    monkeypatch.setattr(Cursor, "execute", heard)
    assert len(waits.list(run_id="r")) == 1
    assert waits.changed("r", ["e"]) == set()
    waits.cancel("r")
    monkeypatch.undo()
    assert len(asked) == 4
    for statement in asked:
        plan = opened[0].journals.database.query(f"EXPLAIN QUERY PLAN {statement}", [None] * statement.count("?"))
        assert plan[0][3] == "SEARCH wait USING INDEX sqlite_autoindex_wait_2 (run_id=?)"


def test_a_wait_is_opened_once_and_keeps_its_time(waits: Waits, opened: tuple[Store, Hands]) -> None:
    new = NewWait("timer", "t", b"{}", delay_ms=HOUR_MS)
    first = waits.look("r", "e", new)
    assert first.answer is None
    assert waits.look("r", "e", new) == first
    opened[1].at_us += HOUR_MS * 1000
    assert waits.look("r", "e", new).answer == b"null"
    assert len(waits.list(status="")) == 1


@pytest.mark.parametrize(("on_timeout", "decided"), [("deny", "deny"), ("grant", "grant"), ("escalate", "deny")])
def test_an_approval_that_nobody_answers_is_decided_by_time(
    waits: Waits, opened: tuple[Store, Hands], on_timeout: str, decided: str
) -> None:
    new = approval(timeout_ms=HOUR_MS, on_timeout=on_timeout)
    assert waits.look("r", "e", new).answer is None
    opened[1].at_us += HOUR_MS * 1000
    found = decision(waits.look("r", "e", new))
    assert (found.decision, found.comment) == (decided, "nobody decided in time")


def test_an_escalated_approval_has_its_time_again(waits: Waits, opened: tuple[Store, Hands]) -> None:
    new = approval(timeout_ms=HOUR_MS, on_timeout="escalate", escalate_to=["carl"])
    first = waits.look("r", "e", new)
    opened[1].at_us = first.due_us
    again = waits.look("r", "e", new)
    assert again.answer is None
    assert again.due_us >= first.due_us + HOUR_MS * 1000
    opened[1].at_us = again.due_us
    assert decision(waits.look("r", "e", new)).decision == "deny"


def test_an_input_or_signal_that_does_not_come_fails_the_step(waits: Waits, opened: tuple[Store, Hands]) -> None:
    for kind in ("input", "signal"):
        new = NewWait(kind, "a", b'{"schema": {}}', name="s", delay_ms=1000)
        waits.look("r", kind, new)
        opened[1].at_us += 2_000_000
        failure = waits.look("r", kind, new).failure
        assert failure is not None
        assert (failure.code, failure.source) == ("TW7009", "person")


def test_what_nobody_waits_for_is_closed(waits: Waits) -> None:
    new = NewWait("signal", "a", b"{}", name="s")
    for effect in ("one", "two"):
        waits.look("r", effect, new)
    waits.cancel("r", ["one"])
    assert [one.status for one in waits.list(status="")] == ["cancelled", "open"]
    waits.cancel("r")
    assert waits.list() == []
    failure = waits.look("r", "one", new).failure
    assert failure is not None
    assert failure.code == "TW7013"


def test_a_value_is_given_once_and_fits_its_schema(opened: tuple[Store, Hands], waits: Waits) -> None:
    run_id = Runs(opened[0]).submit(NewRun())[0].id
    waits.look(run_id, "e", NewWait(INPUT, "a", b'{"schema": {"type": "integer"}}'))
    (wait,) = waits.list(kind=INPUT)
    with pytest.raises(SkillInputInvalid):
        waits.give(wait.id, "seven", by="ann")
    assert waits.give(wait.id[:6], 7, by="ann")[1]
    assert not waits.give(wait.id, 7, by="ben")[1]
    with pytest.raises(WaitClosed):
        waits.give(wait.id, 8, by="ben")
    with pytest.raises(WaitNotFound):
        waits.give("w_none", 8, by="ben")
    assert waits.changed(run_id, ["e", "f"]) == {"e"}
    assert waits.look(run_id, "e", NewWait(INPUT, "a", b"{}")).answer == b"7"


def test_an_answer_after_the_time_is_over_is_refused(opened: tuple[Store, Hands], waits: Waits) -> None:
    waits.look("r", "e", NewWait(INPUT, "a", b"{}", delay_ms=1000))
    opened[1].at_us += 2_000_000
    with pytest.raises(WaitClosed):
        waits.give("w_", 7, by="ann")


def test_signals_are_taken_in_the_order_they_came(opened: tuple[Store, Hands], waits: Waits) -> None:
    runs = Runs(opened[0])
    run_id = runs.submit(NewRun())[0].id
    new = NewWait("signal", "a", b"{}", name="go")
    waits.look(run_id, "one", new)
    assert waits.send(run_id, "go", b"1", key="k")
    assert not waits.send(run_id, "go", b"1", key="k")
    with pytest.raises(KeyReused):
        waits.send(run_id, "go", b"2", key="k")
    waits.send(run_id, "go", b"2")
    waits.send(run_id, "other", b"3")
    assert waits.changed(run_id, ["one"]) == {"one"}
    assert waits.look(run_id, "one", new).answer == b"1"
    assert waits.look(run_id, "two", new).answer == b"2"
    assert waits.look(run_id, "three", new).answer is None


def test_a_run_that_has_ended_is_told_nothing(opened: tuple[Store, Hands], waits: Waits) -> None:
    runs = Runs(opened[0])
    row = runs.submit(NewRun(), owner="me")[0]
    runs.let_go(row, Progress("succeeded"))
    with pytest.raises(WaitClosed):
        waits.send(row.id, "go", b"1")
    with pytest.raises(RunNotFound):
        waits.send("r_none", "go", b"1")


def test_an_id_that_begins_several_waits_names_none(waits: Waits) -> None:
    for effect in ("one", "two"):
        waits.look("r", effect, NewWait(INPUT, "a", b"{}"))
    with pytest.raises(WaitNotFound) as caught:
        waits.give("w_", 1, by="ann")
    assert "more than one" in caught.value.what


def test_an_answer_that_was_acted_upon_counts_once(waits: Waits) -> None:
    waits.look("r", "e:lost:0", NewWait("approval", "a", b"{}"))
    assert waits.losses("r", "e:lost:") == 0
    waits.use("r", "e:lost:0")
    assert waits.losses("r", "e:lost:") == 1
