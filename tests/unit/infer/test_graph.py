"""What is read from an ONNX file, and what is refused."""

from pathlib import Path

import onnx
import pytest
from onnx import helper

from tests.unit.infer import nets
from tickwork.errors import ModelInvalid
from tickwork.infer.graph import NODES_MOST, read_graph
from tickwork.infer.manifest import Port
from tickwork.infer.nodes import Graph


def read(tmp_path: Path, data: bytes) -> Graph:
    (tmp_path / "net.onnx").write_bytes(data)
    return read_graph(tmp_path, "net.onnx")


def test_ports_operators_and_opsets_stand_in_the_file(tmp_path: Path) -> None:
    graph = read(tmp_path, nets.mlp())
    assert graph.inputs == (Port("x", 1, ("rows", 16)),)
    assert graph.outputs == (Port("y", 1, ("rows", 4)),)
    assert graph.operators == ("Gemm", "Relu")
    assert graph.opsets == (("", 21),)
    assert graph.ir == 10
    assert graph.expanded == 3


def test_operators_in_subgraphs_and_functions_are_seen_once(tmp_path: Path) -> None:
    assert read(tmp_path, nets.loop()).operators == ("Add", "Identity", "Loop")
    bomb = read(tmp_path, nets.function_bomb(3))
    assert set(bomb.operators) == {"Neg", "f:F0", "f:F1", "f:F2"}
    assert bomb.expanded == 4


def test_an_initializer_that_is_an_input_may_be_left_out(tmp_path: Path) -> None:
    node = helper.make_node("Add", ["x", "w"], ["y"])
    ports: list[nets.Value] = [("x", 1, [2]), ("w", 1, [2])]
    graph = read(tmp_path, nets.model([node], ports, [("y", 1, [2])], [nets.weight("w", [1.0, 2.0])]))
    assert [port.optional for port in graph.inputs] == [False, True]


def test_sequences_optionals_and_shapes_without_a_rank_are_told_apart(tmp_path: Path) -> None:
    tensor = helper.make_tensor_type_proto(1, None)
    sequence = helper.make_sequence_type_proto(tensor)
    values = {
        "t": tensor,
        "s": sequence,
        "o": helper.make_optional_type_proto(tensor),
        "os": helper.make_optional_type_proto(sequence),
        "m": helper.make_map_type_proto(7, tensor),
    }
    inputs = [helper.make_value_info(name, held) for name, held in values.items()]
    graph = helper.make_graph([helper.make_node("Identity", ["t"], ["y"])], "g", inputs, inputs[:1])
    found = read(tmp_path, helper.make_model(graph).SerializeToString()).inputs
    assert [(port.kind, port.ranked, port.optional) for port in found] == [
        ("tensor", False, False),
        ("sequence", False, False),
        ("optional", False, True),
        ("optional sequence", False, True),
        ("map", False, False),
    ]


def test_files_beside_the_model_are_found(tmp_path: Path) -> None:
    nets.save_external(tmp_path)
    assert read_graph(tmp_path, "net.onnx").files == ("weights.bin",)


def test_files_beside_a_model_in_a_folder_of_its_own_are_found(tmp_path: Path) -> None:
    nets.save_external(tmp_path / "deep")
    assert read_graph(tmp_path, "deep/net.onnx").files == ("deep/weights.bin",)


@pytest.mark.parametrize(
    "location",
    ["../weights.bin", "/etc/passwd", "a/../../weights.bin", "missing.bin", "", "c:weights.bin", "a\\b", "."],
)
def test_a_file_outside_the_folder_or_absent_is_refused(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model"
    nets.save_external(folder, location)
    (tmp_path / "weights.bin").write_bytes(b"x" * 16384)
    with pytest.raises(ModelInvalid, match="names"):
        read_graph(folder, "net.onnx")


def test_a_graph_that_was_given_without_its_weights_is_refused_with_what_to_do(tmp_path: Path) -> None:
    nets.save_external(tmp_path, "missing.bin")
    (tmp_path / "missing.bin").unlink(missing_ok=True)
    with pytest.raises(ModelInvalid) as caught:
        read_graph(tmp_path, "net.onnx")
    assert "add the folder" in caught.value.fix


def test_a_link_that_leads_outside_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    nets.save_external(folder, "link.bin")
    (tmp_path / "secret").write_bytes(b"x" * 16384)
    (folder / "link.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelInvalid, match="outside"):
        read_graph(folder, "net.onnx")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no graph"),
        (b"hello world\n", "none"),
        (b"\x80\x04\x95", "pickle"),
        (b"PK\x03\x04", "ZIP"),
        (b"GGUF....", "GGUF"),
        (nets.mlp()[:-3], "cut off"),
        (nets.mlp()[: len(nets.mlp()) // 2], "cut off"),
    ],
)
def test_what_is_no_onnx_file_is_refused_with_the_reason(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(ModelInvalid) as caught:
        read(tmp_path, data)
    assert said in caught.value.why


def test_functions_that_expand_without_end_are_refused_before_anything_expands_them(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match="too many nodes") as caught:
        read(tmp_path, nets.function_bomb(40))
    assert "549,755,813,888" in caught.value.why
    with pytest.raises(ModelInvalid, match="too many nodes"):
        read(tmp_path, nets.function_bomb(500))
    with pytest.raises(ModelInvalid, match="too many nodes"):
        read(tmp_path, nets.function_bomb(40, overload="other"))


def test_a_function_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    opset = [helper.make_opsetid("", 21)]
    twice = [
        helper.make_function("f", "F", ["a"], ["b"], [helper.make_node(name, ["a"], ["b"])], opset)
        for name in ("Neg", "Abs")
    ]
    with pytest.raises(ModelInvalid, match="twice"):
        read(tmp_path, nets.model([], [("x", 1, [1])], [("x", 1, [1])], functions=twice))


def test_functions_that_call_each_other_are_refused(tmp_path: Path) -> None:
    opset = [helper.make_opsetid("f", 1)]
    functions = [
        helper.make_function("f", name, ["a"], ["b"], [helper.make_node(other, ["a"], ["b"], domain="f")], opset)
        for name, other in (("A", "B"), ("B", "A"))
    ]
    node = helper.make_node("A", ["x"], ["y"], domain="f")
    net = nets.model([node], [("x", 1, [1])], [("y", 1, [1])], functions=functions, opsets=(("", 21), ("f", 1)))
    with pytest.raises(ModelInvalid, match="circle"):
        read(tmp_path, net)


@pytest.mark.slow
def test_a_graph_of_two_hundred_thousand_nodes_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ModelInvalid, match="too many nodes") as caught:
        read(tmp_path, nets.many_nodes(2 * NODES_MOST))
    assert "100,000" in caught.value.why


def test_ranks_and_types_of_inner_values_are_inferred(tmp_path: Path) -> None:
    graph = read(tmp_path, nets.dynamic_int8())
    assert graph.ranks["q"] == 2
    assert graph.dtypes["q"] == onnx.TensorProto.UINT8
    assert graph.constants["w"].low == -127
