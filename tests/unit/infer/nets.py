"""Small real models for tests, made on the spot: each function returns the bytes of an ONNX file."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, INT32, INT64, UINT8 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8

Value = tuple[str, int, Sequence[int | str] | None]


def model(
    nodes: Sequence[Any],
    inputs: Sequence[Value],
    outputs: Sequence[Value],
    weights: Sequence[Any] = (),
    *,
    functions: Sequence[Any] = (),
    opsets: Sequence[tuple[str, int]] = (("", 21),),
    ir: int = 10,
) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        list(weights),
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets]
    made = helper.make_model(graph, opset_imports=imports, ir_version=ir, functions=list(functions))
    return bytes(made.SerializeToString())


def weight(name: str, value: Any) -> Any:
    return numpy_helper.from_array(np.asarray(value), name)


def mlp(sizes: Sequence[int] = (16, 32, 4), seed: int = 7) -> bytes:
    """Rows of ``sizes[0]`` numbers to rows of ``sizes[-1]``: ``x`` [rows, 16] to ``y`` [rows, 4]."""
    draw = np.random.default_rng(seed)
    nodes, weights, at = [], [], "x"
    for layer, (wide, narrow) in enumerate(pairwise(sizes)):
        last = layer == len(sizes) - 2
        weights.append(weight(f"w{layer}", draw.standard_normal((wide, narrow)).astype(np.float32) / wide**0.5))
        weights.append(weight(f"b{layer}", draw.standard_normal(narrow).astype(np.float32)))
        nodes.append(helper.make_node("Gemm", [at, f"w{layer}", f"b{layer}"], ["y" if last else f"g{layer}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"g{layer}"], [f"r{layer}"]))
            at = f"r{layer}"
    return model(nodes, [("x", FLOAT, ["rows", sizes[0]])], [("y", FLOAT, ["rows", sizes[-1]])], weights)


def conv(seed: int = 7) -> bytes:
    """Pictures to two numbers each: ``x`` [rows, 3, 16, 16] to ``y`` [rows, 2]."""
    draw = np.random.default_rng(seed)
    weights = [
        weight("k", draw.standard_normal((8, 3, 3, 3)).astype(np.float32)),
        weight("b", draw.standard_normal(8).astype(np.float32)),
        weight("w", draw.standard_normal((8, 2)).astype(np.float32)),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "k", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    return model(nodes, [("x", FLOAT, ["rows", 3, 16, 16])], [("y", FLOAT, ["rows", 2])], weights)


def int8(seed: int = 7) -> bytes:
    """A layer in static 8-bit integers without signs, which gives equal bits on every processor: [rows, 16] to 4."""
    draw = np.random.default_rng(seed)
    weights = [
        weight("xs", np.float32(0.02)),
        weight("xz", np.uint8(128)),
        weight("w", draw.integers(0, 255, (16, 4), dtype=np.uint8)),
        weight("ws", np.float32(0.01)),
        weight("wz", np.uint8(128)),
        weight("ys", np.float32(0.05)),
        weight("yz", np.uint8(128)),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q"]),
        helper.make_node("QLinearMatMul", ["q", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["p"]),
        helper.make_node("DequantizeLinear", ["p", "ys", "yz"], ["y"]),
    ]
    return model(nodes, [("x", FLOAT, ["rows", 16])], [("y", FLOAT, ["rows", 4])], weights)


def dynamic_int8(seed: int = 7) -> bytes:
    """A layer whose scale is taken over the whole batch, so that neighbours change a row: [rows, 16] to 4."""
    draw = np.random.default_rng(seed)
    weights = [
        weight("w", draw.integers(-127, 127, (16, 4), dtype=np.int8)),
        weight("ws", np.float32(0.01)),
    ]
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("MatMulInteger", ["q", "w", "z"], ["p"]),
        helper.make_node("Cast", ["p"], ["f"], to=FLOAT),
        helper.make_node("Mul", ["s", "ws"], ["scale"]),
        helper.make_node("Mul", ["f", "scale"], ["y"]),
    ]
    return model(nodes, [("x", FLOAT, ["rows", 16])], [("y", FLOAT, ["rows", 4])], weights)


def echo(dtype: int = FLOAT, shape: Sequence[int | str] | None = ("rows", 4)) -> bytes:
    """What comes in goes out: ``x`` to ``y``."""
    node = helper.make_node("Identity", ["x"], ["y"])
    return model([node], [("x", dtype, shape)], [("y", dtype, shape)])


def unary(
    operator: str,
    dtype: int = FLOAT,
    shape: Sequence[int | str] | None = ("rows", 16),
    opset: int = 21,
    **attributes: Any,
) -> bytes:
    """One operator with one input: ``x`` to ``y``, of the same rank at most."""
    node = helper.make_node(operator, ["x"], ["y"], **attributes)
    given = shape if opset >= 18 else None
    return model([node], [("x", dtype, shape)], [("y", dtype, given)], opsets=[("", opset)], ir=8 if opset < 21 else 10)


def model_of_any_width() -> bytes:
    """Twice ``x`` [rows, wide]."""
    node = helper.make_node("Add", ["x", "x"], ["y"])
    return model([node], [("x", FLOAT, ["rows", "wide"])], [("y", FLOAT, ["rows", "wide"])])


def divide() -> bytes:
    """Whole numbers ``a`` over ``b``. The least one over -1 ends the process with SIGFPE on x86."""
    node = helper.make_node("Div", ["a", "b"], ["y"])
    return model([node], [("a", INT32, ["rows"]), ("b", INT32, ["rows"])], [("y", INT32, ["rows"])])


KILLING = ([-(1 << 31)], [-1])
"""The ``a`` and ``b`` of ``divide`` that end the process."""


def loop(count: int | None = None) -> bytes:
    """Add 1 to ``x`` as often as the input ``count`` says; with a constant ``count`` there is no such input."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Add", ["at", "one"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("at", FLOAT, [1]),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", FLOAT, [1]),
        ],
    )
    weights = [weight("one", np.ones(1, np.float32)), weight("true", np.array(True))]
    inputs: list[Value] = [("x", FLOAT, [1])]
    if count is None:
        inputs.append(("count", INT64, []))
    else:
        weights.append(weight("count", np.int64(count)))
    node = helper.make_node("Loop", ["count", "true", "x"], ["y"], body=body)
    return model([node], inputs, [("y", FLOAT, [1])], weights)


FOR_EVER = (1 << 62) - 1
"""A count that no loop reaches."""


def noise() -> bytes:
    """Draws numbers: ``x`` [rows, 4] plus noise."""
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["n"]),
        helper.make_node("Add", ["x", "n"], ["y"]),
    ]
    return model(nodes, [("x", FLOAT, ["rows", 4])], [("y", FLOAT, ["rows", 4])])


def square(size: int = 2048, times: int = 1) -> bytes:
    """Multiplies a constant matrix ``times`` times: slow on purpose. ``x`` [size, size] to ``y``."""
    nodes = [
        helper.make_node(
            "MatMul", ["x" if turn == 0 else f"m{turn}", "x"], ["y" if turn == times - 1 else f"m{turn + 1}"]
        )
        for turn in range(times)
    ]
    return model(nodes, [("x", FLOAT, [size, size])], [("y", FLOAT, [size, size])])


def huge() -> bytes:
    """Asks for as many zeros as the input ``x`` [1] says."""
    node = helper.make_node("ConstantOfShape", ["x"], ["y"])
    return model([node], [("x", INT64, [1])], [("y", FLOAT, ["n"])])


def many_nodes(count: int = 200_000) -> bytes:
    """A chain of ``count`` additions."""
    nodes = [helper.make_node("Add", [f"v{at}", "one"], [f"v{at + 1}"]) for at in range(count)]
    return model(nodes, [("v0", FLOAT, [1])], [(f"v{count}", FLOAT, [1])], [weight("one", np.ones(1, np.float32))])


def function_bomb(levels: int = 40, overload: str = "") -> bytes:
    """A kilobyte whose functions call each other twice a level: expanded, 2 ** levels nodes.

    With an overload, each has a harmless namesake without one.
    """
    opset = [helper.make_opsetid("", 21), helper.make_opsetid("f", 1)]
    leaf = helper.make_node("Neg", ["a"], ["b"])
    functions = [helper.make_function("f", "F0", ["a"], ["b"], [leaf], opset)]
    for level in range(1, levels):
        calls = [
            helper.make_node(f"F{level - 1}", ["a"], ["m"], domain="f"),
            helper.make_node(f"F{level - 1}", ["m"], ["b"], domain="f"),
        ]
        functions.append(helper.make_function("f", f"F{level}", ["a"], ["b"], calls, opset))
    node = helper.make_node(f"F{levels - 1}", ["x"], ["y"], domain="f")
    if overload:
        for one in [node, *(call for function in functions[1:] for call in function.node), *functions]:
            one.overload = overload
        functions += [helper.make_function("f", f"F{level}", ["a"], ["b"], [leaf], opset) for level in range(levels)]
    imports = (("", 21), ("f", 1))
    return model([node], [("x", FLOAT, [1])], [("y", FLOAT, [1])], functions=functions, opsets=imports)


def folding_bomb(elements: int = 1 << 36) -> bytes:
    """A constant of ``elements`` zeros that is worked out when the model is loaded."""
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["z"]),
        helper.make_node("ReduceSum", ["z"], ["t"], keepdims=0),
        helper.make_node("Add", ["x", "t"], ["y"]),
    ]
    return model(nodes, [("x", FLOAT, [1])], [("y", FLOAT, [1])], [weight("s", np.array([elements], np.int64))])


def save_external(folder: Path, data: str = "weights.bin", seed: int = 7) -> Path:
    """Write ``net.onnx`` whose weights lie in a file beside it, and return its path.

    Args:
        data: Where the model says the file lies; the file is written as ``weights.bin``.
    """
    draw = np.random.default_rng(seed)
    made = onnx.load_from_string(
        model(
            [helper.make_node("MatMul", ["x", "w"], ["y"])],
            [("x", FLOAT, ["rows", 64])],
            [("y", FLOAT, ["rows", 64])],
            [weight("w", draw.standard_normal((64, 64)).astype(np.float32))],
        )
    )
    folder.mkdir(parents=True, exist_ok=True)
    tensor = made.graph.initializer[0]
    (folder / "weights.bin").write_bytes(tensor.raw_data)
    size = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", data), ("offset", "0"), ("length", str(size))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    path = folder / "net.onnx"
    path.write_bytes(made.SerializeToString())
    return path
