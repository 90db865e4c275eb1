"""The backend test suite of the package onnx: its cases, and what the bare runtime makes of them."""

import ctypes
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner as BackendRunner

from tickwork.infer import providers
from tickwork.infer.manifest import Port
from tickwork.infer.ports import Value
from tickwork.tensors import BITS, STRING, Tensor, join_text

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator", "real")
CASES = 1827
"""Of onnx 1.21.0, the newest whose operators ONNX Runtime 1.31 has all heard of."""

DATA = Path(onnx.__file__).parent.parent

_NUMPY = {
    np.dtype(np.float32): 1, np.dtype(np.uint8): 2, np.dtype(np.int8): 3, np.dtype(np.uint16): 4,
    np.dtype(np.int16): 5, np.dtype(np.int32): 6, np.dtype(np.int64): 7, np.dtype(np.bool_): 9,
    np.dtype(np.float16): 10, np.dtype(np.float64): 11, np.dtype(np.uint32): 12, np.dtype(np.uint64): 13,
}  # fmt: skip
_NANS = {10: (np.uint16, 0x7E00), 1: (np.uint32, 0x7FC00000), 11: (np.uint64, 0x7FF8000000000000)}
_STRANGE: dict[int, tuple[Any, Callable[[Any], Any], int]] = {
    16: (np.uint16, lambda word: word & 0x7FFF > 0x7F80, 0x7FC0),
    17: (np.uint8, lambda word: word & 0x7F == 0x7F, 0x7F),
    18: (np.uint8, lambda word: word == 0x80, 0x80),
    19: (np.uint8, lambda word: word & 0x7F > 0x7C, 0x7E),
    20: (np.uint8, lambda word: word == 0x80, 0x80),
    24: (np.uint8, lambda word: word == 0xFF, 0xFF),
}


class Case(NamedTuple):
    """A case: a model and the inputs it is to be run with."""

    name: str
    model: Path
    sets: tuple[Path, ...]


class Outcome(NamedTuple):
    """What became of a case: ``load`` or ``run`` where that failed, else ``ok`` with the outputs of each set."""

    status: str
    outputs: tuple[tuple[Value, ...], ...] = ()


@functools.cache
def cases() -> list[Case]:
    found = list[Case]()
    for kind in KINDS:
        for test in load_model_tests(kind=kind):
            if test.model_dir is None:
                assert test.url is not None
                # These lie in the package without inputs, which its runner makes up.
                found.append(Case(test.name, DATA / test.url, ()))
            else:
                folder = Path(test.model_dir)
                found.append(Case(test.name, folder / "model.onnx", tuple(sorted(folder.glob("test_data_set_*")))))
    return sorted(found)


def inputs_of(case: Case) -> Iterator[dict[str, Any]]:
    """Yield the inputs of each set of a case, as arrays, lists and None, by name."""
    graph = onnx.load(case.model, load_external_data=False).graph
    if not case.sets:
        known = {tensor.name for tensor in graph.initializer}
        yield {value.name: BackendRunner.generate_dummy_data(value) for value in graph.input if value.name not in known}
    for folder in case.sets:
        count = len(list(folder.glob("input_*.pb")))
        yield {
            graph.input[place].name: _read(folder / f"input_{place}.pb", graph.input[place].type)
            for place in range(count)
        }


def _read(path: Path, kind: Any) -> Any:
    data = path.read_bytes()
    if kind.HasField("sequence_type"):
        return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    if kind.HasField("optional_type"):
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return numpy_helper.to_array(onnx.TensorProto.FromString(data))


def bare(case: Case) -> Outcome:
    """Return what the bare runtime makes of a case, with the options of an exact session."""
    onnxruntime.set_default_logger_severity(4)
    options = providers.session_options(providers.make_setup("exact-1"))
    try:
        session = onnxruntime.InferenceSession(
            str(case.model), options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except providers.ERRORS:
        return Outcome("load")
    strange = any(_is_strange(port.type) for port in (*session.get_inputs(), *session.get_outputs()))
    outputs = list[tuple[Value, ...]]()
    try:
        for inputs in inputs_of(case):
            if strange:
                types = {port.name: port.type for port in session.get_inputs()}
                given = {name: _strange_value(types[name], array) for name, array in inputs.items()}
                names = [port.name for port in session.get_outputs()]
                made = session.run_with_ort_values(names, given)
                outputs.append(tuple(_from_value(value) for value in made))
            else:
                outputs.append(tuple(_from_numpy(given) for given in session.run(None, inputs)))
    except providers.ERRORS:
        return Outcome("run")
    return Outcome("ok", tuple(outputs))


_TYPE_NAMES = {
    "bfloat16": 16, "float8e4m3fn": 17, "float8e4m3fnuz": 18, "float8e5m2": 19, "float8e5m2fnuz": 20, "uint4": 21,
    "int4": 22, "float4e2m1": 23, "float8e8m0": 24, "uint2": 25, "int2": 26,
}  # fmt: skip


def _is_strange(kind: str) -> bool:
    return kind.removeprefix("tensor(").removesuffix(")") in _TYPE_NAMES


def _strange_value(kind: str, array: Any) -> Any:
    code = _TYPE_NAMES.get(kind.removeprefix("tensor(").removesuffix(")"))
    if code is None:
        return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array))
    value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(list(array.shape), code)
    data = pack(array, code)
    if data:
        ctypes.memmove(value.data_ptr(), data, len(data))
    return value


def pack(array: Any, code: int) -> bytes:
    """Return the little-endian data of an array of ml_dtypes, small elements packed from the low bits up."""
    bits = BITS[code]
    if bits >= 8:
        return bytes(np.ascontiguousarray(array).tobytes())
    words = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8) & (1 << bits) - 1
    each = 8 // bits
    words = np.concatenate([words, np.zeros(-len(words) % each, np.uint8)]).reshape(-1, each)
    packed = np.zeros(len(words), np.uint8)
    for at in range(each):
        packed |= words[:, at] << at * bits
    return packed.tobytes()


def _from_value(value: Any) -> Value:
    code = int(value.element_type())
    if code not in _TYPE_NAMES.values():
        return _from_numpy(value.numpy())
    data = ctypes.string_at(value.data_ptr(), value.tensor_size_in_bytes()) if value.tensor_size_in_bytes() else b""
    shape = tuple(value.shape())
    if code in _STRANGE:
        word, is_nan, kept = _STRANGE[code]
        words = np.frombuffer(data, word)
        data = np.where(is_nan(words), word(kept), words).tobytes()
    used = int(np.prod(shape)) * BITS[code] % 8
    return Tensor("", code, shape, data[:-1] + bytes([data[-1] & (1 << used) - 1]) if used else data)


def _from_numpy(given: Any) -> Value:
    if given is None:
        return None
    if isinstance(given, list):
        return [member for one in given if isinstance(member := _from_numpy(one), Tensor)]
    array = np.asarray(given)
    if array.dtype == object:
        return Tensor("", STRING, array.shape, join_text(map(str, array.ravel())))
    code = _NUMPY[array.dtype]
    if code in _NANS:
        word, kept = _NANS[code]
        array = np.where(np.isnan(array), np.array([kept], word).view(array.dtype)[0], array)
    return Tensor("", code, array.shape, array.tobytes())


def to_value(port: Port, given: Any) -> Value:
    """Return an input of a case as what a request holds."""
    if given is None:
        return None
    if isinstance(given, list):
        return [member for one in given if isinstance(member := to_value(port, one), Tensor)]
    array = np.asarray(given)
    if array.dtype == object or array.dtype.kind in "US":
        return Tensor(port.name, STRING, array.shape, join_text(map(_text, array.ravel().tolist())))
    if array.dtype in _NUMPY:
        return Tensor(port.name, _NUMPY[array.dtype], array.shape, array.tobytes())
    return Tensor(port.name, port.dtype, array.shape, pack(array, port.dtype))


def _text(element: Any) -> str:
    return element.decode() if isinstance(element, bytes) else str(element)


def nameless(value: Value) -> Value:
    """Return a value whose tensors have no names and hold their bytes."""
    if isinstance(value, Tensor):
        return Tensor("", value.dtype, tuple(value.shape), bytes(value.data))
    return None if value is None else [member for one in value if isinstance(member := nameless(one), Tensor)]
