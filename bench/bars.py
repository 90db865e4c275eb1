"""Every bar, and what measures it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from .authoring import NEW_BARS, SAVE_BARS, new_agents, saves
from .bus import messages
from .goals import PLAN_BARS, plans
from .journals import folds, journal
from .measure import Effort, Line, say
from .models import FAULT_BARS, OVERHEAD_BARS, RATE_BARS, faults, overheads, rates
from .snapshots import snapshots
from .start import install, start
from .tick import region, tick
from .windows import windows
from .workers import workers


class Group(NamedTuple):
    """Bars that are measured together.

    Attributes:
        measure: Yields the lines; its folder is empty and is removed afterwards.
    """

    bars: tuple[str, ...]
    measure: Callable[[Effort, Path], Iterator[Line]]


GROUPS: Final = (
    Group(("tick", "tick-objects", "turn-c-loop", "turn-extism"), tick),
    Group(("messages-autogen", "messages-nats"), messages),
    Group(("journal-encode", "journal-check"), journal),
    Group(("workers",), workers),
    Group(("replay", "verify"), folds),
    Group(("region",), region),
    Group(("snapshot", "snapshot-copy"), snapshots),
    Group(("window", "window-limit"), windows),
    Group(("import", "version"), start),
    Group(("install",), install),
    Group(OVERHEAD_BARS, overheads),
    Group(RATE_BARS, rates),
    Group(FAULT_BARS, faults),
    Group(PLAN_BARS, plans),
    Group(NEW_BARS, new_agents),
    Group(SAVE_BARS, saves),
)

BARS: Final = tuple(bar for group in GROUPS for bar in group.bars)


def measure_bars(effort: Effort, wanted: frozenset[str]) -> Iterator[Line]:
    """Yield the lines of the bars that are wanted, in the order of ``BARS``."""
    for group in GROUPS:
        names = [bar for bar in group.bars if bar in wanted]
        if not names:
            continue
        say(f"measuring {', '.join(names)}")
        with TemporaryDirectory(prefix="tickwork-bench-") as folder:
            lines = list(group.measure(effort, Path(folder)))
        assert tuple(line.bar for line in lines) == group.bars, "a group measures all its bars, in order"
        yield from (line for line in lines if line.bar in wanted)
