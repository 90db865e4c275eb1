"""Bodies that look like the one before: read and written without taking their heads apart again.

Most requests to a model are alike but for their numbers. Where all heads of a body have the bytes of those that were
checked before, at the same places, its tensors have the same names, types and shapes, and fit as they did.

Law: ``recall`` gives what ``decode_tensors`` and ``match_inputs`` would give, or None. ``encode_alike`` gives what
``encode_tensors`` gives.
"""

import functools
import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from ..codec import pad
from .ports import Value
from .tensors import STRING, Tensor

_HEAD: Final = struct.Struct("<HHIQ")


class _Part(NamedTuple):
    """A tensor of a body: its head, and where it and its data lie."""

    name: str
    tensor: Tensor
    head: bytes
    at: int
    start: int
    end: int


class Memo:
    """Remembers what the last body that fitted looked like."""

    def __init__(self) -> None:
        self._parts: tuple[_Part, ...] = ()
        self._size = -1

    def recall(self, body: bytes | memoryview) -> dict[str, Value] | None:
        """Return the inputs of a body that looks like the last one, by name; None of one that does not."""
        if len(body) != self._size:
            return None
        view = memoryview(body)
        given = dict[str, Value]()
        for name, tensor, head, at, start, end in self._parts:
            if view[at:start] != head:
                return None
            given[name] = Tensor(tensor.name, tensor.dtype, tensor.shape, view[start:end])
        return given

    def learn(self, body: bytes | memoryview, tensors: Sequence[Tensor], given: dict[str, Value]) -> None:
        """Remember a body that fits. One with text or sequences is not: its data says more than its head."""
        names = list(given)
        if len(names) != len(tensors) or any(tensor.dtype == STRING for tensor in tensors):
            return
        view, parts, at = memoryview(body), list[_Part](), 0
        for name, tensor in zip(names, tensors, strict=True):
            if not isinstance(given[name], Tensor):
                return
            start = at + _HEAD.size + 8 * len(tensor.shape) + (len(tensor.name.encode()) + 7 & -8)
            end = start + len(tensor.data)
            parts.append(_Part(name, tensor, bytes(view[at:start]), at, start, end))
            at = end + 7 & -8
        self._parts = tuple(part._replace(tensor=_without_data(part.tensor)) for part in parts)
        self._size = len(view)


def _without_data(tensor: Tensor) -> Tensor:
    return Tensor(tensor.name, tensor.dtype, tensor.shape, b"")


@functools.lru_cache(maxsize=256)
def _head(name: str, dtype: int, shape: tuple[int, ...], size: int) -> bytes:
    text = name.encode()
    dimensions = struct.pack(f"<{len(shape)}q", *shape)
    return _HEAD.pack(dtype, len(shape), len(text), size) + dimensions + pad(text)


def encode_alike(tensors: Iterable[Tensor]) -> bytes:
    """Return a body of encoding TENSOR."""
    parts = list[bytes | memoryview]()
    for name, dtype, shape, data in ((one.name, one.dtype, one.shape, one.data) for one in tensors):
        size = len(data)
        parts += (_head(name, dtype, shape, size), data)
        if size & 7:
            parts.append(bytes(-size & 7))
    return b"".join(parts)
