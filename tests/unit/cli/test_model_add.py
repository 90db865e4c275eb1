"""cli/model_add, model_push and model_pull with real models, each looked into by a process of its own."""

import json
import pickle
from pathlib import Path

import pytest

from tests.unit.cli.program import call
from tests.unit.infer import nets
from tests.unit.packages.station import running_registry
from tickwork.cli import model_add
from tickwork.infer.adding import Labels
from tickwork.infer.store import ModelStore

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """Return the usual store, which is empty."""
    monkeypatch.setenv("TICKWORK_MODELS", str(folder / "store"))
    monkeypatch.setenv("TICKWORK_TRUST", str(folder / "trust"))
    return ModelStore(folder / "store")


def written(folder: Path, content: bytes, name: str = "wind.onnx") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def failed(*words: str | Path) -> tuple[int, str, str]:
    answer = call(*words)
    assert answer.status != 0
    return answer.status, answer.err.split(":")[0], answer.err


def test_a_model_of_ones_own_is_added_believed_and_found(folder: Path, store: ModelStore) -> None:
    written(folder, nets.mlp())
    answer = call("model", "add", "wind.onnx", "--licence", "MIT", "--description", "How it blows", "--alias", "stable")
    assert answer.status == 0
    assert "wind:1.0.0" in answer.out
    assert "stable" in answer.out
    assert call("model", "verify").status == 0
    config = store.config(store.find("wind:stable"))
    assert (config.licence, config.description, config.entry) == ("MIT", "How it blows", "wind.onnx")
    assert config.memory > 1 << 20
    assert config.inputs != ()
    assert config.operators != ()
    assert config.warmup != {}


def test_adding_again_is_nothing_new_and_other_bytes_want_a_version(folder: Path, store: ModelStore) -> None:
    written(folder, nets.mlp())
    first = call("model", "add", "wind.onnx", "-o", "json").document()
    again = call("model", "add", "wind.onnx", "-o", "json").document()
    assert first["digest"] == again["digest"]
    assert first["signed"] is True
    written(folder, nets.mlp(seed=8))
    status, code, text = failed("model", "add", "wind.onnx")
    assert (status, code) == (7, "TW6011")
    assert "--version" in text
    document = call("model", "add", "wind.onnx", "--version", "1.1.0", "--unsigned", "-o", "json").document()
    assert (document["version"], document["signed"]) == ("1.1.0", False)


def test_a_folder_with_external_data_is_one_model(folder: Path, store: ModelStore) -> None:
    (folder / "big").mkdir()
    nets.save_external(folder / "big")
    assert call("model", "add", "big").status == 0
    files = store.files(store.find("big"))
    assert "weights.bin" in files
    graph = next(name for name in files if name.endswith(".onnx"))
    status, code, _ = failed("model", "add", folder / "big" / graph, "--name", "half")
    assert (status, code) == (4, "TW6002")


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (b"\x08\x09 this is no graph", (), ""),
        (pickle.dumps([1]), (), "pickle"),
        (nets.function_bomb(), (), ""),
        (nets.many_nodes(), (), "nodes"),
        (nets.folding_bomb(), ("--memory", "512"), ""),
        (nets.loop(1 << 60), ("--deadline", "3"), "3 s"),
    ],
    ids=["garbage", "pickle", "bomb", "nodes", "memory", "endless"],
)
def test_what_is_no_model_or_takes_too_much_is_refused(
    folder: Path, store: ModelStore, content: bytes, options: tuple[str, ...], words: str
) -> None:
    written(folder, content)
    status, code, text = failed("model", "add", "wind.onnx", *options)
    assert (status, code) == (4, "TW6002")
    assert words in text
    assert store.list() == []
    assert list((store.folder / "staging").iterdir() if (store.folder / "staging").exists() else []) == []


@pytest.mark.parametrize("option", ["--deadline", "--memory"])
def test_a_limit_without_room_is_refused_before_anything_is_looked_at(option: str) -> None:
    assert failed("model", "add", "wind.onnx", option, "0")[:2] == (2, "TW1001")


def test_what_is_not_there_is_said_to_be_absent() -> None:
    assert failed("model", "add", "absent.onnx")[:2] == (8, "TW6001")
    assert failed("model", "add", "oci://127.0.0.1:1/wind:1.0.0")[:2] == (69, "TW3211")


def test_a_word_stands_for_a_model_that_is_made_here(
    folder: Path, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(place: Path) -> tuple[Path, Labels]:
        written(place, nets.mlp(), "model.onnx")
        return place, Labels(name="built", version="3.0.0", licence="MIT", source="made here")

    monkeypatch.setattr(model_add, "BUILT_IN", {"minilm": make})
    assert call("model", "add", "minilm", "--version", "3.1.0").status == 0
    config = store.config(store.find("built"))
    assert (config.version, config.licence, config.source) == ("3.1.0", "MIT", "made here")
    written(folder, nets.mlp(), "minilm")
    assert call("model", "add", "minilm", "--name", "file").status == 0
    assert store.config(store.find("file")).source == ""


def test_a_model_travels_through_a_registry(folder: Path, store: ModelStore) -> None:
    with running_registry(folder) as host:
        place = f"oci://{host}/models"
        written(folder, nets.mlp())
        digest = call("model", "add", "wind.onnx", "-o", "json").document()["digest"]
        assert call("model", "push", "wind", place).status == 0
        pulled = call("model", "pull", place, "wind", "--store", "other", "-o", "json").document()
        assert pulled["digest"] == digest
        assert pulled["publisher"] == "you, on this machine"
        added = call("model", "add", f"{place}/wind:1.0.0", "--store", "third", "-o", "json").document()
        assert added["digest"] == digest
        store.keep_signature(store.find("wind"), None)
        assert call("model", "push", "wind", f"{place}/unsigned", "--allow-unsigned").status == 0
        assert failed("model", "pull", f"{place}/unsigned", "wind", "--store", "fourth")[:2] == (4, "TW3004")
        words = ("model", "pull", f"{place}/unsigned", "wind", "--store", "fourth", "--allow-unsigned", "-o", "jsonl")
        assert json.loads(call(*words).out)["digest"] == digest
