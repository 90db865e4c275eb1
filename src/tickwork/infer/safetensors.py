"""Files of the safetensors format: named tensors in one file, read without trusting it.

Shape: u64 length of the header, the header as JSON (``{"name": {"dtype", "shape", "data_offsets": [begin, end]}}``, and
``__metadata__``), then the data. What the tensors take fills the data, without gaps and without overlaps.

Source: the format's description in the repository of safetensors.
"""

import struct
from pathlib import Path
from typing import Any, Final

import msgspec

from .. import tensors
from ..errors import ModelInvalid, ModelNotFound
from ..tensors import Tensor

HEADER_BYTES: Final = 100_000_000
"""The longest header. Source: the limit of the format's own reader."""

DTYPES: Final[dict[str, int]] = {
    "F32": tensors.FLOAT32, "F64": tensors.FLOAT64, "F16": tensors.FLOAT16, "BF16": tensors.BFLOAT16,
    "I8": tensors.INT8, "I16": tensors.INT16, "I32": tensors.INT32, "I64": tensors.INT64,
    "U8": tensors.UINT8, "U16": tensors.UINT16, "U32": tensors.UINT32, "U64": tensors.UINT64, "BOOL": tensors.BOOL,
}  # fmt: skip
"""The format's names of types and the codes of them."""

_LENGTH: Final = struct.Struct("<Q")


class _Place(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name; their data are views of one buffer.

    Raises:
        ModelNotFound: TW6001, the file cannot be read.
        ModelInvalid: TW6002, it is no such file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelNotFound(
            f"{path.name} cannot be read",
            where=str(path),
            why=error.strerror or str(error),
            fix="look whether it is there",
        ) from error
    return split_safetensors(content, where=str(path))


def split_safetensors(content: bytes, *, where: str = "") -> dict[str, Tensor]:
    """Return the tensors of a file's bytes by name; their data are views of ``content``. Order: as they lie in it.

    Raises:
        ModelInvalid: TW6002, they are no such file.
    """
    if len(content) < _LENGTH.size:
        raise _wrong(where, "it is shorter than the length of a header")
    (length,) = _LENGTH.unpack_from(content)
    if length > min(HEADER_BYTES, len(content) - _LENGTH.size):
        raise _wrong(where, f"its header says that it has {length:,} bytes")
    data = memoryview(content)[_LENGTH.size + length :]
    try:
        header = msgspec.json.decode(content[_LENGTH.size : _LENGTH.size + length], type=dict[str, Any])
        header.pop("__metadata__", None)
        places = {name: msgspec.convert(place, _Place) for name, place in header.items()}
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise _wrong(where, str(error)) from error
    found, at = dict[str, Tensor](), 0
    for name, place in sorted(places.items(), key=lambda item: item[1].data_offsets):
        begin, at_end = place.data_offsets
        if begin != at or not begin <= at_end <= len(data):
            raise _wrong(where, f"{name!r} does not begin where the tensor before it ends, or runs past the end")
        found[name] = _checked(name, place, data[begin:at_end], where)
        at = at_end
    if at != len(data):
        raise _wrong(where, f"{len(data) - at:,} bytes at its end belong to no tensor")
    return found


def _checked(name: str, place: _Place, data: memoryview, where: str) -> Tensor:
    dtype = DTYPES.get(place.dtype)
    if dtype is None:
        raise _wrong(where, f"{name!r} is of type {place.dtype!r}, which is none of {', '.join(DTYPES)}")
    if len(place.shape) > tensors.RANK_MOST or any(dimension < 0 for dimension in place.shape):
        raise _wrong(where, f"{name!r} has shape {list(place.shape)}")
    if tensors.bytes_needed(dtype, place.shape) != len(data):
        raise _wrong(where, f"{name!r} has {len(data):,} bytes, which are not those of its shape {list(place.shape)}")
    return Tensor(name, dtype, place.shape, data)


def _wrong(where: str, why: str) -> ModelInvalid:
    return ModelInvalid("the file is no safetensors file", where=where, why=why, fix="get the file again")
