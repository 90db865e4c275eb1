"""Tensors as JSON: an object of nested lists by the name of the input or output.

Numbers are written with the fewest digits that read back as the same number of their type. JSON has no word for what is
no number, so these are texts: ``"NaN"``, ``"Infinity"``, ``"-Infinity"``. A sequence is a list of tensors, an absent
optional is null. Complex numbers have no JSON form.

Law: what an answer says, given as an input of the same type, is the same tensor.

Source: the texts are those of the JSON mapping of Protocol Buffers.
"""

# What JSON nests is known only as one looks at it.
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import math
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

import msgspec

from ..errors import ModelInputInvalid
from ..tensors import BITS, BOOL, FLOAT16, FLOAT32, FLOAT64, NAMES, RANK_MOST, STRING, Tensor, join_text, split_text
from . import minifloats
from .manifest import Port
from .ports import MAP, OPTIONAL, OPTIONAL_SEQUENCE, SEQUENCE, Value

_FORMATS: Final = {
    1: "f", 2: "B", 3: "b", 4: "H", 5: "h", 6: "i", 7: "q", 10: "e", 11: "d", 12: "I", 13: "Q",
}  # fmt: skip
_PACKED: Final = {21: (4, False), 22: (4, True), 25: (2, False), 26: (2, True)}
"""Whole numbers of less than a byte: bits, and whether there is a sign."""

_DIGITS: Final = {FLOAT32: (6, 9, 2.0**-126), FLOAT16: (3, 5, 2.0**-14)}
"""Significant digits that survive a type, those that suffice for it, and from which size on the former holds."""

_WORDS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def read_json(body: bytes | memoryview, ports: Sequence[Port]) -> list[tuple[Port, Value]]:
    """Return what each input is given.

    Raises:
        ModelInputInvalid: TW6004: it is no such object, an input is unknown, lists are ragged, or an element is not of
            its input's type.
    """
    try:
        document = msgspec.json.decode(bytes(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unfit("the request is no JSON", "a request is an object of nested lists by input name") from error
    if not isinstance(document, dict):
        raise _unfit("the request is JSON and no object", "a request is an object of nested lists by input name")
    given = cast("dict[str, Any]", document)
    by_name = {port.name: port for port in ports}
    for name in given:
        if name not in by_name:
            raise _unfit(f"the model has no input {name!r}", f"it takes {', '.join(map(repr, by_name))}")
    return [(port, _read_value(port, given[port.name])) for port in ports if port.name in given]


def _read_value(port: Port, given: Any) -> Value:
    if port.kind == MAP:
        raise _unfit(f"the input {port.name!r} is a map", "only tensors, sequences and optionals can be given")
    if given is None and port.kind in {OPTIONAL, OPTIONAL_SEQUENCE}:
        return None
    if port.kind in {SEQUENCE, OPTIONAL_SEQUENCE}:
        if not isinstance(given, list):
            raise _unfit(f"the input {port.name!r} is no list of tensors", "a sequence is a list of nested lists")
        members: list[Any] = given
        return [_read_tensor(port, member) for member in members]
    return _read_tensor(port, given)


def _read_tensor(port: Port, given: Any) -> Tensor:
    shape = list[int]()
    level = given
    while isinstance(level, list):
        rows: list[Any] = level
        shape.append(len(rows))
        if len(shape) > RANK_MOST:
            raise _unfit(f"the input {port.name!r} is nested too deep", f"rank {RANK_MOST} is the most")
        level = rows[0] if rows else None
    flat = [given]
    for length in shape:
        if not all(_is_row(row, length) for row in flat):
            raise _unfit(f"the input {port.name!r} has lists of different lengths", "a tensor's rows are alike")
        flat = [element for row in flat for element in row]
    if 0 in shape and port.ranked:
        # Lists cannot say what follows a dimension of 0; the model's own shape does.
        shape += [size if isinstance(size, int) else 0 for size in port.shape[len(shape) :]]
    return Tensor(port.name, port.dtype, tuple(shape), _pack(port, flat))


def _is_row(given: Any, length: int) -> bool:
    if not isinstance(given, list):
        return False
    row: list[Any] = given
    return len(row) == length


def _pack(port: Port, flat: list[Any]) -> bytes:
    dtype = port.dtype
    if dtype == STRING:
        return join_text([_checked(port, element, str) for element in flat])
    if dtype == BOOL:
        return bytes([_checked(port, element, bool) for element in flat])
    try:
        if dtype in {FLOAT16, FLOAT32, FLOAT64}:
            return struct.pack(f"<{len(flat)}{_FORMATS[dtype]}", *[_number(port, element) for element in flat])
        if dtype in _FORMATS:
            return struct.pack(f"<{len(flat)}{_FORMATS[dtype]}", *[_whole(port, element) for element in flat])
        if dtype in _PACKED:
            return _pack_bits([_small(port, element) for element in flat], _PACKED[dtype][0])
        if dtype in minifloats.TYPES:
            words = [minifloats.encode(dtype, _number(port, element)) for element in flat]
            bits = BITS[dtype]
            return _pack_bits(words, bits) if bits <= 8 else struct.pack(f"<{len(words)}H", *words)
    except (OverflowError, struct.error) as error:
        raise _unfit(f"the input {port.name!r} holds a number {NAMES[dtype]} has not", "it is out of range") from error
    raise _unfit(f"the input {port.name!r} is {NAMES.get(dtype, 'of no type')}", "there is no JSON form of that type")


def _pack_bits(words: Iterable[int], bits: int) -> bytes:
    whole = 0
    count = 0
    mask = (1 << bits) - 1
    for word in words:
        whole |= (word & mask) << count
        count += bits
    return whole.to_bytes((count + 7) // 8, "little")


def _unpack_bits(data: bytes, bits: int, count: int) -> list[int]:
    mask, each = (1 << bits) - 1, 8 // bits
    return [data[at // each] >> at % each * bits & mask for at in range(count)]


def _checked(port: Port, element: Any, kind: type) -> Any:
    if not isinstance(element, kind):
        raise _wrong(port, element)
    return element


def _number(port: Port, element: Any) -> float:
    if isinstance(element, str) and element in _WORDS:
        return _WORDS[element]
    if isinstance(element, bool) or not isinstance(element, (int, float)):
        raise _wrong(port, element)
    return float(element)


def _whole(port: Port, element: Any) -> int:
    if isinstance(element, bool) or not isinstance(element, int):
        raise _wrong(port, element)
    return element


def _small(port: Port, element: Any) -> int:
    bits, signed = _PACKED[port.dtype]
    number = _whole(port, element)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not low <= number <= high:
        raise OverflowError(number)
    return number


def _wrong(port: Port, element: Any) -> ModelInputInvalid:
    shown = "a list" if isinstance(element, list) else "an object" if isinstance(element, dict) else json.dumps(element)
    if len(shown) > 40:
        shown = f"{shown[:40]}…"
    return _unfit(f"the input {port.name!r} holds {shown}", f"its elements are {NAMES.get(port.dtype, 'of no type')}")


def write_json(values: Iterable[tuple[Port, Value]]) -> bytes:
    """Return an answer as JSON. Order: as given. Equal tensors give equal bytes.

    Raises:
        ModelInputInvalid: TW6004, an output has a type without a JSON form.
    """
    document = dict[str, Any]()
    for port, value in values:
        if isinstance(value, list):
            document[port.name] = [_nest(member) for member in value]
        else:
            document[port.name] = None if value is None else _nest(value)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _nest(tensor: Tensor) -> Any:
    level = _elements(tensor)
    for length in reversed(tensor.shape[1:]):
        rows = len(level) // length if length else 0
        level = [level[row * length : (row + 1) * length] for row in range(rows)]
    if 0 in tensor.shape:
        return _empty(tensor.shape)
    return level if tensor.shape else level[0]


def _empty(shape: Sequence[int]) -> list[Any]:
    """Return nested lists without an element: as far down as lists can say."""
    return [] if not shape or shape[0] == 0 else [_empty(shape[1:]) for _ in range(shape[0])]


def _elements(tensor: Tensor) -> list[Any]:
    dtype, data = tensor.dtype, bytes(tensor.data)
    count = math.prod(tensor.shape)
    if dtype == STRING:
        return list[Any](split_text(data))
    if dtype == BOOL:
        return [byte != 0 for byte in data]
    if dtype == FLOAT64:
        return [_word(number) for number in struct.unpack(f"<{count}d", data)]
    if dtype in _DIGITS:
        return [_word(_short(number, dtype)) for number in struct.unpack(f"<{count}{_FORMATS[dtype]}", data)]
    if dtype in _FORMATS:
        return list(struct.unpack(f"<{count}{_FORMATS[dtype]}", data))
    if dtype in _PACKED:
        bits, signed = _PACKED[dtype]
        words = _unpack_bits(data, bits, count)
        return [word - (1 << bits) if signed and word >> bits - 1 else word for word in words]
    if dtype in minifloats.TYPES:
        bits = BITS[dtype]
        words = _unpack_bits(data, bits, count) if bits <= 8 else list(struct.unpack(f"<{count}H", data))
        return [_word(_short(minifloats.decode(dtype, word), FLOAT32)) for word in words]
    raise _unfit(f"the output {tensor.name!r} is {NAMES[dtype]}", "there is no JSON form of that type")


def _word(number: float) -> float | str:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _short(number: float, dtype: int) -> float:
    """Return the number with the fewest digits that reads back as ``number`` of its type."""
    if not math.isfinite(number):
        return number
    pack: Callable[[float], bytes] = struct.Struct(f"<{_FORMATS[dtype]}").pack
    exact = pack(number)
    fewest, most, normal = _DIGITS[dtype]
    for digits in range(fewest if abs(number) >= normal else 1, most):
        short = float(f"{number:.{digits}g}")
        try:
            if pack(short) == exact:
                return short
        except OverflowError:
            # Rounded up past the greatest number of the type.
            continue
    return float(f"{number:.{most}g}")


def _unfit(what: str, why: str) -> ModelInputInvalid:
    return ModelInputInvalid(what, why=why, fix="`tickwork model show NAME` lists what the model takes")
