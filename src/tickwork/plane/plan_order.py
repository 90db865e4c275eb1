"""How plans lie within each other, and how their steps wait for each other."""

import heapq
from collections.abc import Sequence
from typing import Any

import msgspec

from ..driver.places import Path
from .tables import PlanTable


class Nest(msgspec.Struct):
    """A plan among the plans it lies in, and what has been found out about it.

    Attributes:
        index: Its place among the compiled plans; -1 until it is begun.
        steps: Steps of it and of the plans that it runs.
        micros: What it may cost at most, without further attempts.
    """

    table: PlanTable
    path: Path
    outer: "Nest | None" = None
    depth: int = 0
    index: int = -1
    busy: bool = False
    steps: int = 0
    micros: int = 0
    inner: "dict[str, Nest]" = msgspec.field(default_factory=dict[str, Any])

    def find(self, name: str) -> "Nest | None":
        """Return the plan of a name, its own or of a plan around it."""
        return self.inner.get(name) or (self.outer.find(name) if self.outer is not None else None)

    def names(self) -> list[str]:
        """Return the plans that a step may run."""
        return [*self.inner, *(self.outer.names() if self.outer is not None else ())]


def nest_of(table: PlanTable, path: Path = (), outer: Nest | None = None, depth: int = 0) -> Nest:
    """Return a plan with those that lie in it."""
    nest = Nest(table, path, outer, depth)
    nest.inner = {name: nest_of(inner, (*path, "plans", name), nest, depth + 1) for name, inner in table.plans.items()}
    return nest


def find_cycles(after: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Return one cycle of every group of steps that wait for each other.

    Order: by the first step of each, which comes first in it.
    """
    left = [len(before) for before in after]
    followers: list[list[int]] = [[] for _ in after]
    for index, before in enumerate(after):
        for other in before:
            followers[other].append(index)
    ready = [index for index, count in enumerate(left) if not count]
    while ready:
        for follower in followers[ready.pop()]:
            left[follower] -= 1
            if not left[follower]:
                ready.append(follower)
    stuck = {index for index, count in enumerate(left) if count}
    cycles: list[list[int]] = []
    seen = set[int]()
    for start in sorted(stuck):
        if start in seen:
            continue
        walked: dict[int, int] = {}
        at = start
        while at not in walked and at not in seen:
            walked[at] = len(walked)
            # Something that is stuck waits for something that is stuck.
            at = next(other for other in after[at] if other in stuck)
        if at in walked:
            cycle = list(walked)[walked[at] :]
            lowest = cycle.index(min(cycle))
            cycles.append(cycle[lowest:] + cycle[:lowest])
        seen.update(walked)
    return cycles


def topological(after: Sequence[tuple[int, ...]]) -> list[int]:
    """Return steps that wait for each other in no circle, each after those that it waits for.

    Order: among those that may begin, the plan's own.
    """
    left = [len(before) for before in after]
    followers: list[list[int]] = [[] for _ in after]
    for place, before in enumerate(after):
        for other in before:
            followers[other].append(place)
    ready = [place for place, count in enumerate(left) if not count]
    order: list[int] = []
    while ready:
        place = heapq.heappop(ready)
        order.append(place)
        for follower in followers[place]:
            left[follower] -= 1
            if not left[follower]:
                heapq.heappush(ready, follower)
    return order


def levels(after: Sequence[tuple[int, ...]]) -> list[int]:
    """Return how many steps at least come one after the other before each. The steps wait for each other in no circle.

    Law: a step's level is above that of everything that it waits for.
    """
    found = [0] * len(after)
    for place in topological(after):
        found[place] = max((found[other] + 1 for other in after[place]), default=0)
    return found
