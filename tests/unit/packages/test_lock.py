"""packages/lock.py: what a world runs on, pinned."""

import hashlib
from pathlib import Path

import msgspec
import pytest

from tickwork.driver.resolve import new_header
from tickwork.errors import LockMismatch, TrustFileInvalid
from tickwork.packages.lock import LOCK_FILE, Lock, Locked, check_lock, encode_lock, make_lock, read_lock, write_lock
from tickwork.records import AgentSpec, Header, ModelSpec

ENGINE = "wasmtime 1"


def header(*agents: AgentSpec) -> Header:
    return new_header("w", 1, agents)


MODULE = AgentSpec("a", "wasm", "trader", b"\1" * 32, version="1.0.0")
BUNDLE = AgentSpec("b", "wasm", "pricer", b"\2" * 32, version="2.0.0", source=b"\3" * 32, models=("brain",))
NATIVE = AgentSpec("c", "native", "report:Reporter", b"\4" * 32)
WORLD = header(MODULE, msgspec.structs.replace(MODULE, name="a2"), BUNDLE, NATIVE)


def made(folder: Path, world: Header = WORLD, **models: str) -> Lock:
    return make_lock(world, ENGINE, folder, models)


def test_a_lock_names_each_thing_once(tmp_path: Path) -> None:
    lock = made(tmp_path)
    assert (lock.engine, lock.profile) == (ENGINE, WORLD.engine_profile)
    assert lock.modules == (Locked("trader", "1.0.0", "01" * 32),)
    assert lock.bundles == (Locked("pricer", "2.0.0", "03" * 32),)
    assert lock.bases == (Locked(digest="02" * 32),)
    assert lock.natives == (Locked("report:Reporter", "", "04" * 32),)
    assert lock.models == (Locked("brain"),)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / LOCK_FILE
    for lock in (made(tmp_path), Lock()):
        write_lock(path, lock)
        assert read_lock(path) == lock
    assert encode_lock(made(tmp_path)) == encode_lock(made(tmp_path, header(NATIVE, BUNDLE, MODULE)))


def test_a_world_that_runs_on_what_is_pinned_passes(tmp_path: Path) -> None:
    path = tmp_path / LOCK_FILE
    write_lock(path, made(tmp_path))
    assert check_lock(path, WORLD, ENGINE) == made(tmp_path)


@pytest.mark.parametrize(
    ("world", "engine", "says"),
    [
        (header(BUNDLE, NATIVE), ENGINE, "module trader 1.0.0 0101010101010101 is pinned and not used"),
        (WORLD, "wasmtime 2", "engine wasmtime 2, pinned is wasmtime 1"),
        (
            header(*WORLD.agents, AgentSpec("d", "wasm", "new", b"\5" * 32)),
            ENGINE,
            "module new 0505050505050505 is not",
        ),
        (
            header(MODULE, msgspec.structs.replace(BUNDLE, source=b"\6" * 32), NATIVE),
            ENGINE,
            "bundle pricer 2.0.0 06060",
        ),
        (
            header(MODULE, msgspec.structs.replace(BUNDLE, digest=b"\6" * 32), NATIVE),
            ENGINE,
            "base 0606060606060606 is",
        ),
        (
            header(MODULE, BUNDLE, msgspec.structs.replace(NATIVE, digest=b"\6" * 32)),
            ENGINE,
            "native report:Reporter 06",
        ),
        (header(MODULE, msgspec.structs.replace(BUNDLE, models=()), NATIVE), ENGINE, "model brain is pinned and not"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, world: Header, engine: str, says: str) -> None:
    path = tmp_path / LOCK_FILE
    write_lock(path, made(tmp_path))
    with pytest.raises(LockMismatch, match="TW3209") as caught:
        check_lock(path, world, engine)
    assert caught.value.exit_status == 4
    assert says in f"{caught.value.what}; {caught.value.why}"
    assert "agent lock" in caught.value.fix


def test_a_model_in_a_file_is_pinned_by_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "brain.bin").write_bytes(b"weights")
    lock = made(tmp_path, brain="brain.bin")
    assert lock.models == (Locked("brain", "", hashlib.sha256(b"weights").hexdigest(), "brain.bin"),)
    path = tmp_path / LOCK_FILE
    write_lock(path, lock)
    check_lock(path, WORLD, ENGINE)
    (tmp_path / "brain.bin").write_bytes(b"others")
    with pytest.raises(LockMismatch) as caught:
        check_lock(path, WORLD, ENGINE)
    assert "model brain" in caught.value.what
    (tmp_path / "brain.bin").unlink()
    with pytest.raises(TrustFileInvalid):
        check_lock(path, WORLD, ENGINE)


def test_a_model_of_a_store_is_pinned_by_its_own_digest(tmp_path: Path) -> None:
    def world(digest: bytes) -> Header:
        return msgspec.structs.replace(WORLD, models=(ModelSpec("brain", digest, "1.2"), ModelSpec("mute")))

    path = tmp_path / LOCK_FILE
    write_lock(path, made(tmp_path, world(b"\5" * 32)))
    assert read_lock(path).models == (Locked("brain", "1.2", "05" * 32), Locked("mute"))
    check_lock(path, world(b"\5" * 32), ENGINE)
    with pytest.raises(LockMismatch) as caught:
        check_lock(path, world(b"\6" * 32), ENGINE)
    assert "model brain 1.2 0606060606060606 is not pinned" in str(caught.value)
    with pytest.raises(TrustFileInvalid) as unusable:
        made(tmp_path, world(b"\5" * 32), brain="brain.bin")
    assert "pinned by its own digest" in str(unusable.value)


def test_a_model_that_no_agent_uses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrustFileInvalid) as caught:
        made(tmp_path, nobody="a")
    assert "brain" in caught.value.fix


@pytest.mark.parametrize("text", ["schema = 2", "modules = 1", "what = 1", "[[modules]]\nsize = 1"])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / LOCK_FILE
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TrustFileInvalid):
        read_lock(path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrustFileInvalid):
        write_lock(tmp_path / "file" / LOCK_FILE, Lock())
