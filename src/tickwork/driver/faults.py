"""What is wrong with a world file: one fault or several told together, each with its place and a way to mend it."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..errors import WorldError
from . import places

_SHOWN_NAMES: Final = 20
"""A longer list of allowed names is cut: the nearest match says more."""


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a world file.

    Attributes:
        kind: The error it becomes.
        path: Keys from the root to the place.
    """

    kind: type[WorldError]
    path: places.Path
    what: str
    why: str = ""
    fix: str = ""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return the name most like ``name``, or the empty string where none is."""
    found = difflib.get_close_matches(name, sorted(allowed), n=1, cutoff=0.6)
    return found[0] if found else ""


def choose(name: str, allowed: Iterable[str], otherwise: str) -> str:
    """Return the text of a fix: the nearest match, else the allowed names, else ``otherwise``."""
    known = sorted(allowed)
    match = nearest(name, known)
    if match:
        return f'did you mean "{match}"? allowed: {listed(known)}'
    return f"use one of {listed(known)}" if known else otherwise


def listed(names: Sequence[str]) -> str:
    """Return names for a message, a long list cut short."""
    shown = ", ".join(names[:_SHOWN_NAMES])
    return f"{shown} and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else shown


def as_error(faults: list[Fault], path: Path, lines: Mapping[places.Path, int]) -> WorldError:
    """Return one error that tells the first fault in full and lists the others below it. Order: lines of the file."""
    ordered = sorted(faults, key=lambda fault: places.line_of(lines, fault.path))
    first = ordered[0]
    others = [f"  also:  {place_text(fault.path, path, lines)}: {fault.what}" for fault in ordered[1:]]
    return first.kind(
        first.what,
        where=place_text(first.path, path, lines),
        why=first.why,
        fix="\n".join([first.fix, *others]),
    )


def place_text(keys: places.Path, path: Path, lines: Mapping[places.Path, int]) -> str:
    """Return file, line and key: ``world.toml:12, agents.x.limits``."""
    place = f"{path}:{places.line_of(lines, keys)}"
    return f"{place}, {key_text(keys)}" if keys else place


def key_text(path: places.Path) -> str:
    """Return a path as TOML writes it: ``agents.x.limits``, ``tasks[0].agent``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", part)
            text += ("." if text else "") + (part if bare else f'"{part}"')
    return text
