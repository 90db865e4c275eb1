"""``python -m tickwork.sim --seeds 0..1999`` runs seeds; ``--seed N`` with what a failure printed repeats one."""

import sys
from collections.abc import Sequence
from typing import Final

from .faults import Fault
from .run import Case, simulate
from .shrink import shrink

USAGE: Final = "usage: python -m tickwork.sim --seeds FIRST..LAST | --seed N [--faults F,F] [--drop A,A] [--ticks N]"
EVERY: Final = 100


def main(arguments: Sequence[str]) -> int:
    """Return 0 when every seed is well, 1 when one fails, 2 for a wrong command line."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    known = {"--seeds", "--seed", "--faults", "--drop", "--ticks"}
    if len(arguments) % 2 or not set(options) <= known or ("--seeds" in options) == ("--seed" in options):
        sys.stderr.write(f"{USAGE}\n")
        return 2
    try:
        return _range(options["--seeds"]) if "--seeds" in options else _one(options)
    except ValueError as error:
        sys.stderr.write(f"{error}\n{USAGE}\n")
        return 2


def _range(text: str) -> int:
    first, _, last = text.partition("..")
    for seed in range(int(first), int(last or first) + 1):
        report = simulate(seed)
        if not report.ok:
            sys.stderr.write(f"{report}\nsmallest case found:\n{shrink(report)}\n")
            return 1
        if seed % EVERY == EVERY - 1:
            sys.stderr.write(f"{report}\n")
    return 0


def _one(options: dict[str, str]) -> int:
    texts = options.get("--faults", "").split(",")
    faults = tuple(Fault.parse(text) for text in texts if text not in ("", "none"))
    dropped = tuple(name for name in options.get("--drop", "").split(",") if name)
    ticks = int(options["--ticks"]) if "--ticks" in options else None
    report = simulate(Case(int(options["--seed"]), faults if "--faults" in options else None, dropped, ticks))
    sys.stderr.write(f"{report}\n")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
