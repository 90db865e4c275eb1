"""Swaps as they are written on a command line: ``AGENT=FILE@TICK:MODE``, and what they are granted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from ..driver.plans import MODES, Swap
from ..errors import UsageFault
from ..records import SwapMode
from .config import base_folders

Swaps = Annotated[
    list[str] | None,
    Parameter(
        name="--swap",
        negative="",
        help="AGENT=FILE@TICK or AGENT=FILE@TICK:MODE: a new version of an agent, put in its place before that tick. "
        "Modes: migrate (the default), restart, keep_image. May be repeated.",
    ),
]
ForkSwaps = Annotated[
    list[str] | None,
    Parameter(
        name="--swap",
        negative="",
        help="AGENT=FILE or AGENT=FILE:MODE: a new version of an agent, put in its place at the tick of the fork. "
        "May be repeated.",
    ),
]
Grants = Annotated[
    list[str] | None,
    Parameter(
        name="--grant",
        negative="",
        help="AGENT=WHAT for a swap: what the new version may do beyond the old one, such as publish:TOPIC, clock or "
        "memory_pages:N. May be repeated.",
    ),
]

_WITH_TICK: Final = "write AGENT=FILE@TICK or AGENT=FILE@TICK:MODE"
_WITHOUT_TICK: Final = "write AGENT=FILE or AGENT=FILE:MODE"


def parse_swaps(words: Sequence[str], grants: Sequence[str], *, ticks: bool) -> list[Swap]:
    """Return swaps as written.

    Args:
        ticks: Whether each names its tick.

    Raises:
        UsageFault: TW1001, a word that is not understood, or a grant for an agent that is not swapped.
    """
    swaps = [_swap(word, ticks=ticks) for word in words]
    granted: dict[str, list[str]] = {}
    for word in grants:
        agent, equals, what = word.partition("=")
        if not equals or not what:
            raise UsageFault(f"--grant {word} is not understood", fix="write AGENT=WHAT, such as a=publish:news")
        if agent not in [swap.agent for swap in swaps]:
            raise UsageFault(
                f"--grant {word}: agent {agent!r} is not swapped", fix="add --swap, or leave the grant out"
            )
        granted.setdefault(agent, []).append(what)
    bases = base_folders()
    return [
        Swap(swap.agent, swap.module, swap.at, swap.mode, tuple(granted.get(swap.agent, ())), bases) for swap in swaps
    ]


def _swap(word: str, *, ticks: bool) -> Swap:
    agent, _, rest = word.partition("=")
    file, mode = _without_mode(rest)
    tick = ""
    if ticks:
        file, _, tick = file.rpartition("@")
    misplaced = _without_mode(file)[0] != file
    if not agent or not file or misplaced or (ticks and not tick.isdecimal()):
        why = "the mode stands behind the tick" if misplaced else ""
        raise UsageFault(f"--swap {word} is not understood", why=why, fix=_WITH_TICK if ticks else _WITHOUT_TICK)
    return Swap(agent, Path(file), int(tick) if ticks else None, mode)


def _without_mode(word: str) -> tuple[str, str]:
    """Return a word without the mode at its end, and that mode. A file's own colons stay."""
    head, colon, tail = word.rpartition(":")
    return (head, tail) if colon and tail in MODES else (word, str(SwapMode.MIGRATE))
