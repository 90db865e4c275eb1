"""Runs that could not be gone on with, as rows: set aside with the reason, put back or discarded by a person."""

import msgspec

from .errors import RunNotFound
from .store.runs import DEAD, FAILED, QUEUED
from .store.sql import Connection, insert, select, update
from .store.store import Store
from .store.tables import TENANT, dead_letter, run

OPEN = "open"
REQUEUED = "requeued"
DISCARDED = "discarded"


class DeadLetter(msgspec.Struct, frozen=True):
    """A run that was set aside. Units: microseconds since 1970."""

    id: str
    run_id: str
    reason: str
    attempts: int
    status: str
    by: str
    created_us: int


class DeadLetters:
    """The dead letters of a tenant."""

    def __init__(self, store: Store, tenant: str = TENANT) -> None:
        self._store = store
        self._tenant = tenant

    def add(self, connection: Connection, run_id: str, reason: str, attempts: int) -> None:
        """Set a run aside, within a transaction."""
        connection.execute(
            insert(dead_letter).values(
                id=self._store.new_id("d"),
                tenant_id=self._tenant,
                run_id=run_id,
                reason=reason,
                last_error=reason,
                attempts=attempts,
                created_us=self._store.clock.now_us(),
            )
        )

    def list(self, *, status: str = OPEN) -> list[DeadLetter]:
        """Return dead letters. Order: the oldest first."""
        statement = select(dead_letter).where(dead_letter.c.tenant_id == self._tenant)
        if status:
            statement = statement.where(dead_letter.c.status == status)
        with self._store.reading() as connection:
            rows = connection.execute(statement.order_by(dead_letter.c.created_us, dead_letter.c.id)).mappings()
            return [DeadLetter(*(row[name] for name in DeadLetter.__struct_fields__)) for row in rows]

    def requeue(self, run_id: str, *, by: str = "") -> None:
        """Have a run gone on with again.

        Raises:
            RunNotFound: TW7011, it was not set aside.
        """
        self._settle(run_id, REQUEUED, QUEUED, by)

    def discard(self, run_id: str, *, by: str = "") -> None:
        """Let a run be: it has failed.

        Raises:
            RunNotFound: TW7011, it was not set aside.
        """
        self._settle(run_id, DISCARDED, FAILED, by)

    def _settle(self, run_id: str, status: str, becomes: str, by: str) -> None:
        now = self._store.clock.now_us()
        with self._store.begin() as connection:
            found = connection.execute(
                update(dead_letter)
                .where(
                    dead_letter.c.tenant_id == self._tenant,
                    dead_letter.c.run_id == run_id,
                    dead_letter.c.status == OPEN,
                )
                .values(status=status, by=by, settled_us=now)
                .returning(dead_letter.c.id)
            ).all()
            if not found:
                fix = "see those that were, with `tickwork deadletter list`"
                raise RunNotFound(f"the run {run_id} was not set aside", fix=fix)
            ended = None if becomes == QUEUED else now
            values = {"status": becomes, "attempts": 0, "ended_us": ended}
            own = (run.c.tenant_id == self._tenant, run.c.id == run_id, run.c.status == DEAD)
            connection.execute(update(run).where(*own).values(**values))
