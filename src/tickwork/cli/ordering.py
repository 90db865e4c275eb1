"""What the commands share that tell a run something: the order becomes a row, and then an input of the run."""

from typing import Annotated

import msgspec
from cyclopts import Parameter

from ..plane.calls import Order
from ..plane.orders import Orders
from .asked import work_on
from .output import Format, talk
from .state import open_state
from .underway import find_run, person

Which = Annotated[str, Parameter(help="The run, by its id or the beginning of it.")]
Path = Annotated[str, Parameter(help="The step, such as load, each[3] or outer/load.")]


def give(run: str, order: Order, *, by: str, key: str, output: Format, no_work: bool) -> int:
    """Give a run an order and go on with it; return the exit status.

    Raises:
        RunNotFound: TW7011. WaitClosed: TW7013, the run has ended. KeyReused: TW7021.
    """
    with open_state() as store:
        row = find_run(store, run)
        fresh = Orders(store).give(row.id, msgspec.structs.replace(order, by=person(by)), key=key)
    if not fresh:
        talk("that was said already; nothing has changed")
    return work_on(row.id, output, no_work=no_work)
