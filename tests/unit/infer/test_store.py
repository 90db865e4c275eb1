"""infer/store.py and what it is made of: shelf.py, stage.py, unpacked.py, index.py."""

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import environment
from tests.unit.infer.samples import CONFIG, filled, folder_of, named
from tickwork.errors import (
    ModelDamaged,
    ModelExists,
    ModelInvalid,
    ModelKept,
    ModelNotFound,
    ModelStoreFailed,
    TickworkError,
)
from tickwork.infer.kept import Collected
from tickwork.infer.store import ModelStore
from tickwork.keys import generate_key
from tickwork.packages.signature import extend


def blobs(store: ModelStore) -> list[Path]:
    return sorted((store.folder / "blobs" / "sha256").iterdir())


def flip(path: Path, bit: int) -> None:
    """Flip one bit of a file where it lies, as a bad disk does."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(bit // 8)
        byte = file.read(1)[0]
        file.seek(bit // 8)
        file.write(bytes([byte ^ 1 << bit % 8]))


def test_a_model_is_found_by_all_its_names(tmp_path: Path) -> None:
    store = filled(tmp_path, "1.0.0")
    digest = store.find("forecast")
    store.alias("forecast:1.0.0", "stable")
    names = ["forecast:1.0.0", "forecast:latest", "forecast:stable", f"sha256:{digest.hex()}", digest.hex()[:8]]
    assert [store.find(name) for name in names] == [digest] * 5
    assert store.config(digest) == CONFIG


@pytest.mark.parametrize(
    "reference",
    ["", "other", "forecast:2", "forecast:beta", "sha256:00", "00000000", ":", "sha256:", "FORECAST", "../x", "a\0b"],
)
def test_what_is_not_there_is_said_to_be_absent(tmp_path: Path, reference: str) -> None:
    with pytest.raises(ModelNotFound, match="TW6001"):
        filled(tmp_path).find(reference)


def test_an_empty_store_has_nothing_and_writes_nothing(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    assert store.list() == []
    with pytest.raises(ModelNotFound, match="the store is empty"):
        store.find("forecast")
    assert not store.folder.exists()


def test_a_digest_says_nothing_of_the_machine(tmp_path: Path) -> None:
    one, other = ModelStore(tmp_path / "one"), ModelStore(tmp_path / "other")
    source = folder_of(tmp_path / "model")
    first = one.add(source, named(memory=50_000_000))
    second = other.add(source, named(memory=61_234_567))
    assert first == second
    assert one.config(first).memory == 50_000_000
    assert other.config(second).memory == 61_234_567


def test_the_files_lie_in_one_folder_under_their_paths(tmp_path: Path) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    files = store.files(digest)
    assert sorted(files) == ["model.onnx", "weights/one.bin", "weights/two"]
    assert files["weights/two"].read_bytes() == b"1.0.0"
    assert all(path == store.unpacked(digest) / name for name, path in files.items())
    assert not any(path.is_symlink() for path in store.folder.rglob("*"))


def test_a_store_is_an_image_layout(tmp_path: Path) -> None:
    store = filled(tmp_path)
    assert json.loads((store.folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    (line,) = json.loads((store.folder / "index.json").read_bytes())["manifests"]
    manifest = json.loads((store.folder / "blobs" / "sha256" / line["digest"][7:]).read_bytes())
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert [layer["mediaType"] for layer in manifest["layers"]] == ["application/vnd.cncf.model.weight.v1.raw"] * 3
    assert line["annotations"]["org.opencontainers.image.ref.name"] == "forecast:1.0.0"


@pytest.mark.slow
def test_each_of_300_flipped_bits_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    store.keep_signature(digest, extend(None, digest, generate_key()))
    store.files(digest)
    draw, paths = random.Random(7), blobs(store)
    assert len(paths) == 8  # Manifest, config, three files, and a signature of three.
    refused = 0
    for trial in range(300):
        path = paths[trial % len(paths)]
        bit = draw.randrange(8 * path.stat().st_size)
        flip(path, bit)
        with pytest.raises(ModelDamaged, match="TW6003"):
            store.files(digest)
        assert [one.why for one in store.verify(digest) if one.why] != []
        refused += 1
        flip(path, bit)
        store.files(digest)
    assert refused == 300


def test_a_bit_that_flips_in_a_file_that_was_laid_out_as_a_copy_is_mended(tmp_path: Path) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    laid = store.files(digest)["model.onnx"]
    content = laid.read_bytes()
    laid.unlink()
    laid.write_bytes(b"\0" + content[1:])
    assert store.files(digest)["model.onnx"].read_bytes() == content


@pytest.mark.parametrize("length", [0, 3, 199])
def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, length: int) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    for path in blobs(store):
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ModelDamaged):
        store.files(digest)


def test_a_missing_file_and_a_link_in_its_place_are_refused(tmp_path: Path) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    blob = store.folder / "blobs" / "sha256" / store.manifest(digest).layers[0].sha256.hex()
    moved = blob.rename(tmp_path / "elsewhere")
    with pytest.raises(ModelDamaged, match="missing"):
        store.files(digest)
    if sys.platform != "win32":
        blob.symlink_to(moved)
        with pytest.raises(ModelDamaged, match="no plain file"):
            store.files(digest)


def test_a_file_that_was_planted_is_taken_away(tmp_path: Path) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    store.files(digest)
    planted = store.unpacked(digest) / "planted.bin"
    planted.write_bytes(b"x")
    store.files(digest)
    assert not planted.exists()


def test_adding_again_mends_what_was_damaged(tmp_path: Path) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    store.files(digest)
    for layer in store.manifest(digest).layers:
        flip(store.folder / "blobs" / "sha256" / layer.sha256.hex(), 3)
    assert store.add(tmp_path / "1.0.0", named()) == digest
    assert store.files(digest)["weights/two"].read_bytes() == b"1.0.0"


def test_a_version_never_changes(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before = store.find("forecast:1.0.0")
    with pytest.raises(ModelExists, match="TW6011"):
        store.add(folder_of(tmp_path / "other", model_onnx=b"other"), named())
    with pytest.raises(ModelExists):
        store.add(tmp_path / "1.0.0", named(licence="Apache-2.0"))
    assert store.add(tmp_path / "1.0.0", named(memory=1)) == before == store.find("forecast")


def test_latest_moves_to_the_newest_unless_somebody_set_it(tmp_path: Path) -> None:
    store = filled(tmp_path, "1.9.0", "1.10.0", "1.10.0-rc1")
    assert store.config(store.find("forecast")).version == "1.10.0"
    store.alias("forecast:1.9.0", "latest")
    store.add(folder_of(tmp_path / "new"), named(version="2.0.0"))
    assert store.config(store.find("forecast")).version == "1.9.0"
    store.unalias("forecast:latest")
    assert store.config(store.find("forecast")).version == "2.0.0"


def test_an_alias_moves_and_is_no_version(tmp_path: Path) -> None:
    store = filled(tmp_path, "1.0.0", "2.0.0")
    assert store.alias("forecast:1.0.0", "stable").aliases == ("stable",)
    assert store.alias("forecast:2.0.0", "stable").aliases == ("latest", "stable")
    assert store.show(store.find("forecast:1.0.0")).aliases == ()
    for alias in ("1.0.0", "Stable", "", "a b", "../up"):
        with pytest.raises(ModelInvalid):
            store.alias("forecast", alias)
    with pytest.raises(ModelNotFound):
        store.unalias("forecast:2.0.0")


def test_what_is_pinned_or_has_an_alias_is_never_removed(tmp_path: Path) -> None:
    store = filled(tmp_path, "1.0.0", "1.1.0", "1.2.0", "1.3.0")
    store.pin("forecast:1.0.0")
    store.alias("forecast:1.1.0", "stable")
    for name, first in (("forecast:1.0.0", "unpin forecast:1.0.0"), ("forecast:stable", "--remove forecast:stable")):
        with pytest.raises(ModelKept, match="TW6016") as caught:
            store.remove(name)
        assert caught.value.fix.endswith(first)
    assert store.gc(keep=1).versions == ("forecast:1.2.0",)
    assert [kept.version for kept in store.list()] == ["1.0.0", "1.1.0", "1.3.0"]
    store.unpin("forecast:1.0.0")
    assert store.gc(keep=1).versions == ("forecast:1.0.0",)
    for kept in store.list():
        store.files(kept.digest)


def test_old_versions_go_oldest_first(tmp_path: Path) -> None:
    store = filled(tmp_path, "1.2.0", "1.10.0", "1.9.0-rc1", "2.0.0")
    assert store.gc(keep=1).versions == ("forecast:1.2.0", "forecast:1.9.0-rc1", "forecast:1.10.0")


def test_a_collection_names_the_model_whose_signature_cannot_be_read(tmp_path: Path) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    before = {path.name for path in blobs(store)}
    store.keep_signature(digest, extend(None, digest, generate_key()))
    line = json.loads((store.folder / "index.json").read_bytes())["manifests"][-1]
    assert line["digest"].removeprefix("sha256:") not in before
    flip(store.folder / "blobs" / "sha256" / line["digest"].removeprefix("sha256:"), 5)
    assert store.gc().unread == (f"forecast:{store.show(digest).version}",)


def test_removing_a_version_removes_the_files_that_no_other_needs(tmp_path: Path) -> None:
    store = filled(tmp_path, "1.0.0", "2.0.0")
    old, new = store.find("forecast:1.0.0"), store.find("forecast:2.0.0")
    store.keep_signature(old, extend(None, old, generate_key()))
    store.files(old)
    with pytest.raises(ModelNotFound, match="several versions"):
        store.remove("forecast")
    assert store.remove("forecast:1.0.0").files == 6
    assert not store.unpacked(old).exists()
    assert sorted(store.files(new)) == ["model.onnx", "weights/one.bin", "weights/two"]
    store.remove("forecast")
    assert blobs(store) == []
    assert store.list() == []


def test_a_collection_takes_what_crashes_have_left_and_nothing_that_is_held(tmp_path: Path) -> None:
    store = filled(tmp_path)
    left = store.folder / "staging" / "crashed" / "files"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"x")
    (store.folder / "blobs" / "sha256" / ".new").write_bytes(b"half")
    with store.staged() as stage:
        stage.take(tmp_path / "1.0.0" / "model.onnx", "model.onnx")
        store.gc()
        assert not left.exists()
        assert stage.folder.joinpath("model.onnx").exists()
        assert store.publish(stage, named("other")) == store.find("other")
    assert list((store.folder / "staging").iterdir()) == []
    store.files(store.find("forecast"))


def test_a_collection_removes_nothing_where_a_manifest_cannot_be_read(tmp_path: Path) -> None:
    store = filled(tmp_path, "1.0.0", "2.0.0")
    count = len(blobs(store))
    flip(store.folder / "blobs" / "sha256" / store.find("forecast:1.0.0").hex(), 5)
    assert store.gc() == Collected(unread=("forecast:1.0.0",))
    assert len(blobs(store)) == count
    assert store.remove("forecast:1.0.0").files == 3


@pytest.mark.parametrize(
    "path", ["../x", "/etc/x", "a/../b", "a\\b", "C:x", "a//b", "con.onnx", "a.", "", "x\ny", "a/"]
)
def test_a_path_that_leads_out_of_the_model_is_refused(tmp_path: Path, path: str) -> None:
    store = ModelStore(tmp_path / "store")
    (tmp_path / "file").write_bytes(b"x")
    with store.staged() as stage, pytest.raises(ModelInvalid, match="TW6002"):
        stage.take(tmp_path / "file", path)


def test_two_paths_that_some_system_takes_for_one_are_refused(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    (tmp_path / "file").write_bytes(b"x")
    with store.staged() as stage:
        stage.take(tmp_path / "file", "Model.onnx")
        for path in ("model.onnx", "model.onnx/inner"):
            with pytest.raises(ModelInvalid):
                stage.take(tmp_path / "file", path)


def test_the_entry_must_be_among_the_files(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "store")
    with pytest.raises(ModelNotFound, match="--entry"):
        store.add(folder_of(tmp_path / "model"), named(entry="absent.onnx"))
    assert store.list() == []


@pytest.mark.parametrize("change", [b"", b"{", b"[]", b'{"manifests": 3}', b"\xff"])
def test_an_index_that_cannot_be_read_is_damage(tmp_path: Path, change: bytes) -> None:
    store = filled(tmp_path)
    (store.folder / "index.json").write_bytes(change)
    with pytest.raises(ModelDamaged, match="index"):
        store.list()


def test_a_digest_in_the_index_leads_nowhere_else(tmp_path: Path) -> None:
    store = filled(tmp_path)
    path = store.folder / "index.json"
    index = json.loads(path.read_bytes())
    for digest in ("sha256:../../../../etc/passwd", "sha256:" + "A" * 64, "md5:" + "0" * 32):
        index["manifests"][0]["digest"] = digest
        path.write_text(json.dumps(index), encoding="utf-8")
        with pytest.raises(TickworkError, match=r"TW600[13]"):
            store.files(store.find("forecast"))


@pytest.mark.parametrize(
    "name", ["../../other:1", "forecast:", "forecast:latest", "fore\x1b[31mcast:1.0.0", "forecast:1/2"]
)
def test_a_line_of_the_index_without_a_name_and_version_is_damage(tmp_path: Path, name: str) -> None:
    store = filled(tmp_path, "1.0.0")
    path = store.folder / "index.json"
    index = json.loads(path.read_bytes())
    index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = name
    path.write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelDamaged, match="no name and version") as caught:
        store.list()
    assert "\x1b" not in str(caught.value)


def test_a_name_in_the_index_must_be_the_models_own(tmp_path: Path) -> None:
    store = filled(tmp_path, "1.0.0", "2.0.0")
    path = store.folder / "index.json"
    index = json.loads(path.read_bytes())
    old, new = index["manifests"]
    old["digest"], new["digest"] = new["digest"], old["digest"]
    path.write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelDamaged, match="calls itself something else"):
        store.find("forecast:1.0.0")


def race(count: int, task: Callable[[int], object]) -> list[object]:
    """Return what each of several threads that begin at once came to."""
    gate, found = threading.Barrier(count), [object()] * count

    def one(number: int) -> None:
        gate.wait()
        try:
            found[number] = task(number)
        except TickworkError as error:
            found[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_adders_that_race_for_one_digest_all_succeed(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "model")
    digests = race(6, lambda number: ModelStore(tmp_path / "store").add(source, named(memory=number)))
    assert len(set(digests)) == 1
    assert isinstance(digests[0], bytes)
    assert ModelStore(tmp_path / "store").files(digests[0])


def test_of_adders_that_race_for_one_version_one_succeeds(tmp_path: Path) -> None:
    sources = [folder_of(tmp_path / str(number), model_onnx=bytes([number])) for number in range(6)]
    found = race(6, lambda number: ModelStore(tmp_path / "store").add(sources[number], named()))
    (digest,) = [one for one in found if isinstance(one, bytes)]
    assert sum(isinstance(one, ModelExists) for one in found) == 5
    assert ModelStore(tmp_path / "store").find("forecast") == digest


def test_adders_of_several_versions_lose_none(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "model")

    def add(number: int) -> bytes:
        store = ModelStore(tmp_path / "store")
        digest = store.add(source, named(version=f"1.{number}.0"))
        store.gc()
        store.files(digest)
        return digest

    assert all(isinstance(one, bytes) for one in race(6, add))
    assert len(ModelStore(tmp_path / "store").list()) == 6


ADDER = """
import os, sys
from pathlib import Path
from tests.unit.infer.samples import named

from tickwork.infer.store import ModelStore

class Killed(ModelStore):
    def _write(self, index):
        os._exit(9)

Killed(Path(sys.argv[1])).add(Path(sys.argv[2]), named(version="2.0.0"))
"""


@pytest.mark.slow
def test_a_writer_that_dies_with_the_lock_keeps_nobody_out(tmp_path: Path) -> None:
    store = filled(tmp_path)
    source = folder_of(tmp_path / "new", model_onnx=b"new")
    command = [sys.executable, "-c", ADDER, str(store.folder), str(source)]
    died = subprocess.run(command, env=environment(PYTHONPATH=os.getcwd()), timeout=60, check=False)
    assert died.returncode == 9
    assert [kept.version for kept in store.list()] == ["1.0.0"]
    assert store.gc().files > 0
    assert list((store.folder / "staging").iterdir()) == []
    store.add(source, named(version="2.0.0"))
    store.files(store.find("forecast"))


FULL = """
import resource, signal, sys
from pathlib import Path
from tests.unit.infer.samples import named
from tickwork.errors import ModelStoreFailed
from tickwork.infer.store import ModelStore

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), -1))
try:
    ModelStore(Path(sys.argv[1])).add(Path(sys.argv[2]), named(version="2.0.0"))
except ModelStoreFailed as error:
    print(error.code)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits of files on Windows")
@pytest.mark.parametrize("room", [0, 100, 220, 500])
def test_a_disk_that_is_full_leaves_nothing_by_half(tmp_path: Path, room: int) -> None:
    store = filled(tmp_path)
    before = blobs(store)
    index = (store.folder / "index.json").read_bytes()
    source = folder_of(tmp_path / "new", model_onnx=b"n" * 210)
    command = [sys.executable, "-c", FULL, str(store.folder), str(source), str(room)]
    done = subprocess.run(
        command, env=environment(PYTHONPATH=os.getcwd()), timeout=60, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == ModelStoreFailed.code
    assert (store.folder / "index.json").read_bytes() == index
    assert list((store.folder / "staging").iterdir()) == []
    store.gc()
    assert blobs(store) == before
    store.files(store.find("forecast"))


def test_a_store_in_a_place_that_is_no_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "store").write_bytes(b"x")
    with pytest.raises(ModelStoreFailed, match="--store"):
        ModelStore(tmp_path / "store").add(folder_of(tmp_path / "model"), named())


def test_signatures_come_back_and_go_away(tmp_path: Path) -> None:
    store = filled(tmp_path)
    digest = store.find("forecast")
    assert store.signature(digest) is None
    signed = extend(extend(None, digest, generate_key()), digest, generate_key())
    store.keep_signature(digest, signed)
    assert store.signature(digest) == signed
    assert store.show(digest).signed
    assert store.find("forecast") == digest
    store.keep_signature(digest, None)
    assert store.signature(digest) is None
    assert store.gc().files == 3
