"""Sizes as people write them: ``512MiB``, ``4GiB``, ``1000000``."""

import re
from typing import Final

from ..errors import UsageFault

UNITS: Final = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE: Final = re.compile(r"([0-9]{1,15})\s*([A-Za-z]*)", re.ASCII)


def parse_size(text: str, what: str) -> int:
    """Return a number of bytes.

    Args:
        what: The option or setting, for the error.

    Raises:
        UsageFault: TW1001.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or found[2] not in UNITS:
        raise UsageFault(f"{what} {text!r} is no size", fix="write bytes, or a number and KiB, MiB or GiB, as in 4GiB")
    return int(found[1]) * UNITS[found[2]]


def shown_size(count: int) -> str:
    """Return a number of bytes in the largest unit of which there is one, with one decimal place."""
    for unit, size in reversed(UNITS.items()):
        if size > 1 and count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
