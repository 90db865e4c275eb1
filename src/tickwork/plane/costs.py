"""What a run has cost: by step and by model, and what was set aside for it.

Law: the rows together are the total, and the total of a run is what its executor has counted.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from .compiled import PROPOSE
from .explain import CallStory, Explained
from .prices import ESTIMATED

PLANNING: Final = "(planning)"
"""Step of what a run asks for itself."""


class CostRow(msgspec.Struct):
    """What one step has cost at one model. Units: micro-dollars, tokens.

    Attributes:
        step: Path, without the numbers of iterations.
        skill: Empty for what the run asks for itself.
        calls: Attempts count each.
        reserved_micros: What was set aside for all of them, whether or not they have ended.
        settled_micros: What those that have ended have cost.
        open_micros: What is still set aside.
        estimated_micros: What of ``settled_micros`` is charged at its bound, since nobody counted what was used.
    """

    step: str
    skill: str = ""
    model: str = ""
    prices: str = ""
    calls: int = 0
    requests: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    reserved_micros: int = 0
    settled_micros: int = 0
    open_micros: int = 0
    estimated_micros: int = 0


class Costs(msgspec.Struct, frozen=True):
    """What a run has cost.

    Attributes:
        rows: Steps that cost anything, or may. Order: the plan's, planning first.
        prices: Versions of price tables. Order: by name.
    """

    rows: tuple[CostRow, ...]
    total: CostRow
    prices: tuple[str, ...]


def costs_of(explained: Explained) -> Costs:
    """Return what a run has cost."""
    rows = dict[tuple[str, str, str, str], CostRow]()
    for call in _calls(explained):
        usage = call.usage
        place = call.path.partition("~")[0] if call.path else PLANNING
        step = "/".join(part.partition("[")[0] for part in place.split("/"))
        key = (step, call.skill if call.path else "", usage.model, usage.prices)
        row = rows.setdefault(key, CostRow(*key))
        _count(row, call)
    kept = tuple(row for row in rows.values() if _matters(row))
    total = CostRow("total")
    for row in kept:
        for name in _SUMMED:
            setattr(total, name, getattr(total, name) + getattr(row, name))
    return Costs(kept, total, tuple(sorted({row.prices for row in kept if row.prices})))


_COUNTED: Final = ("calls", "requests", "tokens_in", "tokens_cached", "tokens_out")
_SUMMED: Final = (*_COUNTED, "reserved_micros", "settled_micros", "open_micros", "estimated_micros")


def _calls(explained: Explained) -> Iterable[CallStory]:
    yield from explained.system
    for step in explained.steps:
        yield from step.calls


def _count(row: CostRow, call: CallStory) -> None:
    usage = call.usage
    row.calls += 1
    row.requests += usage.requests
    row.tokens_in += usage.tokens_in
    row.tokens_cached += usage.tokens_cached
    row.tokens_out += usage.tokens_out
    row.reserved_micros += call.reserved_micros or _planned(call)
    row.settled_micros += usage.cost_micros
    if usage.prices.endswith(ESTIMATED):
        row.estimated_micros += usage.cost_micros
    if call.answered < 0:
        row.open_micros += call.reserved_micros


def _planned(call: CallStory) -> int:
    """Return what a planner has set aside by itself, request by request."""
    if call.skill != PROPOSE or not bytes(call.transcript):
        return 0
    return sum(msgspec.json.decode(call.transcript, type=_Transcript).notes.set_aside_micros)


class _Notes(msgspec.Struct, frozen=True):
    set_aside_micros: tuple[int, ...] = ()


class _Transcript(msgspec.Struct, frozen=True):
    notes: _Notes = _Notes()


def _matters(row: CostRow) -> bool:
    return bool(row.requests or row.tokens_in or row.tokens_out or row.reserved_micros or row.settled_micros)
