"""plane/orders.py: what people tell a run is a row until it is an input."""

from pathlib import Path

import msgspec
import pytest

from tests.unit.plane.stores import open_store
from tickwork.kinds import InputKind
from tickwork.plane.calls import Order
from tickwork.plane.errors import KeyReused, RunNotFound, WaitClosed
from tickwork.plane.orders import Orders
from tickwork.plane.store.runs import NewRun, Progress, Runs


def test_orders_are_taken_once_in_the_order_they_were_given(tmp_path: Path) -> None:
    with open_store(tmp_path)[0] as store:
        runs, orders = Runs(store), Orders(store)
        run_id = runs.submit(NewRun())[0].id
        assert orders.give(run_id, Order("skip", step="a", by="ann"), key="k")
        assert not orders.give(run_id, Order("skip", step="a", by="ann"), key="k")
        with pytest.raises(KeyReused):
            orders.give(run_id, Order("skip", step="b"), key="k")
        orders.give(run_id, Order("cancel"))
        first, second = orders.new(run_id)
        entered = first.as_input()
        assert (entered.kind, entered.source, entered.target) == (InputKind.MESSAGE, "operator", "plan")
        assert msgspec.json.decode(entered.body, type=Order) == Order("skip", by="ann", step="a")
        orders.taken(first, 3)
        assert orders.new(run_id) == [second]
        assert runs.get(run_id).awake == 2


def test_a_run_that_has_ended_or_never_was_takes_no_orders(tmp_path: Path) -> None:
    with open_store(tmp_path)[0] as store:
        runs, orders = Runs(store), Orders(store)
        row = runs.submit(NewRun(), owner="me")[0]
        runs.let_go(row, Progress("failed"))
        with pytest.raises(WaitClosed):
            orders.give(row.id, Order("cancel"))
        with pytest.raises(RunNotFound):
            orders.give("r_none", Order("cancel"))
