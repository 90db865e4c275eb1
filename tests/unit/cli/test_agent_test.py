"""tickwork agent test and bench: scripts, golden files, and what an agent's turns cost."""

import shutil
from pathlib import Path

import pytest

from tests.support import ROOT, need
from tests.unit.cli.program import Answer, call

ECHO = ROOT / "examples" / "echo" / "c"
BUILT = "echo-c.wasm"


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep keys and trust of the tests apart from those of who runs them."""
    monkeypatch.setenv("TICKWORK_TRUST", str(tmp_path / "trust"))
    monkeypatch.setenv("TICKWORK_SIGNING_KEY", "none")
    monkeypatch.setenv("TICKWORK_CACHE", str(ROOT / ".cache" / "modules"))


@pytest.fixture
def project(folder: Path) -> Path:
    """Return a copy of an example with its module, so that no compiler is needed."""
    shutil.copytree(ECHO, folder / "echo")
    return folder / "echo"


def tried(project: Path, *options: str) -> Answer:
    return call("agent", "test", project, "--package", project / BUILT, "--quick", *options)


@pytest.mark.slow
def test_an_agent_that_does_what_its_golden_file_says_passes_in_every_way(project: Path) -> None:
    answer = call("agent", "test", project, "--package", project / BUILT, "-o", "json")
    assert answer.status == 0, answer.err
    document = answer.document()
    assert document["agent"] == "echo-c"
    (row,) = document["scripts"]  # type: ignore[misc]
    assert (row["script"], row["result"], row["ways"], row["failed"]) == ("echoes", "as expected", 4, 0)  # type: ignore[has-type]


def test_a_difference_is_shown_as_a_diff_and_ends_with_1(project: Path) -> None:
    golden = project / "tests" / "echoes.golden"
    golden.write_text(golden.read_text().replace('"from a friend"', '"from a foe"'))
    answer = tried(project)
    assert answer.status == 1
    assert answer.err.startswith("--- echoes.golden (expected)\n+++ what it did\n@@")
    assert '-    send friend "from a foe"\n+    send friend "from a friend"\n' in answer.err
    assert "TW5005: 1 of 1 scripts of echo-c came out otherwise" in answer.err
    assert "differs" in answer.out


def test_a_difference_is_part_of_the_one_document(project: Path) -> None:
    golden = project / "tests" / "echoes.golden"
    golden.write_text(golden.read_text().replace('"from a friend"', '"from a foe"'))
    answer = tried(project, "-o", "json", "--show")
    assert answer.status == 1
    (row,) = answer.document()["scripts"]  # type: ignore[misc]
    assert row["result"] == "differs"  # type: ignore[has-type]
    assert '-    send friend "from a foe"' in row["difference"]  # type: ignore[has-type]
    assert row["did"].startswith("tick 0 init\n")  # type: ignore[has-type]


def test_a_missing_golden_file_is_told_and_update_keeps_one(project: Path) -> None:
    golden = project / "tests" / "echoes.golden"
    expected = golden.read_text()
    golden.unlink()
    answer = tried(project)
    assert answer.status == 1
    assert "echoes has no golden file" in answer.err
    assert "--update" in answer.err
    assert "kept" in tried(project, "--update").out
    assert golden.read_text() == expected
    assert tried(project).status == 0


def test_what_an_agent_did_is_shown_on_request(project: Path) -> None:
    shown = tried(project, "--show").out
    assert shown.startswith("# echoes\ntick 0 init\n")
    assert (project / "tests" / "echoes.golden").read_text() in shown


def test_a_name_in_a_script_that_the_agent_does_not_declare_is_told_with_its_line(project: Path) -> None:
    (project / "tests" / "odd.toml").write_text('schema = 1\n\n[[send]]\ntick = 2\ntopic = "echos"\ntext = ""\n')
    answer = tried(project, "--script", "odd")
    assert answer.status == 78
    assert answer.err.startswith("TW5004: the script names the topic 'echos', which the agent does not declare")
    assert "odd.toml:5, send[0].topic" in answer.err
    assert 'did you mean "echoes"?' in answer.err


def test_a_script_that_is_not_there_is_told_with_those_that_are(project: Path) -> None:
    answer = tried(project, "--script", "absent")
    assert answer.status == 78
    assert "it holds echoes" in answer.err
    shutil.rmtree(project / "tests")
    assert "echo-c has no test scripts" in tried(project).err


@pytest.mark.slow
def test_bench_measures_the_turns_of_each_script(project: Path) -> None:
    options = ("agent", "bench", project, "--package", project / BUILT, "--rounds", "2")
    (row,) = call(*options, "-o", "json").document()["scripts"]  # type: ignore[misc]
    assert row["script"] == "echoes"  # type: ignore[has-type]
    assert row["turns"] == 5  # type: ignore[has-type]
    assert row["fuel"] > row["most_fuel"] > 0  # type: ignore[has-type]
    text = call(*options).out
    assert "most fuel of a turn" in text
    assert text.endswith("medians over 2 rounds\n")


@pytest.mark.slow
@pytest.mark.parametrize("language", ["c", "cpp"])
def test_a_new_agent_passes_its_own_script(language: str, folder: Path) -> None:
    need("zig")
    call("agent", "new", language, "counter")
    answer = call("agent", "test", "counter")
    assert answer.status == 0, answer.err
    assert "as expected" in answer.out
