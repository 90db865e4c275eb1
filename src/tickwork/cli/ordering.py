"""What the commands share that tell a run something: the order becomes a row, and then an input of the run."""

import msgspec

from ..driver.faults import choose
from ..errors import UsageFault
from ..plane.calls import Order
from ..plane.errors import WaitClosed
from ..plane.explain import explain
from ..plane.orders import Orders
from ..plane.store.runs import OPEN, RunRow
from ..plane.store.store import Store
from .asked import work_on
from .output import Format, talk
from .state import open_state
from .underway import find_run, person


def give(run: str, order: Order, *, by: str, key: str, output: Format, no_work: bool) -> int:
    """Give a run an order and go on with it; return the exit status, 0 where it was said already.

    Raises:
        RunNotFound: TW7011. WaitClosed: TW7013, the run or the step has ended. KeyReused: TW7021.
        UsageFault: TW1001, its plan has no such step.
    """
    with open_state() as store:
        row = find_run(store, run)
        if order.step:
            _check_step(store, row, order.step, keyed=bool(key))
        fresh = Orders(store).give(row.id, msgspec.structs.replace(order, by=person(by)), key=key)
    if not fresh:
        talk("that was said already; nothing has changed")
    return work_on(row.id, output, no_work=no_work or not fresh)


def _check_step(store: Store, row: RunRow, path: str, *, keyed: bool) -> None:
    """Refuse a step that the run's plan cannot have, or that has ended.

    One of a plan within is judged by the run, when it gets there.

    Args:
        keyed: Whether the order has a key: what was said before may have ended the step.
    """
    if row.status not in OPEN:
        return
    with store.journals.open_run(row.id) as journal:
        stories = explain(journal).steps
    ended = {story.path: story.status for story in stories if story.ended >= 0}
    if path in ended and not keyed:
        raise WaitClosed(
            f"the step {path} has ended ({ended[path]})",
            where=f"run {row.id}",
            why="what a step came to is not changed afterwards",
            fix=f"run it again with `tickwork rerun {row.id}`, or fork the run",
        )
    known = list(dict.fromkeys(_outer(story.path) for story in stories))
    if known and _outer(path) not in known:
        raise UsageFault(
            f"the run has no step {path!r}", where=f"run {row.id}", fix=choose(_outer(path), known, "name one of them")
        )


def _outer(path: str) -> str:
    """Return the step of the run's own plan that a path leads to or through."""
    return path.partition("/")[0].partition("[")[0]
