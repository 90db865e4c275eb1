"""python -m bench: measure the bars, print them as a table, write a JSON line for each."""

import argparse
import os
import sys
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from .bars import BARS, measure_bars
from .measure import SMOKE, Effort, Line, say, shown

RESULTS = Path(__file__).resolve().parent / "results"
VERDICTS = {True: "[green]yes[/]", False: "[red]no[/]", None: "[yellow]?[/]"}


def main() -> int:
    """Measure, print, write."""
    options = _options()
    effort = SMOKE if options.smoke else Effort(rounds=options.rounds)
    if not options.smoke and hasattr(os, "getloadavg"):
        say(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} before we begin: trust ratios more than times")
    began = time.monotonic()
    lines = list(measure_bars(effort, frozenset(options.only or BARS)))
    for line in lines:
        check_line(line)
    out = options.out or RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}{'-smoke' if options.smoke else ''}.jsonl"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    _print(lines, timed=not options.smoke)
    say(f"{len(lines)} bars in {time.monotonic() - began:.0f} s: {out}")
    return int(options.strict and any(line.holds is False for line in lines))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the bars beside peers and limits.")
    parser.add_argument("--only", metavar="BAR", action="append", choices=BARS, help=f"one of {', '.join(BARS)}")
    parser.add_argument("--smoke", action="store_true", help="see that each runs; the figures mean nothing")
    parser.add_argument("--rounds", type=int, default=Effort().rounds, help="turns each case has (default %(default)s)")
    parser.add_argument("--out", type=Path, help="where the JSON lines go (default bench/results)")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a bar does not hold")
    return parser.parse_args()


def check_line(line: Line) -> None:
    """Assert that a line says what it must: everything, or what is missing."""
    assert line.bar in BARS
    assert line.unit
    assert line.bound
    if line.holds is None:
        assert line.note, f"{line.bar} must say what would let it be measured"
    else:
        assert line.value is not None
        assert line.value > 0
        assert (line.against is None) == (line.ratio is None)


def _print(lines: list[Line], *, timed: bool) -> None:
    table = Table(box=None, header_style="bold")
    for name in ("bar", "value", "against", "ratio", "bound", "holds", "note"):
        table.add_column(name, justify="right" if name in {"value", "ratio"} else "left")
    for line in lines:
        value = "" if line.value is None else f"{shown(line.value)} {line.unit}"
        ratio = "" if line.ratio is None else shown(line.ratio)
        verdict = VERDICTS[line.holds] if timed else "ran" if line.holds is not None else "?"
        table.add_row(line.bar, value, line.against or "", ratio, line.bound, verdict, line.note)
    # Wide enough for every note where nobody watches; a terminal wraps them.
    Console(width=None if sys.stdout.isatty() else 200).print(table)


if __name__ == "__main__":
    sys.exit(main())
