"""What all runs of a profile, and of the tenant, have spent: set aside before a call, settled after it.

A run keeps its own limits by itself, in its turns. What several runs share is kept here, in rows.

Invariants:
    * A call is booked once for each limit, under its own key, however often it is told.
    * What is set aside and what is spent never pass a hard limit together, however many calls are begun at once: the
      check and the booking are one transaction.
    * A refusal books nothing.
    * What a call has cost is booked even where it is more than was set aside: the money is gone.
    * What may have been spent and nobody knows is booked at what was set aside for it, and marked as estimated.
    * The answer of a call that is booked is kept until its run has ended, so that nobody pays for it twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from ..clock import Clock
from ..packages.times import format_time
from .calls import Usage
from .errors import BudgetExceeded, StoreFailed
from .money import parse_usd, usd_text
from .prices import ESTIMATED
from .profile import ProfileTable
from .store.sql import ColumnElement, Connection, Table, bindparam, delete, insert, select, update
from .store.statements import Statement
from .store.store import Store
from .store.tables import TENANT, budget, idempotency, ledger

RESERVED: Final = "reserved"
SETTLED: Final = "settled"
RELEASED: Final = "released"

TENANT_SUBJECT: Final = "tenant"


class Limit(msgspec.Struct, frozen=True):
    """What a subject may spend in a window; -1 for any amount. Units: micro-dollars.

    Attributes:
        subject: ``profile:NAME``, ``tenant`` or ``run:ID``.
        window: ``day`` and ``month`` are those of UTC; ``total`` is for ever.
    """

    subject: str
    window: str = "total"
    hard_micros: int = -1

    def period(self, now_us: int) -> str:
        """Return the name of the window that a time lies in: ``2026-01-31``, ``2026-01``, or empty for ever."""
        return format_time(now_us)[: {"day": 10, "month": 7}.get(self.window, 0)]


class Entry(msgspec.Struct, frozen=True):
    """What a booking is for, as people read it."""

    run_id: str = ""
    step: str = ""
    skill: str = ""


class Spent(msgspec.Struct, frozen=True):
    """What one subject has used in one period. Units: micro-dollars, tokens, calls; a limit of -1 is none."""

    subject: str
    period: str
    hard_micros: int
    reserved_micros: int
    spent_micros: int
    tokens: int
    calls: int


def limits_of(table: ProfileTable) -> tuple[Limit, ...]:
    """Return what all runs of a profile may spend together. Order: day, month, total."""
    subject, spending = f"profile:{table.name}", table.spending
    told = (("day", spending.day_usd), ("month", spending.month_usd), ("total", spending.total_usd))
    return tuple(Limit(subject, window, parse_usd(usd) if usd else -1) for window, usd in told)


class Ledger:
    """The bookings of one tenant."""

    def __init__(self, store: Store, clock: Clock, tenant: str = TENANT) -> None:
        self._store = store
        self._clock = clock
        self._tenant = tenant

    def reserve(self, key: str, micros: int, limits: Sequence[Limit], entry: Entry, *, metered: bool = False) -> bytes:
        """Set money aside for a call, under each limit; return the answer of one that is booked already, if it is kept.

        Law: doing so again under the same key changes nothing, unless the call is metered and its answer was lost.

        Args:
            key: Of the call and its attempt.
            micros: What it costs at most.
            metered: Whether it is paid for again when it is made again. Then both are booked, the one that was
                interrupted at what was set aside for it.

        Raises:
            BudgetExceeded: TW7010, it may be more than a limit leaves; then nothing is set aside.
        """
        with self._store.begin() as connection:
            booked = {(row["subject"], row["period"]): row for row in self._booked(connection, key)}
            if any(row["status"] != RELEASED for row in booked.values()):
                kept = self._kept(connection, entry.run_id, key)
                if kept or not metered:
                    return kept
                self._interrupted(connection, booked.values(), key)
                booked = {}
            now = self._clock.now_us()
            for limit in limits:
                period = limit.period(now)
                self._admit(connection, limit, period, micros)
                values = {"status": RESERVED, "reserved_micros": micros, "at_us": now, "settled_us": None}
                if (limit.subject, period) in booked:
                    connection.execute(
                        update(ledger).where(*self._place(ledger, limit.subject, period, key)).values(**values)
                    )
                else:
                    place = {"tenant_id": self._tenant, "subject": limit.subject, "period": period, "key": key}
                    told = {"run_id": entry.run_id, "step": entry.step, "skill": entry.skill}
                    connection.execute(insert(ledger).values(**place, **told, **values))
        return b""

    def settle(self, key: str, usage: Usage, answer: bytes = b"") -> None:
        """Book what a call has used in place of what was set aside. Law: only the first time under a key counts.

        Args:
            answer: What it came to, to be found under the key until the run has ended.
        """
        with self._store.begin() as connection:
            open_ = [row for row in self._booked(connection, key) if row["status"] == RESERVED]
            for row in open_:
                self._close(connection, row, SETTLED, usage)
            if open_ and answer:
                place = {"tenant_id": self._tenant, "scope": _scope(open_[0]["run_id"]), "key": key}
                told = {"run_id": open_[0]["run_id"], "answer": answer, "created_us": self._clock.now_us()}
                connection.execute(insert(idempotency).values(**place, **told))

    def _kept(self, connection: Connection, run_id: str, key: str) -> bytes:
        """Return the answer of a call that is booked; empty where it is not kept."""
        where = (*self._kept_of(run_id), idempotency.c.key == key)
        found = connection.execute(select(idempotency.c.answer).where(*where)).first()
        return bytes(found[0]) if found is not None else b""

    def _kept_of(self, run_id: str) -> tuple[ColumnElement[bool], ...]:
        return idempotency.c.tenant_id == self._tenant, idempotency.c.scope == _scope(run_id)

    def _interrupted(self, connection: Connection, rows: Iterable[Mapping[str, Any]], key: str) -> None:
        """Book what was set aside for a call whose answer is lost, where that is not done, and give its key free."""
        earlier = f"{key}~{self._store.new_id('l')}"
        for row in rows:
            if row["status"] == RESERVED:
                self._close(connection, row, SETTLED, _estimated(row))
            where = self._place(ledger, row["subject"], row["period"], key)
            connection.execute(update(ledger).where(*where).values(key=earlier))

    def release(self, key: str) -> None:
        """Give back what was set aside for a call that was not made. Law: of what is settled nothing is given back."""
        with self._store.begin() as connection:
            for row in self._booked(connection, key):
                if row["status"] == RESERVED:
                    self._close(connection, row, RELEASED, Usage())

    def close(self, run_id: str) -> None:
        """Book what is still set aside for a run that has ended, since it may be spent, and forget its answers."""
        query = select(ledger).where(
            ledger.c.tenant_id == self._tenant, ledger.c.run_id == run_id, ledger.c.status == RESERVED
        )
        with self._store.begin() as connection:
            for row in connection.execute(query).mappings().all():
                self._close(connection, dict(row), SETTLED, _estimated(dict(row)))
            connection.execute(delete(idempotency).where(*self._kept_of(run_id)))

    def knows(self, run_id: str) -> bool:
        """Return whether anything was ever set aside for a run."""
        with self._store.reading_quickly() as database:
            return bool(_KNOWN(database, tenant=self._tenant, wanted=run_id))

    def spent(self, subject: str = "") -> list[Spent]:
        """Return what was used, by subject and period. Order: by both."""
        query = select(budget).where(budget.c.tenant_id == self._tenant).order_by(budget.c.subject, budget.c.period)
        if subject:
            query = query.where(budget.c.subject == subject)
        with self._store.reading() as connection:
            rows = connection.execute(query).mappings().all()
        names = ("subject", "period", "hard_micros", "reserved_micros", "spent_micros", "spent_tokens", "spent_calls")
        return [Spent(*(row[name] for name in names)) for row in rows]

    def _booked(self, connection: Connection, key: str) -> Sequence[Mapping[str, Any]]:
        query = select(ledger).where(ledger.c.tenant_id == self._tenant, ledger.c.key == key)
        return [dict(row) for row in connection.execute(query).mappings()]

    def _place(self, table: Table, subject: str, period: str, key: str = "") -> list[ColumnElement[bool]]:
        place = [table.c.tenant_id == self._tenant, table.c.subject == subject, table.c.period == period]
        return [*place, table.c.key == key] if key else place

    def _admit(self, connection: Connection, limit: Limit, period: str, micros: int) -> None:
        """Set money aside under one limit, or refuse to."""
        where = self._place(budget, limit.subject, period)
        row = connection.execute(select(budget.c.reserved_micros, budget.c.spent_micros).where(*where)).first()
        if row is None:
            place = {"tenant_id": self._tenant, "subject": limit.subject, "period": period}
            connection.execute(insert(budget).values(**place))
        reserved, spent = (row.reserved_micros, row.spent_micros) if row is not None else (0, 0)
        if 0 <= limit.hard_micros < reserved + spent + micros:
            raise _over(limit, period, micros, reserved + spent)
        values = {"hard_micros": limit.hard_micros, "reserved_micros": reserved + micros}
        connection.execute(update(budget).where(*where).values(**values))

    def _close(self, connection: Connection, row: Mapping[str, Any], status: str, usage: Usage) -> None:
        connection.execute(
            update(ledger)
            .where(*self._place(ledger, row["subject"], row["period"], row["key"]))
            .values(
                status=status,
                cost_micros=usage.cost_micros,
                tokens_in=usage.tokens_in,
                tokens_out=usage.tokens_out,
                tokens_cached=usage.tokens_cached,
                requests=usage.requests,
                model=usage.model,
                prices=usage.prices,
                settled_us=self._clock.now_us(),
            )
        )
        c = budget.c
        connection.execute(
            update(budget)
            .where(*self._place(budget, row["subject"], row["period"]))
            .values(
                reserved_micros=c.reserved_micros - row["reserved_micros"],
                spent_micros=c.spent_micros + usage.cost_micros,
                spent_tokens=c.spent_tokens + usage.tokens_in + usage.tokens_out,
                spent_calls=c.spent_calls + (1 if status == SETTLED else 0),
            )
        )


_KNOWN: Final = Statement(
    select(ledger.c.key)
    .where(ledger.c.tenant_id == bindparam("tenant"), ledger.c.run_id == bindparam("wanted"))
    .limit(1)
)


def _scope(run_id: str) -> str:
    """Return what the answers of a run's calls are kept under."""
    return f"call:{run_id}"


def _estimated(row: Mapping[str, Any]) -> Usage:
    """Return what a call is taken to have used of which nobody knows it."""
    return Usage(requests=1, cost_micros=row["reserved_micros"], prices=ESTIMATED)


def _over(limit: Limit, period: str, micros: int, taken: int) -> BudgetExceeded:
    whose = "all profiles" if limit.subject == TENANT_SUBJECT else limit.subject.replace(":", " ", 1)
    return BudgetExceeded(
        f"a call that may cost {usd_text(micros)} USD is more than the budget of {whose} leaves",
        where=period,
        why=f"{usd_text(limit.hard_micros)} USD are allowed, {usd_text(taken)} of them are spent or set aside",
        fix="wait for the next period, raise the limit with `tickwork profile set`, or ask for less",
    )


class Purse:
    """The money of one run, as far as other runs share it.

    Args:
        table: The profile that the run has pinned.
        tenant_limits: What all profiles may spend together.
    """

    def __init__(self, books: Ledger, table: ProfileTable, run_id: str, tenant_limits: Sequence[Limit] = ()) -> None:
        self._books = books
        self._run_id = run_id
        self._limits = (*limits_of(table), *tenant_limits)
        self._owed: dict[str, tuple[Usage, bytes]] = {}

    def reserve(self, key: str, micros: int, step: str, skill: str, *, metered: bool = False) -> bytes:
        """Set aside what a call may cost, and return the answer of one that is booked already, if it is kept.

        A call that costs nothing is not booked.

        Raises:
            BudgetExceeded: TW7010.
        """
        if micros <= 0:
            return b""
        with suppress(StoreFailed):
            self._pay()
        return self._books.reserve(key, micros, self._limits, Entry(self._run_id, step, skill), metered=metered)

    def settle(self, key: str, micros: int, usage: Usage, answer: bytes = b"") -> None:
        """Book what a call has cost, for which ``micros`` were set aside.

        Raises:
            StoreFailed: TW7018, it could not be written. It is tried again with the next call.
        """
        if micros > 0:
            self._owed[key] = usage, answer
            self._pay()

    def _pay(self) -> None:
        for key, (usage, answer) in list(self._owed.items()):
            self._books.settle(key, usage, answer)
            self._owed.pop(key, None)

    def release(self, key: str, micros: int) -> None:
        """Give back what was set aside for a call that was not made."""
        if micros > 0:
            self._books.release(key)
