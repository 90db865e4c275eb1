"""Inputs made up for a model that nobody has asked yet: to warm it up, and to see which bits come out.

Law: equal ports and shapes give equal tensors, on every machine and in every version.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from ..tensors import (
    BOOL,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT8,
    INT16,
    STRING,
    UINT8,
    UINT16,
    Tensor,
    bytes_needed,
    count_elements,
    join_text,
)
from .manifest import Port
from .ports import MAP, OPTIONAL_SEQUENCE, SEQUENCE, TENSOR, Value

ELEMENTS_MOST: Final = 1 << 22
"""Of one made-up tensor; a model that takes more is not probed."""

_WORD: Final = b"tickwork probe 1"
_FORMATS: Final = {FLOAT16: "e", FLOAT32: "f", FLOAT64: "d"}
_WHOLE_RANGE: Final = frozenset({UINT8, INT8, UINT16, INT16, 21, 22, 23, 25, 26})
_BFLOAT16: Final = 16
_SMALL_FLOATS: Final = frozenset({17, 18, 19, 20})
_POWERS: Final = 24
_ONE_AS_POWER: Final = 127

Inputs = dict[str, Value]


def warm_shape(port: Port, warmup: Mapping[str, Sequence[int]], size: int = 1) -> tuple[int, ...]:
    """Return the shape an input is made up with.

    Args:
        warmup: What each input is warmed up with, where that is said.
        size: A dimension that callers choose, the first left out, which is 1.
    """
    if port.name in warmup:
        return tuple(warmup[port.name])
    return tuple(own if isinstance(own, int) else size if place else 1 for place, own in enumerate(port.shape))


def make_inputs(
    ports: Sequence[Port],
    warmup: Mapping[str, Sequence[int]],
    *,
    zeros: bool = False,
    rows: int | None = None,
    seed: int = 0,
) -> Inputs | None:
    """Return made-up inputs, or None where none can be made up: for maps, and for tensors that are very large.

    Args:
        zeros: Whether all is 0.
        rows: The first dimension of every tensor; None for that of its shape.
        seed: Another gives other numbers.
    """
    made = Inputs()
    for place, port in enumerate(ports):
        if port.optional and port.kind == TENSOR:
            continue
        shape = warm_shape(port, warmup)
        if rows is not None and shape:
            shape = (rows, *shape[1:])
        if port.kind == MAP or count_elements(shape) > ELEMENTS_MOST or port.dtype in {14, 15}:
            return None
        tensor = Tensor(
            port.name, port.dtype, shape, _fill(port.dtype, shape, 0 if zeros else 1 + place + (seed << 16))
        )
        made[port.name] = [tensor] if port.kind in {SEQUENCE, OPTIONAL_SEQUENCE} else tensor
    return made


def _fill(dtype: int, shape: Sequence[int], seed: int) -> bytes:
    """Return the data of a tensor; zeros for a seed of 0."""
    count = count_elements(shape)
    if dtype == STRING:
        return join_text(["a"] * count)
    size = bytes_needed(dtype, shape)
    if not seed:
        return bytes([_ONE_AS_POWER]) * size if dtype == _POWERS else bytes(size)
    drawn = hashlib.shake_128(_WORD + struct.pack("<qq", seed, dtype)).digest(max(count, size))
    if dtype in _FORMATS:
        # Small multiples of 1/64: numbers that every float type has.
        return struct.pack(f"<{count}{_FORMATS[dtype]}", *[(byte - 128) / 64 for byte in drawn[:count]])
    if dtype == _BFLOAT16:
        wide = struct.pack(f"<{count}f", *[(byte - 128) / 64 for byte in drawn[:count]])
        return b"".join(wide[at + 2 : at + 4] for at in range(0, 4 * count, 4))
    if dtype in _SMALL_FLOATS:
        return bytes(byte & 0xBF for byte in drawn[:size])
    if dtype == _POWERS:
        return bytes([_ONE_AS_POWER]) * size
    if dtype in _WHOLE_RANGE:
        used = len(drawn[:size]) * 8 - (size * 8 - _bits(dtype) * count)
        whole = int.from_bytes(drawn[:size], "little") & (1 << used) - 1
        return whole.to_bytes(size, "little")
    # What may be an index or a length is 0 or 1, which few models refuse.
    each = 1 if dtype == BOOL else size // count if count else 0
    return b"".join((byte & 1).to_bytes(each, "little") for byte in drawn[:count])


def _bits(dtype: int) -> int:
    return bytes_needed(dtype, (8,))
