"""Draws from a seed: the only source of chance in a simulation.

Invariants:
    * A draw depends on the seed and on the draws before it, on no platform, no hash seed and no version of Python.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15


class Draw:
    """A stream of draws. Source: splitmix64 of Steele, Lea and Flood, OOPSLA 2014.

    Args:
        seed: Any integer; its low 64 bits count.
    """

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def bits(self) -> int:
        """Return the next 64 bits."""
        self._state = (self._state + _GOLDEN) & _MASK
        mixed = self._state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, bound: int) -> int:
        """Return an integer from 0 to ``bound - 1``."""
        return self.bits() % bound

    def between(self, low: int, high: int) -> int:
        """Return an integer from ``low`` to ``high``, both included."""
        return low + self.bits() % (high - low + 1)

    def chance(self, percent: int) -> bool:
        """Return true in ``percent`` of 100 draws."""
        return self.bits() % 100 < percent

    def pick(self, items: Sequence[T]) -> T:
        """Return one of ``items``."""
        return items[self.bits() % len(items)]

    def some(self, items: Sequence[T], percent: int) -> list[T]:
        """Return each of ``items`` with the same chance. Order: theirs."""
        return [item for item in items if self.chance(percent)]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return ``items`` in a drawn order."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in range(len(rest))]

    def branch(self, mark: int) -> "Draw":
        """Return a stream of its own, so that drawing more from it shifts nothing here."""
        return Draw(self.bits() ^ (mark * _GOLDEN))
