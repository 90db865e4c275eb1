"""What people tell a running plan: to end, that a step is done or need not be, or that an input is another.

Law: an order that fits nothing, or comes a second time, changes nothing and leaves a line.
"""

import re
from typing import Any, Final

import msgspec

from ..calls import Failure, Order
from ..json_text import write_json
from .failing import end_item, end_step, stop
from .state import Item, ScopeStatus, Stage, StepStatus
from .work import Work, failure_of, value_of

_orders: Final = msgspec.json.Decoder(Order)
_SEGMENT: Final = re.compile(r"([a-z][a-z0-9_]{0,63})(?:\[(\d{1,6})\])?(?:~\d{1,6})?")


def take(work: Work, body: bytes) -> None:
    """Do what a person says."""
    try:
        order = _orders.decode(body)
    except msgspec.DecodeError as error:
        _refuse(work, f"a message that is no order: {error}")
        return
    if work.state.stage in (Stage.CLOSING, Stage.KEEPING, Stage.ENDED):
        _refuse(work, f"{order.order} of {order.by or 'nobody'}: the run has ended")
    elif order.order == "cancel":
        _cancel(work, order)
    elif order.order in ("skip", "complete"):
        _settle_step(work, order)
    elif order.order == "input":
        _change_input(work, order)
    else:
        _refuse(work, f"there is no order {order.order!r}")


def _refuse(work: Work, text: str) -> None:
    work.outbox.log(f"refused: {text}")
    work.note("", "refused", text)


def _cancel(work: Work, order: Order) -> None:
    failure = failure_of("TW7013", f"cancelled by {order.by or 'a person'}", "person")
    work.note("", "cancelled", failure.message)
    if work.state.stage != Stage.RUNNING:
        work.state.status, work.state.failure = "cancelled", failure
        return
    root = min(work.scopes)
    if work.scopes[root].status != ScopeStatus.RUNNING:
        _refuse(work, "cancel: the run is ending already")
        return
    stop(work, root, failure, "", cancelled=True)


def _change_input(work: Work, order: Order) -> None:
    """Give an input of the run's own plan another value; steps that have begun keep what they read."""
    if work.state.stage in (Stage.RECALLING, Stage.PLANNING):
        # Which inputs there are says the plan, which is still to come; it is begun with this value.
        work.state.changed = write_json({**value_of(work.state.changed), order.step: order.output})
        work.note("", "decided", f"input {order.step} changed by {order.by or 'nobody'}")
        return
    root = min(work.scopes, default=0)
    known: dict[str, Any] = value_of(work.scopes[root].inputs) if root else {}
    if order.step not in known:
        _refuse(work, f"input {order.step!r}: the plan has no such input")
        return
    work.scope(root).inputs = write_json({**known, order.step: order.output})
    work.note("", "decided", f"input {order.step} changed by {order.by or 'nobody'}")


def _settle_step(work: Work, order: Order) -> None:
    """Skip a step, or say what it came to."""
    found = _find(work, order.step)
    if found is None:
        _refuse(work, f"{order.order} {order.step!r}: no such step is under way or still to come")
        return
    number, place, index = found
    output = write_json(order.output) if order.order == "complete" else b"null"
    text = f"{order.order} by {order.by or 'nobody'}"
    work.note(order.step, "decided", text)
    status = StepStatus.SKIPPED if order.order == "skip" else StepStatus.SUCCEEDED
    reason = "manual" if order.order == "skip" else ""
    mine = [
        one
        for one, item in work.items.items()
        if (item.scope, item.step) == (number, place) and index in (-1, item.index)
    ]
    failure = failure_of("TW7013", text, "person")
    if index >= 0:
        _leave(work, mine[0], failure)
        end_item(work, mine[0], status, output=output, reason=reason)
        return
    for one in mine:
        _leave(work, one, failure)
        work.items.pop(one)
    state = msgspec.structs.replace(
        work.step(number, place), status=int(status), output=output, reason=reason, item=0, error=None
    )
    end_step(work, number, place, state)
    work.closing.append(number)


def _leave(work: Work, number: int, failure: Failure) -> None:
    """Wait no longer for what an item has asked for; it is still there afterwards."""
    item = work.item(number)
    if item.timer:
        work.drop_call(item.timer)
        item.timer = 0
    if item.scope_within:
        stop(work, item.scope_within, failure, "", cancelled=True)
    elif item.call:
        work.drop_call(item.call)
        item.call = 0


def _find(work: Work, path: str) -> tuple[int, int, int] | None:
    """Return scope, step and iteration that a path names, of what has not ended and may still go on."""
    number = min(work.scopes, default=0)
    parts = path.split("/")
    for depth, part in enumerate(parts):
        match = _SEGMENT.fullmatch(part)
        if match is None or number not in work.scopes or work.scopes[number].status != ScopeStatus.RUNNING:
            return None
        place = work.plan(number).places.get(match[1], -1)
        index = int(match[2]) if match[2] else -1
        if place < 0 or work.step(number, place).status >= StepStatus.SUCCEEDED:
            return None
        item = _item(work, number, place, index)
        if depth == len(parts) - 1:
            return None if index >= 0 and item is None else (number, place, index)
        if item is None or not item.scope_within:
            return None
        number = item.scope_within
    return None


def _item(work: Work, number: int, place: int, index: int) -> Item | None:
    for item in work.items.values():
        if (item.scope, item.step, item.index) == (number, place, index) and not item.undoer:
            return item
    return None
