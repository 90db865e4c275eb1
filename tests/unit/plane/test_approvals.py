"""plane/approvals.py: who decides, when that is a decision, and that it is one for good."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.unit.plane.stores import open_store
from tickwork.errors import UsageFault
from tickwork.plane.approvals import CHOICES, Approvals, ApprovalView
from tickwork.plane.calls import ApprovalDecision, ApprovalRequest
from tickwork.plane.errors import DeciderRefused, SkillInputInvalid, WaitClosed, WaitNotFound
from tickwork.plane.people import person_key
from tickwork.plane.store.store import Store
from tickwork.plane.waits import NewWait, Waits


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path)[0] as store:
        yield store


def ask(store: Store, effect: str = "e", **fields: object) -> ApprovalView:
    """Open an approval, and return it."""
    given = {"kind": "step", "step": "pay", "skill": "pay@1", "arguments": {"usd": 3}, **fields}
    asked = msgspec.json.decode(msgspec.json.encode(given), type=ApprovalRequest)
    Waits(store).look("r", effect, NewWait("approval", "pay", b"{}", approval=asked))
    return Approvals(store).list()[-1]


def answer(store: Store, effect: str = "e") -> ApprovalDecision | None:
    looked = Waits(store).look("r", effect, NewWait("approval", "pay", b"{}"))
    return None if looked.answer is None else msgspec.json.decode(looked.answer, type=ApprovalDecision)


def test_one_who_agrees_decides(store: Store) -> None:
    view = ask(store)
    decided, changed = Approvals(store).decide(view.id, "grant", by="ann", comment="fine")
    assert (decided.status, decided.decision, changed) == ("answered", "grant", True)
    assert answer(store) == ApprovalDecision("grant", ("ann",), "fine")


def test_the_same_answer_again_changes_nothing_and_another_is_refused(store: Store) -> None:
    approvals, view = Approvals(store), ask(store)
    first = approvals.decide(view.id, "grant", by="ann")[0]
    assert approvals.decide(view.id, "grant", by="ann") == (first, False)
    for by, decision in (("ann", "deny"), ("ben", "grant"), ("ben", "deny")):
        with pytest.raises(WaitClosed):
            approvals.decide(view.id, decision, by=by)
    with pytest.raises(WaitNotFound):
        approvals.decide("w_other", "grant", by="ann")


def test_several_have_to_agree(store: Store) -> None:
    approvals, view = Approvals(store), ask(store, by=["ann", "ben", "eve"], need=2)
    assert approvals.decide(view.id, "grant", by="ann")[0].status == "open"
    assert not approvals.decide(view.id, "grant", by="ann")[1]
    with pytest.raises(WaitClosed):
        approvals.decide(view.id, "deny", by="ann")
    with pytest.raises(DeciderRefused):
        approvals.decide(view.id, "grant", by="carl")
    assert approvals.decide(view.id, "deny", by="ben")[0].status == "open"
    assert approvals.decide(view.id, "grant", by="eve")[0].decision == "grant"
    assert answer(store) == ApprovalDecision("grant", ("ann", "eve"))


def test_who_makes_agreement_impossible_decides(store: Store) -> None:
    approvals, view = Approvals(store), ask(store, by=["ann", "ben", "eve"], need=2)
    assert approvals.decide(view.id, "deny", by="ann")[0].status == "open"
    assert approvals.decide(view.id, "deny", by="eve", comment="no")[0].decision == "deny"
    assert answer(store) == ApprovalDecision("deny", ("ann", "eve"), "no")


def test_anybody_may_refuse_where_nobody_is_named(store: Store) -> None:
    assert Approvals(store).decide(ask(store, need=2).id, "deny", by="ann")[0].decision == "deny"


def test_edited_arguments_are_agreed_to_anew(store: Store) -> None:
    approvals, view = Approvals(store), ask(store, by=["ann", "ben"], need=2)
    approvals.decide(view.id, "grant", by="ann")
    edited = approvals.decide(view.id, "modify", by="ben", value={"usd": 2})[0]
    assert (edited.status, edited.edited, edited.arguments, edited.missing) == ("open", True, b'{"usd":2}', 1)
    approvals.decide(view.id, "grant", by="ann")
    found = answer(store)
    assert found is not None
    assert (found.decision, found.by, found.arguments) == ("modify", ("ann", "ben"), {"usd": 2})


def test_edited_arguments_are_an_object(store: Store) -> None:
    with pytest.raises(SkillInputInvalid):
        Approvals(store).decide(ask(store).id, "modify", by="ann", value=[1])
    assert Approvals(store).list()[0].votes == ()


def test_a_decision_is_handed_on(store: Store) -> None:
    approvals, view = Approvals(store), ask(store, by=["ann"])
    with pytest.raises(DeciderRefused):
        approvals.delegate(view.id, "dora", by="ben")
    handed, changed = approvals.delegate(view.id, "dora", by="ann")
    assert (handed.allowed, changed) == (("dora",), True)
    assert not approvals.delegate(view.id, "dora", by="ann")[1]
    with pytest.raises(WaitClosed):
        approvals.decide(view.id, "grant", by="ann")
    assert approvals.decide(view.id, "grant", by="dora")[0].decision == "grant"
    with pytest.raises(WaitClosed):
        approvals.delegate(view.id, "eve", by="dora")


@pytest.mark.parametrize("again", ["ANN", " ann ", "\uff21nn", "a\u006en\u00ad", "ann\u200b"])
def test_one_person_agrees_once_however_the_name_is_spelt(store: Store, again: str) -> None:
    approvals, view = Approvals(store), ask(store, need=2)
    approvals.decide(view.id, "grant", by="ann")
    assert not approvals.decide(view.id, "grant", by=again)[1]
    with pytest.raises(WaitClosed):
        approvals.decide(view.id, "deny", by=again)
    assert approvals.find(view.id).status == "open"
    assert approvals.decide(view.id, "grant", by="ben")[0].decision == "grant"


def test_an_output_that_is_given_instead_takes_as_many_as_the_call(store: Store) -> None:
    approvals, view = Approvals(store), ask(store, kind="escalation", need=2, error="TW7008 no")
    assert approvals.decide(view.id, "complete", by="ann", value={"x": 1})[0].status == "open"
    assert approvals.decide(view.id, "complete", by="ben", value={"x": 2})[0].status == "open"
    assert approvals.decide(view.id, "complete", by="ann", value={"x": 2})[0].decision == "complete"
    found = answer(store)
    assert found is not None
    assert (found.by, found.arguments) == (("ann", "ben"), {"x": 2})
    skipped = ask(store, "other", kind="escalation", need=2, error="TW7008 no")
    assert approvals.decide(skipped.id, "skip", by="ann")[0].status == "open"
    assert approvals.decide(skipped.id, "skip", by="ben")[0].decision == "skip"


def test_letters_and_accents_are_one_name_in_each_of_their_forms(store: Store) -> None:
    approvals, view = Approvals(store), ask(store, by=["Jos\u00e9", "ben"], need=2)
    assert approvals.decide(view.id, "grant", by="jose\u0301")[0].votes[0].by == "Jos\u00e9"
    assert not approvals.decide(view.id, "grant", by="JOS\u00c9")[1]
    with pytest.raises(DeciderRefused):
        approvals.decide(view.id, "grant", by="jose")


def test_names_that_are_one_person_are_asked_once(store: Store) -> None:
    approvals, view = Approvals(store), ask(store, by=["ann", "Ann", "ANN "], need=2)
    with pytest.raises(DeciderRefused, match="nobody is named"):
        approvals.decide(view.id, "grant", by="")
    assert approvals.decide(view.id, "grant", by="Ann")[0].status == "open"
    with pytest.raises(WaitClosed):
        approvals.decide(view.id, "deny", by="ANN")


@pytest.mark.parametrize("to", ["ann", "ANN", "", "  "])
def test_nobody_hands_a_decision_to_themselves_or_to_nobody(store: Store, to: str) -> None:
    view = ask(store, by=["ann"])
    with pytest.raises(DeciderRefused):
        Approvals(store).delegate(view.id, to, by="ann")
    assert Approvals(store).decide(view.id, "grant", by="ann")[0].decision == "grant"


def test_a_decision_does_not_go_round_to_whom_it_came_from(store: Store) -> None:
    approvals, view = Approvals(store), ask(store, by=["ann"])
    approvals.delegate(view.id, "ben", by="ann")
    with pytest.raises(DeciderRefused):
        approvals.delegate(view.id, "Ann", by="ben")
    assert approvals.decide(view.id, "grant", by="ben")[0].decision == "grant"


def test_a_decision_is_not_handed_on_where_too_few_would_be_left(store: Store) -> None:
    approvals, view = Approvals(store), ask(store, by=["ann", "ben"], need=2)
    with pytest.raises(DeciderRefused):
        approvals.delegate(view.id, "ben", by="ann")
    anybody = ask(store, "other", need=2)
    with pytest.raises(DeciderRefused):
        approvals.delegate(anybody.id, "ben", by="ann")
    approvals.delegate(view.id, "carl", by="ann")
    approvals.decide(view.id, "grant", by="carl")
    assert approvals.decide(view.id, "grant", by="ben")[0].decision == "grant"


def test_an_edit_that_not_enough_agreed_to_in_time_is_not_shown_as_what_was_called(tmp_path: Path) -> None:
    store, hands = open_store(tmp_path)
    with store:
        given = {"kind": "step", "step": "pay", "skill": "pay@1", "arguments": {"usd": 3}, "need": 2}
        asked = msgspec.json.decode(
            msgspec.json.encode(given | {"timeout_ms": 1000, "on_timeout": "grant"}), type=ApprovalRequest
        )
        new = NewWait("approval", "pay", msgspec.json.encode(asked), delay_ms=1000, approval=asked)
        hands.at_us = Waits(store).look("r", "e", new).due_us - 500_000
        view = Approvals(store).list()[0]
        Approvals(store).decide(view.id, "modify", by="ann", value={"usd": 9})
        hands.at_us += 500_000
        Waits(store).look("r", "e", new)
        found = Approvals(store).find(view.id)
        assert (found.decision, found.arguments, found.edited) == ("grant", b'{"usd":3}', False)


@pytest.mark.parametrize("end", ["deny", "expire", "cancel"])
def test_what_is_closed_is_never_granted(tmp_path: Path, end: str) -> None:
    store, hands = open_store(tmp_path)
    with store:
        asked = msgspec.json.decode(
            b'{"kind":"escalation","step":"pay","skill":"pay@1","arguments":{},"timeout_ms":1000}', type=ApprovalRequest
        )
        new = NewWait("approval", "pay", b'{"timeout_ms":1000}', delay_ms=1000, approval=asked)
        due, approvals = Waits(store).look("r", "e", new).due_us, Approvals(store)
        view = approvals.list()[0]
        if end == "deny":
            approvals.decide(view.id, "deny", by="ann")
        elif end == "cancel":
            Waits(store).cancel("r")
        else:
            hands.at_us = due
        for by in ("ann", "ben", "Ann"):
            with pytest.raises(WaitClosed):
                approvals.delegate(view.id, "carl", by=by)
            for decision in view.choices:
                if (person_key(by), decision) != ("ann", end):
                    with pytest.raises(WaitClosed):
                        approvals.decide(view.id, decision, by=by, value={})
        Waits(store).look("r", "e", new)
        with pytest.raises(WaitClosed):
            approvals.decide(view.id, "grant", by="carl")
        looked = Waits(store).look("r", "e", new)
        # What is cancelled gives a decision to nobody.
        said = msgspec.json.decode(looked.answer or b"null", type=ApprovalDecision | None)
        assert said is None or said.decision == "deny"


@pytest.mark.parametrize("kind", sorted(CHOICES))
def test_each_kind_takes_what_can_be_said_to_it_and_nothing_else(store: Store, kind: str) -> None:
    approvals = Approvals(store)
    for decision in ("grant", "deny", "modify", "skip", "complete"):
        view = ask(store, f"{kind}{decision}", kind=kind, error="TW7008 no")
        value = {"usd": 1} if decision in ("modify", "complete") else None
        if decision in view.choices:
            assert approvals.decide(view.id, decision, by="ann", value=value)[0].decision == decision
        else:
            with pytest.raises(UsageFault):
                approvals.decide(view.id, decision, by="ann", value=value)
    given = answer(store, f"{kind}complete")
    assert given is None or given.arguments == {"usd": 1}


def test_approvals_are_listed_by_run_and_status(store: Store) -> None:
    approvals = Approvals(store)
    one, two = ask(store, "one"), ask(store, "two")
    approvals.decide(one.id, "grant", by="ann")
    assert [view.id for view in approvals.list()] == [two.id]
    assert [view.id for view in approvals.list(status="", run_id="r")] == [one.id, two.id]
    assert approvals.list(run_id="other") == []
    assert approvals.find(two.id[:8]).step == "pay"


def test_once_time_is_up_those_it_is_escalated_to_decide_alone(tmp_path: Path) -> None:
    store, hands = open_store(tmp_path)
    with store:
        given = {
            "kind": "step",
            "step": "pay",
            "skill": "pay@1",
            "arguments": {"usd": 3},
            "by": ["ann", "ben"],
            "need": 2,
        }
        late = {"timeout_ms": 1000, "on_timeout": "escalate", "escalate_to": ["carl"]}
        asked = msgspec.json.decode(msgspec.json.encode(given | late), type=ApprovalRequest)
        new = NewWait("approval", "pay", msgspec.json.encode(asked), delay_ms=1000, approval=asked)
        due = Waits(store).look("r", "e", new).due_us
        approvals = Approvals(store)
        view = approvals.list()[0]
        approvals.decide(view.id, "modify", by="ann", value={"usd": 300})
        hands.at_us = due
        Waits(store).look("r", "e", new)
        later = approvals.find(view.id)
        assert (later.allowed, later.need, later.votes, later.edited) == (("carl",), 1, (), False)
        with pytest.raises(DeciderRefused):
            approvals.decide(view.id, "grant", by="ben")
        decided = approvals.decide(view.id, "deny", by="carl")[0]
        assert (decided.status, decided.decision) == ("answered", "deny")
