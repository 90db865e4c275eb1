"""What people tell runs that are under way, as rows until it has become an input of the run."""

from typing import Final

import msgspec

from ..kinds import Encoding, InputKind
from ..records import Input
from .calls import Order
from .compiled import EXECUTOR_NAME
from .errors import KeyReused
from .store.runs import Runs
from .store.sql import bindparam, insert, select, update
from .store.statements import Statement
from .store.store import Store
from .store.tables import TENANT, orders
from .waits import check_run_open

SOURCE: Final = "operator"
"""Source of the input that an order becomes."""

_NEW: Final = Statement(
    select(orders.c.id, orders.c.body)
    .where(
        orders.c.tenant_id == bindparam("tenant"), orders.c.run_id == bindparam("wanted"), orders.c.taken_us.is_(None)
    )
    .order_by(orders.c.given_us, orders.c.id)
)
_TAKEN: Final = Statement(
    update(orders)
    .where(orders.c.tenant_id == bindparam("tenant"), orders.c.id == bindparam("wanted"))
    .values(taken_us=bindparam("now"), tick=bindparam("at"))
    .returning(orders.c.id)
)


class Given(msgspec.Struct, frozen=True):
    """An order that is no input yet. ``body`` is the JSON of an ``Order``."""

    id: str
    body: bytes

    def as_input(self) -> Input:
        """Return the input that it becomes."""
        return Input(
            InputKind.MESSAGE,
            SOURCE,
            EXECUTOR_NAME,
            encoding=Encoding.JSON,
            body=self.body,
            size=len(self.body),
        )


class Orders:
    """The orders of a tenant's runs."""

    def __init__(self, store: Store, tenant: str = TENANT) -> None:
        self._store = store
        self._tenant = tenant
        self._runs = Runs(store, tenant)

    def give(self, run_id: str, order: Order, *, key: str = "") -> bool:
        """Tell a run something; return whether it is new. It wakes the run.

        Raises:
            RunNotFound: TW7011. WaitClosed: TW7013, the run has ended. KeyReused: TW7021.
        """
        body = msgspec.json.encode(order, order="deterministic")
        with self._store.begin() as connection:
            check_run_open(connection, run_id, self._tenant)
            if key:
                same = select(orders.c.body).where(orders.c.run_id == run_id, orders.c.key == key)
                known = connection.execute(same).first()
                if known is not None:
                    if known.body != body:
                        raise KeyReused(f"the key {key!r} stands for another order", where=f"run {run_id}")
                    return False
            connection.execute(
                insert(orders).values(
                    id=self._store.new_id("o"),
                    tenant_id=self._tenant,
                    run_id=run_id,
                    body=body,
                    by=order.by,
                    key=key or None,
                    given_us=self._store.clock.now_us(),
                )
            )
            self._runs.wake([run_id])
            return True

    def new(self, run_id: str) -> list[Given]:
        """Return the orders that a run has not taken. Order: as given."""
        with self._store.reading_quickly() as database:
            return [Given(row[0], row[1]) for row in _NEW(database, tenant=self._tenant, wanted=run_id)]

    def taken(self, given: Given, tick: int) -> None:
        """Note that an order enters with a tick: within the transaction that keeps the tick's frame."""
        with self._store.writing_quickly(durable=False) as database:
            now = self._store.clock.now_us()
            _TAKEN(database, tenant=self._tenant, wanted=given.id, now=now, at=tick)
