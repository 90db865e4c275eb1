"""sdk/committed.py: what is committed is what its sources build."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support import ROOT, need, run

SDK = ROOT / "sdk"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sdk_committed", SDK / "committed.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


index = load()
ENTRIES = index.read_index()
TOOLS = {"c": "zig", "cpp": "zig", "rust": "rust 1.96.0", "assemblyscript": "asc"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "language",
    [
        pytest.param(language, marks=pytest.mark.thorough) if language in ("c", "cpp") else language
        for language in sorted({entry.language for entry in ENTRIES})
    ],
)
def test_every_committed_module_is_what_its_source_builds(language: str) -> None:
    need(TOOLS[language])
    assert list(index.differences([entry for entry in ENTRIES if entry.language == language])) == []


def test_every_committed_module_has_the_recorded_digest() -> None:
    for entry in ENTRIES:
        assert index.digest(index.committed(entry)) == entry.sha256, entry.name


def test_every_module_in_the_tree_is_in_the_index() -> None:
    folders = ("tests/modules", "tests/tour", "examples")
    found = {path for folder in folders for path in (ROOT / folder).rglob("*.wasm")}
    committed = {path for path in found if not path.name.endswith(".debug.wasm") and "node_modules" not in path.parts}
    assert committed == {entry.module for entry in ENTRIES}


def test_recording_a_digest_changes_nothing_else() -> None:
    text = '# Kept.\n[modules.a]\nsource = "a.c"\nsha256 = "old"\n\n[modules.b]\nsha256 = "b"\n'
    assert index.record(text, "a", "new") == text.replace("old", "new")
    with pytest.raises(ValueError, match="no line sha256"):
        index.record(text, "c", "new")


@pytest.mark.slow
def test_a_name_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    done = run([sys.executable, SDK / "committed.py", "nobody"], cwd=tmp_path)
    assert done.returncode == 2
    assert "lists no nobody" in done.stderr


def test_shipped_modules_are_signed_and_no_digest_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [next(entry for entry in ENTRIES if entry.name == name) for name in ("station", "spin")]
    copies = [entry._replace(module=tmp_path / entry.module.relative_to(ROOT)) for entry in entries]
    for copy, entry in zip(copies, entries, strict=True):
        copy.module.parent.mkdir(parents=True)
        copy.module.write_bytes(index.committed(entry))
    monkeypatch.setattr(index, "ROOT", tmp_path)
    index.sign_all(copies, bytes(32))
    assert copies[0].module.read_bytes() != index.committed(copies[0])
    assert index.digest(index.committed(copies[0])) == entries[0].sha256
    assert copies[1].module.read_bytes() == entries[1].module.read_bytes()
