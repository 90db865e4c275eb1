"""infer/carrying.py and packages/oci_files.py, against a registry process of its own on this machine."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.infer.samples import filled, look, named
from tests.unit.packages.parcel import NOW, PRIVATE, trust
from tests.unit.packages.station import running_registry
from tickwork.errors import KeyUntrusted, ModelExists, ModelInvalid, ModelNotFound, RegistryFailed
from tickwork.infer.adding import Labels
from tickwork.infer.carrying import add_artifact, pull_model, push_model
from tickwork.infer.manifest import FILE_COUNT, ModelConfig, descriptor_of
from tickwork.infer.signing import sign_model
from tickwork.infer.store import ModelStore
from tickwork.keys import generate_key
from tickwork.packages.judge import judge_package
from tickwork.packages.oci_files import OciFiles
from tickwork.packages.package import Package


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(autouse=True)
def no_process_is_left() -> None:
    """Let the registry of this file outlive a test; the fixture that starts it ends it."""


@pytest.fixture
def other(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "other")


def believe(found: Package) -> object:
    return judge_package(found, trust(), name="forecast", now_us=NOW)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["registry", "folder"])
def test_a_model_arrives_as_it_left(host: str, tmp_path: Path, other: ModelStore, kind: str) -> None:
    place = f"oci://{host}/a/b" if kind == "registry" else str(tmp_path / "shared")
    store = filled(tmp_path, "1.0.0", "1.10.0", "1.9.0+build7")
    for name in ("1.0.0", "1.10.0", "1.9.0+build7"):
        digest = store.find(f"forecast:{name}")
        sign_model(store, digest, PRIVATE)
        push_model(store, digest, place)
        push_model(store, digest, place)
    newest = store.find("forecast:1.10.0")
    assert pull_model(other, place, ("forecast", ""), look, believe=believe) == newest
    assert pull_model(other, place, ("forecast", "1.9.0+build7"), look) == store.find("forecast:1.9.0+build7")
    assert other.signature(newest) == store.signature(newest)
    assert other.files(newest)["weights/two"].read_bytes() == b"1.10.0"
    assert other.config(newest).memory == 50_000_000


@pytest.mark.slow
def test_a_version_of_a_place_never_changes(host: str, tmp_path: Path, other: ModelStore) -> None:
    store = filled(tmp_path)
    digest = other.add(tmp_path / "1.0.0", named(licence="Apache-2.0"))
    push_model(store, store.find("forecast"), f"oci://{host}/fixed")
    with pytest.raises(RegistryFailed, match="other bytes"):
        push_model(other, digest, f"oci://{host}/fixed")
    with pytest.raises(ModelExists):
        pull_model(other, f"oci://{host}/fixed", ("forecast", ""), look)
    with pytest.raises(ModelExists):
        push_model(other, digest, str(store.folder))


def test_what_is_there_already_is_not_fetched_again(tmp_path: Path, other: ModelStore) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    pull_model(other, str(store.folder), ("forecast", ""), look)
    sign_model(store, digest, PRIVATE)
    counts = list[int]()
    assert pull_model(other, str(store.folder), ("forecast", ""), look, told=counts.append) == digest
    assert counts == []
    assert other.signature(digest) == store.signature(digest)
    path = other.path(other.manifest(digest).layers[0].sha256)
    path.chmod(0o644)
    path.write_bytes(b"x")
    pull_model(other, str(store.folder), ("forecast", ""), look, told=counts.append)
    assert other.files(digest)
    assert sum(counts) == 461


@pytest.mark.slow
def test_who_is_not_believed_is_not_fetched(host: str, tmp_path: Path, other: ModelStore) -> None:
    store = filled(tmp_path)
    sign_model(store, store.find("forecast"), generate_key())
    push_model(store, store.find("forecast"), f"oci://{host}/strange")
    with pytest.raises(KeyUntrusted):
        pull_model(other, f"oci://{host}/strange", ("forecast", ""), look, believe=believe)
    assert not other.folder.exists()


@pytest.mark.slow
def test_a_manifest_that_lies_about_its_graph_is_refused(host: str, tmp_path: Path, other: ModelStore) -> None:
    store = filled(tmp_path)
    push_model(store, store.find("forecast"), f"oci://{host}/lies")

    def see(folder: Path, entry: str) -> ModelConfig:
        assert (folder / entry).is_file()
        return named(operators=("Gemm", "Loop"))

    with pytest.raises(ModelInvalid, match="something else"):
        pull_model(other, f"oci://{host}/lies", ("forecast", ""), see)
    assert other.list() == []


@pytest.mark.slow
def test_what_is_not_there_is_told(host: str, other: ModelStore, tmp_path: Path) -> None:
    for reference in (("forecast", ""), ("forecast", "9.9.9")):
        with pytest.raises(RegistryFailed, match="no package"):
            pull_model(other, f"oci://{host}/nothing", reference, look)
        with pytest.raises(ModelNotFound):
            pull_model(other, str(tmp_path / "nothing"), reference, look)
    with pytest.raises(ModelInvalid):
        pull_model(other, f"oci://{host}/nothing", ("../up", ""), look)


@pytest.mark.slow
def test_a_model_is_added_from_where_it_is_kept(host: str, tmp_path: Path, other: ModelStore) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    push_model(store, digest, f"oci://{host}/kept")
    assert add_artifact(other, f"oci://{host}/kept/forecast:1.0.0", Labels(), look) == digest
    with pytest.raises(ModelNotFound, match="names no model"):
        add_artifact(other, f"oci://{host}", Labels(), look)


def bring(host: str, path: Path, kind: str, title: str, count: int = 1) -> str:
    """Keep one file as another tool would, and return the address."""
    config = path.with_name("config")
    config.write_bytes(b"{}")
    layer = descriptor_of(path.read_bytes(), kind)
    with OciFiles(f"oci://{host}/foreign").repository("wind") as repository:
        for file in (path, config):
            repository.put_file(file, descriptor_of(file.read_bytes(), "").digest)
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.cncf.model.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.cncf.model.config.v1+json",
                "digest": descriptor_of(b"{}", "").digest,
                "size": 2,
            },
            "layers": [
                {
                    "mediaType": kind,
                    "digest": layer.digest,
                    "size": layer.size,
                    "annotations": {"org.cncf.model.filepath": title if count == 1 else f"{at}{title}"},
                }
                for at in range(count)
            ],
        }
        repository.put_manifest("v2.1.0", json.dumps(manifest).encode())
    return f"oci://{host}/foreign/wind:v2.1.0"


@pytest.mark.slow
def test_a_model_that_another_tool_keeps_is_added_by_its_files(host: str, tmp_path: Path, other: ModelStore) -> None:
    (tmp_path / "wind.onnx").write_bytes(b"\x08\x09graph")
    address = bring(host, tmp_path / "wind.onnx", "application/vnd.cncf.model.weight.v1.raw", "wind.onnx")
    config = other.config(digest := add_artifact(other, address, Labels(), look))
    assert (config.name, config.version, config.source) == ("wind", "2.1.0", address)
    assert other.files(digest)["wind.onnx"].read_bytes() == b"\x08\x09graph"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("application/vnd.cncf.model.weight.v1.tar", "wind.onnx"),
        ("text/plain", "wind.onnx"),
        ("application/vnd.cncf.model.weight.v1.raw", "../wind.onnx"),
        ("application/vnd.cncf.model.weight.v1.raw", ""),
    ],
)
def test_what_cannot_be_taken_as_it_is_is_refused(
    host: str, tmp_path: Path, other: ModelStore, kind: str, title: str
) -> None:
    (tmp_path / "wind.onnx").write_bytes(b"\x08\x09graph")
    address = bring(host, tmp_path / "wind.onnx", kind, title)
    with pytest.raises(ModelInvalid):
        add_artifact(other, address, Labels(), look)
    assert other.list() == []


def test_a_model_of_more_files_than_one_may_have_is_not_fetched(host: str, tmp_path: Path, other: ModelStore) -> None:
    (tmp_path / "wind.onnx").write_bytes(b"\x08\x09graph")
    address = bring(host, tmp_path / "wind.onnx", "application/vnd.cncf.model.weight.v1.raw", ".onnx", FILE_COUNT + 1)
    with pytest.raises(RegistryFailed, match="registry"):
        add_artifact(other, address, Labels(), look)
    assert other.list() == []
