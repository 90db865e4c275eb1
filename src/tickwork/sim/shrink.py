"""Shrinking: a failing case made smaller while it still fails, so that a person has less to read."""

from collections.abc import Callable, Iterator

import msgspec

from ..driver.options import Options
from ..driver.resolve import World
from .disk import Disk
from .draw import Draw
from .faults import Fault
from .run import Case, Report, simulate
from .world import draw_world


def shrink(
    report: Report,
    *,
    world: Callable[[Draw], World] = draw_world,
    disk: type[Disk] = Disk,
    options: Options | None = None,
    attempts: int = 200,
) -> Report:
    """Return the report of the smallest failing case found: fewer faults, then fewer agents, then fewer ticks.

    Args:
        report: A failing report; world, disk and options are what it was made with.
        attempts: Simulations this may cost.
    """
    best = report
    names = tuple(spec.name for spec in world(Draw(report.case.seed).branch(1)).header.agents)
    left = attempts
    progress = True
    while progress and left > 0:
        progress = False
        for case in _smaller(best, names):
            if left <= 0:
                break
            left -= 1
            found = simulate(case, world=world, disk=disk, options=options)
            if not found.ok:
                best, progress = found, True
                break
    return best


def _smaller(report: Report, names: tuple[str, ...]) -> Iterator[Case]:
    """Yield cases one step smaller. Order: the step that removes most comes first."""
    case = report.case
    faults = tuple(report.struck) if case.faults is None else case.faults
    if case.faults is None:
        yield msgspec.structs.replace(case, faults=faults)
    for index in range(len(faults)):
        yield msgspec.structs.replace(case, faults=_without(faults, index))
    kept = [name for name in names if name not in case.dropped]
    for name in reversed(kept[1:] if len(kept) > 1 else []):
        yield msgspec.structs.replace(case, faults=faults, dropped=(*case.dropped, name))
    ticks = report.ticks if case.ticks is None else case.ticks
    for fewer in dict.fromkeys((ticks // 2, ticks - 1)):
        if 0 < fewer < ticks:
            yield msgspec.structs.replace(case, faults=faults, ticks=fewer)


def _without(faults: tuple[Fault, ...], index: int) -> tuple[Fault, ...]:
    return faults[:index] + faults[index + 1 :]
