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
from ..tensors import STRING, Tensor
from .ports import Value

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
        self._heads: tuple[tuple[int, int, bytes], ...] = ()
        self._size = -1

    def matches(self, body: bytes | memoryview) -> bool:
        """Return whether a body looks like the last one."""
        if len(body) != self._size:
            return False
        for at, start, head in self._heads:  # noqa: SIM110 - a generator takes as long as all the rest.
            if body[at:start] != head:
                return False
        return True

    def recall(self, body: bytes | memoryview) -> dict[str, Value] | None:
        """Return the inputs of a body that looks like the last one, by name; None of one that does not."""
        if not self.matches(body):
            return None
        view = memoryview(body)
        return {
            name: Tensor(tensor.name, tensor.dtype, tensor.shape, view[start:end])
            for name, tensor, _, _, start, end in self._parts
        }

    @property
    def places(self) -> list[tuple[str, Tensor, int, int]]:
        """Where the data of each input lies: its name, a tensor without data, start and end."""
        return [(part.name, part.tensor, part.start, part.end) for part in self._parts]

    def learn(self, body: bytes | memoryview, tensors: Sequence[Tensor], given: dict[str, Value]) -> bool:
        """Remember a body that fits; return whether it was.

        One with text or sequences is not: its data says more than its head.
        """
        names = list(given)
        if len(names) != len(tensors) or any(tensor.dtype == STRING for tensor in tensors):
            return False
        view, parts, at = memoryview(body), list[_Part](), 0
        for name, tensor in zip(names, tensors, strict=True):
            if not isinstance(given[name], Tensor):
                return False
            start = at + _HEAD.size + 8 * len(tensor.shape) + (len(tensor.name.encode()) + 7 & -8)
            end = start + len(tensor.data)
            parts.append(_Part(name, tensor, bytes(view[at:start]), at, start, end))
            at = end + 7 & -8
        self._parts = tuple(part._replace(tensor=_emptied(part.tensor)) for part in parts)
        self._heads = tuple((part.at, part.start, part.head) for part in parts)
        self._size = len(view)
        return True


def _emptied(tensor: Tensor) -> Tensor:
    return Tensor(tensor.name, tensor.dtype, tensor.shape, b"")


@functools.lru_cache(maxsize=256)
def tensor_head(name: str, dtype: int, shape: tuple[int, ...], size: int) -> bytes:
    """Return what stands before a tensor's data."""
    text = name.encode()
    dimensions = struct.pack(f"<{len(shape)}q", *shape)
    return _HEAD.pack(dtype, len(shape), len(text), size) + dimensions + pad(text)


def encode_alike(tensors: Iterable[Tensor]) -> bytes:
    """Return a body of encoding TENSOR."""
    parts = list[bytes | memoryview]()
    for name, dtype, shape, data in ((one.name, one.dtype, one.shape, one.data) for one in tensors):
        size = len(data)
        parts += (tensor_head(name, dtype, shape, size), data)
        if size & 7:
            parts.append(bytes(-size & 7))
    return b"".join(parts)
