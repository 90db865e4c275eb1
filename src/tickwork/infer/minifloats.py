"""Floats of 16 bits and fewer that Python has no word for, as numbers and back.

Law: ``encode(dtype, decode(dtype, word)) == word`` for every word that is a number, but for a zero's sign where the
type has one zero.

Source: OCP 8-bit floating point 1.0, OCP microscaling formats 1.0, the extended float types of ONNX; bfloat16 is the
upper half of a float32.
"""

import functools
import math
import struct
from bisect import bisect_left
from typing import Final

from ..tensors import BFLOAT16

# Exponent bits, mantissa bits, bias, and how infinities and NaNs are written.
_LAYOUTS: Final[dict[int, tuple[int, int, int, str]]] = {
    17: (4, 3, 7, "fn"),
    18: (4, 3, 8, "fnuz"),
    19: (5, 2, 15, "ieee"),
    20: (5, 2, 16, "fnuz"),
    23: (2, 1, 1, "finite"),
}
_POWERS: Final = 24
_POWER_BIAS: Final = 127
_POWER_NAN: Final = 0xFF

TYPES: Final = frozenset({BFLOAT16, _POWERS, *_LAYOUTS})


def decode(dtype: int, word: int) -> float:
    """Return the number a word stands for."""
    if dtype == BFLOAT16:
        return float(struct.unpack("<f", struct.pack("<I", word << 16))[0])
    if dtype == _POWERS:
        return math.nan if word == _POWER_NAN else math.ldexp(1.0, word - _POWER_BIAS)
    exponent_bits, mantissa_bits, bias, form = _LAYOUTS[dtype]
    sign_bit = 1 << exponent_bits + mantissa_bits
    size = word & (sign_bit - 1)
    exponent, mantissa = size >> mantissa_bits, size & (1 << mantissa_bits) - 1
    top = (1 << exponent_bits) - 1
    if (form == "fnuz" and word == sign_bit) or (form == "fn" and size == sign_bit - 1):
        return math.nan
    if form == "ieee" and exponent == top:
        number = math.nan if mantissa else math.inf
    elif exponent:
        number = math.ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits)
    else:
        number = math.ldexp(mantissa, 1 - bias - mantissa_bits)
    return -number if word & sign_bit else number


def encode(dtype: int, number: float) -> int:
    """Return the word nearest to a number; of two as near, the even one.

    Raises:
        OverflowError: The number lies beyond the greatest of the type, or the type has no such NaN or infinity.
    """
    if dtype == BFLOAT16:
        return _encode_bfloat16(number)
    numbers, words, nan, infinity = _table(dtype)
    if math.isnan(number) or math.isinf(number):
        word = nan if math.isnan(number) else infinity
        if word is None:
            raise OverflowError(number)
        return word | (0x80 if number == -math.inf else 0)
    size = abs(number)
    if size > numbers[-1] or (dtype == _POWERS and not numbers[0] <= number):
        raise OverflowError(number)
    at = bisect_left(numbers, size)
    if at and (
        size - numbers[at - 1] < numbers[at] - size
        or (size - numbers[at - 1] == numbers[at] - size and not words[at - 1] & 1)
    ):
        at -= 1
    word = words[at]
    negative = math.copysign(1.0, number) < 0 and dtype != _POWERS
    if negative and (word or _LAYOUTS[dtype][3] != "fnuz"):
        word |= 1 << _LAYOUTS[dtype][0] + _LAYOUTS[dtype][1]
    return word


def _encode_bfloat16(number: float) -> int:
    if math.isnan(number):
        return 0x7FC0
    bits = int(struct.unpack("<I", struct.pack("<f", number))[0])
    word = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    if word & 0x7FFF == 0x7F80 and not math.isinf(number):
        raise OverflowError(number)
    return word


@functools.cache
def _table(dtype: int) -> tuple[list[float], list[int], int | None, int | None]:
    """Return the finite numbers from 0 up, their words, and the words of NaN and infinity."""
    count = 0x100 if dtype == _POWERS else 1 << sum(_LAYOUTS[dtype][:2])
    pairs = [(decode(dtype, word), word) for word in range(count)]
    finite = [(number, word) for number, word in pairs if math.isfinite(number)]
    nan = {17: 0x7F, 18: 0x80, 19: 0x7E, 20: 0x80, _POWERS: _POWER_NAN}.get(dtype)
    infinity = next((word for number, word in pairs if number == math.inf), None)
    return [number for number, _ in finite], [word for _, word in finite], nan, infinity
