import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
import wasmtime

from tests.support import need, run
from tickwork.sandbox.manifest import read_manifest

from .seat import ROOT

SDK = ROOT / "sdk" / "c"
TEMPLATE = SDK / "template" / "agent.c"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sdk_c_build", SDK / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


build = load()


def recipe(source: Path, manifest: Path | None = None, pages: int = 4) -> object:
    return build.Recipe(source, source.with_suffix(".wasm"), manifest, pages)


@pytest.mark.slow
def test_every_committed_module_is_what_its_source_builds() -> None:
    need("zig")
    assert build.check_all(build.read_index()) == []


def test_every_committed_module_has_the_recorded_digest() -> None:
    for entry in build.read_index():
        assert build.digest(entry.recipe.output.read_bytes()) == entry.sha256, entry.name


def test_every_module_in_the_tree_is_in_the_index() -> None:
    committed = {path for folder in ("tests/modules", "examples") for path in (ROOT / folder).rglob("*.wasm")}
    assert committed == {entry.recipe.output for entry in build.read_index()}


@pytest.mark.slow
def test_a_build_in_another_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    need("zig")
    away = tmp_path / "a folder" / "agent.c"
    away.parent.mkdir()
    shutil.copy(TEMPLATE, away)
    manifest = TEMPLATE.with_suffix(".toml")
    assert build.build(recipe(away, manifest)) == build.build(recipe(TEMPLATE, manifest))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["template/agent.c", "../../tests/modules/probe.c"])
def test_the_same_source_builds_as_cpp(tmp_path: Path, name: str) -> None:
    need("zig")
    source = tmp_path / "agent.cpp"
    shutil.copy(SDK / name, source)
    module = wasmtime.Module(wasmtime.Engine(), build.build(recipe(source)))
    assert module.imports == []
    assert {export.name for export in module.exports} == {
        "memory",
        "tw_desc",
        "agent_init",
        "agent_receive",
        "agent_step",
        "tw_turn",
        "agent_shutdown",
    }


@pytest.mark.slow
def test_a_module_carries_its_manifest_and_a_declared_maximum(tmp_path: Path) -> None:
    need("zig")
    output = tmp_path / "agent.wasm"
    assert build.main([str(TEMPLATE), "-o", str(output), "--pages", "3"]) == 0
    manifest = read_manifest(output.read_bytes())
    assert manifest is not None
    assert (manifest.name, manifest.abi, manifest.language) == ("counter", "1.0", "c")
    assert manifest.capabilities.publish == ("totals",)
    assert manifest.limits.memory_pages == 3
    assert manifest.source == build.digest(TEMPLATE.read_bytes())
    [memory] = [
        export.type
        for export in wasmtime.Module(wasmtime.Engine(), output.read_bytes()).exports
        if isinstance(export.type, wasmtime.MemoryType)
    ]
    assert memory.limits.max == 3


@pytest.mark.slow
def test_a_source_that_does_not_compile_is_told_with_its_line(tmp_path: Path) -> None:
    need("zig")
    source = tmp_path / "agent.c"
    source.write_text('#include "tickwork.h"\nstatic int32_t init(void) { return nothing; }\n')
    with pytest.raises(build.BuildError, match=r"agent\.c:2:\d+: error"):
        build.build(recipe(source))


@pytest.mark.slow
def test_a_manifest_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    need("zig")
    manifest = tmp_path / "agent.toml"
    manifest.write_text('name = "x"\nversion = "1"\n[capabilities]\npublishes = ["a"]\n')
    with pytest.raises(build.BuildError, match="publishes"):
        build.build(recipe(TEMPLATE, manifest))


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(build.BuildError, match=r"nowhere\.c does not exist"):
        build.build(recipe(tmp_path / "nowhere.c"))


@pytest.mark.slow
def test_the_command_says_what_it_needs() -> None:
    done = run([sys.executable, SDK / "build.py"])
    assert done.returncode == 2
    assert "name a source, or say --all" in done.stderr


def test_recording_a_digest_changes_nothing_else() -> None:
    text = '# Kept.\n[modules.a]\nsource = "a.c"\nsha256 = "old"\n\n[modules.b]\nsha256 = "b"\n'
    assert build._record(text, "a", "new") == text.replace("old", "new")
    with pytest.raises(build.BuildError, match="no line sha256"):
        build._record(text, "c", "new")
