"""Rights: names and capabilities as lists of patterns, and whether one list lies within another.

A pattern has one special character: ``*`` stands for any text, also none. A module may declare a pattern itself
(``send = ["*"]``); it lies within another one if the other matches it letter for letter, which is never too generous.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from ..sandbox.manifest import Capabilities

KINDS: Final = ("publish", "subscribe", "send", "skills", "spawn", "models", "windows")
"""Lists of names that a manifest declares. Order: as in ``Capabilities``."""

CLOCK: Final = "clock"
ALL: Final = "*"
EVERYTHING: Final = Capabilities(**dict.fromkeys(KINDS, (ALL,)), clock=True)
MESSAGES: Final = Capabilities(publish=(ALL,), subscribe=(ALL,), send=(ALL,))
"""What lets an agent take part in a run and reaches nothing outside of it."""


def matches(pattern: str, text: str) -> bool:
    """Return whether ``text`` is of the form ``pattern``.

    Law: if ``matches(p, q)`` and ``matches(q, text)`` then ``matches(p, text)``.
    """
    first, *rest = pattern.split(ALL)
    if not rest:
        return pattern == text
    # The star takes as little as it can, save the last one: no pattern can make this slow.
    if not text.startswith(first):
        return False
    at = len(first)
    for piece in rest[:-1]:
        found = text.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(text) - at >= len(rest[-1]) and text.endswith(rest[-1])


def allowed(patterns: Iterable[str], text: str) -> bool:
    """Return whether one of the patterns matches."""
    return any(matches(pattern, text) for pattern in patterns)


def beyond(asked: Capabilities, given: Capabilities) -> tuple[str, ...]:
    """Return what is asked and not given, each as ``kind NAME``. Order: by kind, then as asked."""
    missing: list[str] = []
    for kind in KINDS:
        patterns: tuple[str, ...] = getattr(given, kind)
        names: tuple[str, ...] = getattr(asked, kind)
        missing += [f"{kind} {name}" for name in names if not allowed(patterns, name)]
    if asked.clock and not given.clock:
        missing.append(CLOCK)
    return tuple(missing)


def listed(capabilities: Capabilities) -> tuple[str, ...]:
    """Return all capabilities, each as ``kind NAME``."""
    return beyond(capabilities, Capabilities())


def joined(one: Capabilities, other: Capabilities) -> Capabilities:
    """Return what either has. Order: the names of ``one`` first."""
    lists = {kind: tuple(dict.fromkeys((*getattr(one, kind), *getattr(other, kind)))) for kind in KINDS}
    return Capabilities(**lists, clock=one.clock or other.clock)


def parse_capability(text: str) -> Capabilities:
    """Return the capability that ``kind=PATTERN`` or ``clock`` names.

    Raises:
        ValueError: There is no such kind.
    """
    kind, equals, pattern = text.partition("=")
    if text == CLOCK:
        return Capabilities(clock=True)
    if kind not in KINDS or not equals or not pattern:
        raise ValueError(
            f"{text!r} is no capability; write {', '.join(f'{kind}=PATTERN' for kind in KINDS)} or {CLOCK}"
        )
    return msgspec.structs.replace(Capabilities(), **{kind: (pattern,)})


_DIGITS: Final = 18
"""A longer number is a text: Python refuses to read very long ones."""

_Part = tuple[int, int, str]


def version_order(version: str) -> tuple[tuple[_Part, ...], bool, tuple[_Part, ...]]:
    """Return a key that sorts versions: numbers by value, ``1.0.0-rc1`` before ``1.0.0``, ``+build`` without effect.

    Source: Semantic Versioning 2.0.0, section 11; other spellings are ordered too, part by part.
    """
    plain = version.partition("+")[0]
    release, dash, early = plain.partition("-")
    return (_parts(release), not dash, _parts(early))


def _parts(text: str) -> tuple[_Part, ...]:
    pieces = text.split(".")
    # Zeros at the end say nothing: 1.0 and 1.0.0 are one version.
    while len(pieces) > 1 and pieces[-1] == "0":
        pieces.pop()
    return tuple([_part(piece) for piece in pieces])


def _part(piece: str) -> _Part:
    number = piece.isascii() and piece.isdigit() and len(piece) <= _DIGITS
    return (1, int(piece), "") if number else (2, 0, piece)
