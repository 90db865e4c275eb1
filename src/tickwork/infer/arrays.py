"""Tensors as the arrays ONNX Runtime takes and gives, without losing a bit of any type.

Types that NumPy knows pass as arrays that view the tensor's bytes. The others (bfloat16, the floats of 8 bits, 4 and 2
bits) pass as values of the runtime's own, filled with the tensor's bytes.

Invariants:
    * What the runtime reads begins at a multiple of 64 in memory. Where it did not, sums came out with other last bits:
      vector code adds up what lies before the first whole vector on its own.
    * NaN leaves in one form for each type, whatever the processor made of it.
    * All is little-endian; a machine that is not refuses at import.

Source: the canonical NaNs are positive and quiet with no payload, as IEEE 754 prefers; 8-bit forms follow OCP 8-bit
floating point 1.0 and the extended float types of ONNX.
"""

# NumPy's functions take more than a checker can follow, and ONNX Runtime carries no types.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false

import ctypes
import math
import mmap
import sys
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

import numpy as np
import onnxruntime

from ..errors import ModelInputInvalid
from ..tensors import BFLOAT16, BITS, BOOL, STRING, Tensor, join_text, split_text
from .layouts import tensor_head
from .ports import Value

assert sys.byteorder == "little", "tensors are little-endian and so must be the machine"

Array = Any
"""A NumPy array; its types are not checked here."""

_NUMPY: Final[dict[int, Any]] = {
    1: np.dtype(np.float32), 2: np.dtype(np.uint8), 3: np.dtype(np.int8), 4: np.dtype(np.uint16),
    5: np.dtype(np.int16), 6: np.dtype(np.int32), 7: np.dtype(np.int64), 9: np.dtype(np.bool_),
    10: np.dtype(np.float16), 11: np.dtype(np.float64), 12: np.dtype(np.uint32), 13: np.dtype(np.uint64),
    14: np.dtype(np.complex64), 15: np.dtype(np.complex128),
}  # fmt: skip
_CODES: Final = {dtype: code for code, dtype in _NUMPY.items()}
_FLOATS: Final = frozenset({1, 10, 11})
_NUMBERED: Final = {dtype.num: code for code, dtype in _NUMPY.items()}
"""Type codes by NumPy's own number of the type, which is found quicker than the type itself."""

_TOP: Final = {1: 4, 11: 8}
"""Bytes of an element, by types whose NaNs have a last byte of 0x7F or 0xFF, and but few other numbers do."""

_SKIMMED_BYTES: Final = 1 << 13
"""Up to here looking at the last bytes alone is no slower than comparing all numbers. And after a run that took
milliseconds it is quicker by 40 us: what else would be needed has to be brought from memory again."""

_ALIGNED: Final = 64
_ROOM_BYTES: Final = 1 << 16
_SPOILT: Final = 0xA5

# Of types NumPy does not know: the words that are NaN, as a mask, the value below which none is, and the one kept.
_BFLOAT16_INFINITY: Final = 0x7F80
_BFLOAT16_NAN: Final = 0x7FC0
_BYTE_NANS: Final[dict[int, tuple[tuple[int, ...], int]]] = {
    17: ((0x7F, 0xFF), 0x7F),
    18: ((0x80,), 0x80),
    19: ((0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF), 0x7E),
    20: ((0x80,), 0x80),
    24: ((0xFF,), 0xFF),
}
_CANONICAL: Final = {
    1: np.array([0x7FC00000], np.uint32).view(np.float32)[0],
    10: np.array([0x7E00], np.uint16).view(np.float16)[0],
    11: np.array([0x7FF8000000000000], np.uint64).view(np.float64)[0],
}


class Room:
    """Memory in which arrays that lie elsewhere are laid at multiples of 64 bytes.

    What was laid there stays until ``clear``; one request needs no more, so the memory is used again and again.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _ROOM_BYTES)
        self._used = 0

    def clear(self) -> None:
        """Begin anew: nobody reads what was laid here before."""
        self._used = 0

    def align(self, array: Array) -> Array:
        """Return an equal array that begins at a multiple of 64; the same where it does already. Text stays."""
        if array.dtype.hasobject or not array.nbytes or not array.__array_interface__["data"][0] & _ALIGNED - 1:
            return array
        target = self.take(array.shape, array.dtype)
        target[...] = array
        return target

    def take(self, shape: Sequence[int], dtype: Any) -> Array:
        """Return an array to be filled, which begins at a multiple of 64."""
        count = math.prod(shape)
        size = count * dtype.itemsize
        start = -(-self._used // _ALIGNED) * _ALIGNED
        if start + size > len(self._memory):
            # Arrays that lie in the old memory keep it.
            self._memory, start = mmap.mmap(-1, max(size, 2 * len(self._memory))), 0
        self._used = start + size
        return np.frombuffer(self._memory, dtype, count, start).reshape(shape)


class Feeds:
    """Arrays that are filled anew for each body that looks like the last one.

    Args:
        places: Where the data of each input lies in such a body: its name, a tensor without data, start and end.

    Attributes:
        arrays: What the runtime is fed, by name.
        rows: First dimension of all inputs; 0 where several such bodies cannot be joined.
    """

    def __init__(self, places: Sequence[tuple[str, Tensor, int, int]]) -> None:
        room = Room()
        self._places = places
        counts = {tensor.shape[0] if tensor.shape and end > start else 0 for _, tensor, start, end in places}
        plain = all(tensor.dtype != BOOL for _, tensor, _, _ in places)
        self.rows: int = counts.pop() if plain and len(counts) == 1 else 0
        self.arrays: dict[str, Array] = {}
        self._bools = list[tuple[Tensor, Array]]()
        self._views = list[tuple[memoryview, int, int]]()
        for name, tensor, start, end in places:
            array = room.take(tensor.shape, _NUMPY[tensor.dtype])
            self.arrays[name] = array
            if end > start:
                self._views.append((memoryview(array.reshape(-1)).cast("B"), start, end))
            if tensor.dtype == BOOL:
                self._bools.append((tensor, array))

    def fill(self, body: bytes | memoryview) -> dict[str, Array]:
        """Return the arrays with the data of a body.

        Raises:
            ModelInputInvalid: TW6004, a bool is neither 0 nor 1.
        """
        source = memoryview(body)
        for view, start, end in self._views:
            view[:] = source[start:end]
        for tensor, array in self._bools:
            _check_bools(tensor, array)
        return self.arrays

    def join(self, bodies: Sequence[bytes | memoryview], room: Room) -> dict[str, Array]:
        """Return arrays with the data of several bodies, joined along the first dimension."""
        joined = dict[str, Array]()
        for name, tensor, start, end in self._places:
            array = room.take((self.rows * len(bodies), *tensor.shape[1:]), _NUMPY[tensor.dtype])
            view, at = memoryview(array.reshape(-1)).cast("B"), 0
            for body in bodies:
                view[at : at + end - start] = memoryview(body)[start:end]
                at += end - start
            joined[name] = array
        return joined


class Answer:
    """Memory of a body with one tensor, which the runtime fills with an answer that looks like the one before.

    Args:
        name: Of the tensor.
        array: An answer; it is not empty.

    Attributes:
        array: What is to be filled; it begins at a multiple of 64.
    """

    def __init__(self, name: str, array: Array) -> None:
        head = tensor_head(name, _CODES[array.dtype], array.shape, array.nbytes)
        start = -len(head) % _ALIGNED
        data, end = start + len(head), start + len(head) + (array.nbytes + 7 & -8)
        memory = mmap.mmap(-1, end)
        memory[start:data] = head
        self.array: Array = np.frombuffer(memory, array.dtype, array.size, data).reshape(array.shape)
        self._body = memoryview(memory)[start:end]
        code = _CODES[array.dtype]
        self._floats = code in _FLOATS
        self._step = _TOP.get(code, 0) if array.nbytes <= _SKIMMED_BYTES else 0
        self._top = data - start + self._step - 1

    def spoil(self) -> None:
        """Write over what is there, so that an answer that is not written shows."""
        self.array.reshape(-1).view(np.uint8)[...] = _SPOILT

    def body(self) -> bytes | None:
        """Return the body as it is now; None where it has NaNs."""
        body = bytes(self._body)
        if self._step:
            tops = body[self._top :: self._step]
            if 0x7F not in tops and 0xFF not in tops:
                return body
        array = self.array
        if self._floats and np.count_nonzero(array != array):
            return None
        return body


def is_plain(dtype: int) -> bool:
    """Return whether NumPy has the type, so that arrays carry it; text counts."""
    return dtype in _NUMPY or dtype == STRING


def to_array(tensor: Tensor) -> Array:
    """Return an array that views the tensor's data; text is copied.

    Raises:
        ModelInputInvalid: TW6004, a bool is neither 0 nor 1.
    """
    if tensor.dtype == STRING:
        return np.array(split_text(tensor.data), dtype=object).reshape(tensor.shape)
    flat = np.frombuffer(tensor.data, _NUMPY[tensor.dtype])
    if tensor.dtype == BOOL:
        _check_bools(tensor, flat)
    return flat.reshape(tensor.shape)


def _check_bools(tensor: Tensor, array: Array) -> None:
    if tensor.dtype == BOOL and array.size and array.view(np.uint8).max() > 1:
        raise ModelInputInvalid(
            f"the input {tensor.name!r} holds a bool that is neither 0 nor 1",
            why="a bool is one byte, 0 or 1",
            fix="send 0 for false and 1 for true",
        )


def to_value(tensor: Tensor, room: Room) -> Any:
    """Return the runtime's own value with the tensor's data, for any type but text."""
    if tensor.dtype in _NUMPY:
        return onnxruntime.OrtValue.ortvalue_from_numpy(room.align(to_array(tensor)))
    made = onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(tensor.shape), tensor.dtype)
    size = len(tensor.data)
    if size:
        assert size == made.tensor_size_in_bytes(), "the runtime packs a type as tensors do"
        ctypes.memmove(made.data_ptr(), bytes(tensor.data), size)
    return made


def from_array(name: str, array: Array) -> tuple[Tensor, int]:
    """Return an array as a tensor, and how many NaNs it holds, which are canonical in the tensor."""
    shape = array.shape
    if array.dtype == object or array.dtype.kind in "US":
        return Tensor(name, STRING, shape, join_text(str(text) for text in array.ravel().tolist())), 0
    dtype = _CODES[array.dtype]
    nans = 0
    if dtype in _FLOATS and array.size:
        wrong = array != array
        nans = int(np.count_nonzero(wrong))
        if nans:
            array = np.where(wrong, _CANONICAL[dtype], array)
    return Tensor(name, dtype, shape, array.tobytes()), nans


def encode_rows(names: Sequence[str], made: Sequence[Any], rows: int, count: int) -> list[bytes] | None:
    """Return a body for each of so many requests of equal rows; None where ``encode_plain`` gives none."""
    columns = list[list[bytes]]()
    for name, array in zip(names, made, strict=True):
        if type(array) is not np.ndarray or not array.flags.c_contiguous or array.shape[:1] != (rows * count,):
            return None
        code = _NUMBERED.get(array.dtype.num)
        if code is None or not array.nbytes:
            return None
        data: bytes = array.tobytes()
        if not _is_skimmed(code, data) and code in _FLOATS and np.count_nonzero(array != array):
            return None
        each = len(data) // count
        head, rest = tensor_head(name, code, (rows, *array.shape[1:]), each), bytes(-each & 7)
        columns.append([head + data[at : at + each] + rest for at in range(0, len(data), each)])
    return columns[0] if len(columns) == 1 else [b"".join(row) for row in zip(*columns, strict=True)]


def _is_skimmed(code: int, data: bytes) -> bool:
    """Return whether the last bytes of the elements show that there are no NaNs; otherwise nobody knows."""
    step = _TOP.get(code, 0)
    if not step or len(data) > _SKIMMED_BYTES:
        return False
    tops = data[step - 1 :: step]
    return 0x7F not in tops and 0xFF not in tops


def encode_plain(names: Sequence[str], made: Sequence[Any]) -> bytes | None:
    """Return a body of encoding TENSOR with these arrays; None where one has NaNs, text or parts, or lies in pieces."""
    parts = list[Any]()
    for name, array in zip(names, made, strict=True):
        if type(array) is not np.ndarray or not array.flags.c_contiguous:
            return None
        code = _NUMBERED.get(array.dtype.num)
        if code is None or (code in _FLOATS and np.count_nonzero(array != array)):
            return None
        size = array.nbytes
        parts += (tensor_head(name, code, array.shape, size), array)
        if size & 7:
            parts.append(bytes(-size & 7))
    return b"".join(parts)


def from_value(name: str, value: Any) -> tuple[Tensor, int]:
    """Return the runtime's own value as a tensor, and how many NaNs it holds, which are canonical in the tensor."""
    dtype = int(value.element_type())
    if is_plain(dtype):
        return from_array(name, value.numpy())
    size = int(value.tensor_size_in_bytes())
    data = ctypes.string_at(value.data_ptr(), size) if size else b""
    shape = tuple(int(dimension) for dimension in value.shape())
    data, nans = canonical_bytes(dtype, data)
    # A last byte that is not full holds whatever was there.
    return Tensor(name, dtype, shape, _clear_rest(dtype, shape, data)), nans


def canonical_bytes(dtype: int, data: bytes) -> tuple[bytes, int]:
    """Return data of a type NumPy does not know with its NaNs in one form, and how many there are."""
    if dtype == BFLOAT16:
        words = np.frombuffer(data, np.uint16)
        wrong = (words & 0x7FFF) > _BFLOAT16_INFINITY
        kept = _BFLOAT16_NAN
    elif dtype in _BYTE_NANS:
        words = np.frombuffer(data, np.uint8)
        forms, kept = _BYTE_NANS[dtype]
        wrong = np.isin(words, np.array(forms, np.uint8))
    else:
        return data, 0
    if not wrong.any():
        return data, 0
    return np.where(wrong, words.dtype.type(kept), words).tobytes(), int(np.count_nonzero(wrong))


def _clear_rest(dtype: int, shape: Sequence[int], data: bytes) -> bytes:
    used = BITS[dtype]
    for dimension in shape:
        used *= dimension
    used %= 8
    return data[:-1] + bytes([data[-1] & (1 << used) - 1]) if used and data else data


def to_feed(value: Value, room: Room) -> Any:
    """Return what the runtime is fed for a port: an array, a list of arrays, or None for an absent optional."""
    if isinstance(value, Tensor):
        return room.align(to_array(value)) if is_plain(value.dtype) else to_value(value, room)
    return None if value is None else [room.align(to_array(member)) for member in value]


def from_feed(name: str, given: Any) -> tuple[Value, int]:
    """Return what the runtime gave for a port, and how many NaNs it holds."""
    if given is None:
        return None, 0
    if not isinstance(given, list):
        return from_array(name, np.asarray(given))
    members, nans = list[Tensor](), 0
    for array in given:
        member, found = from_array(name, np.asarray(array))
        members.append(member)
        nans += found
    return members, nans


def join_rows(tensors: Sequence[Tensor], room: Room) -> Array:
    """Return tensors of a plain type joined along their first dimension.

    Raises:
        ModelInputInvalid: TW6004, a bool in one of them is neither 0 nor 1.
    """
    first = tensors[0]
    if first.dtype == STRING or not len(first.data):
        return np.concatenate([to_array(tensor) for tensor in tensors], axis=0)
    rows = sum(tensor.shape[0] for tensor in tensors)
    joined = room.take((rows, *first.shape[1:]), _NUMPY[first.dtype])
    view, at = memoryview(joined).cast("B"), 0
    for tensor in tensors:
        end = at + len(tensor.data)
        view[at:end] = tensor.data
        at = end
    _check_bools(first, joined)
    return joined


def split_rows(name: str, array: Array, counts: Sequence[int]) -> list[tuple[Tensor, int]]:
    """Return consecutive rows of an array as tensors, each with its NaNs, which are canonical.

    Args:
        counts: How many rows each takes; together all of them.
    """
    whole, nans = from_array(name, array)
    if nans or whole.dtype == STRING or not len(whole.data):
        ends = list(accumulate(counts))
        return [from_array(name, array[end - count : end]) for count, end in zip(counts, ends, strict=True)]
    view, rest = memoryview(whole.data), whole.shape[1:]
    each = len(view) // whole.shape[0]
    parts, at = list[tuple[Tensor, int]](), 0
    for count in counts:
        end = at + count * each
        parts.append((Tensor(name, whole.dtype, (count, *rest), view[at:end]), 0))
        at = end
    return parts
