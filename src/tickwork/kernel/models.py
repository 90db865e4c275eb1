"""Models: which version of each answers the requests of a run, how another takes its place, and tensors in windows.

Whether the new version can be loaded was found out before the input entered and is believed.

Invariants:
    * A request is answered by the version that was current when it was made, however late its answer comes.
    * A swap that failed changes nothing; it is one record.
    * Tensors in a window are what the window holds when all turns of the tick have been committed, whoever wrote it.
"""

import struct
from typing import Final

import msgspec

from ..codec import FRAME
from ..records import OUTSIDE, DerivedKind, Input, ModelOrder, ModelSpec, Refusal
from .cast import Cast
from .outbox import Action
from .state import AgentState
from .windows import extent, grants

REQUEST: Final = struct.Struct("<IIQQ")
"""Body of an INFER frame of encoding IN_WINDOW: the window's handle, zero, offset and length of the tensors in it."""

PLACE: Final = struct.Struct("<IIQQ32s")
"""Body of its effect: number of the window in the run, zero, offset, length, and the window's digest at that tick."""

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
    if msgspec.structs.replace(order.spec, digest=current.digest, version=current.version) != current:
        return f"model {target!r} is run in another way, which a swap does not change"
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


# -- tensors in windows ------------------------------------------------------------------------------------------------


class Place(msgspec.Struct, frozen=True):
    """Where the tensors of a request lie.

    Attributes:
        window: Index in the run's state.
        digest: The window's when the request was made. Shape: 32 bytes, zeros of a window that nobody has written.
    """

    window: int
    offset: int
    length: int
    digest: bytes

    def encode(self) -> bytes:
        """Return the effect's body."""
        return PLACE.pack(self.window, 0, self.offset, self.length, self.digest)


def read_place(body: bytes) -> Place:
    """Return where the tensors of an effect of encoding IN_WINDOW lie. Law: ``read_place(place.encode()) == place``."""
    parts: tuple[int, int, int, int, bytes] = PLACE.unpack(body)
    window, _, offset, length, digest = parts
    return Place(window, offset, length, digest)


def place_tensors(cast: Cast, agent: AgentState, action: Action) -> Place | tuple[Refusal, str]:
    """Return where the tensors of an INFER frame lie, or why they may not be taken from there.

    Windows flip while turns are committed, so this is asked when the last one has been.
    """
    size, body = action[4], action[5]
    if size != FRAME.size + REQUEST.size:
        return Refusal.BAD_MESSAGE, f"tensors in a window are named by {REQUEST.size} bytes, not {size - FRAME.size}"
    parts: tuple[int, int, int, int] = REQUEST.unpack(body)
    handle, zero, offset, length = parts
    names = agent.spec.windows
    if zero or handle >= len(names):
        return Refusal.BAD_MESSAGE, f"tensors are to lie in window {handle}, and the agent declares {len(names)}"
    name = names[handle]
    shown, place = f'window "{name}"', cast.windows.place(name)
    if not grants(agent.spec, name):
        return Refusal.DENIED, f"{shown} is not granted"
    if place < 0:
        return Refusal.BAD_STATE, f"{shown} is not open"
    window = cast.state.windows[place]
    if agent.name != window.spec.writer and agent.name not in window.spec.readers:
        return Refusal.DENIED, f"{shown} is neither written nor read by {agent.name!r}"
    held = extent(window)
    if offset + length > held:
        return Refusal.BAD_MESSAGE, f"{shown} holds {held} bytes, not {length} at {offset}"
    return Place(place, offset, length, window.digest or bytes(32))
