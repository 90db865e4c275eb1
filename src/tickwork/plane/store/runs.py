"""Runs as rows: submitted once for a key, claimed by one process at a time, found again by people.

Invariants:
    * A key stands for one submission for ever: the same again is the same run, another one is refused.
    * A claim raises the run's fence, and only its holder changes the row until it lets go: a process that was silent
      for too long finds its fence gone and writes nothing more.
    * What wakes a run raises ``awake``. Whoever lets go of a run that was woken meanwhile is told to look again.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Final

import msgspec

from ...codec import digest
from ...journal.dbapi import Database, Row, Value
from ..errors import KeyReused, RunBusy, RunNotFound
from . import tables
from .owners import is_alive
from .sql import bindparam, func, insert, or_, select, text, unsought, update
from .statements import Statement
from .store import Store
from .tables import TENANT

QUEUED: Final = "queued"
RUNNING: Final = "running"
WAITING: Final = "waiting"
PAUSED: Final = "paused"
OPEN: Final = (QUEUED, RUNNING, WAITING, PAUSED)
SUCCEEDED: Final = "succeeded"
PARTIAL: Final = "partially_succeeded"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"
DEAD: Final = "dead_lettered"
STATUSES: Final = (*OPEN, SUCCEEDED, PARTIAL, FAILED, CANCELLED, "timed_out", DEAD)

LEASE_US: Final = 30_000_000
"""How long a claim lasts that nobody renews. Units: microseconds."""


class NewRun(msgspec.Struct, frozen=True):
    """What is submitted.

    Attributes:
        run_id: Empty for a new id.
        key: The same key is the same run; empty for none.
        request: What the key stands for, canonical: the goal or plan, its inputs and its profile.
        name: Of its plan, or of its profile where a planner makes the plan.
        parent_id, relation, parent_tick: Of which run it is a ``fork``, ``rerun`` or ``child``, and since when.
    """

    run_id: str = ""
    key: str = ""
    request: bytes = b""
    name: str = ""
    goal: str = ""
    profile: str = "default"
    profile_version: int = 1
    plan_digest: bytes = b""
    inputs: bytes = b"{}"
    tags: tuple[str, ...] = ()
    priority: int = 0
    parent_id: str = ""
    relation: str = ""
    parent_tick: int = -1


class RunRow(msgspec.Struct, frozen=True):
    """A run as the store knows it. Field order is that of the table."""

    id: str
    tenant_id: str
    key: str | None
    fingerprint: bytes
    name: str
    goal: str
    profile: str
    profile_version: int
    status: str
    reason: str
    lineage: str
    root_id: str
    parent_id: str | None
    relation: str
    parent_tick: int
    plan_digest: bytes
    inputs: bytes
    tags: bytes
    priority: int
    lease_owner: str
    lease_until_us: int
    fence: int
    attempts: int
    due_us: int | None
    awake: int
    ticks: int
    degraded: int
    cost_micros: int
    tokens_in: int
    tokens_out: int
    calls: int
    created_us: int
    started_us: int | None
    ended_us: int | None

    @property
    def open(self) -> bool:
        """Whether the run can go on."""
        return self.status in OPEN


class Progress(msgspec.Struct, frozen=True):
    """What a run came to so far. Units: microseconds, micro-dollars, tokens."""

    status: str
    reason: str = ""
    due_us: int | None = None
    ticks: int = 0
    degraded: bool = False
    cost_micros: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    calls: int = 0


_RUN: Final = tables.run
_COLUMNS: Final = tuple(_RUN.c)
_ADD: Final = Statement(insert(_RUN).values({column.name: bindparam(column.name) for column in _COLUMNS}))
assert _ADD.names == RunRow.__struct_fields__, "a row is written as it is"
_BY_KEY: Final = Statement(
    select(*_COLUMNS).where(_RUN.c.tenant_id == bindparam("tenant"), _RUN.c.key == bindparam("wanted"))
)
_BY_ID: Final = Statement(
    select(*_COLUMNS).where(_RUN.c.tenant_id == bindparam("tenant"), _RUN.c.id == bindparam("wanted"))
)
_CLAIM: Final = Statement(
    update(_RUN)
    .where(_RUN.c.tenant_id == bindparam("tenant"), _RUN.c.id == bindparam("wanted"), _RUN.c.fence == bindparam("seen"))
    .values(
        status=RUNNING,
        reason="",
        awake=0,
        due_us=bindparam("never"),
        lease_owner=bindparam("owner"),
        lease_until_us=bindparam("until"),
        fence=_RUN.c.fence + 1,
        attempts=bindparam("tried"),
        started_us=func.coalesce(_RUN.c.started_us, bindparam("now")),
    )
    .returning(*_COLUMNS)
)
_CLAIMED: Final = text("lease_owner != ''")
"""In these words SQLite finds the index of the few runs that somebody holds."""

_HELD: Final = (
    _CLAIMED,
    _RUN.c.lease_owner == bindparam("owner"),
    unsought(_RUN.c.tenant_id) == bindparam("tenant"),
)
_RENEW: Final = Statement(update(_RUN).where(*_HELD).values(lease_until_us=bindparam("until")).returning(_RUN.c.id))
_LET_GO: Final = Statement(
    update(_RUN)
    .where(_RUN.c.tenant_id == bindparam("tenant"), _RUN.c.id == bindparam("wanted"), _RUN.c.fence == bindparam("held"))
    .values(
        {
            _RUN.c.lease_owner: "",
            _RUN.c.lease_until_us: 0,
            _RUN.c.attempts: 0,
            _RUN.c.ended_us: bindparam("ended"),
            **{_RUN.c[name]: bindparam(f"new_{name}") for name in Progress.__struct_fields__},
        }
    )
    .returning(_RUN.c.awake)
)
_NEW: Final = tuple(f"new_{name}" for name in Progress.__struct_fields__)
_NOTE: Final = Statement(
    update(_RUN)
    .where(_RUN.c.tenant_id == bindparam("tenant"), _RUN.c.id == bindparam("wanted"), _RUN.c.fence == bindparam("held"))
    .values({_RUN.c[name]: bindparam(f"new_{name}") for name in Progress.__struct_fields__})
    .returning(_RUN.c.awake)
)
_WAKE: Final = Statement(
    update(_RUN)
    .where(_RUN.c.tenant_id == bindparam("tenant"), _RUN.c.id == bindparam("wanted"))
    .values(awake=_RUN.c.awake + 1)
    .returning(_RUN.c.id)
)
_WOKEN: Final = Statement(select(_RUN.c.id).where(*_HELD, _RUN.c.awake > 0))
_LOWER: Final = Statement(update(_RUN).where(*_HELD, _RUN.c.awake > 0).values(awake=0).returning(_RUN.c.id))


class Runs:
    """The runs of a tenant."""

    def __init__(self, store: Store, tenant: str = TENANT) -> None:
        self._store = store
        self._tenant = tenant

    # Submission.

    def submit(self, new: NewRun, *, owner: str = "", durable: bool = True) -> tuple[RunRow, bool]:
        """Return the run of a submission, and whether it was made now.

        Args:
            owner: Claim it at once for this owner.

        Raises:
            KeyReused: TW7021, the key stands for another submission.
            RunNotFound: TW7011, its parent is not here.
        """
        with self._writing(durable=durable, single=True) as database:
            fingerprint = digest(new.request)
            if new.key:
                rows = _BY_KEY(database, tenant=self._tenant, wanted=new.key)
                if rows:
                    return _same(_row(rows[0]), fingerprint), False
            row = self._new_row(database, new, fingerprint, owner)
            database.query(_ADD.text, msgspec.structs.astuple(row))
            return row, True

    def _new_row(self, database: Database, new: NewRun, fingerprint: bytes, owner: str) -> RunRow:
        run_id = new.run_id or self._store.new_id("r")
        root = run_id
        if new.parent_id:
            rows = _BY_ID(database, tenant=self._tenant, wanted=new.parent_id)
            root = _row(rows[0]).root_id if rows else new.parent_id
        now = self._store.clock.now_us()
        return RunRow(
            id=run_id,
            tenant_id=self._tenant,
            key=new.key or None,
            fingerprint=fingerprint,
            name=new.name,
            goal=new.goal,
            profile=new.profile,
            profile_version=new.profile_version,
            status=RUNNING if owner else QUEUED,
            reason="",
            lineage=run_id,
            root_id=root,
            parent_id=new.parent_id or None,
            relation=new.relation,
            parent_tick=new.parent_tick,
            plan_digest=new.plan_digest,
            inputs=new.inputs,
            tags=msgspec.json.encode(new.tags),
            priority=new.priority,
            lease_owner=owner,
            lease_until_us=now + LEASE_US if owner else 0,
            fence=1 if owner else 0,
            attempts=0,
            due_us=None,
            awake=0,
            ticks=0,
            degraded=0,
            cost_micros=0,
            tokens_in=0,
            tokens_out=0,
            calls=0,
            created_us=now,
            started_us=now if owner else None,
            ended_us=None,
        )

    # Finding.

    def get(self, run_id: str) -> RunRow:
        """Return a run by its id.

        Raises:
            RunNotFound: TW7011.
        """
        with self._store.reading() as connection:
            found = connection.execute(
                select(*_COLUMNS).where(_RUN.c.tenant_id == self._tenant, _RUN.c.id == run_id)
            ).one_or_none()
        if found is None:
            raise run_unknown(run_id)
        return _row(tuple(found))

    def find(self, prefix: str) -> RunRow:
        """Return the run whose id begins so, with or without its ``r_``.

        Raises:
            RunNotFound: TW7011, there is none, or there are several.
        """
        wanted = [prefix, f"r_{prefix}"]
        ranges = [(_RUN.c.id >= text) & (_RUN.c.id < text + "\U0010ffff") for text in wanted if prefix]
        with self._store.reading() as connection:
            statement = select(*_COLUMNS).where(_RUN.c.tenant_id == self._tenant, or_(False, *ranges))
            found = [_row(tuple(one)) for one in connection.execute(statement.order_by(_RUN.c.id).limit(5))]
        exact = [one for one in found if one.id in wanted]
        if len(exact or found) != 1:
            raise run_unknown(prefix, [one.id for one in found])
        return (exact or found)[0]

    def page(
        self,
        *,
        statuses: Sequence[str] = (),
        profile: str = "",
        root: str = "",
        before: RunRow | None = None,
        most: int = 50,
    ) -> list[RunRow]:
        """Return runs. Order: the newest first; ``before`` goes on after the last one of an earlier answer."""
        statement = select(*_COLUMNS).where(_RUN.c.tenant_id == self._tenant)
        if statuses:
            statement = statement.where(_RUN.c.status.in_(statuses))
        if profile:
            statement = statement.where(_RUN.c.profile == profile)
        if root:
            statement = statement.where(_RUN.c.root_id == root)
        if before is not None:
            older = (_RUN.c.created_us == before.created_us) & (_RUN.c.id < before.id)
            statement = statement.where(or_(_RUN.c.created_us < before.created_us, older))
        statement = statement.order_by(_RUN.c.created_us.desc(), _RUN.c.id.desc()).limit(most)
        with self._store.reading() as connection:
            return [_row(tuple(one)) for one in connection.execute(statement)]

    def ready(self, most: int = 100) -> list[RunRow]:
        """Return runs that could go on now and that no living process works on. Order: priority, then age."""
        now = self._store.clock.now_us()
        with self._store.reading() as connection:
            held = select(_RUN.c.lease_owner).where(_CLAIMED, _RUN.c.lease_until_us > now).distinct()
            alive = [name for name in connection.scalars(held) if is_alive(self._store.path, name)]
            # In two conditions, so that those which have ended need not be looked at.
            can = _RUN.c.status.in_((QUEUED, RUNNING, WAITING))
            due = or_(_RUN.c.status != WAITING, _RUN.c.awake > 0, _RUN.c.due_us <= now)
            free = (_RUN.c.lease_until_us <= now) | _RUN.c.lease_owner.not_in(alive)
            statement = select(*_COLUMNS).where(_RUN.c.tenant_id == self._tenant, can, due, free)
            order = (_RUN.c.priority.desc(), _RUN.c.created_us, _RUN.c.id)
            return [_row(tuple(one)) for one in connection.execute(statement.order_by(*order).limit(most))]

    # Working.

    def claim(self, run_id: str, owner: str, *, lease_us: int = LEASE_US) -> RunRow:
        """Return the run, which is this owner's from now on, with its new fence.

        ``attempts`` of it says how many claims before this one ended without a word.

        Raises:
            RunNotFound: TW7011. RunBusy: TW7028, a living process works on it.
        """
        now = self._store.clock.now_us()
        with self._writing(durable=False) as database:
            rows = _BY_ID(database, tenant=self._tenant, wanted=run_id)
            if not rows:
                raise run_unknown(run_id)
            found = _row(rows[0])
            if found.lease_owner != owner and self._held(found, now):
                raise run_busy(found)
            if not found.open:
                raise run_ended(found)
            claimed = _CLAIM(
                database,
                tenant=self._tenant,
                wanted=run_id,
                seen=found.fence,
                owner=owner,
                until=now + lease_us,
                tried=found.attempts + bool(found.lease_owner),
                now=now,
                never=None,
            )
            return _row(claimed[0])

    def _held(self, row: RunRow, now: int) -> bool:
        """Return whether a living process has a claim on the run that has not expired."""
        return bool(row.lease_owner) and row.lease_until_us > now and is_alive(self._store.path, row.lease_owner)

    def renew(self, owner: str, *, lease_us: int = LEASE_US) -> set[str]:
        """Make all claims of an owner last on; return the runs that are still its."""
        until = self._store.clock.now_us() + lease_us
        with self._writing(durable=False) as database:
            return {row[0] for row in _RENEW(database, tenant=self._tenant, owner=owner, until=until)}

    def note(self, run: RunRow, progress: Progress, *, durable: bool = False) -> bool:
        """Tell how a claimed run stands; return whether it was woken since it was claimed.

        Raises:
            RunBusy: TW7028, it is another process's by now.
        """
        with self._writing(durable=durable, single=True) as database:
            rows = _NOTE(database, tenant=self._tenant, wanted=run.id, held=run.fence, **_values(progress))
        if not rows:
            raise run_busy(run)
        return bool(rows[0][0])

    def let_go(self, run: RunRow, progress: Progress, *, durable: bool = False) -> bool:
        """Give a claimed run back; return whether it was woken since it was claimed and should be looked at again.

        Raises:
            RunBusy: TW7028, it is another process's by now.
        """
        ended = None if progress.status in OPEN else self._store.clock.now_us()
        with self._writing(durable=durable, single=True) as database:
            own: dict[str, Value] = {"tenant": self._tenant, "wanted": run.id, "held": run.fence}
            rows = _LET_GO(database, **own, ended=ended, **_values(progress))
        if not rows:
            raise run_busy(run)
        return bool(rows[0][0])

    def wake(self, run_ids: Iterable[str]) -> None:
        """Have runs looked at that wait for something: within the transaction that changes what they wait for."""
        with self._writing(durable=True) as database:
            for run_id in run_ids:
                _WAKE(database, tenant=self._tenant, wanted=run_id)

    def woken(self, owner: str) -> list[str]:
        """Return the runs of an owner that were woken since they were claimed or this was asked last."""
        with self._store.reading_quickly() as database:
            if not _WOKEN(database, tenant=self._tenant, owner=owner):
                return []
        with self._writing(durable=False) as database:
            return [row[0] for row in _LOWER(database, tenant=self._tenant, owner=owner)]

    def _writing(self, *, durable: bool, single: bool = False) -> AbstractContextManager[Database]:
        return self._store.writing_quickly(durable=durable, single=single)


def _row(row: Row) -> RunRow:
    return RunRow(*row)


def _same(found: RunRow, fingerprint: bytes) -> RunRow:
    if found.fingerprint != fingerprint:
        raise KeyReused(
            f"the key {found.key!r} stands for another request",
            where=f"run {found.id}",
            why="a key is the same request, however often it is sent: its goal or plan, inputs and profile",
            fix="take a new key, or send the request as it was",
        )
    return found


def _values(progress: Progress) -> dict[str, Value]:
    return dict(zip(_NEW, msgspec.structs.astuple(progress), strict=True))


def run_unknown(wanted: str, found: Sequence[str] = ()) -> RunNotFound:
    """Return the error of an id that names no run, or several."""
    if found:
        why = f"it begins the ids of {', '.join(found)}"
        return RunNotFound(f"{wanted!r} names more than one run", why=why, fix="give more of the id")
    return RunNotFound(f"there is no run {wanted!r}", fix="see the runs with `tickwork runs`")


def run_busy(row: RunRow) -> RunBusy:
    """Return the error of a run that somebody else works on."""
    return RunBusy(
        f"another process works on run {row.id}",
        why="a run is one process's at a time: free at once if that dies, when the claim ends if it hangs",
        fix="wait for it, or end that process",
    )


def run_ended(row: RunRow) -> RunBusy:
    """Return the error of going on with a run that has ended."""
    return RunBusy(
        f"run {row.id} has ended ({row.status})", fix=f"run it again with `tickwork rerun {row.id}`, or fork it"
    )


def row_document(row: RunRow) -> dict[str, object]:
    """Return a run as a document for programs."""
    return {
        "run_id": row.id,
        "name": row.name,
        "goal": row.goal,
        "profile": row.profile,
        "profile_version": row.profile_version,
        "status": row.status,
        "reason": row.reason,
        "degraded": bool(row.degraded),
        "parent": row.parent_id,
        "relation": row.relation or None,
        "family": row.root_id,
        "plan_digest": row.plan_digest.hex(),
        "inputs": msgspec.json.decode(row.inputs),
        "tags": msgspec.json.decode(row.tags),
        "ticks": row.ticks,
        "cost_micros": row.cost_micros,
        "tokens_in": row.tokens_in,
        "tokens_out": row.tokens_out,
        "calls": row.calls,
        "attempts": row.attempts,
        "created_us": row.created_us,
        "started_us": row.started_us,
        "ended_us": row.ended_us,
    }
