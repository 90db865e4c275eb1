"""What the ledger that all runs share says of one of them."""

import msgspec

from .store.store import Store
from .store.tables import TENANT


class Booked(msgspec.Struct, frozen=True):
    """What the ledger that all runs share says of one run. Units: micro-dollars.

    Attributes:
        open_micros: Set aside and not settled.
        settled_micros: Spent.
    """

    entries: int = 0
    open_micros: int = 0
    settled_micros: int = 0


def booked(store: Store, run_id: str) -> Booked:
    """Return what the ledger says of a run; each call counts once, in the window without an end."""
    statement = (
        "SELECT COUNT(*), COALESCE(SUM(CASE status WHEN 'reserved' THEN reserved_micros END), 0), "
        "COALESCE(SUM(CASE status WHEN 'settled' THEN cost_micros END), 0) "
        "FROM ledger WHERE tenant_id = ? AND run_id = ? AND period = ''"
    )
    with store.reading_quickly() as database:
        ((entries, open_, settled),) = database.query(statement, (TENANT, run_id))
    return Booked(_whole(entries), _whole(open_), _whole(settled))


def _whole(value: object) -> int:
    assert isinstance(value, int), "a sum of integers is one"
    return value
