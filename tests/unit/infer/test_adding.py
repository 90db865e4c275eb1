"""infer/adding.py"""

import os
import pickle
import sys
import zipfile
from pathlib import Path

import pytest

from tests.unit.infer.samples import folder_of, look
from tickwork.errors import ModelExists, ModelInvalid, ModelNotFound
from tickwork.infer.adding import Labels, add_model
from tickwork.infer.manifest import LLM, ModelConfig
from tickwork.infer.store import ModelStore


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


def graph(tmp_path: Path, name: str = "Wind Speed.onnx") -> Path:
    path = tmp_path / name
    path.write_bytes(b"\x08\x09graph")
    return path


def test_a_file_becomes_a_model_named_after_it(tmp_path: Path, store: ModelStore) -> None:
    digest = add_model(store, graph(tmp_path), Labels(licence="MIT", description="How it blows"), look)
    config = store.config(digest)
    assert (config.name, config.version, config.entry) == ("wind-speed", "1.0.0", "Wind Speed.onnx")
    assert (config.licence, config.description, config.memory) == ("MIT", "How it blows", 50_000_000)
    assert store.files(digest)["Wind Speed.onnx"].read_bytes() == b"\x08\x09graph"


def test_a_folder_brings_all_that_belongs_to_it(tmp_path: Path, store: ModelStore) -> None:
    source = folder_of(tmp_path / "model", _git__config=b"x")
    (source / ".cache").mkdir()
    (source / ".cache" / "x").write_bytes(b"x")
    digest = add_model(store, source, Labels(name="forecast", version="2.0.0"), look)
    assert sorted(store.files(digest)) == ["_git/config", "model.onnx", "weights/one.bin"]


def test_of_several_graphs_one_is_named_and_the_others_stay_out(tmp_path: Path, store: ModelStore) -> None:
    source = folder_of(tmp_path / "model", other_onnx=b"other")
    with pytest.raises(ModelInvalid, match=r"--entry model\.onnx"):
        add_model(store, source, Labels(), look)
    digest = add_model(store, source, Labels(entry="other.onnx"), look)
    assert sorted(store.files(digest)) == ["other.onnx", "weights/one.bin"]
    with pytest.raises(ModelNotFound):
        add_model(store, source, Labels(entry="absent.onnx"), look)


def test_a_language_model_is_its_whole_folder(tmp_path: Path, store: ModelStore) -> None:
    source = folder_of(tmp_path / "tiny", genai_config__json=b"")
    (source / "genai_config.json").write_bytes(b"{}")
    (source / "second.onnx").write_bytes(b"graph")
    config = store.config(digest := add_model(store, source, Labels(), look))
    assert (config.kind, config.entry) == (LLM, "genai_config.json")
    assert {"model.onnx", "second.onnx"} < set(store.files(digest))


def checkpoint(path: Path, protocol: int) -> Path:
    path.write_bytes(pickle.dumps({"weights": [1.0]}, protocol=protocol))
    return path


@pytest.mark.parametrize(("name", "protocol"), [("m.pt", 2), ("m.pkl", 0), ("m.pkl", 1), ("m.bin", 4), ("m.onnx", 5)])
def test_a_pickle_is_refused_and_not_opened(tmp_path: Path, store: ModelStore, name: str, protocol: int) -> None:
    with pytest.raises(ModelInvalid, match="pickle") as caught:
        add_model(store, checkpoint(tmp_path / name, protocol), Labels(), look)
    assert "ONNX" in caught.value.fix
    assert store.list() == []


def test_a_checkpoint_of_pytorch_is_refused(tmp_path: Path, store: ModelStore) -> None:
    for name in ("model.pt", "pytorch_model.bin", "model.onnx"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps([]))
        with pytest.raises(ModelInvalid, match="pickle"):
            add_model(store, tmp_path / name, Labels(), look)


def test_a_pickle_beside_a_graph_is_refused(tmp_path: Path, store: ModelStore) -> None:
    source = folder_of(tmp_path / "model")
    checkpoint(source / "weights" / "two.bin", 2)
    with pytest.raises(ModelInvalid, match="leave it out"):
        add_model(store, source, Labels(), look)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"", "empty"),
        (b"\x89HDF\r\n\x1a\nrest", "HDF5"),
        (b"GGUF\3\0\0\0", "GGUF"),
        (b"\x1c\0\0\0TFL3", "Lite"),
        (b"\x40\0\0\0\0\0\0\0{}", "safetensors"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"<!DOCTYPE html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
    ],
)
def test_what_is_no_graph_is_told_by_its_first_bytes(tmp_path: Path, store: ModelStore, head: bytes, what: str) -> None:
    (tmp_path / "model.onnx").write_bytes(head)
    with pytest.raises(ModelInvalid, match=what):
        add_model(store, tmp_path / "model.onnx", Labels(), look)


def test_what_is_not_there_is_said_to_be_absent(tmp_path: Path, store: ModelStore) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("absent.onnx", "empty"):
        with pytest.raises(ModelNotFound, match="TW6001"):
            add_model(store, tmp_path / name, Labels(), look)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("a", encoding="utf-8")
    (tmp_path / "text" / "b.txt").write_text("b", encoding="utf-8")
    with pytest.raises(ModelInvalid, match=r"no \.onnx file"):
        add_model(store, tmp_path / "text", Labels(), look)


@pytest.mark.skipif(os.name != "posix", reason="there are no such files")
def test_what_is_no_plain_file_is_refused_and_not_opened(tmp_path: Path, store: ModelStore) -> None:
    source = folder_of(tmp_path / "model")
    os.mkfifo(source / "pipe.bin")
    with pytest.raises(ModelInvalid, match="no plain file"):
        add_model(store, source, Labels(), look)


@pytest.mark.skipif(sys.platform == "win32", reason="making links is a privilege there")
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, store: ModelStore) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    source = folder_of(tmp_path / "model")
    (source / "inner.bin").symlink_to("weights/one.bin")
    digest = add_model(store, source, Labels(), look)
    assert store.files(digest)["inner.bin"].read_bytes() == bytes(range(256))
    (source / "outer.bin").symlink_to("../secret")
    with pytest.raises(ModelInvalid, match="leads out"):
        add_model(store, source, Labels(version="2.0.0"), look)


@pytest.mark.parametrize("labels", [Labels(name="No"), Labels(name="a b"), Labels(name="../x"), Labels(version="v1")])
def test_a_name_that_no_store_keeps_is_refused(tmp_path: Path, store: ModelStore, labels: Labels) -> None:
    with pytest.raises(ModelInvalid, match=r"--name|--version"):
        add_model(store, graph(tmp_path), labels, look)


def test_what_whoever_inspects_refuses_is_not_kept(tmp_path: Path, store: ModelStore) -> None:
    def refuse(_folder: Path, _entry: str) -> ModelConfig:
        raise ModelInvalid("it is an endless loop")

    with pytest.raises(ModelInvalid, match="endless"):
        add_model(store, graph(tmp_path), Labels(), refuse)
    assert store.list() == []
    assert list((store.folder / "staging").iterdir()) == []


def test_what_is_inspected_is_the_copy(tmp_path: Path, store: ModelStore) -> None:
    source = graph(tmp_path)

    def swap(folder: Path, entry: str) -> ModelConfig:
        source.write_bytes(b"another")
        return look(folder, entry)

    digest = add_model(store, source, Labels(name="one"), swap)
    assert store.files(digest)["Wind Speed.onnx"].read_bytes() == b"\x08\x09graph"


def test_adding_twice_is_adding_once(tmp_path: Path, store: ModelStore) -> None:
    source = graph(tmp_path)
    assert add_model(store, source, Labels(name="one"), look) == add_model(store, source, Labels(name="one"), look)
    source.write_bytes(b"\x08\x09trained again")
    with pytest.raises(ModelExists):
        add_model(store, source, Labels(name="one"), look)


def test_progress_is_told_to_the_last_byte(tmp_path: Path, store: ModelStore) -> None:
    counts = list[int]()
    add_model(store, folder_of(tmp_path / "model"), Labels(), look, told=counts.append)
    assert sum(counts) == 456
