"""Admission end to end, with its child process and its cache."""

import os
import random
import stat
from pathlib import Path

import pytest

from tests.unit.sandbox import wat
from tickwork.errors import (
    ModuleAbiMismatch,
    ModuleCompileFailed,
    ModuleError,
    ModuleRefused,
)
from tickwork.records import Limits, Status
from tickwork.sandbox import admission
from tickwork.sandbox.admission import admit
from tickwork.sandbox.cache import Cache
from tickwork.sandbox.compiled import decode_compiled
from tickwork.sandbox.instance import Instance, StartFault, load
from tickwork.sandbox.manifest import Manifest, append_manifest

MANIFEST = Manifest("mixer", "1.0.0")


def test_an_admitted_module_runs_and_says_what_it_is() -> None:
    wasm = append_manifest(wat.agent(step=wat.COUNT), MANIFEST)
    admitted = admit(wasm, name="mixer.wasm")
    assert admitted.manifest == MANIFEST
    assert (admitted.abi, admitted.pages) == ((1, 0), 4)
    assert (admitted.inbox_bytes, admitted.outbox_bytes) == (wat.CAPACITY, wat.CAPACITY)
    assert len(admitted.digest) == 32
    instance = Instance(load(admitted.compiled), wat.program(0, wasm).limits)
    assert instance.run(wat.turn()).outbox
    instance.close()


def in_child(wasm: bytes) -> ModuleError:
    with pytest.raises(ModuleError) as caught:
        admit(wasm, name="m.wasm")
    return caught.value


@pytest.mark.parametrize(
    ("described", "says"),
    [
        (wat.descriptor(magic="TWA2"), "TWA2"),
        (wat.descriptor(major=2), "ABI 2.0"),
        (wat.descriptor(minor=1), "ABI 1.1"),
        (wat.descriptor(capacity=2048), "2048 bytes"),
        (wat.descriptor(capacity=65541), "65541 bytes"),
        (wat.descriptor(inbox=0xFFFFFFF0), "initial memory"),
        (wat.descriptor(inbox=wat.OUTBOX + 8), "overlaps"),
        (wat.descriptor(inbox=0), "overlaps"),
    ],
)
def test_a_descriptor_that_does_not_fit_is_refused(described: str, says: str) -> None:
    error = in_child(wat.agent(described=described))
    assert isinstance(error, ModuleAbiMismatch)
    assert says in error.why


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ('(func (export "_initialize") unreachable)', "unreachable"),
        ('(data (i32.const -4) "does not fit")', "out of bounds"),
        ("(table 1 funcref) (elem (i32.const 1) $deep)", "out of bounds"),
        ('(func (export "_initialize") (loop (br 0)))', "fuel"),
        ('(func (export "_initialize") (drop (call $deep (i32.const 99999))))', "deeper"),
    ],
)
def test_a_module_that_fails_before_its_first_turn_is_refused(extra: str, says: str) -> None:
    error = in_child(wat.agent(extra=extra))
    assert isinstance(error, ModuleAbiMismatch)
    assert says in error.why


def test_a_table_beyond_the_limit_is_refused() -> None:
    error = in_child(wat.agent(extra="(table 100001 funcref)"))
    assert isinstance(error, ModuleRefused)
    assert "no instance" in error.what


@pytest.mark.slow
def test_damaged_modules_are_refused_or_run_and_never_worse() -> None:
    draw = random.Random(20131)
    wasm = wat.agent(step=wat.MIX, receive=wat.ECHO)
    for _ in range(400):
        damaged = bytearray(wasm)
        for _ in range(draw.choice((1, 1, 2, 4))):
            damaged[draw.randrange(8, len(wasm))] = draw.randrange(256)
        try:
            instance = Instance(load(wat.compiled.__wrapped__(bytes(damaged))), Limits())
        except (ModuleError, StartFault):
            continue
        assert Status(instance.run(wat.turn(0, 0, b"hello", fuel=1_000_000)).status).name
        instance.close()


def test_a_module_the_engine_does_not_validate_is_refused_with_its_text() -> None:
    # The skeleton is valid; a body that leaves nothing where an i32 is due is not. 0x41 0x00 0x0b -> 0x01 0x01 0x0b.
    wasm = wat.agent(extra="(func (result i32) (i32.const 0))")
    broken = wasm[: wasm.rindex(b"\x41\x00\x0b")] + b"\x01\x01\x0b" + wasm[wasm.rindex(b"\x41\x00\x0b") + 3 :]
    error = in_child(broken)
    assert isinstance(error, ModuleCompileFailed)
    assert "type mismatch" in error.why


def test_what_the_scan_refuses_comes_back_as_the_same_error() -> None:
    error = in_child(wat.agent(extra='(data $d "x") (func (data.drop $d))'))
    assert isinstance(error, ModuleRefused)
    assert "data.drop" in error.why


def test_a_promised_and_missing_tw_turn_is_refused() -> None:
    error = in_child(wat.agent(whole=False, described=wat.descriptor(flags=1)))
    assert "tw_turn" in error.what


def test_a_manifest_of_another_abi_is_refused() -> None:
    error = in_child(append_manifest(wat.agent(), Manifest("m", "1", abi="1.1")))
    assert isinstance(error, ModuleAbiMismatch)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="CPU time is limited on POSIX; elsewhere wall time is, a minute")
def test_a_compile_bomb_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "CPU_SECONDS", 1)
    bomb = "(func " + "(loop (br_if 0 (i32.const 0)) " * 15000 + ")" * 15000 + ")"
    with pytest.raises(ModuleCompileFailed, match="was stopped"):
        admit(wat.agent(extra=bomb), name="bomb.wasm")


def test_a_cached_module_is_not_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cache"
    first = admit(wat.agent(), name="m", cache=folder)
    monkeypatch.setattr(admission, "start_child", lambda module: pytest.fail("compiled again"))
    assert admit(wat.agent(), name="m", cache=folder) == first
    if os.name == "posix":
        assert stat.S_IMODE((folder / "key").stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_whoever_waits_for_a_large_module_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    admit(wat.agent(), name="small", cache=tmp_path / "cache", notice=told.append)
    assert told == []
    monkeypatch.setattr(admission, "LARGE_BYTES", 1)
    for _ in range(2):
        admit(wat.agent(extra="(global i32 (i32.const 1))"), name="large", cache=tmp_path / "cache", notice=told.append)
    assert told == ["compiling large, 0 MB, for this run and all that follow"]
    admit(wat.agent(), name="large", base=True, notice=told.append)
    assert told[1:] == ["compiling the base module of large, 0 MB"]


def test_damage_anywhere_in_a_cached_file_makes_it_worthless(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("name", b"native code")
    assert cache.get("name") == b"native code"
    assert cache.get("other") is None
    (file,) = tmp_path.glob("*.twc")
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        assert cache.get("name") is None
    file.write_bytes(whole[:-1])
    assert cache.get("name") is None
    file.write_bytes(whole)
    file.rename(file.with_name("other.twc"))
    assert cache.get("other") is None, "a file under another name does not authenticate"


def test_a_damaged_entry_is_built_again(tmp_path: Path) -> None:
    first = admit(wat.agent(), name="m", cache=tmp_path)
    (file,) = tmp_path.glob("*.twc")
    file.write_bytes(file.read_bytes()[:-9] + bytes(9))
    again = admit(wat.agent(), name="m", cache=tmp_path)
    assert decode_compiled(again.compiled).descriptor == decode_compiled(first.compiled).descriptor
    assert Cache(tmp_path).get(file.stem) == again.compiled


def test_a_key_of_the_wrong_length_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    cache = Cache(tmp_path)
    cache.put("name", b"content")
    assert cache.get("name") == b"content"


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = Cache(tmp_path / "file" / "cache")
    cache.put("name", b"content")
    assert cache.get("name") is None


def test_everything_the_code_depends_on_is_in_its_name() -> None:
    names = {admission.cache_name(digest, level) for digest in (b"a", b"b") for level in ("none", "speed")}
    assert len(names) == 4


@pytest.mark.skipif(os.name != "posix", reason="the bits are POSIX's")
@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_cache_that_others_may_write_is_not_used(tmp_path: Path, mode: int) -> None:
    cache = Cache(tmp_path / "modules")
    cache.put("one", b"code")
    assert cache.get("one") == b"code"
    (tmp_path / "modules").chmod(mode)
    assert cache.get("one") is None
    cache.put("two", b"code")
    (tmp_path / "modules").chmod(0o700)
    assert (cache.get("one"), cache.get("two")) == (b"code", None)
