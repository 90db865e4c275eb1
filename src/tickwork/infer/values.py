"""What Python programs hand to models and get back: lists, arrays of any library, tensors.

Arrays are known by ``__array_interface__``, so that no array library is imported for them.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from ..errors import ModelInputInvalid
from ..tensors import NAMES, STRING, Tensor, check_tensor
from .manifest import Port
from .nested import read_json, write_json

Input = Any
"""A tensor, an output of another model, an array of any library that offers ``__array_interface__``, or nested lists of
numbers or text."""

_KINDS: Final = {
    "f4": 1, "u1": 2, "i1": 3, "u2": 4, "i2": 5, "i4": 6, "i8": 7, "b1": 9, "f2": 10, "f8": 11, "u4": 12, "u8": 13,
    "c8": 14, "c16": 15,
}  # fmt: skip
"""Type codes by what array libraries call them."""

_COMPLEX: Final = (14, 15)

REPR_BYTES: Final = 256
"""An array of so many bytes shows its elements."""

_LETTERS: Final = {code: kind for kind, code in _KINDS.items()}


class Array(msgspec.Struct, frozen=True):
    """An output of a model: ``numpy.asarray`` takes it as it is, and ``tolist`` needs no library.

    Attributes:
        dtype: ``float32``, ``int64`` and so on.
        data: Little-endian elements in row-major order. Of text, each element is a u32 length and that many bytes.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes
    code: int

    @property
    def __array_interface__(self) -> dict[str, object]:
        """How array libraries read it; absent for types that they have no word for."""
        letters = _LETTERS.get(self.code)
        if letters is None:
            raise AttributeError(f"no array library has a word for {self.dtype}")
        order = "|" if letters in {"b1", "i1", "u1"} else "<"
        return {"version": 3, "shape": self.shape, "typestr": order + letters, "data": self.data}

    def tolist(self) -> Any:
        """Return nested lists of numbers or text; one value for a shape without dimensions."""
        port = Port("x", self.code, self.shape)
        tensor = Tensor("x", self.code, self.shape, self.data)
        found = msgspec.json.decode(write_json([(port, tensor)]))["x"]
        return found if self.code == STRING else _numbers(found)

    def __repr__(self) -> str:
        few = len(self.data) <= REPR_BYTES and self.code not in _COMPLEX
        return f"Array({self.tolist() if few else '...'}, shape={self.shape}, dtype={self.dtype})"


def _numbers(found: Any) -> Any:
    """Return nested lists with numbers for the texts that stand in JSON for what is no number there."""
    if isinstance(found, list):
        return [_numbers(one) for one in cast("list[object]", found)]
    return float(found) if isinstance(found, str) else found


def arrays_of(tensors: Iterable[Tensor]) -> dict[str, Array]:
    """Return the outputs by name. Order: as the model has them."""
    return {
        one.name: Array(one.name, NAMES[one.dtype], tuple(one.shape), bytes(one.data), one.dtype) for one in tensors
    }


def tensors_of(inputs: Mapping[str, Input], ports: Sequence[Port]) -> list[Tensor]:
    """Return what a program gives as tensors.

    Raises:
        ModelInputInvalid: TW6004, it is no mapping of names, a list is none of its input's type, or an array is of no
            type there is.
    """
    tensors, lists = list[Tensor](), dict[str, object]()
    for name, value in _named(inputs):
        if isinstance(value, Array):
            value = Tensor(name, value.code, value.shape, value.data)
        if isinstance(value, Tensor):
            check_tensor(value)
            tensors.append(msgspec.structs.replace(value, name=name))
        elif hasattr(value, "__array_interface__"):
            tensors.append(_from_array(name, value))
        else:
            lists[name] = value
    if lists:
        for port, found in read_json(_as_json(lists), ports):
            if not isinstance(found, Tensor):
                raise _unfit(f"the input {port.name!r} is no tensor", "only tensors can be given")
            tensors.append(found)
    return tensors


def each_of(inputs: object) -> Iterable[Any]:
    """Return several requests, where they are several: a program may give anything.

    Raises:
        ModelInputInvalid: TW6004.
    """
    if not isinstance(inputs, Iterable):
        raise _unfit(f"the requests are of type {type(inputs).__name__}", "a batch is a list of inputs by name")
    return cast("Iterable[object]", inputs)


def _named(inputs: object) -> Iterable[tuple[str, Any]]:
    """Return inputs by name, where they are that: a program may give anything."""
    if not isinstance(inputs, Mapping):
        raise _unfit(f"the inputs are of type {type(inputs).__name__}", "a model takes them by name: {'x': …}")
    given = cast("Mapping[object, object]", inputs)
    wrong = next((name for name in given if not isinstance(name, str)), None)
    if wrong is not None:
        raise _unfit(f"an input has a name of type {type(wrong).__name__}", "names are text")
    return cast("Mapping[str, Any]", inputs).items()


def _as_json(lists: dict[str, object]) -> bytes:
    try:
        return msgspec.json.encode(lists, enc_hook=_listed)
    except (TypeError, UnicodeEncodeError, RecursionError) as error:
        raise _unfit("an input holds what is neither a number nor text", str(error)) from error


def _listed(value: Any) -> object:
    """Return an array inside a list as lists."""
    if not hasattr(value, "__array_interface__") or not hasattr(value, "tolist"):
        raise TypeError(f"{type(value).__name__} is no number")
    return value.tolist()


def _from_array(name: str, value: Any) -> Tensor:
    try:
        interface = cast("dict[str, Any]", value.__array_interface__)
        letters = str(interface["typestr"])
        shape = tuple(int(dimension) for dimension in interface["shape"])
    except (TypeError, ValueError, KeyError) as error:
        raise _unfit(f"the array {name!r} does not say what it is", f"its __array_interface__: {error!r}") from error
    dtype = _KINDS.get(letters[1:])
    if dtype is None:
        raise _unfit(f"the array {name!r} has elements {letters}", f"there are {', '.join(sorted(_KINDS))}")
    if letters[0] == ">" or (letters[0] == "=" and sys.byteorder == "big"):
        raise _unfit(f"the array {name!r} is big-endian", "turn it into the machine's order: array.astype('<…')")
    # Whatever its strides are, this gives the elements in row-major order without gaps.
    tensor = Tensor(name, dtype, shape, cast("bytes", value.tobytes()))
    check_tensor(tensor)
    return tensor


def _unfit(what: str, why: str) -> ModelInputInvalid:
    return ModelInputInvalid(what, why=why, fix="see what the model takes: tickwork model show")
