"""tickwork agent dev: build, try the scripts, run the last ticks again, show the first difference."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT, environment, need
from tests.unit.cli.program import call


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep keys and trust of the tests apart from those of who runs them."""
    monkeypatch.setenv("TICKWORK_TRUST", str(tmp_path / "trust"))
    monkeypatch.setenv("TICKWORK_SIGNING_KEY", "none")
    monkeypatch.setenv("TICKWORK_CACHE", str(ROOT / ".cache" / "modules"))


@pytest.fixture
def project(folder: Path) -> Path:
    need("zig")
    call("agent", "new", "c", "counter")
    return folder / "counter"


def edit(project: Path, old: str, new: str) -> None:
    source = project / "agent.c"
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))


@pytest.mark.slow
def test_a_first_build_has_nothing_to_be_compared_with(project: Path) -> None:
    answer = call("agent", "dev", project, "--once")
    assert answer.status == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].startswith("built: ")
    assert lines[1] == "scripts: first as expected"
    assert lines[2] == "there was no build to compare with; world.toml is run with this one"
    assert lines[3].endswith(" s")
    assert (project / "counter.wasm").is_file()
    again = call("agent", "dev", project, "--once", "-o", "json").document()
    assert (again["result"], again["replay"]) == ("unchanged", None)


@pytest.mark.slow
def test_the_first_difference_to_the_build_before_is_shown(project: Path) -> None:
    assert call("agent", "build", project).status == 0
    edit(project, "&total, sizeof total", "&every, sizeof every")
    answer = call("agent", "dev", project, "--once", "--no-test", "--ticks", "60")
    assert answer.status == 0, answer.err
    assert "(keep_image)" in answer.out
    assert "of the agent: first difference at tick 24, turns[0].outbox[0] (publish of agent 'counter')" in answer.out
    assert "head differs: " in answer.out
    assert "scripts" not in answer.out


@pytest.mark.slow
def test_a_change_that_changes_nothing_gives_an_equal_head(project: Path) -> None:
    assert call("agent", "build", project).status == 0
    edit(project, "if (length != 16)", "if (length != 17)")
    replay = call("agent", "dev", project, "--once", "-o", "json").document()["replay"]
    assert (replay["equal"], replay["how"], replay["divergence"]) == (True, "keep_image", None)  # type: ignore[index]
    assert replay["old"] == replay["new"]  # type: ignore[index]


@pytest.mark.slow
def test_what_does_not_compile_or_differs_from_its_golden_file_ends_with_1(project: Path) -> None:
    edit(project, "++total", "++totals")
    answer = call("agent", "dev", project, "--once", "-o", "jsonl")
    assert answer.status == 1
    document = json.loads(answer.out)
    assert (document["result"], document["problem"]["code"]) == ("refused", "TW5002")
    edit(project, "++totals", "(total += 2)")
    answer = call("agent", "dev", project, "--once")
    assert answer.status == 1
    assert '+    send friend "2"' in answer.out


@pytest.mark.slow
def test_without_a_world_the_scripts_alone_are_tried(project: Path) -> None:
    (project / "world.toml").unlink()
    document = call("agent", "dev", project, "--once", "-o", "json").document()
    assert (document["result"], document["note"]) == ("built", "there is no world.toml to run")
    assert [row["script"] for row in document["scripts"]] == ["first"]  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_turn_that_fails_is_told_with_its_source_line(project: Path) -> None:
    edit(project, "const int64_t since", "if (context->tick == 48) __builtin_trap();\n    const int64_t since")
    lines = call("agent", "dev", project, "--once", "--no-test").out.splitlines()
    (said,) = [index for index, line in enumerate(lines) if line.startswith("first failed turn of world.toml: ")]
    assert "at tick 48: trap" in lines[said]
    assert "step (agent.c:" in lines[said + 1]


def test_what_makes_no_sense_is_refused(folder: Path) -> None:
    assert call("agent", "dev", "--ticks", "0").status == 2
    assert call("agent", "dev", "-o", "json").status == 2
    assert call("agent", "dev", folder).status == 78


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="stops the program as a terminal does")
def test_it_watches_until_it_is_stopped(project: Path) -> None:
    command = [sys.executable, "-m", "tickwork", "agent", "dev", str(project), "-o", "jsonl"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        first = json.loads(process.stdout.readline())
        assert (first["cycle"], first["result"]) == (0, "built")
        assert process.stderr.readline().startswith("watching ")
        edit(project, "++total", "++totals")
        assert json.loads(process.stdout.readline())["result"] == "refused"
        edit(project, "++totals", "(total += 2)")
        third = json.loads(process.stdout.readline())
        assert (third["cycle"], third["result"], third["replay"]["how"]) == (2, "built", "keep_image")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    finally:
        process.kill()
        process.communicate()
