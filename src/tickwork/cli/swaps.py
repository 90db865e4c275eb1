"""Swaps as they are written on a command line: ``AGENT=FILE@TICK:MODE``, and what they are granted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from ..driver.plans import MODES, ModelSwap, Swap
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
ModelSwaps = Annotated[
    list[str] | None,
    Parameter(
        name="--swap-model",
        negative="",
        help="NAME=VERSION@TICK: a new version of a model, put in its place before that tick. The version is one of "
        "the store, such as forecast:1.1.0 or sha256:DIGEST, or a file. May be repeated.",
    ),
]
ForkModelSwaps = Annotated[
    list[str] | None,
    Parameter(
        name="--swap-model",
        negative="",
        help="NAME=VERSION: a new version of a model, one of the store or a file, put in its place at the tick of the "
        "fork. May be repeated.",
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
MODEL_SUFFIX: Final = ".onnx"
"""A version that ends so, or has a separator of folders in it, is a file; a store's names have neither."""

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


def parse_model_swaps(words: Sequence[str], *, ticks: bool) -> list[ModelSwap]:
    """Return swaps of models as written.

    Args:
        ticks: Whether each names its tick.

    Raises:
        UsageFault: TW1001, a word that is not understood.
    """
    return [_model_swap(word, ticks=ticks) for word in words]


def _model_swap(word: str, *, ticks: bool) -> ModelSwap:
    name, _, to = word.partition("=")
    tick = ""
    if ticks:
        to, _, tick = to.rpartition("@")
    if not name or not to or (ticks and not tick.isdecimal()):
        fix = "write NAME=VERSION@TICK, such as forecast=forecast:1.1.0@40" if ticks else "write NAME=VERSION"
        raise UsageFault(f"--swap-model {word} is not understood", fix=fix)
    return ModelSwap(name, model_source(to), int(tick) if ticks else None)


def model_source(word: str) -> str | Path:
    """Return what a person names a version of a model by: its file or folder, if it is one, else what a store knows."""
    path = Path(word)
    written = any(mark in word for mark in "/\\") or path.suffix == MODEL_SUFFIX
    return path if written else word
