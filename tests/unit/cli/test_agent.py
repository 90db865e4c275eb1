"""tickwork agent new, build, check, inspect and disasm: from nothing to a run."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.support import ROOT, need
from tests.unit.cli.program import call
from tickwork.sandbox.manifest import read_manifest

MODULES = ROOT / "tests" / "modules"
MARKET = ROOT / "examples" / "market" / "c" / "market-c.wasm"


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep keys, trust and caches of the tests apart from those of who runs them; compilers keep theirs."""
    monkeypatch.setenv("TICKWORK_TRUST", str(tmp_path / "trust"))
    monkeypatch.setenv("TICKWORK_SIGNING_KEY", "none")
    monkeypatch.setenv("TICKWORK_CACHE", str(ROOT / ".cache" / "modules"))


@pytest.mark.slow
@pytest.mark.parametrize("language", ["c", "cpp"])
def test_a_new_agent_is_built_signed_and_run_in_four_commands(
    language: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("zig")
    begun = call("agent", "new", language, "counter", "-o", "json").document()
    assert f"counter/agent.{language}" in begun["files"]  # type: ignore[operator]
    monkeypatch.chdir(folder / "counter")
    built = call("agent", "build", "-o", "json")
    assert built.status == 0, built.err
    document = built.document()
    package = Path(str(document["package"])).read_bytes()
    assert document["digest"] == hashlib.sha256(package).hexdigest()
    assert (document["signed"], document["memory_pages"], document["bytes"]) == (True, 4, len(package))
    run = call("run", "world.toml", "-o", "json")
    assert run.status == 0, run.err
    checked = call("agent", "check", "counter.wasm")
    assert checked.status == 0
    assert checked.out.splitlines()[-1] == "no host refuses it"
    seen = call("agent", "inspect", "counter.wasm", "-o", "json").document()
    assert seen["signature"]["trusted"].startswith("yes")  # type: ignore[index]


@pytest.mark.slow
def test_a_build_says_what_it_made_and_can_be_asked_to_do_it_twice(folder: Path) -> None:
    need("zig")
    call("agent", "new", "c", "counter")
    answer = call("agent", "build", "counter", "--check-reproducible", "--unsigned")
    assert answer.status == 0, answer.err
    facts = dict(line.split(maxsplit=1) for line in answer.out.splitlines())
    assert facts["package"] == str(Path("counter", "counter.wasm"))
    assert facts["reproducible"] == "yes"
    assert facts["signed"] == "no"
    module = (folder / "counter" / "counter.wasm").read_bytes()
    manifest = read_manifest(module)
    assert manifest is not None
    assert manifest.name == "counter"


@pytest.mark.slow
def test_what_the_compiler_says_is_shown_and_the_status_is_1(folder: Path) -> None:
    need("zig")
    call("agent", "new", "c", "counter")
    source = folder / "counter" / "agent.c"
    source.write_text(source.read_text().replace("++total", "++totals"))
    answer = call("agent", "build", "counter")
    assert answer.status == 1
    assert answer.err.startswith("TW5002: the source does not compile:\n")
    assert "use of undeclared identifier 'totals'" in answer.err
    assert not (folder / "counter" / "counter.wasm").exists()


def test_a_name_that_cannot_be_used_is_refused_with_one_that_can() -> None:
    answer = call("agent", "new", "c", "My Trader!")
    assert answer.status == 2
    assert "my-trader" in answer.err


def test_a_new_agent_overwrites_nothing(folder: Path) -> None:
    (folder / "counter").mkdir()
    answer = call("agent", "new", "c", "counter")
    assert answer.status == 2
    assert "counter exists already" in answer.err
    assert list((folder / "counter").iterdir()) == []


def test_where_nothing_can_be_written_that_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, content: bytes) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    answer = call("agent", "new", "c", "counter")
    assert answer.status == 2
    assert "counter cannot be made" in answer.err
    assert "Permission denied" in answer.err


def test_a_folder_without_a_project_cannot_be_built() -> None:
    answer = call("agent", "build")
    assert answer.status == 78
    assert answer.err.startswith("TW5004: ")


def test_a_check_tells_all_refusals_and_ends_with_4(folder: Path) -> None:
    (folder / "bad.wasm").write_bytes(b"\0asm\x01\0\0\0")
    answer = call("agent", "check", "bad.wasm")
    assert answer.status == 4
    assert answer.out.splitlines()[-1] == "refused: 2 to mend, 1 hazard"
    document = call("agent", "check", "bad.wasm", "-o", "json").document()
    assert document["accepted"] is False


def test_an_inspection_shows_every_section_and_who_signed() -> None:
    answer = call("agent", "inspect", MARKET)
    assert answer.status == 0
    for wanted in ("market-c 1.0.0", "send *", "tickwork.manifest", "agent_save", "signed by"):
        assert wanted in answer.out
    document = call("agent", "inspect", MARKET, "-o", "json").document()
    assert document["manifest"]["name"] == "market-c"  # type: ignore[index]
    assert "findings" not in document


def test_what_is_no_module_is_not_inspected_and_not_listed(folder: Path) -> None:
    (folder / "text.wasm").write_text("(module)")
    for command in ("inspect", "disasm"):
        answer = call("agent", command, "text.wasm")
        assert answer.status == 4
        assert answer.err.startswith("TW3001: ")
    assert call("agent", "inspect", "nowhere.wasm").status == 2


def test_a_module_is_listed_whole_or_one_function_of_it() -> None:
    whole = call("agent", "disasm", MODULES / "echo.wasm").out.splitlines()
    assert sum("(func " in line for line in whole) > 5
    one = call("agent", "disasm", MODULES / "echo.wasm", "--function", "agent_shutdown").out.splitlines()
    assert '(export "agent_shutdown")' in one[0]
    assert one[-2].split() == [one[-2].split()[0], "end"]
    rows = call("agent", "disasm", MODULES / "echo.wasm", "--function", "agent_shutdown", "-o", "jsonl").out
    assert [json.loads(row)["text"] for row in rows.splitlines()][-2:] == ["end", ")"]


@pytest.mark.slow
def test_a_listing_shows_source_lines_where_the_debug_companion_lies_beside(folder: Path) -> None:
    need("zig")
    call("agent", "new", "c", "counter")
    assert call("agent", "build", "counter").status == 0
    out = call("agent", "disasm", Path("counter", "counter.wasm"), "--function", "agent_shutdown").out
    assert ";; agent.c:" in out
