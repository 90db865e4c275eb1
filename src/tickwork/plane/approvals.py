"""Approvals: what people are asked, what they say, and when that is a decision.

Invariants:
    * What is shown is exactly what would be called; who agrees agrees to that, or to what they wrote instead.
    * The same answer by the same person changes nothing, also after the decision; another one is refused.
    * With several people needed, a decision is made by the last of those who agree, or by the first who makes
      agreement impossible.
    * A person is one person, however the name is spelt; and a decision is handed on only where there can still be one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from ..errors import UsageFault
from .calls import ApprovalDecision
from .errors import DeciderRefused, SkillInputInvalid, WaitClosed
from .json_text import read_json, write_json
from .people import person_key
from .store.sql import Connection, RowMapping, delete, insert, select, update
from .store.store import Store
from .store.tables import TENANT, approval, vote, wait
from .waits import APPROVAL, OPEN, Waits

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "step": ("grant", "deny", "modify"),
    "taint": ("grant", "deny", "modify"),
    "rule": ("grant", "deny", "modify"),
    "escalation": ("grant", "deny", "modify", "skip", "complete"),
    "lost": ("grant", "deny", "complete"),
}
"""What can be said to each kind of approval. To ``grant`` an escalated step or a lost call is to try it again."""

LOST: Final = "lost"


class Vote(msgspec.Struct, frozen=True):
    """What one person has said. Units: microseconds since 1970."""

    by: str
    decision: str
    comment: str = ""
    delegated_to: str = ""
    at_us: int = 0


class ApprovalView(msgspec.Struct, frozen=True):
    """An approval, for people.

    Attributes:
        arguments: What would be called with, JSON; what an editor wrote where somebody has edited it.
        edited: Whether somebody has.
        allowed: Who may decide; empty for anybody.
        decision: Empty while there is none.
    """

    id: str
    run_id: str
    step: str
    kind: str
    skill: str
    message: str
    arguments: bytes
    edited: bool
    labels: tuple[str, ...]
    error: str
    cost_micros: int
    need: int
    allowed: tuple[str, ...]
    escalate_to: tuple[str, ...]
    escalated: bool
    on_timeout: str
    status: str
    decision: str
    comment: str
    opened_us: int
    due_us: int | None
    votes: tuple[Vote, ...] = ()

    @property
    def choices(self) -> tuple[str, ...]:
        """What can be said to it."""
        return CHOICES.get(self.kind, CHOICES["step"])

    @property
    def digest(self) -> str:
        """SHA-256 of the arguments, in hexadecimal digits: what somebody looked at is told by it."""
        return hashlib.sha256(self.arguments).hexdigest()

    @property
    def missing(self) -> int:
        """How many more have to agree."""
        return max(0, self.need - sum(one.decision in _AGREED for one in self.votes))


_AGREED: Final = frozenset({"grant", "modify"})
_JOINED: Final = select(wait, approval).join(approval, approval.c.id == wait.c.id)


class Approvals:
    """The approvals of a tenant's runs."""

    def __init__(self, store: Store, tenant: str = TENANT) -> None:
        self._store = store
        self._tenant = tenant
        self._waits = Waits(store, tenant)

    def list(self, *, run_id: str = "", status: str = OPEN) -> list[ApprovalView]:
        """Return approvals. Order: the oldest first."""
        statement = select(wait.c.id).where(wait.c.tenant_id == self._tenant, wait.c.kind == APPROVAL)
        if status:
            statement = statement.where(wait.c.status == status)
        if run_id:
            statement = statement.where(wait.c.run_id == run_id)
        with self._store.reading() as connection:
            keys = list(connection.scalars(statement.order_by(wait.c.opened_us, wait.c.id)))
            return [self._view(connection, key) for key in keys]

    def find(self, wanted: str) -> ApprovalView:
        """Return the approval whose id begins so.

        Raises:
            WaitNotFound: TW7012.
        """
        with self._store.reading() as connection:
            return self._view(connection, self._waits.find(connection, wanted, APPROVAL)["id"])

    def decide(
        self, wanted: str, decision: str, *, by: str, comment: str = "", value: Any = None, seen: str = ""
    ) -> tuple[ApprovalView, bool]:
        """Say what somebody decides; return the approval as it then is, and whether anything has changed.

        Args:
            value: With ``modify`` the arguments instead of those shown, with ``complete`` the step's output.
            seen: Digest of the arguments that they looked at, or the beginning of it; empty for those that are asked
                about now.

        Raises:
            WaitNotFound: TW7012. WaitClosed: TW7013, it is decided, has expired, they have said something else, or it
                is no longer about what they looked at.
            DeciderRefused: TW7031, they are not among those who decide.
            SkillInputInvalid: TW7006, the edited arguments are no JSON object.
        """
        edited = write_json(value) if decision in ("modify", "complete") else None
        with self._store.begin() as connection:
            row = self._waits.find(connection, wanted, APPROVAL)
            view = self._view(connection, row["id"])
            by = _named(view, by)
            said = next((one for one in view.votes if one.by == by), None)
            if said is not None and self._same(connection, view, said, decision, edited):
                return view, False
            self._waits.check_open(row)
            if not view.digest.startswith(seen.lower()):
                raise WaitClosed(
                    f"{view.id} has other arguments than those that {by} looked at",
                    why=f"somebody has edited them: their SHA-256 is {view.digest}",
                    fix=f"look again: tickwork approval show {view.id}",
                )
            _check(view, by, said, decision)
            if decision == "modify" and not isinstance(value, dict):
                what = "edited arguments are a JSON object"
                raise SkillInputInvalid(what, where=view.id, why=f"a {type(value).__name__} was given")
            if decision == "modify":
                # Who agreed has agreed to something else.
                agreed = [one.by for one in view.votes if one.decision in _AGREED]
                connection.execute(delete(vote).where(vote.c.approval_id == view.id, vote.c.by.in_(agreed)))
                connection.execute(update(approval).where(approval.c.id == view.id).values(edited=edited))
            if decision == "complete":
                # Whoever gave another output has not agreed to this one.
                other = (vote.c.approval_id == view.id, vote.c.decision == decision, vote.c.edited != edited)
                connection.execute(delete(vote).where(*other))
            self._note(connection, view.id, Vote(by, decision, comment), edited)
            self._count(connection, row, edited, comment)
            return self._view(connection, view.id), True

    def _same(
        self, connection: Connection, view: ApprovalView, said: Vote, decision: str, edited: bytes | None
    ) -> bool:
        row = connection.execute(select(vote.c.edited).where(vote.c.approval_id == view.id, vote.c.by == said.by)).one()
        return said.decision == decision and row.edited == edited

    def _note(self, connection: Connection, key: str, said: Vote, edited: bytes | None = None) -> None:
        connection.execute(
            insert(vote).values(
                tenant_id=self._tenant,
                approval_id=key,
                by=said.by,
                decision=said.decision,
                edited=edited,
                comment=said.comment,
                delegated_to=said.delegated_to,
                at_us=self._store.clock.now_us(),
            )
        )

    def _count(self, connection: Connection, row: RowMapping, value: bytes | None, comment: str) -> None:
        """Make what has been said a decision, if it is one."""
        view = self._view(connection, row["id"])
        decided = _decided(view)
        if not decided:
            return
        by = tuple(sorted(one.by for one in view.votes if one.decision in _same_side(decided)))
        arguments: Any = None
        if decided == "complete":
            arguments = read_json(value or b"null")
        elif decided == "modify":
            arguments = read_json(view.arguments)
        answer = msgspec.json.encode(ApprovalDecision(decided, by, comment, arguments))
        values = {"decision": decided, "comment": comment}
        connection.execute(update(approval).where(approval.c.id == view.id).values(**values))
        self._waits.answer(connection, row, answer, ", ".join(by))

    def delegate(self, wanted: str, to: str, *, by: str, comment: str = "") -> tuple[ApprovalView, bool]:
        """Have somebody else decide in one's place; return the approval, and whether anything has changed.

        Raises:
            WaitNotFound: TW7012. WaitClosed: TW7013. DeciderRefused: TW7031.
        """
        with self._store.begin() as connection:
            row = self._waits.find(connection, wanted, APPROVAL)
            view = self._view(connection, row["id"])
            by, to = _named(view, by), _named(view, to)
            said = next((one for one in view.votes if one.by == by), None)
            if said is not None and (said.decision, said.delegated_to) == ("delegate", to):
                return view, False
            self._waits.check_open(row)
            _check(view, by, said, "")
            rest = [name for name in view.allowed if person_key(name) != person_key(by)]
            allowed = list(dict.fromkeys([*rest, to]))
            _check_handing(view, by, to, allowed)
            connection.execute(update(approval).where(approval.c.id == view.id).values(allowed=write_json(allowed)))
            self._note(connection, view.id, Vote(by, "delegate", comment, to))
            return self._view(connection, view.id), True

    def _view(self, connection: Connection, key: str) -> ApprovalView:
        row = connection.execute(select(wait).where(wait.c.id == key)).mappings().one()
        asked = connection.execute(select(approval).where(approval.c.id == key)).mappings().one()
        votes = connection.execute(select(vote).where(vote.c.approval_id == key).order_by(vote.c.at_us, vote.c.by))
        return ApprovalView(
            key,
            row["run_id"],
            row["step"],
            asked["kind"],
            asked["skill"],
            row["message"],
            asked["edited"] if asked["edited"] is not None else asked["arguments"],
            asked["edited"] is not None,
            tuple(read_json(asked["labels"])),
            asked["error"],
            asked["cost_micros"],
            asked["need"],
            tuple(read_json(asked["allowed"])),
            tuple(read_json(asked["escalate_to"])),
            bool(asked["escalated"]),
            asked["on_timeout"],
            row["status"],
            asked["decision"],
            asked["comment"],
            row["opened_us"],
            row["due_us"],
            tuple(
                Vote(one["by"], one["decision"], one["comment"], one["delegated_to"], one["at_us"])
                for one in votes.mappings()
            ),
        )


def _check(view: ApprovalView, by: str, said: Vote | None, decision: str) -> None:
    """Refuse somebody who may not decide, or has already, and what cannot be decided."""
    if said is not None:
        told = f"handed it to {said.delegated_to}" if said.delegated_to else f"said {said.decision}"
        raise WaitClosed(f"{by} has {told} already", where=view.id, fix="somebody else may decide")
    if view.allowed and by not in view.allowed:
        raise DeciderRefused(
            f"{by} is not among those who decide on {view.id}",
            why=f"they are {', '.join(view.allowed)}",
            fix="ask one of them, or have one of them delegate it to you",
        )
    if decision and decision not in view.choices:
        raise UsageFault(
            f"an approval of the kind {view.kind} cannot be answered with {decision}",
            where=view.id,
            fix=f"use {', '.join(view.choices)}",
        )


def _named(view: ApprovalView, name: str) -> str:
    """Return a person's name as it was spelt first: by who asks for them, or by themselves.

    Raises:
        DeciderRefused: TW7031, it is nobody's.
    """
    key = person_key(name)
    if not key:
        raise DeciderRefused(f"nobody is named who decides on {view.id}", fix="name a person")
    known = (*view.allowed, *(one.by for one in view.votes))
    return next((other for other in known if person_key(other) == key), name.strip())


def _left(view: ApprovalView, allowed: Sequence[str]) -> int:
    """Return how many of those who may decide have said nothing yet."""
    return len({person_key(name) for name in allowed} - {person_key(one.by) for one in view.votes})


def _check_handing(view: ApprovalView, by: str, to: str, allowed: Sequence[str]) -> None:
    """Refuse to hand a decision to somebody with whom nobody could ever make it."""
    if to == by or any(one.by == to for one in view.votes):
        raise DeciderRefused(
            f"{by} cannot hand {view.id} to {to}",
            why="they are the same" if to == by else f"{to} has had their say",
            fix="hand it to somebody else, or decide yourself",
        )
    if _left(view, allowed) < view.missing:
        raise DeciderRefused(
            f"{by} cannot hand {view.id} to {to}",
            why=f"{view.missing} more have to agree, and fewer would be left who can",
            fix="hand it to somebody who is not asked yet, or decide yourself",
        )


def _decided(view: ApprovalView) -> str:
    """Return the decision that the votes make; empty for none yet."""
    for decision in ("skip", "complete"):
        if sum(one.decision == decision for one in view.votes) >= view.need:
            return decision
    if not view.missing:
        return "modify" if view.edited else "grant"
    denied = [one.by for one in view.votes if one.decision == "deny"]
    if not denied:
        return ""
    return "" if _left(view, view.allowed) >= view.missing else "deny"


def _same_side(decided: str) -> Sequence[str]:
    return ("grant", "modify") if decided in ("grant", "modify") else (decided,)
