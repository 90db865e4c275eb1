"""Money as people write it, dollars, and as everything else counts it, whole millionths of a dollar."""

import re
from typing import Final

from .tables import MONEY_PATTERN

MICROS: Final = 1_000_000
"""Micro-dollars in a dollar."""

_MONEY: Final = re.compile(MONEY_PATTERN)


def parse_usd(text: str) -> int:
    """Return dollars as text in micro-dollars.

    Raises:
        ValueError: The text is no amount, or has more than six decimals.

    Law: ``parse_usd(usd_text(n)) == n`` for every amount that can be written.
    """
    if not _MONEY.match(text):
        raise ValueError(f"{text!r} is no amount of US dollars: write digits, a dot and at most six decimals, as 0.25")
    whole, _, part = text.partition(".")
    return int(whole) * MICROS + int(part.ljust(6, "0"))


def usd_text(micros: int) -> str:
    """Return micro-dollars as dollars, without zeros at the end but with two decimals at least: ``0.25``, ``-1.00``."""
    whole, part = divmod(abs(micros), MICROS)
    decimals = f"{part:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{whole}.{decimals}"
