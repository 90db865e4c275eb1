"""Heads of drawn plans, whose skills finish in the worst order; run as a script it prints them.

python tests/laws/plan_heads.py SEED...
"""

import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.unit.plane.executor.drawn import draw, given
from tests.unit.plane.executor.props import play
from tickwork.plane.compiled import Assignment


class _Asked(Future[Any]):
    """A future that is not worked for before somebody waits for it."""

    def __init__(self, lanes: "Lanes") -> None:
        super().__init__()
        self._lanes = lanes

    def result(self, timeout: float | None = None) -> Any:
        self._lanes.work_for(self)
        return super().result(timeout)


class Lanes(Executor):
    """Works on so many calls at once, of which now this one finishes first, now that one; no thread is needed for it.

    Args:
        draws: None has the call finish first that was begun last.
    """

    def __init__(self, count: int, draws: random.Random | None) -> None:
        self._count = count
        self._draws = draws
        self._todo: list[tuple[_Asked, Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        asked = _Asked(self)
        self._todo.append((asked, lambda: fn(*args, **kwargs)))
        return asked

    def work_for(self, asked: _Asked) -> None:
        """Work until a call is done."""
        while not asked.done():
            begun = min(self._count, len(self._todo))
            place = self._draws.randrange(begun) if self._draws is not None else begun - 1
            found, function = self._todo.pop(place)
            found.set_result(function())


def head_of(assignment: Assignment, lanes: int, *, seed: int, order: int = 0) -> str:
    """Return the head of a plan with so many lanes, and calls that finish in an order of this number."""
    draws = random.Random(order) if order else None
    shared = Lanes(lanes, draws)
    return play(assignment, given, seed=seed, executor=lambda: shared).run.head.hex()


def heads(seeds: range) -> Iterator[str]:
    """Yield the head of each drawn plan."""
    for seed in seeds:
        yield head_of(draw(seed), 8, seed=seed, order=seed)


def main() -> int:
    """Print the heads of the plans of some seeds."""
    first, last = (int(word) for word in sys.argv[1:3])
    for line in heads(range(first, last)):
        sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
