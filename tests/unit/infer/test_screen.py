"""What operators mean for exactness, and what they forbid."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from tests.unit.infer import nets
from tickwork.errors import ModelUnfit
from tickwork.infer.graph import read_graph
from tickwork.infer.manifest import ModelConfig, Screening
from tickwork.infer.screen import check_profile, has_batch_axis, screen


def config(tmp_path: Path, data: bytes) -> ModelConfig:
    (tmp_path / "net.onnx").write_bytes(data)
    graph = read_graph(tmp_path, "net.onnx")
    return ModelConfig(
        name="net",
        version="1",
        inputs=graph.inputs,
        outputs=graph.outputs,
        operators=graph.operators,
        screening=screen(graph),
        batch_axis=has_batch_axis(graph.inputs, graph.outputs),
    )


def test_a_plain_network_may_be_batched_but_is_not_portable(tmp_path: Path) -> None:
    for net in (nets.mlp(), nets.conv()):
        screening = config(tmp_path, net).screening
        assert not screening.random
        assert not screening.neighbours
        assert screening.inexact


def test_static_integers_are_portable(tmp_path: Path) -> None:
    assert config(tmp_path, nets.int8()).screening == Screening(rules=1)


@pytest.mark.parametrize(("most", "portable"), [(64, True), (65, False)])
def test_weights_with_signs_are_portable_while_they_cannot_saturate(tmp_path: Path, most: int, portable: bool) -> None:
    weights = np.array([[most, -64]] * 4, np.int8)
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    net = nets.model([node], [("x", 2, ["n", 4])], [("y", 6, ["n", 2])], [nets.weight("w", weights)])
    assert (config(tmp_path, net).screening.inexact == ()) is portable


def test_random_operators_are_found_also_where_dropout_trains(tmp_path: Path) -> None:
    assert config(tmp_path, nets.noise()).screening.random == ("RandomNormalLike",)
    node = helper.make_node("Dropout", ["x", "r", "t"], ["y"])
    for trains in (False, True):
        weights = [nets.weight("r", np.float32(0.5)), nets.weight("t", np.array(trains))]
        net = nets.model([node], [("x", 1, ["n"])], [("y", 1, ["n"])], weights)
        assert config(tmp_path, net).screening.random == (("Dropout",) if trains else ())


@pytest.mark.parametrize("operator", "Log Sin Softplus Mish Elu Selu Cos Celu Atan".split())
def test_an_operator_that_treats_the_ends_of_a_vector_otherwise_is_screened(tmp_path: Path, operator: str) -> None:
    assert config(tmp_path, nets.unary(operator)).screening.neighbours == (operator,)


def test_a_sum_over_the_last_dimension_alone_keeps_rows_apart(tmp_path: Path) -> None:
    for axes, found in (
        ([-1], ()),
        ([2], ()),
        ([1], ("ReduceMean",)),
        ([1, 2], ("ReduceMean",)),
        (None, ("ReduceMean",)),
    ):
        weights = [] if axes is None else [nets.weight("a", np.array(axes, np.int64))]
        node = helper.make_node("ReduceMean", ["x", "a"] if axes else ["x"], ["y"])
        net = nets.model([node], [("x", 1, ["n", 3, 4])], [("y", 1, None)], weights)
        assert config(tmp_path, net).screening.neighbours == found


@pytest.mark.parametrize(("shape", "found"), [(["m", "k"], ("MatMul",)), (["n", "m", "k"], ())])
def test_a_product_with_what_all_rows_share_must_be_with_a_constant(
    tmp_path: Path, shape: list[Any], found: tuple[str, ...]
) -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    net = nets.model([node], [("x", 1, ["n", "l", "m"]), ("w", 1, shape)], [("y", 1, None)])
    assert config(tmp_path, net).screening.neighbours == found


def test_a_batch_axis_has_one_name_everywhere(tmp_path: Path) -> None:
    assert config(tmp_path, nets.mlp()).batch_axis
    assert config(tmp_path, nets.divide()).batch_axis
    assert not config(tmp_path, nets.loop()).batch_axis
    assert not config(tmp_path, nets.huge()).batch_axis


@pytest.mark.parametrize(
    ("net", "profile", "batch", "named"),
    [
        (nets.noise(), "exact-1", "row", "RandomNormalLike"),
        (nets.noise(), "fast", "tick", "RandomNormalLike"),
        (nets.mlp(), "exact-portable", "row", "Gemm"),
        (nets.dynamic_int8(), "exact-portable", "row", "DynamicQuantizeLinear"),
        (nets.dynamic_int8(), "exact-1", "tick", "DynamicQuantizeLinear"),
        (nets.unary("Elu"), "exact-1", "certified", "Elu"),
        (nets.loop(), "exact-1", "tick", "first dimension"),
        (nets.mlp(), "quick", "row", "exact-1"),
        (nets.mlp(), "exact-1", "always", "certified"),
    ],
)
def test_what_operators_do_not_allow_is_refused_and_named(
    tmp_path: Path, net: bytes, profile: str, batch: str, named: str
) -> None:
    with pytest.raises(ModelUnfit) as caught:
        check_profile(config(tmp_path, net), profile, batch)
    assert named in caught.value.why


def test_exact_profiles_run_on_the_processor_alone(tmp_path: Path) -> None:
    made = config(tmp_path, nets.mlp())
    check_profile(made, "exact-1", "certified", ["cpu"])
    check_profile(made, "fast", "row", ["cuda", "cpu"])
    with pytest.raises(ModelUnfit, match="cpu alone"):
        check_profile(made, "exact-1", "row", ["cuda"])


def test_a_model_that_was_screened_by_other_rules_is_not_trusted_to_be_portable(tmp_path: Path) -> None:
    made = config(tmp_path, nets.int8())
    check_profile(made, "exact-portable")
    old = ModelConfig(name="net", version="1", screening=Screening(rules=0))
    with pytest.raises(ModelUnfit, match="rules 0"):
        check_profile(old, "exact-portable")


@pytest.mark.slow
@pytest.mark.parametrize(
    "operator",
    "Sqrt Reciprocal Exp Erf Gelu Sigmoid Tanh HardSigmoid HardSwish LeakyRelu ThresholdedRelu Softmax".split(),
)
def test_an_operator_on_the_list_gives_a_row_the_same_bits_in_every_batch(operator: str) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    net = nets.unary(operator, shape=("rows", 1003))
    session = onnxruntime.InferenceSession(net, options, providers=["CPUExecutionProvider"])
    rows = np.abs(np.random.default_rng(1).standard_normal((24, 1003)).astype(np.float32))
    alone = [session.run(None, {"x": row[None]})[0][0].tobytes() for row in rows]
    for count in range(1, 25):
        together = session.run(None, {"x": rows[:count]})[0]
        assert [row.tobytes() for row in together] == alone[:count]
