"""The three agents of examples/goals: one command each, killed and gone on with, replayed, forked, explained."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support import ROOT, environment, run
from tests.unit.cli.program import call

GOALS = ROOT / "examples" / "goals"


class Case(NamedTuple):
    """An example, and what is to be expected of it.

    Attributes:
        killed_at: What it says when it is killed.
        inputs: What it works on, which nobody needs for a replay.
        change: An input that a fork gives another value.
        told: What the fork comes to then.
        report: What it writes after an approval; empty for nothing.
        artifact: What it keeps.
        words: What the report says.
    """

    name: str
    killed_at: str
    inputs: tuple[str, ...]
    change: str
    told: str
    report: str = ""
    artifact: str = ""
    words: tuple[str, ...] = ()


CASES = (
    Case(
        "weather_analyst",
        "whole: running",
        ("weather.db", "models", "chart.wasm"),
        "input.month=August",
        "# JFK, August 2013",
        "reports/JFK-July.md",
        "month.svg",
        ("# JFK, July 2013", "98.06 °F", "The model foresaw a change of 0.5 °F"),
    ),
    Case(
        "log_investigator",
        "mine: running",
        ("logs", "knowledge", "miner.wasm", "nearest.py"),
        "input.least=0.99",
        "| 34 | 442 | 3051 | `* shop@postgres ERROR:  deadlock detected` |  |",
        "incidents/incident.md",
        "incident.md",
        ("10 of them grave", "| deadlock |", "was terminated by signal 9: Killed", "OOM killer"),
    ),
    Case("librarian", "read: running", ("library",), "input.most=1", '"output":[{"cited":"library/'),
)


def command(case: Case, folder: Path, *words: str) -> list[str]:
    return [sys.executable, str(GOALS / case.name), "--work", str(folder), *words]


def killed(case: Case, folder: Path) -> None:
    """Begin an example, and kill it in the middle of a step."""
    program = subprocess.Popen(
        command(case, folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        env=environment(PYTHONUNBUFFERED="1"),
    )  # fmt: skip
    assert program.stdout is not None
    told = list[str]()
    for line in program.stdout:
        told.append(line)
        if case.killed_at in line:
            program.kill()
    program.stdout.close()
    assert program.wait() < 0, "".join(told)


def runs(**fields: str) -> list[dict[str, Any]]:
    return [row for row in call("runs", "-o", "json").rows("runs") if all(row[key] == fields[key] for key in fields)]


def shown(run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(call("show", run_id, "-o", "json").out)
    return found


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a process is killed by a signal")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_example_runs_survives_a_kill_replays_forks_and_is_explained(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "work"
    killed(case, folder)
    if case.name == "log_investigator":
        waits = run(command(case, folder))
        assert waits.returncode == 6, waits.stdout + waits.stderr
        assert "tickwork approval grant w_" in waits.stdout
        assert not (folder / case.report).exists()
    done = run(command(case, folder, "--yes"), check=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TICKWORK_MODELS", str(folder / "models"))
    [row] = runs()
    run_id = row["run_id"]
    assert row["status"] == "succeeded"
    explains(case, run_id, done.stdout)
    forks(case, run_id)
    replays(case, run_id, monkeypatch)


def explains(case: Case, run_id: str, told: str) -> None:
    """Look at what is said of every step, approval and artifact, and at what was written."""
    story, text = shown(run_id), call("show", run_id).out
    assert all(step["status"] in ("succeeded", "skipped") for step in story["steps"])
    assert all(step["title"] for step in story["steps"] if "[" not in step["path"])
    assert "cost" in text
    assert call("cost", run_id).status == 0
    if case.report:
        report = Path(case.report).read_text(encoding="utf-8")
        assert [word for word in case.words if word not in report] == []
        assert case.report in told
        asked = [one for step in story["steps"] for one in step["calls"] if one["skill"] == "ask.approval"]
        assert len(asked) == 1
        assert asked[0]["params"]["arguments"] == {"path": case.report, "text": report}
        assert "grant" in text
        assert case.artifact in text
        assert [one["name"] for one in call("artifact", "list", "-o", "json").rows("artifacts")] == [case.artifact]
    else:
        assert '"cited": "library/concepts/goals.md:' in told


def forks(case: Case, run_id: str) -> None:
    """Go on differently from where the plan is there, and find the first difference."""
    forked = call("fork", run_id, "--at", "3", "--set", case.change)
    assert forked.status == (6 if case.report else 0), forked.err
    [row] = runs(relation="fork")
    story = shown(row["run_id"])
    assert case.told in json.dumps(story["steps"], ensure_ascii=False, separators=(",", ":"))
    compared = call("diff", run_id, row["run_id"], "-o", "json")
    assert compared.status == 3
    assert json.loads(compared.out)["common_ticks"] == 3


def replays(case: Case, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fold the run again without a network, without what it has read, and without the code of its skills."""
    for name in case.inputs:
        shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()

    def refuse(*_given: object, **_named: object) -> None:
        raise AssertionError("a replay asks nobody")

    with monkeypatch.context() as without:
        without.setattr(socket, "socket", refuse)
        without.setattr(subprocess, "Popen", refuse)
        again = call("replay", run_id, "-o", "json")
    assert again.status == 0, again.err
    assert json.loads(again.out)["head"] == json.loads(call("pack", run_id, "-o", "json").out)["head"]


@pytest.mark.slow
def test_the_librarian_reads_any_folder_and_writes_where_it_may(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "lab.md").write_text("# Lab\n\nThe key of the lab hangs at Eve's desk.\n", encoding="utf-8")
    (notes / "pass.md").write_text("# Pass\n\nSnow closes the pass in December.\n", encoding="utf-8")
    words = ("--library", str(notes), "Write to answers/key.md where is the key of the lab?", "--yes")
    done = run(command(CASES[2], tmp_path / "work", *words), check=True)
    answer = (tmp_path / "work" / "answers" / "key.md").read_text(encoding="utf-8")
    assert "*library/lab.md:3*\n\nThe key of the lab hangs at Eve's desk." in answer, done.stdout


def test_plans_and_profiles_of_the_examples_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for case in CASES:
        folder = tmp_path / case.name
        shutil.copytree(GOALS / case.name, folder)
        monkeypatch.chdir(folder)
        Path(".tickwork").mkdir()
        if Path("skills.toml").is_file():
            shutil.copyfile("skills.toml", ".tickwork/skills.toml")
            assert call("allow").status == 0
        assert call("profile", "add", "profile.toml").status == 0
        for plan in sorted(Path("plans").iterdir()):
            found = call("plan", "validate", plan, "--profile", case.name)
            assert found.status == 0, found.err
