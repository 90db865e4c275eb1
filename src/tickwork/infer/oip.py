"""The Open Inference Protocol in words of this house, and back: no network, no model.

Shape: a request is JSON, or JSON followed by the tensors' bytes; then a header says where the JSON ends, and each
tensor that has its bytes there says how many. An answer is built alike. Numbers that JSON has no word for are written
``NaN`` and ``Infinity``, as servers and clients of this protocol do.

Source: Open Inference Protocol 2, REST; its extension for binary tensors as Triton defines it.
"""

import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from ..errors import ModelInputInvalid
from ..tensors import (
    BFLOAT16,
    BOOL,
    NAMES,
    RANK_MOST,
    STRING,
    TENSORS_MOST,
    Tensor,
    check_tensor,
    count_elements,
    join_text,
    split_text,
)
from .manifest import LLM, ModelConfig, Port

_TYPES: Final[dict[int, str]] = {
    1: "FP32", 2: "UINT8", 3: "INT8", 4: "UINT16", 5: "INT16", 6: "INT32", 7: "INT64", 8: "BYTES", 9: "BOOL",
    10: "FP16", 11: "FP64", 12: "UINT32", 13: "UINT64", 16: "BF16",
}  # fmt: skip

TYPES: Final[dict[int, str]] = {code: _TYPES.get(code, name.upper()) for code, name in NAMES.items()}
"""Type codes and what the protocol calls them; types it has no name for go by ours, in capitals."""

CODES: Final[dict[str, int]] = {name: code for code, name in TYPES.items()}

_PACKED: Final[dict[int, str]] = {
    1: "f", 2: "B", 3: "b", 4: "H", 5: "h", 6: "i", 7: "q", 9: "?", 10: "e", 11: "d", 12: "I", 13: "Q",
}  # fmt: skip
"""How the elements of a type that JSON can say are packed."""

_TRITON: Final = {"BYTES": "TYPE_STRING"}

FOREIGN: Final = {"shared_memory_region", "classification"}
"""Parameters of a tensor for what is not offered."""


class Output(msgspec.Struct, frozen=True):
    """An output that is asked for.

    Attributes:
        binary: Whether its bytes follow the JSON.
    """

    name: str
    binary: bool


class Request(msgspec.Struct, frozen=True):
    """What a client asks of a model.

    Attributes:
        outputs: Those that are wanted; empty for all.
        binary: Whether the bytes of outputs that are not named follow the JSON.
        timeout_us: How long the client waits; 0 where it does not say. Units: microseconds.
        profile: How the model is to be run; empty where the client does not say.
    """

    id: str
    tensors: tuple[Tensor, ...]
    outputs: tuple[Output, ...] = ()
    binary: bool = False
    timeout_us: int = 0
    profile: str = ""


class _Named(msgspec.Struct, frozen=True):
    name: str
    parameters: dict[str, Any] = {}


class _Input(msgspec.Struct, frozen=True):
    name: str
    shape: tuple[int, ...]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class _Asked(msgspec.Struct, frozen=True):
    inputs: tuple[_Input, ...]
    id: str = ""
    outputs: tuple[_Named, ...] = ()
    parameters: dict[str, Any] = {}


def read_request(body: bytes, json_bytes: int | None) -> Request:
    """Return what a client asks; the data of binary tensors are views of ``body``.

    Args:
        json_bytes: How long the JSON at the front is; None where the body is JSON throughout.

    Raises:
        ModelInputInvalid: TW6004, it is no request, or its tensors are not what they say.
    """
    length = len(body) if json_bytes is None else json_bytes
    if not 0 <= length <= len(body):
        raise _unfit("the JSON is longer than the body", f"{length:,} of {len(body):,} bytes")
    asked = _read_json(body[:length])
    if len(asked.inputs) > TENSORS_MOST:
        raise _unfit("a request has too many inputs", f"{TENSORS_MOST} is the most")
    _refuse_foreign(asked.parameters, "the request")
    binary, at, tensors = memoryview(body), length, list[Tensor]()
    for given in asked.inputs:
        size = given.parameters.get("binary_data_size")
        _refuse_foreign(given.parameters, f"the input {given.name!r}")
        if size is None:
            tensors.append(_tensor(given, _pack(given)))
            continue
        if not isinstance(size, int) or size < 0 or at + size > len(body):
            raise _unfit(f"the bytes of the input {given.name!r} run past the end", f"it says it has {size}")
        tensors.append(_tensor(given, binary[at : at + size]))
        at += size
    if at != len(body):
        raise _unfit("bytes stand behind the last tensor", f"{len(body) - at:,} of them")
    if len({wanted.name for wanted in asked.outputs}) < len(asked.outputs):
        # Each time would be another copy: a short request would have an answer of any length.
        raise _unfit("an output is asked for twice", "each is given once")
    every = asked.parameters.get("binary_data_output") is True
    outputs = list[Output]()
    for wanted in asked.outputs:
        _refuse_foreign(wanted.parameters, f"the output {wanted.name!r}")
        outputs.append(Output(wanted.name, wanted.parameters.get("binary_data", every) is True))
    timeout, profile = asked.parameters.get("timeout", 0), asked.parameters.get("profile", "")
    if not isinstance(timeout, int) or not isinstance(profile, str):
        raise _unfit("a parameter of the request is of another type", "timeout is a number, profile a text")
    return Request(asked.id, tuple(tensors), tuple(outputs), every, timeout, profile)


def write_answer(
    request: Request, model: tuple[str, str], outputs: Iterable[Tensor], notes: Mapping[str, str] = {}
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and how long its JSON is where bytes follow.

    Args:
        model: Name and version.
        outputs: All that the model gave.
        notes: Parameters of the answer.

    Raises:
        ModelInputInvalid: TW6004, an output is asked for that the model does not have, or not as JSON.
    """
    given = {tensor.name: tensor for tensor in outputs}
    wanted = request.outputs or tuple(Output(name, request.binary) for name in given)
    shown, parts = list[dict[str, object]](), list[bytes | memoryview]()
    for output in wanted:
        tensor = given.get(output.name)
        if tensor is None:
            raise _unfit(f"the model has no output {output.name!r}", f"it has {', '.join(given)}")
        entry: dict[str, object] = {"name": tensor.name, "shape": tensor.shape, "datatype": TYPES[tensor.dtype]}
        if output.binary:
            entry["parameters"] = {"binary_data_size": len(tensor.data)}
            parts.append(tensor.data)
        else:
            entry["data"] = _elements(tensor)
        shown.append(entry)
    whole: dict[str, object] = {"model_name": model[0], "model_version": model[1], "outputs": shown}
    if request.id:
        whole["id"] = request.id
    if notes:
        whole["parameters"] = dict(notes)
    text = json.dumps(whole, separators=(",", ":")).encode()
    return (b"".join((text, *parts)), len(text)) if parts else (text, None)


def describe(config: ModelConfig, versions: Sequence[str]) -> dict[str, object]:
    """Return a model's metadata as the protocol has them."""
    return {
        "name": config.name,
        "versions": list(versions),
        "platform": platform(config),
        "inputs": [_port(port) for port in config.inputs],
        "outputs": [_port(port) for port in config.outputs],
    }


def configuration(config: ModelConfig) -> dict[str, object]:
    """Return a model's configuration as Triton's clients read it: no batching of its own, shapes as they are."""
    return {
        "name": config.name,
        "platform": platform(config),
        "backend": "onnxruntime",
        "max_batch_size": 0,
        "version_policy": {"specific": {"versions": [config.version]}},
        "input": [_setting(port) for port in config.inputs],
        "output": [_setting(port) for port in config.outputs],
    }


def platform(config: ModelConfig) -> str:
    """Return what a model is run by."""
    return "onnxruntime_genai" if config.kind == LLM else "onnxruntime_onnx"


def _port(port: Port) -> dict[str, object]:
    return {"name": port.name, "datatype": TYPES.get(port.dtype, "BYTES"), "shape": _dims(port)}


def _setting(port: Port) -> dict[str, object]:
    name = TYPES.get(port.dtype, "BYTES")
    return {"name": port.name, "data_type": _TRITON.get(name, f"TYPE_{name}"), "dims": _dims(port)}


def _dims(port: Port) -> list[int]:
    """The shape with -1 for what callers choose. A shape that is not known at all is one such dimension."""
    return [size if isinstance(size, int) else -1 for size in port.shape] if port.ranked else [-1]


def _read_json(text: bytes) -> _Asked:
    """Return the JSON of a request, read strictly or, where it holds NaN or Infinity, as clients write them."""
    try:
        return msgspec.json.decode(text, type=_Asked)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise _unfit("the body is no inference request", str(error)) from error
    except msgspec.DecodeError:
        pass
    try:
        return msgspec.convert(json.loads(text), type=_Asked)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise _unfit("the body is no inference request", str(error)) from error


def _refuse_foreign(parameters: Mapping[str, Any], whose: str) -> None:
    if foreign := sorted(FOREIGN & parameters.keys()):
        raise _unfit(f"{whose} asks for {foreign[0]}", "it is not offered here: send the tensor in the request")


def _tensor(given: _Input, data: bytes | memoryview) -> Tensor:
    code = CODES.get(given.datatype)
    if any("\ud800" <= letter <= "\udfff" for letter in given.name):
        raise _unfit(f"{given.name!r} is no name of an input", "half of a pair of surrogates is no letter")
    if code is None:
        raise _unfit(f"the input {given.name!r} is of type {given.datatype}", "there is no such type")
    tensor = Tensor(given.name, code, given.shape, data)
    check_tensor(tensor)
    return tensor


def _pack(given: _Input) -> bytes:
    """Return the bytes of a tensor whose elements stand in the JSON."""
    if given.data is None:
        raise _unfit(f"the input {given.name!r} has no data", "they stand in it or behind the JSON")
    code, flat = CODES.get(given.datatype, 0), list(_flat(given.data, RANK_MOST))
    try:
        if code == STRING:
            return join_text(cast(list[str], flat))
        if code == BFLOAT16:
            return b"".join(map(_pack_brain, flat))
        if code in _PACKED:
            return struct.pack(f"<{len(flat)}{_PACKED[code]}", *(_said(element, code) for element in flat))
    except (struct.error, AttributeError, TypeError, ValueError, OverflowError) as error:
        raise _unfit(f"the input {given.name!r} holds what is no {given.datatype}", str(error)) from error
    raise _unfit(f"the input {given.name!r} cannot stand in JSON", f"send {given.datatype} as binary data")


def _said(element: object, code: int) -> object:
    """An element as it is packed: JSON's null is a NaN, and a truth is 0 or 1 where it is no boolean."""
    if element is None and _PACKED[code] in "fed":
        return math.nan
    if code == BOOL and element not in {0, 1}:
        raise ValueError("a truth is true or false")
    return element


def _flat(data: Iterable[Any], depth: int) -> Iterator[Any]:
    """Yield the elements of nested lists. Order: row-major."""
    if depth < 0:
        raise _unfit("lists are nested too deep", f"{RANK_MOST} is the most")
    for element in data:
        if isinstance(element, list):
            yield from _flat(cast(Iterable[Any], element), depth - 1)
        else:
            yield element


def _elements(tensor: Tensor) -> list[Any]:
    """Return the elements of a tensor as JSON says them. Order: row-major."""
    if tensor.dtype == STRING:
        return list(split_text(tensor.data))
    count = count_elements(tensor.shape)
    if tensor.dtype == BFLOAT16:
        return list(struct.unpack(f"<{count}f", b"".join(b"\0\0" + bytes(pair) for pair in _pairs(tensor.data))))
    if tensor.dtype not in _PACKED:
        raise _unfit(
            f"the output {tensor.name!r} cannot stand in JSON", f"ask for {TYPES[tensor.dtype]} as binary data"
        )
    return list(struct.unpack(f"<{count}{_PACKED[tensor.dtype]}", tensor.data))


def _pairs(data: bytes | memoryview) -> Iterator[bytes | memoryview]:
    return (data[at : at + 2] for at in range(0, len(data), 2))


def _pack_brain(element: Any) -> bytes:
    """Return the upper half of a float32, rounded to even."""
    value = math.nan if element is None else float(element)
    if math.isnan(value):
        return b"\xc0\x7f"
    bits = int.from_bytes(struct.pack("<f", value), "little")
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).to_bytes(2, "little")


def _unfit(what: str, why: str) -> ModelInputInvalid:
    return ModelInputInvalid(what, why=why, fix="see the guide on serving models for what a request holds")
