"""Sessions and the options they are made with."""

from pathlib import Path

import onnxruntime
import pytest

from tests.unit.infer import nets
from tickwork.errors import ModelInvalid, ModelUnfit
from tickwork.infer import providers
from tickwork.infer.providers import ProviderFailed, make_setup, open_session


def test_an_exact_session_has_one_thread_and_nothing_left_open() -> None:
    options = providers.session_options(make_setup("exact-1"))
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert options.get_session_config_entry("session.disable_prepacking") == "0"
    assert make_setup("exact-1") == make_setup("exact-portable")


def test_options_of_a_fast_session_reach_it() -> None:
    extras = [
        "intra_op_num_threads=3",
        "execution_mode=parallel",
        "graph_optimization_level=basic",
        "enable_mem_pattern=0",
    ]
    options = providers.session_options(make_setup("fast", extras))
    assert options.intra_op_num_threads == 3
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert not options.enable_mem_pattern


def test_options_of_a_device_are_kept_apart_from_those_of_the_session() -> None:
    setup = make_setup("fast", ["device_id=1", "gpu_mem_limit=1000000"])
    assert setup.tuning == {"device_id": "1", "gpu_mem_limit": "1000000"}
    assert not any("device_id" in option for option in setup.canonical)


@pytest.mark.parametrize("extra", ["sesion.disable_prepacking=1", "session.disable_prepacking=1", "device_id=-1", "x"])
def test_what_is_not_on_the_list_is_refused(extra: str) -> None:
    with pytest.raises(ModelUnfit):
        make_setup("fast", [extra])


def test_the_failing_provider_is_there_only_where_it_is_asked_for() -> None:
    assert providers.FAILING not in providers.available(make_setup("fast"))
    assert providers.available(make_setup("fast", ["failing=load"]))[0] == providers.FAILING


def test_a_provider_this_build_lacks_fails(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(nets.mlp())
    setup = make_setup("fast")
    for name in ("cuda", "directml", "coreml"):
        if name not in providers.available(setup):
            with pytest.raises(ProviderFailed) as caught:
                open_session(tmp_path / "net.onnx", name, setup, whole=False)
            assert caught.value.reason == f"{name} is not in this build of ONNX Runtime"


def test_a_file_that_is_no_model_is_the_fault_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(nets.mlp()[:-3])
    with pytest.raises(ModelInvalid) as caught:
        open_session(tmp_path / "net.onnx", "cpu", make_setup("exact-1"), whole=True)
    assert str(tmp_path) not in str(caught.value)


def test_the_runtime_prints_nothing_when_it_refuses(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.onnx").write_bytes(nets.unary("NoSuchOperator"))
    with pytest.raises(ModelInvalid):
        open_session(tmp_path / "net.onnx", "cpu", make_setup("exact-1"), whole=True)
    assert capfd.readouterr() == ("", "")


def test_the_runtime_and_its_library_have_names() -> None:
    name, version, commit = providers.runtime_name().split()
    assert (name, version) == ("onnxruntime", onnxruntime.__version__)
    assert commit
    assert providers.library_digest() == providers.library_digest()
    assert len(providers.library_digest()) == 32


@pytest.mark.parametrize(
    ("said", "blamed"),
    [
        ("CUDA failure 2: out of memory ; GPU=0", True),
        ("CUDNN_FE failure 11: CUDNN_BACKEND_API_FAILED", True),
        ("Non-zero status code returned while running Gather node. indices element out of data bounds", False),
    ],
)
def test_a_provider_is_blamed_for_what_its_device_says(said: str, blamed: bool) -> None:
    assert providers.blames_provider(RuntimeError(said)) is blamed
