"""Tensors as bytes: what agents, clients and workers pass to each other.

A tensor is a type code, a shape and bytes, so that types no array library knows (bfloat16, float8, int4) pass as well.

Shape: of a body of encoding TENSOR, tensors one after the other, all little-endian, each beginning at a multiple of 8:
u16 type code, u16 rank, u32 length of the name, u64 length of the data, then the dimensions as i64, the name in UTF-8
padded to 8 bytes, and the data padded to 8 bytes. A tensor without a name takes the place it stands at.

Data is in row-major order without gaps. Types of less than a byte are packed, the first element in the low bits. Of
text, each element is a u32 length and that many bytes of UTF-8.

Source: the type codes are those of TensorProto.DataType of ONNX.
"""

import struct
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from .codec import pad
from .errors import ModelInputInvalid

FLOAT32: Final = 1
UINT8: Final = 2
INT8: Final = 3
UINT16: Final = 4
INT16: Final = 5
INT32: Final = 6
INT64: Final = 7
STRING: Final = 8
BOOL: Final = 9
FLOAT16: Final = 10
FLOAT64: Final = 11
UINT32: Final = 12
UINT64: Final = 13
COMPLEX64: Final = 14
COMPLEX128: Final = 15
BFLOAT16: Final = 16

NAMES: Final[dict[int, str]] = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
    17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4",
    23: "float4e2m1", 24: "float8e8m0", 25: "uint2", 26: "int2",
}  # fmt: skip
"""Type codes and what people call them."""

BITS: Final[dict[int, int]] = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
    17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
}  # fmt: skip
"""Bits of one element; text has none."""

FORMATS: Final[dict[int, str]] = {
    1: "f", 2: "B", 3: "b", 4: "H", 5: "h", 6: "i", 7: "q", 9: "?", 10: "e", 11: "d", 12: "I", 13: "Q",
}  # fmt: skip
"""Letters of the module struct for the types that Python has numbers for."""

RANK_MOST: Final = 32
TENSORS_MOST: Final = 1024
NAME_BYTES: Final = 1024

_HEAD: Final = struct.Struct("<HHIQ")
_TEXT: Final = struct.Struct("<I")
_MAX_DIM: Final = (1 << 63) - 1


class Tensor(msgspec.Struct, frozen=True, array_like=True):
    """A tensor.

    Attributes:
        name: Of the model's input or output; empty for the one at its place.
        dtype: A type code.
        data: Little-endian elements, as the module describes them.
    """

    name: str
    dtype: int
    shape: tuple[int, ...]
    data: bytes | memoryview


def count_elements(shape: Iterable[int]) -> int:
    """Return how many elements a shape has; 1 for a scalar."""
    count = 1
    for dimension in shape:
        count *= dimension
    return count


def bytes_needed(dtype: int, shape: Iterable[int]) -> int:
    """Return the length of a tensor's data. Text has no fixed length, so its type is not asked for here."""
    return (count_elements(shape) * BITS[dtype] + 7) // 8


def check_tensor(tensor: Tensor) -> None:
    """Refuse a tensor whose data is not what its type and shape say.

    Raises:
        ModelInputInvalid: TW6004.
    """
    shown = repr(tensor.name) if tensor.name else "a tensor"
    if tensor.dtype not in NAMES:
        raise _unfit(f"{shown} has type code {tensor.dtype}", "there is no such type")
    if len(tensor.shape) > RANK_MOST:
        raise _unfit(f"{shown} has rank {len(tensor.shape)}", f"{RANK_MOST} is the most")
    if any(not 0 <= dimension <= _MAX_DIM for dimension in tensor.shape):
        raise _unfit(f"{shown} has shape {list(tensor.shape)}", "a dimension is 0 or more")
    if tensor.dtype == STRING:
        if len(split_text(tensor.data)) != count_elements(tensor.shape):
            raise _unfit(f"{shown} holds other texts than its shape {list(tensor.shape)} says", "one for each element")
    elif len(tensor.data) != (needed := bytes_needed(tensor.dtype, tensor.shape)):
        what = f"{shown} has {len(tensor.data):,} bytes of data"
        raise _unfit(what, f"{NAMES[tensor.dtype]} of shape {list(tensor.shape)} takes {needed:,}")


def make_tensor(dtype: int, shape: Sequence[int], numbers: Iterable[float], name: str = "") -> Tensor:
    """Return a tensor of numbers, in row-major order.

    Args:
        dtype: One of those in ``FORMATS``.

    Law: ``read_numbers`` gives the numbers again, a float rounded to its type.

    Raises:
        ModelInputInvalid: TW6004, the numbers are not as many as the shape says, or one does not fit the type.
    """
    given = tuple(numbers)
    if dtype not in FORMATS:
        raise _unfit(f"type code {dtype} has no numbers in Python", "write such a tensor as bytes")
    try:
        data = struct.pack(f"<{len(given)}{FORMATS[dtype]}", *given)
    except (struct.error, OverflowError) as error:
        raise _unfit(f"{name!r} has a number that is no {NAMES[dtype]}", str(error)) from error
    tensor = Tensor(name, dtype, tuple(shape), data)
    check_tensor(tensor)
    return tensor


def read_numbers(tensor: Tensor) -> tuple[Any, ...]:
    """Return the elements of a tensor in row-major order: ints, floats, or bools.

    Raises:
        ModelInputInvalid: TW6004, its type is none of those in ``FORMATS``, or its data is not as long as its shape
            says.
    """
    if tensor.dtype not in FORMATS:
        raise _unfit(f"type code {tensor.dtype} has no numbers in Python", "read such a tensor as bytes")
    check_tensor(tensor)
    return struct.unpack(f"<{count_elements(tensor.shape)}{FORMATS[tensor.dtype]}", tensor.data)


def join_text(texts: Iterable[str]) -> bytes:
    """Return the data of a tensor of text. Law: ``split_text(join_text(x)) == list(x)``."""
    parts = list[bytes]()
    for text in texts:
        body = text.encode()
        parts += (_TEXT.pack(len(body)), body)
    return b"".join(parts)


def split_text(data: bytes | memoryview) -> list[str]:
    """Return the elements of a tensor of text.

    Raises:
        ModelInputInvalid: TW6004, a length runs past the end, or it is no UTF-8.
    """
    data, at, texts = bytes(data), 0, list[str]()
    while at < len(data):
        if at + _TEXT.size > len(data) or at + _TEXT.size + (length := _TEXT.unpack_from(data, at)[0]) > len(data):
            raise _unfit("a tensor of text is cut off", "each element is a u32 length and so many bytes")
        try:
            texts.append(data[at + _TEXT.size : at + _TEXT.size + length].decode())
        except UnicodeDecodeError as error:
            raise _unfit("a tensor of text is no UTF-8", "each element is UTF-8") from error
        at += _TEXT.size + length
    return texts


def encode_tensors(tensors: Iterable[Tensor]) -> bytes:
    """Return a body of encoding TENSOR. Law: ``decode_tensors`` gives the tensors again."""
    parts = list[bytes | memoryview]()
    for tensor in tensors:
        name = tensor.name.encode()
        rank = len(tensor.shape)
        parts.append(_HEAD.pack(tensor.dtype, rank, len(name), len(tensor.data)))
        parts.append(struct.pack(f"<{rank}q", *tensor.shape))
        parts.append(pad(name))
        parts.append(tensor.data)
        rest = -len(tensor.data) & 7
        if rest:
            parts.append(bytes(rest))
    return b"".join(parts)


def decode_tensors(body: bytes | memoryview) -> list[Tensor]:
    """Return the tensors of a body; their data are views of it, nothing is copied. Order: as in the body.

    Raises:
        ModelInputInvalid: TW6004, it is no such body, or a tensor in it does not hold what it says.
    """
    view, at, tensors = memoryview(body), 0, list[Tensor]()
    while at < len(view):
        if len(tensors) >= TENSORS_MOST:
            raise _unfit("a body has too many tensors", f"{TENSORS_MOST} is the most")
        tensor, at = _read(view, at)
        check_tensor(tensor)
        tensors.append(tensor)
    return tensors


def _read(view: memoryview, at: int) -> tuple[Tensor, int]:
    if at + _HEAD.size > len(view):
        raise _cut(at)
    dtype, rank, name_bytes, data_bytes = _HEAD.unpack_from(view, at)
    if rank > RANK_MOST or name_bytes > NAME_BYTES:
        raise _unfit(
            f"the tensor at byte {at} is no tensor", f"rank {RANK_MOST} and names of {NAME_BYTES} bytes are the most"
        )
    named = at + _HEAD.size + 8 * rank
    start = named + (name_bytes + 7 & -8)
    end = start + data_bytes
    if end > len(view):
        raise _cut(at)
    shape = struct.unpack_from(f"<{rank}q", view, at + _HEAD.size)
    try:
        name = bytes(view[named : named + name_bytes]).decode()
    except UnicodeDecodeError as error:
        raise _unfit(f"the name of the tensor at byte {at} is no UTF-8", "names are UTF-8") from error
    return Tensor(name, dtype, shape, view[start:end]), start + (data_bytes + 7 & -8)


def _cut(at: int) -> ModelInputInvalid:
    return _unfit(f"the tensor at byte {at} runs past the end of its body", "each says how long it is")


def _unfit(what: str, why: str) -> ModelInputInvalid:
    return ModelInputInvalid(what, why=why, fix="see the layout of tensors in the reference of the ABI")
