"""Looking into models that nobody trusts, in a process that may die of it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.unit.infer import nets
from tickwork.errors import ModelError, ModelInvalid
from tickwork.infer import wire
from tickwork.infer.inspection import Ask, inspect_model
from tickwork.infer.inspector import look_into
from tickwork.infer.launch import Launcher, start_fresh
from tickwork.infer.manifest import ModelConfig, Port

pytestmark = pytest.mark.slow
DEADLINE_S = 3.0


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    made = Launcher()
    made.prepare()
    yield made
    made.close()


def look(folder: Path, net: bytes, launcher: Launcher, deadline_s: float = 60) -> ModelConfig:
    (folder / "net.onnx").write_bytes(net)
    return inspect_model(folder, "net.onnx", deadline_s=deadline_s, launcher=launcher)


def test_a_model_says_what_it_takes_and_gives_and_is_measured(tmp_path: Path, launcher: Launcher) -> None:
    config = look(tmp_path, nets.mlp(), launcher)
    assert config.inputs == (Port("x", 1, ("rows", 16)),)
    assert config.outputs == (Port("y", 1, ("rows", 4)),)
    assert (config.entry, config.operators, config.batch_axis) == ("net.onnx", ("Gemm", "Relu"), True)
    assert config.warmup == {"x": (1, 16)}
    assert config.memory > 1 << 20


def test_a_fresh_process_finds_the_same(tmp_path: Path, launcher: Launcher) -> None:
    (tmp_path / "net.onnx").write_bytes(nets.int8())
    fresh = inspect_model(tmp_path, "net.onnx")
    assert fresh.screening == look(tmp_path, nets.int8(), launcher).screening


def test_a_model_with_its_weights_in_another_file_is_looked_into(tmp_path: Path, launcher: Launcher) -> None:
    nets.save_external(tmp_path)
    assert inspect_model(tmp_path, "net.onnx", launcher=launcher).warmup == {"x": (1, 64)}


def test_dimensions_that_callers_choose_are_tried_until_the_model_runs(tmp_path: Path, launcher: Launcher) -> None:
    node = helper.make_node("Conv", ["x", "k"], ["y"])
    kernel = nets.weight("k", np.ones((1, 1, 5, 5), np.float32))
    net = nets.model([node], [("x", 1, ["n", 1, "h", "w"])], [("y", 1, ["n", 1, "a", "b"])], [kernel])
    assert look(tmp_path, net, launcher).warmup == {"x": (1, 1, 8, 8)}


def test_a_model_that_refuses_what_is_made_up_may_be_added(tmp_path: Path, launcher: Launcher) -> None:
    node = helper.make_node("Reshape", ["x", "s"], ["y"])
    net = nets.model([node], [("x", 1, ["n"]), ("s", 7, [1])], [("y", 1, None)])
    assert look(tmp_path, net, launcher).memory


def fatal() -> bytes:
    """Divides the least whole number by -1 when it is warmed up, which ends the process."""
    node = helper.make_node("Div", ["a", "b"], ["q"])
    back = helper.make_node("Add", ["q", "x"], ["y"])
    shift = helper.make_node("Add", ["low", "zero"], ["a"])
    zero = helper.make_node("Sub", ["x", "x"], ["zero"])
    weights = [nets.weight("low", np.array([-(1 << 31)], np.int32)), nets.weight("b", np.array([-1], np.int32))]
    return nets.model([zero, shift, node, back], [("x", 6, [1])], [("y", 6, [1])], weights)


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (nets.function_bomb(40), "expand"),
        (nets.folding_bomb(), "memory"),
        (nets.folding_bomb(1 << 31), "memory"),
        (nets.loop(nets.FOR_EVER), "more than 3 s"),
        (fatal(), "signal SIGFPE"),
        (nets.many_nodes(), "100,000 are the most"),
        (nets.mlp()[:-3], "cut off"),
        (nets.model([helper.make_node("Neg", ["x"], ["y"])], [("x", 1, [1])], [("y", 1, [1])], ir=14), "IR version"),
        (
            nets.model([helper.make_node("Neg", ["x"], ["y"])], [("x", 1, [1])], [("y", 1, [1])], opsets=[("", 99)]),
            "opset",
        ),
        (nets.unary("NoSuchOperator"), "NoSuchOperator"),
        (b"hello world\n", "none"),
        (b"\x80\x04\x95\x1a\x00\x00\x00.", "pickle"),
        (b"", "no graph"),
    ],
    ids="functions folding folding31 loop sigfpe nodes cut ir opset operator text pickle empty".split(),
)
def test_a_hostile_or_broken_model_is_an_error_by_the_deadline(
    tmp_path: Path, launcher: Launcher, net: bytes, said: str
) -> None:
    with pytest.raises(ModelInvalid) as caught:
        look(tmp_path, net, launcher, DEADLINE_S)
    assert said in caught.value.why
    assert str(tmp_path) not in str(caught.value)


def test_who_looks_ends_with_who_asked(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(nets.loop(nets.FOR_EVER))
    child = start_fresh("inspector")
    child.channel.send(wire.encode(Ask(str(tmp_path), "m.onnx", 100, 1 << 30)))
    steps = [child.channel.receive(60) for _ in range(2)]
    assert [bytes(frame.body) for frame in steps if frame] == [b"reading", b"loading"]
    child.channel.close()
    ended = child.wait(10)
    child.kill()
    child.wait()
    assert ended == 1


def test_weights_outside_the_folder_are_not_read(tmp_path: Path, launcher: Launcher) -> None:
    folder = tmp_path / "model"
    nets.save_external(folder, "../weights.bin")
    (folder / "weights.bin").rename(tmp_path / "weights.bin")
    with pytest.raises(ModelInvalid, match="outside"):
        inspect_model(folder, "net.onnx", launcher=launcher)


def test_a_file_that_is_absent_is_an_error(tmp_path: Path, launcher: Launcher) -> None:
    with pytest.raises(ModelInvalid, match="cannot be read"):
        inspect_model(tmp_path, "net.onnx", launcher=launcher)


def test_a_file_with_changed_bytes_is_a_model_or_an_error_of_ours(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    nets_made = [
        nets.mlp((4, 3, 2)),
        nets.int8(),
        nets.dynamic_int8(),
        nets.function_bomb(3),
        nets.conv(),
        nets.noise(),
    ]
    refused = 0
    for turn in range(300):
        data = bytearray(nets_made[turn % len(nets_made)])
        data[int(draw.integers(len(data)))] = int(draw.integers(256))
        (tmp_path / "net.onnx").write_bytes(data)
        try:
            look_into(tmp_path, "net.onnx", lambda step: None)
        except ModelError:
            refused += 1
    assert 50 < refused < 300
