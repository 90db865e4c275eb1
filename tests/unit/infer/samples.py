"""Small models for tests of the store: files that are none, with a config that says what a real one's would."""

from pathlib import Path

import msgspec

from tickwork.infer.manifest import ModelConfig, Port
from tickwork.infer.store import ModelStore
from tickwork.tensors import FLOAT32

ROW = ("batch", 4)
CONFIG = ModelConfig(
    name="forecast",
    version="1.0.0",
    entry="model.onnx",
    licence="MIT",
    inputs=(Port("x", FLOAT32, ROW),),
    outputs=(Port("y", FLOAT32, ROW),),
    ir=9,
    opsets=(("", 17),),
    operators=("Gemm",),
    batch_axis=True,
    memory=50_000_000,
    warmup={"x": (1, 4)},
)


def named(name: str = "forecast", version: str = "1.0.0", **changes: object) -> ModelConfig:
    """Return the config with another name, version, or whatever else is changed."""
    changed: ModelConfig = msgspec.structs.replace(CONFIG, name=name, version=version, **changes)
    return changed


def folder_of(place: Path, **files: bytes) -> Path:
    """Write a model's folder: ``model.onnx``, and weights in a folder inside, unless other files are given."""
    content = {"model.onnx": b"graph" * 40, "weights/one.bin": bytes(range(256))} | {
        name.replace("__", "/").replace("_onnx", ".onnx"): body for name, body in files.items()
    }
    for name, body in content.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return place


def filled(tmp_path: Path, *versions: str) -> ModelStore:
    """Return a store with versions of one model, the digits of a version in its weights."""
    store = ModelStore(tmp_path / "store")
    for version in versions or ("1.0.0",):
        source = folder_of(tmp_path / version, weights__two=version.encode())
        store.add(source, named(version=version))
    return store


def look(folder: Path, entry: str) -> ModelConfig:
    """Return what whoever inspects a model would say of any of these, and be sure that it could see it."""
    assert (folder / entry).is_file()
    return named("inspected", "0", entry=entry)
