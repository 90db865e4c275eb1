"""cli/model_canary.py: another version of a real model tried on a run's last ticks."""

from pathlib import Path

import pytest

from tests.unit.cli.program import call
from tests.unit.cli.scoring import write_world

pytestmark = pytest.mark.slow


@pytest.fixture
def scores(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the journal of a run whose agents ask a model."""
    monkeypatch.setenv("TICKWORK_MODELS", str(folder / "store"))
    write_world(folder)
    assert call("run", "world.toml", "--journal", "scores.twk").status == 0
    return folder / "scores.twk"


def test_the_same_version_is_equal_and_another_is_told_by_its_first_answer(scores: Path) -> None:
    asked = ("model", "canary", scores, "--at", "4", "--model")
    same = call(*asked, "scorer=./scorer.onnx")
    assert same.status == 0, same.err
    assert "equal: every answer and every record came out again" in same.out
    other = call(*asked, "scorer=./better.onnx", "-o", "json")
    assert other.status == 3
    document = other.document()
    assert (document["compared_answers"], document["differing_answers"]) == (5, 5)
    assert document["largest_distance"] != 0
    first = document["answer"]
    assert isinstance(first, dict)
    assert (first["tick"], first["agent"]) == (5, "judge")


def test_apply_forks_the_run_with_the_new_version(scores: Path) -> None:
    asked = ("model", "canary", scores, "--at", "4", "--model", "scorer=./better.onnx", "--apply", "new.twk")
    answer = call(*asked)
    assert answer.status == 3
    assert "applied" in answer.out
    assert "model_swapped" in call("show", "new.twk", "frame", "--tick", "4").out
    assert call("verify", "new.twk", "--reexecute").status == 0


def test_a_version_that_takes_something_else_is_refused_before_anything_runs(scores: Path) -> None:
    answer = call("model", "canary", scores, "--at", "4", "--model", "scorer=./wider.onnx", "--apply", "new.twk")
    assert answer.status == 4
    assert "TW4101: model 'scorer' cannot be swapped" in answer.err
    assert "'x' has rank 2 in the running version and 4 in the new one" in answer.err
    assert not Path("new.twk").exists()


def test_a_version_nobody_has_is_told(scores: Path) -> None:
    assert call("model", "canary", scores, "--model", "scorer=nothing:1").status == 8
    assert call("model", "canary", scores, "--model", "scorer", "--at", "4").status == 2
    assert call("model", "canary", scores, "--model", "scorer=x", "--at", "-1").status == 2
