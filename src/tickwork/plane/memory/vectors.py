"""Vectors as they are stored, and how alike two of them are, in whole numbers.

Law: ``likeness`` depends on the two vectors alone, not on the machine: products are of 64-bit floats, their sum is
rounded once, and the result is a whole number.
"""

import math
import struct
from collections.abc import Sequence
from operator import mul
from typing import Final

LIKENESS: Final = 1_000_000
"""What ``likeness`` gives for two vectors of the same direction."""


def pack(vector: Sequence[float]) -> bytes:
    """Return a vector as bytes. Shape: float32, little-endian."""
    return struct.pack(f"<{len(vector)}f", *vector)


def unpack(raw: bytes) -> tuple[float, ...]:
    """Return a vector from its bytes. Law: the inverse of ``pack`` for numbers of 32 bits."""
    return struct.unpack(f"<{len(raw) // 4}f", raw)


def likeness(one: Sequence[float], other: bytes) -> int:
    """Return how alike a vector and a stored one are, both of length 1. Units: 1 / ``LIKENESS``."""
    return round(LIKENESS * math.fsum(map(mul, one, unpack(other))))
