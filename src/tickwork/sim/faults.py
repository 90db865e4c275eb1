"""Faults: what goes wrong in a simulated run, and at which of the points it passes.

A point is a place the run comes by again and again: a phase edge, a flush, an effect being performed. A fault names a
point and the time at which it strikes there. Since a run between faults is deterministic, so is the strike.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ..errors import JournalWriteFailed, WorkerLost
from .draw import Draw

EDGES: Final = ("admit", "plan", "compute", "commit", "seal", "append", "release")
POINTS: Final = (
    *EDGES,
    "flush",
    "flushed",
    "perform",
    "performed",
    "close",
    "closed",
    "stop",
)
"""Where a fault may strike. Pairs: before and after a flush, the performing of an effect, the closing."""

HOWS: Final[Mapping[str, tuple[str, ...]]] = {
    "compute": ("kill", "power", "worker"),
    "flush": ("kill", "power", "disk"),
    "stop": ("stop",),
}
"""What may happen at a point; elsewhere ``kill`` or ``power``."""

MAX_FAULTS: Final = 4


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong.

    Attributes:
        point: One of ``POINTS``.
        nth: It strikes when the run comes by for this time, counted over all its lives. Bounds: 1 and on.
        how: ``kill`` (the process dies), ``power`` (so does the machine), ``disk`` (a write fails), ``worker`` (workers
            die beyond repair), or ``stop`` (an operator stops it).
        survives: Of the groups written since the last durable flush, the share the disk keeps through a loss of power.
            Units: percent.
    """

    point: str
    nth: int
    how: str = "kill"
    survives: int = 0

    def __str__(self) -> str:
        return f"{self.point}:{self.nth}:{self.how}:{self.survives}"

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Return the fault that ``str`` gave.

        Raises:
            ValueError: The text names no fault.
        """
        point, nth, how, survives = text.split(":")
        if point not in POINTS or how not in HOWS.get(point, ("kill", "power")):
            raise ValueError(f"{text!r} names no fault; points are {', '.join(POINTS)}")
        return cls(point, int(nth), how, int(survives))


class Struck(BaseException):
    """The process ends here. No ``except Exception`` stands in its way, as none stands in a signal's."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class Fate:
    """Counts the points a run comes by and strikes where it was decided.

    Args:
        faults: What will go wrong.
    """

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self.census: Counter[str] = Counter()
        self.struck: list[Fault] = []
        self._plan = {(fault.point, fault.nth): fault for fault in faults}

    def reach(self, point: str) -> None:
        """Come by a point.

        Raises:
            Struck: The process ends.
            WorkerLost: TW3102, as the driver would raise it.
            JournalWriteFailed: TW2006, as a journal would raise it.
        """
        fault = self._next(point)
        if fault is None:
            return
        if fault.how == "worker":
            raise WorkerLost("a simulated loss of workers")
        if fault.how == "disk":
            raise JournalWriteFailed("a simulated fault of the disk")
        raise Struck(fault)

    def stops(self) -> bool:
        """Return whether the operator stops the run now."""
        return self._next("stop") is not None

    @property
    def last(self) -> Fault | None:
        """The fault that struck last."""
        return self.struck[-1] if self.struck else None

    def _next(self, point: str) -> Fault | None:
        self.census[point] += 1
        fault = self._plan.get((point, self.census[point]))
        if fault is not None:
            self.struck.append(fault)
        return fault


def draw_faults(draw: Draw, census: Mapping[str, int]) -> tuple[Fault, ...]:
    """Return up to ``MAX_FAULTS`` faults among the points a run without faults came by.

    Args:
        census: How often it came by each point.
    """
    points = [point for point in POINTS if census.get(point)]
    allowed = draw.some(points, 50) or points
    faults = [_draw_fault(draw, draw.pick(allowed), census) for _ in range(draw.between(1, MAX_FAULTS))]
    return tuple({(fault.point, fault.nth): fault for fault in faults}.values())


def _draw_fault(draw: Draw, point: str, census: Mapping[str, int]) -> Fault:
    how = draw.pick(HOWS.get(point, ("kill", "power")))
    survives = draw.pick((0, 0, 50, 100)) if how == "power" else 0
    return Fault(point, draw.between(1, census[point]), how, survives)
