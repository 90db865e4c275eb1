"""Carrying an agent's state into another version of its module: what it saves, the other loads."""

import msgspec

from ..records import Limits, Outcome, Refusal, Status, Turn
from .image import Image
from .instance import Instance, Loaded, StartFault
from .slot import Slot


def carry(slot: Slot, turn: Turn, loaded: Loaded, limits: Limits, source: bytes = b"") -> tuple[Outcome, Image | None]:
    """Return what handing a state on came to, and the new version's image; the agent itself stays as it is.

    Args:
        turn: Its tick and agent are what both versions see, its fuel what saving may use.
        loaded, limits, source: The new version's.

    Returns:
        The outcome of the call that failed, with a text that names it, else that of ``agent_load``.
    """
    saved, state = slot.save(turn)
    if saved.status:
        return _named(saved, "agent_save"), None
    given = msgspec.structs.replace(turn, fuel=limits.fuel, inbox=state)
    try:
        instance = Instance(loaded, limits, source=source)
    except StartFault as start:
        return Outcome(start.fault.status, start.fault.number, 0, b"", f"before agent_load: {start.fault.detail}"), None
    try:
        outcome = instance.load(given)
        return (_named(outcome, "agent_load"), None) if outcome.status else (outcome, instance.take_image())
    finally:
        instance.close()


def _named(outcome: Outcome, call: str) -> Outcome:
    """Return an outcome with a text that says which call came to it."""
    status, code = Status(outcome.status), outcome.code
    if status == Status.FAILED:
        meaning = f", {Refusal(code).name.lower()}" if code in Refusal._value2member_map_ else ""
        text = f"{call} returned {code}{meaning}"
    else:
        text = f"{call} came to {status.name.lower()}"
    detail = f"{text}: {outcome.detail}" if outcome.detail else text
    return msgspec.structs.replace(outcome, detail=detail)
