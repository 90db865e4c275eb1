"""What runs wait for, as rows: people, signals and times. A run looks its row up by the key of its effect.

Invariants:
    * A row is opened once for an effect, however often the run is killed and goes on; its id follows from both.
    * What has been answered, or has expired, stays so: who looks again finds the same answer.
    * A signal is taken by one wait, the one that was opened first among those that look for its name.
    * Whatever changes a row wakes its run in the same transaction.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from ..codec import digest
from .calls import ApprovalDecision, ApprovalRequest, Failure
from .errors import KeyReused, SkillInputInvalid, SkillTimeout, WaitClosed, WaitNotFound
from .json_text import read_json, write_json
from .store.runs import OPEN as OPEN_RUNS
from .store.runs import Runs, run_unknown
from .store.sql import ColumnElement, Connection, RowMapping, delete, insert, select, unsought, update
from .store.store import Store
from .store.tables import TENANT, approval, run, signal, vote, wait

OPEN: Final = "open"
ANSWERED: Final = "answered"
EXPIRED: Final = "expired"
CANCELLED: Final = "cancelled"

APPROVAL: Final = "approval"
INPUT: Final = "input"
SIGNAL: Final = "signal"
TIMER: Final = "timer"

NULL: Final = b"null"
USED: Final = "used"
"""Name of a wait whose answer was acted upon once and for all."""


class NewWait(msgspec.Struct, frozen=True):
    """What is to be waited for. Units: milliseconds; 0 waits for ever.

    Attributes:
        request: JSON, as it was asked.
        name: Of a signal.
        delay_ms: Of a timer, after which it is answered; of everything else after which it has expired.
        approval: What people have to decide.
    """

    kind: str
    step: str
    request: bytes
    message: str = ""
    name: str = ""
    delay_ms: int = 0
    approval: ApprovalRequest | None = None


class Looked(msgspec.Struct, frozen=True):
    """How a wait stands.

    Attributes:
        answer: JSON; None while there is none.
        failure: Why there will be none.
        due_us: When to look again although nobody has answered; 0 for never. Units: microseconds since 1970.
    """

    answer: bytes | None = None
    failure: Failure | None = None
    due_us: int = 0


class WaitView(msgspec.Struct, frozen=True):
    """A wait, for people. ``request`` and ``answer`` are JSON."""

    id: str
    run_id: str
    kind: str
    step: str
    message: str
    name: str
    status: str
    opened_us: int
    due_us: int | None
    request: bytes
    answer: bytes
    answered_by: str


def wait_id(run_id: str, effect: str) -> str:
    """Return the id of the wait of an effect of a run."""
    return f"w_{digest(f'{run_id}/{effect}'.encode()).hex()[:16]}"


def wait_unknown(wanted: str, kind: str, found: Sequence[str] = ()) -> WaitNotFound:
    """Return the error of an id that names no wait, or several."""
    if len(found) > 1:
        why = f"it begins the ids of {', '.join(found)}"
        return WaitNotFound(f"{wanted!r} names more than one {kind}", why=why, fix="give more of the id")
    where = "approval" if kind == APPROVAL else "input"
    return WaitNotFound(f"no {kind} {wanted!r} is waited for", fix=f"see what is, with `tickwork {where} list`")


class Waits:
    """The waits of a tenant's runs."""

    def __init__(self, store: Store, tenant: str = TENANT) -> None:
        self._store = store
        self._tenant = tenant
        self._runs = Runs(store, tenant)

    def now_us(self) -> int:
        """Return the time by which rows are due. Units: microseconds since 1970."""
        return self._store.clock.now_us()

    # What a run does.

    def look(self, run_id: str, effect: str, new: NewWait) -> Looked:
        """Return how the wait of an effect stands; it is opened where it was not yet.

        Raises:
            RunNotFound: TW7011, it is another tenant's.
        """
        with self._store.begin(durable=False) as connection:
            row = self._row(connection, run_id, effect)
            if row is None:
                self._open(connection, run_id, effect, new)
                row = self._row(connection, run_id, effect)
                assert row is not None, "it was opened just now"
            if row["status"] == OPEN:
                self._judge(connection, row)
                row = self._row(connection, run_id, effect) or row
        if row["status"] == OPEN:
            return Looked(due_us=row["due_us"] or 0)
        if row["status"] == ANSWERED or row["kind"] == APPROVAL:
            return Looked(row["answer"] or NULL)
        if row["status"] == CANCELLED:
            return Looked(failure=Failure(WaitClosed.code, "nobody waits for it any more", source="run"))
        text = f"no {row['kind']} came in time"
        return Looked(failure=Failure(SkillTimeout.code, text, source="person"))

    def _row(self, connection: Connection, run_id: str, effect: str) -> RowMapping | None:
        found = connection.execute(select(wait).where(wait.c.run_id == run_id, wait.c.effect == effect))
        row = found.mappings().one_or_none()
        if row is not None and row["tenant_id"] != self._tenant:
            raise run_unknown(run_id)
        return row

    def _own(self, run_id: str) -> list[ColumnElement[bool]]:
        return [unsought(wait.c.tenant_id) == self._tenant, wait.c.run_id == run_id]

    def _open(self, connection: Connection, run_id: str, effect: str, new: NewWait) -> None:
        now, key = self._store.clock.now_us(), wait_id(run_id, effect)
        due = now + new.delay_ms * 1000 if new.delay_ms or new.kind == TIMER else None
        connection.execute(
            insert(wait).values(
                id=key,
                tenant_id=self._tenant,
                run_id=run_id,
                effect=effect,
                step=new.step,
                kind=new.kind,
                request=new.request,
                message=new.message,
                name=new.name,
                opened_us=now,
                due_us=due,
            )
        )
        if new.approval is not None:
            asked = new.approval
            arguments = bytes(asked.arguments)
            connection.execute(
                insert(approval).values(
                    id=key,
                    tenant_id=self._tenant,
                    run_id=run_id,
                    kind=asked.kind,
                    skill=asked.skill,
                    arguments=arguments,
                    arguments_hash=digest(arguments),
                    labels=write_json(list(asked.labels)),
                    error=asked.error,
                    cost_micros=asked.cost_micros,
                    need=asked.need,
                    allowed=write_json(list(asked.by)),
                    escalate_to=write_json(list(asked.escalate_to)),
                    on_timeout=asked.on_timeout,
                )
            )

    def _judge(self, connection: Connection, row: RowMapping) -> None:
        """Answer an open wait whose signal is there, or whose time has come."""
        now = self._store.clock.now_us()
        if row["kind"] == SIGNAL and self._take_signal(connection, row, now):
            return
        if row["due_us"] is None or row["due_us"] > now:
            return
        if row["kind"] == TIMER:
            self._close(connection, row["id"], ANSWERED, NULL, "", now)
        elif row["kind"] == APPROVAL:
            self._expire_approval(connection, row, now)
        else:
            self._close(connection, row["id"], EXPIRED, NULL, "", now)

    def _take_signal(self, connection: Connection, row: RowMapping, now: int) -> bool:
        first = (
            select(signal)
            .where(signal.c.run_id == row["run_id"], signal.c.name == row["name"], signal.c.wait_id.is_(None))
            .order_by(signal.c.received_us, signal.c.id)
            .limit(1)
        )
        found = connection.execute(first).mappings().one_or_none()
        if found is None:
            return False
        connection.execute(update(signal).where(signal.c.id == found["id"]).values(wait_id=row["id"]))
        self._close(connection, row["id"], ANSWERED, found["body"], found["by"], now)
        return True

    def _expire_approval(self, connection: Connection, row: RowMapping, now: int) -> None:
        """Do what an approval says is to be done when nobody has decided in time."""
        asked = connection.execute(select(approval).where(approval.c.id == row["id"])).mappings().one()
        people: list[str] = read_json(asked["escalate_to"])
        if asked["on_timeout"] == "escalate" and people and not asked["escalated"]:
            again = msgspec.json.decode(row["request"]).get("timeout_ms", 0)
            # What others have said or changed by then counts no more: from now on these decide, on what was proposed.
            connection.execute(delete(vote).where(vote.c.approval_id == row["id"]))
            values = {
                "escalated": 1,
                "allowed": asked["escalate_to"],
                "need": min(asked["need"], len(set(people))),
                "edited": None,
            }
            connection.execute(update(approval).where(approval.c.id == row["id"]).values(**values))
            due = now + again * 1000
            connection.execute(update(wait).where(wait.c.id == row["id"]).values(due_us=due))
            return
        decision = "grant" if asked["on_timeout"] == "grant" else "deny"
        comment = "nobody decided in time"
        answer = msgspec.json.encode(ApprovalDecision(decision, comment=comment))
        # What somebody has edited and not enough have agreed to is not what is called.
        values = {"decision": decision, "comment": comment, "edited": None}
        connection.execute(update(approval).where(approval.c.id == row["id"]).values(**values))
        self._close(connection, row["id"], EXPIRED, answer, "", now)

    def _close(self, connection: Connection, key: str, status: str, answer: bytes, by: str, now: int) -> None:
        values = {"status": status, "answer": answer, "answered_by": by, "answered_us": now}
        connection.execute(update(wait).where(wait.c.id == key).values(**values))

    def losses(self, run_id: str, prefix: str) -> int:
        """Return how many answers about a lost call have been acted upon."""
        used = select(wait.c.id).where(*self._own(run_id), wait.c.effect.startswith(prefix), wait.c.name == USED)
        with self._store.reading() as connection:
            return len(connection.scalars(used).all())

    def use(self, run_id: str, effect: str) -> None:
        """Note that an answer was acted upon, so that it counts for nothing that comes later."""
        with self._store.begin() as connection:
            where = (*self._own(run_id), wait.c.effect == effect)
            connection.execute(update(wait).where(*where).values(name=USED))

    def changed(self, run_id: str, effects: Collection[str]) -> set[str]:
        """Return those of a run's parked effects that it is worth looking at again."""
        with self._store.reading() as connection:
            closed = select(wait.c.effect).where(*self._own(run_id), wait.c.status != OPEN)
            names = select(signal.c.name).where(signal.c.run_id == run_id, signal.c.wait_id.is_(None))
            heard = select(wait.c.effect).where(
                *self._own(run_id), unsought(wait.c.status) == OPEN, wait.c.kind == SIGNAL, wait.c.name.in_(names)
            )
            found = {*connection.scalars(closed), *connection.scalars(heard)}
        return found & set(effects)

    def cancel(self, run_id: str, effects: Collection[str] | None = None) -> None:
        """Close waits that nobody wants an answer to any more; all of a run's where none are named."""
        where = [*self._own(run_id), unsought(wait.c.status) == OPEN]
        if effects is not None:
            where.append(wait.c.effect.in_(list(effects)))
        with self._store.begin(durable=False) as connection:
            values = {"status": CANCELLED, "answered_us": self._store.clock.now_us()}
            connection.execute(update(wait).where(*where).values(**values))

    # What people do.

    def list(self, *, kind: str = "", run_id: str = "", status: str = OPEN) -> list[WaitView]:
        """Return waits. Order: the oldest first."""
        statement = select(wait)
        statement = statement.where(*self._own(run_id) if run_id else [wait.c.tenant_id == self._tenant])
        for column, wanted in ((wait.c.kind, kind), (wait.c.status, status)):
            if wanted:
                statement = statement.where((unsought(column) if run_id else column) == wanted)
        with self._store.reading() as connection:
            rows = connection.execute(statement.order_by(wait.c.opened_us, wait.c.id)).mappings()
            return [_view(row) for row in rows]

    def find(self, connection: Connection, wanted: str, kind: str) -> RowMapping:
        """Return the wait whose id begins so, with or without its ``w_``.

        Raises:
            WaitNotFound: TW7012.
        """
        if wanted:
            for prefix in (wanted, f"w_{wanted}"):
                statement = select(wait).where(
                    wait.c.tenant_id == self._tenant,
                    wait.c.kind == kind,
                    wait.c.id >= prefix,
                    wait.c.id < prefix + "\U0010ffff",
                )
                found = connection.execute(statement.limit(5)).mappings().all()
                if len(found) > 1:
                    raise wait_unknown(wanted, kind, [row["id"] for row in found])
                if found:
                    return found[0]
        raise wait_unknown(wanted, kind)

    def answer(self, connection: Connection, row: RowMapping, answer: bytes, by: str) -> None:
        """Answer an open wait, and wake its run, within a transaction."""
        self._close(connection, row["id"], ANSWERED, answer, by, self._store.clock.now_us())
        self._runs.wake([row["run_id"]])

    def give(self, wanted: str, value: Any, *, by: str) -> tuple[WaitView, bool]:
        """Give an input that is waited for; return the wait, and whether anything has changed.

        Raises:
            WaitNotFound: TW7012. WaitClosed: TW7013, another one was given, or it has expired.
            SkillInputInvalid: TW7006, the value is not what is asked for.
        """
        raw = write_json(value)
        with self._store.begin() as connection:
            row = self.find(connection, wanted, INPUT)
            if row["status"] == ANSWERED and row["answer"] == raw:
                return _view(row), False
            self.check_open(row)
            schema: dict[str, Any] = msgspec.json.decode(row["request"]).get("schema") or {}
            from .skills.shapes import SchemaShape  # Loads Pydantic and jsonschema.

            try:
                SchemaShape(schema).check(raw)
            except ValueError as error:
                raise SkillInputInvalid(
                    "the value is not what the step asks for", where=row["id"], why=str(error), fix="give another"
                ) from error
            self.answer(connection, row, raw, by)
            return _view(self.find(connection, row["id"], INPUT)), True

    def check_open(self, row: RowMapping) -> None:
        """Refuse to answer a wait that is closed, or whose time is over.

        Raises:
            WaitClosed: TW7013.
        """
        overdue = row["due_us"] is not None and row["due_us"] <= self._store.clock.now_us()
        if row["status"] == OPEN and not overdue:
            return
        where = f"run {row['run_id']}, step {row['step']}"
        if row["status"] == OPEN:
            raise WaitClosed(
                f"the time of the {row['kind']} {row['id']} is over",
                where=where,
                why="what its plan says of that comes next, and an answer no longer counts",
                fix="let the run go on with `tickwork work`, and see whether somebody else is asked then",
            )
        who = f" by {row['answered_by']}" if row["answered_by"] else ""
        raise WaitClosed(
            f"the {row['kind']} {row['id']} is {row['status']}{who}",
            where=where,
            why="an answer stands: the run may have gone on with it",
            fix=f"see what came of it with `tickwork show {row['run_id']}`",
        )

    def send(self, run_id: str, name: str, body: bytes, *, by: str = "", key: str = "") -> bool:
        """Send a signal to a run; return whether it is a new one. It is kept until a step waits for it.

        Raises:
            RunNotFound: TW7011. WaitClosed: TW7013, the run has ended. KeyReused: TW7021.
        """
        with self._store.begin() as connection:
            check_run_open(connection, run_id, self._tenant)
            if key:
                same = select(signal).where(signal.c.run_id == run_id, signal.c.key == key)
                known = connection.execute(same).mappings().one_or_none()
                if known is not None:
                    if (known["name"], known["body"]) != (name, body):
                        raise KeyReused(f"the key {key!r} stands for another signal", where=f"run {run_id}")
                    return False
            connection.execute(
                insert(signal).values(
                    id=self._store.new_id("s"),
                    tenant_id=self._tenant,
                    run_id=run_id,
                    name=name,
                    body=body,
                    key=key or None,
                    by=by,
                    received_us=self._store.clock.now_us(),
                )
            )
            self._runs.wake([run_id])
            return True


def check_run_open(connection: Connection, run_id: str, tenant: str) -> None:
    """Refuse to tell a run anything that has ended.

    Raises:
        RunNotFound: TW7011. WaitClosed: TW7013.
    """
    found = connection.execute(select(run.c.status).where(run.c.tenant_id == tenant, run.c.id == run_id)).first()
    if found is None:
        raise run_unknown(run_id)
    if found.status not in OPEN_RUNS:
        raise WaitClosed(
            f"the run {run_id} has ended ({found.status})",
            why="nothing reaches a run after its end",
            fix=f"run it again with `tickwork rerun {run_id}`",
        )


def _view(row: RowMapping) -> WaitView:
    return WaitView(
        row["id"],
        row["run_id"],
        row["kind"],
        row["step"],
        row["message"],
        row["name"],
        row["status"],
        row["opened_us"],
        row["due_us"],
        row["request"] or b"{}",
        row["answer"] or NULL,
        row["answered_by"],
    )
