"""What a second process gives a run, against what it gives two plain processes."""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

import tickwork as tw

from . import ours
from .measure import Effort, Line, Stand, shown, within
from .ours import AGENTS
from .peers.processes import PlainProcesses

INLINE, TWO, PLAIN_ONE, PLAIN_TWO = "inline", "two workers", "one plain process", "two plain processes"
TURN_SECONDS = 0.001
PROBE_ROUNDS = 200_000
BOUND = ">= 0.85"
LEAST_PLAIN = 1.4
"""The speed-up of two plain processes below which the machine was not ours, and nothing can be said of workers."""


def workers(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure ticks of 50 turns of 1 ms."""
    iterations = _iterations(folder) if effort.full else 1000
    world, config = ours.computing(iterations), ours.spin_config(iterations)
    with Stand(folder) as stand:
        inline = stand.hold(ours.Ticking(world, None, tw.Options(cache=folder)))
        two = stand.hold(ours.Ticking(world, None, tw.Options(cache=folder, workers=2)))
        one_plain, two_plain = (stand.hold(PlainProcesses(count, ours.SPIN, config)) for count in (1, 2))
        stand.case(INLINE, inline.tick, AGENTS)
        stand.case(TWO, two.tick, AGENTS)
        stand.case(PLAIN_ONE, lambda times: one_plain.run(times * AGENTS), AGENTS)
        stand.case(PLAIN_TWO, lambda times: two_plain.run(times * AGENTS), AGENTS)
        found = stand.measure(effort).by_name
    ours_up = [one / both for one, both in zip(found[INLINE], found[TWO], strict=True)]
    plain_up = [one / both for one, both in zip(found[PLAIN_ONE], found[PLAIN_TWO], strict=True)]
    shares = [one / other for one, other in zip(ours_up, plain_up, strict=True)]
    share, plain = median(shares), median(plain_up)
    calm = plain >= LEAST_PLAIN or not effort.full
    note = f"a turn takes {median(found[INLINE]) * 1e3:.2f} ms inline"
    if not calm:
        note = "two plain processes gain nothing either: measure again on two idle processors"
    holds = within(BOUND, share) if calm else None
    against = f"{PLAIN_TWO}: {shown(plain)}"
    yield Line("workers", median(ours_up), "speed-up", against, share, holds, BOUND, min(shares), max(shares), note)


def _iterations(folder: Path) -> int:
    """Return how many rounds of the module's work take 1 ms here."""
    with Stand(folder) as stand:
        probe = stand.hold(ours.Ticking(ours.computing(PROBE_ROUNDS), None, tw.Options(cache=folder)))
        began = perf_counter()
        probe.tick(2)
        return round(PROBE_ROUNDS * TURN_SECONDS * 2 * AGENTS / (perf_counter() - began))
