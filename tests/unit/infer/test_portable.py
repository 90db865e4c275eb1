"""Which models have equal bits on every processor, shown on what the runtime's own tools and optimizer make."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from tests.unit.infer import nets
from tickwork.infer.graph import read_graph
from tickwork.infer.portable import SMALL_FLOATS, inexact_operators

SHAPES = {"mlp": (4, 16), "conv": (4, 3, 16, 16)}
FLOAT_PRODUCTS = {"Conv", "Gemm", "MatMul", "FusedConv", "FusedGemm", "FusedMatMul"}


class Samples(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, shape: tuple[int, ...]) -> None:
        draws = (np.random.default_rng(seed).standard_normal(shape) for seed in range(8))
        self._left: Iterator[dict[str, Any]] = iter([{"x": draw.astype(np.float32)} for draw in draws])

    def get_next(self) -> dict[str, Any] | None:
        return next(self._left, None)


@pytest.fixture(autouse=True)
def tools_say_nothing(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def quantize(folder: Path, name: str, form: QuantFormat, weights: QuantType, seven_bits: bool = False) -> set[str]:
    """Quantize a net into ``net.onnx`` and return what is not portable in it."""
    (folder / "float.onnx").write_bytes(nets.mlp() if name == "mlp" else nets.conv())
    quantize_static(
        str(folder / "float.onnx"),
        str(folder / "net.onnx"),
        Samples(SHAPES[name]),
        quant_format=form,
        activation_type=QuantType.QUInt8,
        weight_type=weights,
        reduce_range=seven_bits,
    )
    return inexact_operators(read_graph(folder, "net.onnx"))


def optimized(folder: Path) -> set[str]:
    """Return the operators that the runtime runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(str(folder / "net.onnx"), options, providers=["CPUExecutionProvider"])
    return {node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node}


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["unsigned", "seven"])
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_what_the_runtimes_own_tool_quantizes_is_portable_and_run_in_integers(
    tmp_path: Path, name: str, form: str, weights: str
) -> None:
    kind = QuantType.QUInt8 if weights == "unsigned" else QuantType.QInt8
    assert quantize(tmp_path, name, QuantFormat[form], kind, weights == "seven") == set()
    assert not optimized(tmp_path) & FLOAT_PRODUCTS


@pytest.mark.slow
@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_weights_of_eight_bits_with_a_sign_may_saturate(tmp_path: Path, form: str) -> None:
    assert quantize(tmp_path, "mlp", QuantFormat[form], QuantType.QInt8) in ({"Gemm"}, {"com.microsoft:QGemm"})


def scaled(
    tmp_path: Path, node: Any, inputs: int = 2, *, behind: bool = True, again: bool = False
) -> tuple[set[str], set[str]]:
    """Return what is not portable about an operator between scalings, and what the runtime runs."""
    weights = [
        nets.weight("s", np.float32(0.02)),
        nets.weight("z", np.uint8(128)),
        nets.weight("w", np.arange(16, dtype=np.uint8).reshape(4, 4)),
        nets.weight("zero", np.uint8(0)),
    ]
    nodes = [helper.make_node("DequantizeLinear", [f"q{place}", "s", "z"], [f"x{place}"]) for place in range(inputs)]
    nodes += [helper.make_node("DequantizeLinear", ["w", "s", "z"], ["weights"]), node]
    outputs: list[nets.Value] = [("y", 2, ["n", 4])] if behind else [("m", 1, ["n", 4])]
    if behind:
        nodes.append(helper.make_node("QuantizeLinear", ["m", "s", "z"], ["y"]))
    if again:
        outputs.append(("m", 1, ["n", 4]))
    given: list[nets.Value] = [(f"q{place}", 2, ["n", 4]) for place in range(inputs)]
    (tmp_path / "net.onnx").write_bytes(nets.model(nodes, given, outputs, weights))
    return inexact_operators(read_graph(tmp_path, "net.onnx")), optimized(tmp_path)


def test_a_product_between_scalings_is_one_of_integers(tmp_path: Path) -> None:
    found, ran = scaled(tmp_path, helper.make_node("MatMul", ["x0", "weights"], ["m"]), 1)
    assert found == set()
    assert "QLinearMatMul" in ran


@pytest.mark.parametrize("options", [{"behind": False}, {"again": True}])
def test_a_product_whose_floats_are_seen_is_one_of_floats(tmp_path: Path, options: dict[str, bool]) -> None:
    node = helper.make_node("MatMul", ["x0", "weights"], ["m"])
    assert scaled(tmp_path, node, 1, **options)[0] == {"MatMul"}


def test_a_product_of_two_inputs_is_not_looked_at_closely(tmp_path: Path) -> None:
    found, _ = scaled(tmp_path, helper.make_node("Gemm", ["x0", "x1"], ["m"]), 2)
    assert found == {"Gemm"}


@pytest.mark.parametrize("operator", ["Add", "Mul"])
def test_what_the_runtime_merges_into_an_operator_nobody_measured_is_not_portable(
    tmp_path: Path, operator: str
) -> None:
    found, ran = scaled(tmp_path, helper.make_node(operator, ["x0", "x1"], ["m"]), 2)
    assert found == {operator}
    assert f"QLinear{operator}" in ran


def test_the_same_on_floats_alone_is(tmp_path: Path) -> None:
    node = helper.make_node("Add", ["x", "x"], ["y"])
    (tmp_path / "net.onnx").write_bytes(nets.model([node], [("x", 1, [2])], [("y", 1, [2])]))
    assert inexact_operators(read_graph(tmp_path, "net.onnx")) == set()


def test_small_floats_are_not_portable(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(nets.echo(10))
    assert inexact_operators(read_graph(tmp_path, "net.onnx")) == {SMALL_FLOATS}


@pytest.mark.parametrize(("source", "to", "found"), [(1, 6, {"Cast"}), (6, 1, set()), (1, 11, set()), (6, 3, set())])
def test_a_float_that_becomes_a_whole_number_is_not_portable(
    tmp_path: Path, source: int, to: int, found: set[str]
) -> None:
    node = helper.make_node("Cast", ["x"], ["y"], to=to)
    (tmp_path / "net.onnx").write_bytes(nets.model([node], [("x", source, [2])], [("y", to, [2])]))
    assert inexact_operators(read_graph(tmp_path, "net.onnx")) == found
