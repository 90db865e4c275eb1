"""What an author waits for: from nothing to a running agent, and from saving a source to its result."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter

from .measure import Effort, Line, judged

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "TICKWORK_CACHE": str(ROOT / ".cache" / "modules")}
"""Compilers' own libraries are those of `./ci toolchains`; what is compiled here stays for the next time."""

BEGUN = {"c": 60, "cpp": 60, "assemblyscript": 60, "python": 60, "rust": 120}
SAVED = {"c": ("agent.c", 1), "assemblyscript": ("assembly/index.ts", 5)}

NEW_BARS = tuple(f"new-{language}" for language in BEGUN)
SAVE_BARS = tuple(f"save-{language}" for language in SAVED)


class _Missing(Exception):
    """A toolchain is not there; the text is the line that installs it."""


def new_agents(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure ``agent new``, ``agent build`` and ``run`` in three processes, by language."""
    for language, limit in BEGUN.items():
        yield _line(f"new-{language}", f"<= {limit}", partial(_begin, effort, folder, language))


def _begin(effort: Effort, folder: Path, language: str) -> list[float]:
    found = list[float]()
    for attempt in range(3 if effort.full else 1):
        name = f"{language}-{attempt}"
        began = perf_counter()
        _tickwork(folder, "agent", "new", language, name)
        _tickwork(folder, "agent", "build", name)
        _tickwork(folder, "run", f"{name}/world.toml")
        found.append(perf_counter() - began)
    return found


def saves(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure the time from a change of a source to what ``agent dev`` says of the agent it makes."""
    for language, (source, limit) in SAVED.items():
        bar = f"save-{language}"
        yield _line(bar, f"<= {limit}", partial(_save, effort, folder, language, source))


def _save(effort: Effort, folder: Path, language: str, source: str) -> list[float]:
    project = folder / f"saved-{language}"
    _tickwork(folder, "agent", "new", language, project.name)
    command = [sys.executable, "-m", "tickwork", "agent", "dev", str(project), "--no-test", "-o", "jsonl"]
    watching = subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert watching.stdout is not None
        first = watching.stdout.readline()
        if not first:
            raise _Missing(f"the compiler of {language}: see `tickwork doctor`")
        found = list[float]()
        for attempt in range(effort.rounds):
            with (project / source).open("a", encoding="utf-8") as file:
                file.write(f"// {attempt}\n")
            began = perf_counter()
            json.loads(watching.stdout.readline())
            found.append(perf_counter() - began)
        return found
    finally:
        watching.kill()
        watching.wait()


def _tickwork(folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tickwork", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 4 and "TW5001" in done.stderr:
        raise _Missing(next(line for line in done.stderr.splitlines() if "fix:" in line).partition("fix:")[2].strip())
    if done.returncode:
        raise RuntimeError(f"tickwork {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")


def _line(bar: str, bound: str, measure: Callable[[], Sequence[float]]) -> Line:
    try:
        values = measure()
    except _Missing as missing:
        return Line(bar, None, "s", None, None, None, bound, note=str(missing))
    return judged(bar, values, "s", bound, f"wall clock, median of {len(values)}; longest {max(values):.2f} s")
