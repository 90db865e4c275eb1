"""Cases measured turn about, and what comes of them."""

import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from operator import ge, le, lt
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import Final, NamedTuple, Protocol, TypeVar

import msgspec


class Effort(msgspec.Struct, frozen=True):
    """How long to measure.

    Attributes:
        rounds: Times each case has its turn.
        seconds: How long one turn of a case should take.
        full: Worlds of their full size; otherwise just enough to see that everything runs.
    """

    rounds: int = 9
    seconds: float = 0.1
    full: bool = True


SMOKE: Final = Effort(rounds=2, seconds=0.0, full=False)


class Case(NamedTuple):
    """Something to measure.

    Attributes:
        run: Does it so many times.
        operations: What one time counts for.
    """

    name: str
    run: Callable[[int], object]
    operations: int = 1


class PeerMissing(Exception):
    """A peer is not there.

    Args:
        fix: The one line that installs it.
    """

    def __init__(self, fix: str) -> None:
        super().__init__(fix)
        self.fix = fix


class Closing(Protocol):
    """What must be closed: it holds processes, files or stores."""

    def close(self) -> None:
        """Let go of them."""
        ...


_Peer = TypeVar("_Peer")
_Held = TypeVar("_Held", bound=Closing)


class Line(msgspec.Struct, frozen=True):
    """One bar as it was found.

    Attributes:
        value: The median, in ``unit``.
        against: What it is compared with, and that one's median; None for a bar that is absolute.
        ratio: ``value`` by the other's, the median over the rounds.
        holds: None where nothing can be said.
        bound: What must hold: of ``ratio`` where there is a peer, else of ``value``.
        low, high: Quartiles of what is judged.
        note: What to know; where a peer is not there, the line that installs it.
    """

    bar: str
    value: float | None
    unit: str
    against: str | None
    ratio: float | None
    holds: bool | None
    bound: str
    low: float | None = None
    high: float | None = None
    note: str = ""


_SCALES: Final = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_SIGNS: Final = {"<": lt, "<=": le, ">=": ge}


class Timings:
    """Seconds per operation of each case, round by round.

    Args:
        missing: By case that could not be made, the line that installs its peer.
    """

    def __init__(self, names: Sequence[str], missing: dict[str, str]) -> None:
        self.by_name: dict[str, list[float]] = {name: [] for name in names}
        self.missing = missing

    def seconds(self, name: str) -> float:
        """Return the median of a case."""
        return median(self.by_name[name])

    def ratio(self, name: str, against: str) -> float:
        """Return the time of a case by that of another, the median over the rounds; not a number if one is missing."""
        if name in self.missing or against in self.missing:
            return float("nan")
        return median(self._ratios(name, against))

    def _ratios(self, name: str, against: str) -> list[float]:
        return [one / other for one, other in zip(self.by_name[name], self.by_name[against], strict=True)]

    def absolute(self, bar: str, name: str, unit: str, bound: str, *, times: int = 1, note: str = "") -> Line:
        """Return the line of a bar that compares with nothing.

        Args:
            unit: Of time, for ``times`` operations; or a rate, such as ``events/s``.
        """
        fix = self.missing.get(name)
        if fix is not None:
            return Line(bar, None, unit, None, None, None, bound, note=fix)
        return judged(bar, [_in_unit(one * times, unit) for one in self.by_name[name]], unit, bound, note)

    def compared(
        self, bar: str, name: str, against: str, unit: str, bound: str, *, times: int = 1, note: str = ""
    ) -> Line:
        """Return the line of a bar that is a ratio, of times or of rates as ``unit`` has it."""
        missing = name if name in self.missing else against
        fix = self.missing.get(missing)
        if fix is not None:
            return Line(bar, None, unit, against, None, None, bound, note=f"{missing} is not here: {fix}")
        value, other = (_in_unit(self.seconds(one) * times, unit) for one in (name, against))
        ratios = self._ratios(against, name) if unit.endswith("/s") else self._ratios(name, against)
        ratio, (low, high) = median(ratios), _quartiles(ratios)
        return Line(bar, value, unit, f"{against}: {shown(other)}", ratio, within(bound, ratio), bound, low, high, note)


def judged(bar: str, values: Sequence[float], unit: str, bound: str, note: str = "") -> Line:
    """Return the line of an absolute bar whose values are already in their unit."""
    value, (low, high) = median(values), _quartiles(values)
    return Line(bar, value, unit, None, None, within(bound, value), bound, low, high, note)


def within(bound: str, value: float) -> bool:
    """Return whether a value is within a bound: a sign and a number or fraction."""
    sign, limit = bound.split()
    numerator, _, denominator = limit.replace(",", "").partition("/")
    return bool(_SIGNS[sign](value, float(numerator) / float(denominator or 1)))


def shown(number: float) -> str:
    """Return a number with three significant digits."""
    return f"{number:,.0f}" if number >= 1000 else f"{number:#.3g}".rstrip(".")


def say(text: str) -> None:
    """Tell whoever watches how far the bench is."""
    print(text, file=sys.stderr, flush=True)


def _in_unit(seconds: float, unit: str) -> float:
    return 1 / seconds if unit.endswith("/s") else seconds * _SCALES[unit]


def _quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, high


class Stand(ExitStack):
    """Holds the cases of one group and closes what was opened for them.

    Attributes:
        folder: For files; removed with everything in it.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._cases: list[Case] = []
        self._missing: dict[str, str] = {}

    def hold(self, thing: _Held) -> _Held:
        """Return ``thing``, which is closed at the end."""
        self.callback(thing.close)
        return thing

    def case(self, name: str, run: Callable[[int], object], operations: int = 1) -> None:
        """Add a case."""
        self._cases.append(Case(name, run, operations))

    def peer(
        self, name: str, make: Callable[[], _Peer], run: Callable[[_Peer], Callable[[int], object]], operations: int = 1
    ) -> None:
        """Add a case whose peer may be missing.

        Args:
            make: Opens the peer, or raises ``PeerMissing``.
            run: Gives what the case runs.
        """
        try:
            peer = make()
        except PeerMissing as error:
            self._missing[name] = error.fix
            return
        close = getattr(peer, "close", None)
        if close is not None:
            self.callback(close)
        self.case(name, run(peer), operations)

    def measure(self, effort: Effort) -> Timings:
        """Return the timings of all cases, each having its turn in every round."""
        times = [_repeats(case, effort.seconds) for case in self._cases]
        timings = Timings([case.name for case in self._cases], self._missing)
        # What the peers have imported would otherwise be walked by the collector during our turns, and ours in theirs.
        gc.collect()
        gc.freeze()
        try:
            for _ in range(effort.rounds):
                for case, repeats in zip(self._cases, times, strict=True):
                    timings.by_name[case.name].append(_time(case, repeats))
        finally:
            gc.unfreeze()
        return timings


def _time(case: Case, repeats: int) -> float:
    began = perf_counter()
    case.run(repeats)
    return (perf_counter() - began) / (repeats * case.operations)


def _repeats(case: Case, seconds: float) -> int:
    """Return how often a case fits in that time; finding out warms it up."""
    case.run(1)
    repeats = 1
    while True:
        began = perf_counter()
        case.run(repeats)
        took = perf_counter() - began
        if took >= seconds / 8:
            return max(1, round(repeats * seconds / took)) if took else 1
        repeats *= 4
