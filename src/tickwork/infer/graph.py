"""What stands in an ONNX file: ports, operators, constants and other files, read without running anything.

Only ever called in a child process under limits. No function is expanded, no other file is opened, and no subgraph or
function is visited twice, so that a small file costs little whatever it says.

Invariants:
    * A path of another file stays inside the model's folder, symbolic links followed.
    * A file with more nodes than ``NODES_MOST``, its functions expanded, is refused before anything expands them.
"""

import array
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec
import onnx
from google.protobuf.message import DecodeError

from ..errors import ModelInvalid
from ..tensors import FLOAT32, INT8, INT64
from .manifest import Port
from .nodes import Constant, Graph, Node, Numbers
from .ports import MAP, OPTIONAL, OPTIONAL_SEQUENCE, SEQUENCE, TENSOR

NODES_MOST: Final = 100_000
"""Nodes of a graph with its functions expanded. 200,000 take ONNX Runtime 20 s and 855 MB to load."""

_KEPT_ELEMENTS: Final = 64
"""Elements of the longest constant whose values are kept: axes, flags, shapes."""

_EXPORT: Final = "export the model to ONNX again, for an operator set of 26 or less"
_TOGETHER: Final = "put the file into the model's folder, and add the folder"
_INFERRED_NODES: Final = 20_000
_LONG_BYTES: Final = 4096
_EXTERNAL: Final = onnx.TensorProto.EXTERNAL

# What begins a file that people take for a model, and what it is.
_OTHER_FORMATS: Final = (
    (b"\x80\x02", "a pickle of Python, which can run any code"),
    (b"\x80\x03", "a pickle of Python, which can run any code"),
    (b"\x80\x04", "a pickle of Python, which can run any code"),
    (b"\x80\x05", "a pickle of Python, which can run any code"),
    (b"PK\x03\x04", "a ZIP archive, as PyTorch writes"),
    (b"GGUF", "a GGUF file"),
    (b"\x89HDF", "an HDF5 file, as Keras writes"),
)


def read_graph(folder: Path, entry: str) -> Graph:
    """Return what stands in a model's file.

    Args:
        entry: Path of the file in the folder.

    Raises:
        ModelInvalid: TW6002: it is no ONNX file, has too many nodes, or names a file outside its folder.
    """
    path = folder / entry
    try:
        data = path.read_bytes()
    except OSError as error:
        raise invalid(f"{entry} cannot be read", error.strerror or "the system says no more") from error
    model = _parse(data, entry)
    del data
    expanded = _count_expanded(model)
    if expanded > NODES_MOST:
        raise invalid(
            f"{entry} has too many nodes", f"its functions expand to {_shown(expanded)}, {NODES_MOST:,} are the most"
        )
    graphs = [*_graphs(model.graph)]
    bodies = [inner for function in model.functions for node in function.node for inner in _inner_graphs(node)]
    files = _check_files(folder, entry, _tensors(model, [*graphs, *bodies]))
    nodes = [_node(node) for graph in [*graphs, *bodies] for node in graph.node]
    nodes += [_node(node) for function in model.functions for node in function.node]
    constants = _constants(graphs)
    ranks, dtypes = _infer(model)
    return Graph(
        inputs=tuple(_inputs(model.graph)),
        outputs=tuple(_port(value) for value in model.graph.output),
        ir=int(model.ir_version),
        opsets=tuple(sorted((str(opset.domain), int(opset.version)) for opset in model.opset_import)),
        nodes=tuple(nodes),
        constants=constants,
        ranks=ranks,
        dtypes=dtypes,
        files=files,
        expanded=expanded,
    )


def invalid(what: str, why: str, fix: str = "") -> ModelInvalid:
    """Return the error for a file that is no model that can be loaded."""
    fix = fix or "export the model to ONNX again, for an operator set of 26 or less"
    return ModelInvalid(what, why=why, fix=fix)


def _parse(data: bytes, entry: str) -> Any:
    for magic, name in _OTHER_FORMATS:
        if data.startswith(magic):
            raise invalid(f"{entry} is no ONNX model", f"it is {name}")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise invalid(f"{entry} is no ONNX model", "its bytes are none, or are cut off") from error
    if not model.HasField("graph") or not model.ir_version:
        raise invalid(f"{entry} is no ONNX model", "there is no graph in it")
    return model


def _graphs(graph: Any) -> Iterator[Any]:
    """Yield a graph and all below it."""
    waiting = [graph]
    while waiting:
        here = waiting.pop()
        yield here
        for node in here.node:
            waiting.extend(_subgraphs(node))


def _inner_graphs(node: Any) -> Iterator[Any]:
    for graph in _subgraphs(node):
        yield from _graphs(graph)


def _subgraphs(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _count_expanded(model: Any) -> int:
    """Return how many nodes there are once functions are expanded, from counting each function once."""
    functions = {_key(function.domain, function.name, function.overload): function for function in model.functions}
    if len(functions) < len(model.functions):
        raise invalid("the model says twice what a function is", "which of the two would be expanded, nobody can tell")
    counts = dict[tuple[str, str, str], int]()

    def cost(nodes: Iterable[Any]) -> int | None:
        """Return the count, or None where a function is not counted yet."""
        total = 0
        for node in nodes:
            key = _key(node.domain, node.op_type, node.overload)
            if key in functions:
                if key not in counts:
                    waiting.append(key)
                    return None
                total += counts[key]
            else:
                total += 1
            for inner in _subgraphs(node):
                below = cost(inner.node)
                if below is None:
                    return None
                total += below
        return total

    waiting = list[tuple[str, str, str]]()
    while (total := cost(model.graph.node)) is None:
        while waiting:
            key = waiting[-1]
            if key in counts:
                waiting.pop()
                continue
            if len(waiting) > len(functions):
                raise invalid("the model's functions call each other in a circle", "they would expand for ever")
            below = cost(functions[key].node)
            if below is not None:
                counts[key] = below
                waiting.pop()
    return total


def _key(domain: str, name: str, overload: str) -> tuple[str, str, str]:
    return ("" if domain == "ai.onnx" else str(domain), str(name), str(overload))


def _shown(count: int) -> str:
    return f"{count:,}" if count < 10**15 else f"more than {10**15:,}"


def _tensors(model: Any, graphs: Iterable[Any]) -> Iterator[Any]:
    """Yield every tensor of the file that may lie in another."""
    nodes = [node for function in model.functions for node in function.node]
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        nodes.extend(graph.node)
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            sparse_tensors = [*attribute.sparse_tensors]
            if attribute.HasField("sparse_tensor"):
                sparse_tensors.append(attribute.sparse_tensor)
            for sparse in sparse_tensors:
                yield from (sparse.values, sparse.indices)


def _check_files(folder: Path, entry: str, tensors: Iterable[Any]) -> tuple[str, ...]:
    """Return the paths of other files, relative to the folder."""
    locations = set[str]()
    for tensor in tensors:
        if tensor.data_location == _EXTERNAL or len(tensor.external_data):
            locations.add(next((str(pair.value) for pair in tensor.external_data if pair.key == "location"), ""))
    return tuple(sorted({_check_file(folder, entry, location) for location in locations}))


def _check_file(folder: Path, entry: str, location: str) -> str:
    why = "data of a model lies in files of its own folder"
    pure = PurePosixPath(location)
    if not location or "\\" in location or ":" in location or "\0" in location or pure.is_absolute():
        raise invalid(f"{entry} names {location!r} as a file of its own", why, _TOGETHER)
    if ".." in pure.parts:
        raise invalid(f"{entry} names {location!r}, which is outside its folder", why, _TOGETHER)
    relative = PurePosixPath(entry).parent / pure
    path = folder / relative
    root = folder.resolve()
    resolved = path.resolve()
    if not resolved.is_relative_to(root):
        raise invalid(f"{entry} names {location!r}, which leads outside its folder", why, _TOGETHER)
    if not resolved.is_file():
        fix = "add the folder with all of the model's files, not the graph alone"
        raise invalid(f"{entry} names {location!r}, which is not among the model's files", why, fix)
    return str(relative)


def _node(node: Any) -> Node:
    domain = str(node.domain)
    numbers = dict[str, tuple[int, ...]]()
    nested = False
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.INT:
            numbers[str(attribute.name)] = (int(attribute.i),)
        elif attribute.type == onnx.AttributeProto.INTS and len(attribute.ints) <= _KEPT_ELEMENTS:
            numbers[str(attribute.name)] = tuple(attribute.ints)
        elif attribute.HasField("g") or len(attribute.graphs):
            nested = True
    name = str(node.op_type) if domain in {"", "ai.onnx"} else f"{domain}:{node.op_type}"
    return Node(name, tuple(node.input), tuple(node.output), numbers, nested)


def _constants(graphs: Iterable[Any]) -> dict[str, Constant]:
    found = dict[str, Constant]()
    for graph in graphs:
        given = {value.name for value in graph.input}
        for tensor in graph.initializer:
            # One that is an input as well can be given another value.
            if tensor.name not in given:
                found[str(tensor.name)] = _constant(tensor)
        for node in graph.node:
            if node.op_type == "Constant" and node.output:
                tensor = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
                found[str(node.output[0])] = Constant(FLOAT32, -1) if tensor is None else _constant(tensor)
                for attribute in node.attribute:
                    if attribute.name in {"value_int", "value_ints"}:
                        values = (int(attribute.i),) if attribute.name == "value_int" else tuple(attribute.ints)
                        found[str(node.output[0])] = Constant(INT64, int(attribute.name == "value_ints"), values)
    return found


def _constant(tensor: Any) -> Constant:
    dtype, dims = int(tensor.data_type), tuple(tensor.dims)
    count = 1
    for dimension in dims:
        count *= dimension
    if tensor.data_location == _EXTERNAL:
        return Constant(dtype, len(dims))
    if dtype == INT8:
        numbers = array.array("b", tensor.raw_data) if tensor.raw_data else tensor.int32_data
        low, high = (min(numbers), max(numbers)) if len(numbers) else (0, 0)
        return Constant(dtype, len(dims), tuple(numbers) if count <= _KEPT_ELEMENTS else None, low, high)
    values = _values(tensor, dtype, count) if 0 <= count <= _KEPT_ELEMENTS else None
    return Constant(dtype, len(dims), values)


def _values(tensor: Any, dtype: int, count: int) -> Numbers | None:
    forms = {
        1: ("f", "float_data"),
        2: ("B", "int32_data"),
        6: ("i", "int32_data"),
        7: ("q", "int64_data"),
        9: ("b", "int32_data"),
    }
    if dtype not in forms:
        return None
    form, field = forms[dtype]
    raw = bytes(tensor.raw_data)
    numbers = array.array(form, raw) if raw and not len(raw) % array.array(form).itemsize else getattr(tensor, field)
    return tuple(numbers) if len(numbers) == count else None


def _infer(model: Any) -> tuple[dict[str, int], dict[str, int]]:
    """Return ranks and types of values, as the file says them and as follows from its operators.

    The model's long constants are emptied.
    """
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    if not len(model.functions) and len(model.graph.node) <= _INFERRED_NODES:
        for tensor in model.graph.initializer:
            if tensor.ByteSize() > _LONG_BYTES:
                # Inference asks for the values of short ones only, which hold shapes; its argument is copied twice.
                for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
                    tensor.ClearField(field)
        # What cannot be inferred stays unknown, and the screens judge it so.
        with contextlib.suppress(onnx.shape_inference.InferenceError, RuntimeError, ValueError):
            values += onnx.shape_inference.infer_shapes(model).graph.value_info
    ranks, dtypes = dict[str, int](), dict[str, int]()
    for value in values:
        if value.type.HasField("tensor_type"):
            tensor_type = value.type.tensor_type
            dtypes[str(value.name)] = int(tensor_type.elem_type)
            if tensor_type.HasField("shape"):
                ranks[str(value.name)] = len(tensor_type.shape.dim)
    return ranks, dtypes


def _inputs(graph: Any) -> Iterator[Port]:
    given = {tensor.name for tensor in graph.initializer} | {sparse.values.name for sparse in graph.sparse_initializer}
    for value in graph.input:
        port = _port(value)
        absent = port.kind in {OPTIONAL, OPTIONAL_SEQUENCE}
        yield msgspec.structs.replace(port, optional=value.name in given or absent)


def _port(value: Any) -> Port:
    kind, held = TENSOR, value.type
    if held.HasField("optional_type"):
        kind, held = OPTIONAL, held.optional_type.elem_type
    if held.HasField("sequence_type"):
        kind, held = OPTIONAL_SEQUENCE if kind == OPTIONAL else SEQUENCE, held.sequence_type.elem_type
    if not held.HasField("tensor_type"):
        return Port(str(value.name), FLOAT32, ranked=False, kind=MAP)
    tensor_type = held.tensor_type
    if not tensor_type.HasField("shape"):
        return Port(str(value.name), int(tensor_type.elem_type), ranked=False, kind=kind)
    shape = tuple(_dimension(dimension) for dimension in tensor_type.shape.dim)
    return Port(str(value.name), int(tensor_type.elem_type), shape, kind=kind)


def _dimension(dimension: Any) -> int | str:
    if dimension.HasField("dim_value") and dimension.dim_value >= 0:
        return int(dimension.dim_value)
    return str(dimension.dim_param)
