"""Models: which version of each answers the requests of a run, and how another takes its place.

Whether the new version can be loaded was found out before the input entered and is believed.

Invariants:
    * A request is answered by the version that was current when it was made, however late its answer comes.
    * A swap that failed changes nothing; it is one record.
"""

import msgspec

from ..records import OUTSIDE, DerivedKind, Input, ModelOrder, ModelSpec
from .cast import Cast

REASON_CHARACTERS = 400
"""A reason is cut here before it is noted; the input holds all of it."""


def read_model_order(item: Input) -> ModelOrder | None:
    """Return what a SWAP_MODEL input orders, None where its body is no order."""
    try:
        return msgspec.msgpack.decode(item.body, type=ModelOrder)
    except msgspec.DecodeError:
        return None


def why_no_model_swap(current: ModelSpec | None, target: str, order: ModelOrder) -> str:
    """Return why a version cannot take this model's place, or nothing. Pure."""
    if current is None:
        return f"there is no model {target!r}"
    if order.spec.name != target:
        return f"the new version is of model {order.spec.name!r}"
    if not order.spec.digest or not current.digest:
        return f"model {target!r} is answered for by a performer; only a model of a store takes the place of one"
    if order.replaces != current.digest:
        return f"it was prepared for another version than model {target!r} has"
    return ""


def shown_model(spec: ModelSpec) -> str:
    """Return a version for people: its own number, if it has one, and the beginning of its digest."""
    mark = spec.digest.hex()[:8]
    return f"{spec.version} ({mark})" if spec.version else mark


def admit_model_swap(cast: Cast, item: Input) -> str:
    """Apply a SWAP_MODEL input; return why it is no swap at all, or nothing."""
    order = read_model_order(item)
    if order is None:
        return "its body is no swap of a model"
    models = cast.state.models
    place = next((index for index, model in enumerate(models) if model.name == item.target), None)
    current = None if place is None else models[place]
    reason = order.reason or "it failed" if item.code else why_no_model_swap(current, item.target, order)
    if reason or place is None or current is None:
        text = f"{item.target} to {shown_model(order.spec)}: {reason[:REASON_CHARACTERS]}"
        cast.bus.note(DerivedKind.MODEL_SWAP_FAILED, OUTSIDE, 0, text, order.spec.digest)
    else:
        text = f"{item.target} {shown_model(current)} -> {shown_model(order.spec)}"
        models[place] = order.spec
        cast.bus.note(DerivedKind.MODEL_SWAPPED, OUTSIDE, 0, text, order.spec.digest)
    return ""
