"""What it costs to begin: import, the command's first answer, what an installation brings along."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from .measure import Effort, Line, judged, within

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
IMPORT = "import tickwork"
# The verbs are loaded when they are first used; this is what a program that runs a world loads.
IMPORT_VERBS = "import tickwork; tickwork.run, tickwork.load_world"


def start(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure the processor time of child processes, user and system; the least of several is theirs alone."""
    times = 3 * effort.rounds
    if find_spec("resource") is None:
        for bar, bound in (("import", "<= 150"), ("version", "<= 60")):
            yield Line(bar, None, "ms", None, None, None, bound, note="needs a POSIX system: children's CPU time")
        return
    bare = _least_ms(times, "-c", "pass")
    verbs = _least_ms(times, "-c", IMPORT_VERBS)
    note = f"CPU; Python alone {bare:.0f} ms, with its verbs {verbs:.0f} ms"
    yield judged("import", [_least_ms(times, "-c", IMPORT)], "ms", "<= 150", note)
    yield judged("version", [_least_ms(times, "-m", "tickwork", "--version")], "ms", "<= 60", note="CPU")


def _least_ms(times: int, *arguments: str) -> float:
    """Return the least processor time that a Python with these arguments took."""
    return min(_cpu_ms([sys.executable, *arguments]) for _ in range(times))


def _cpu_ms(command: Sequence[str]) -> float:
    import resource  # Not there on every platform.

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


def install(effort: Effort, folder: Path) -> Iterator[Line]:
    """Count the distributions that a plain installation brings to this platform."""
    pins = [line.rstrip(" \\") for line in LOCK.read_text(encoding="utf-8").splitlines() if "==" in line]
    needed = [pin for pin in map(Requirement, pins) if pin.marker is None or pin.marker.evaluate()]
    count = float(len(needed) + 1)
    yield Line("install", count, "distributions", None, None, within("<= 25", count), "<= 25", note="with tickwork")
