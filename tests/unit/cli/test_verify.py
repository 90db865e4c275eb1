"""cli/verify.py: recorded answers of real models asked for again."""

import shutil
from pathlib import Path

import pytest

from tests.unit.cli.program import call
from tests.unit.cli.scoring import ANSWERS, write_world
from tickwork.cli import verify
from tickwork.driver.reexecute import ModelTally, OtherAnswer, Reexecution


@pytest.fixture
def scores(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the journal of a run whose model was swapped at tick 5."""
    monkeypatch.setenv("TICKWORK_MODELS", str(folder / "store"))
    write_world(folder)
    swap = ("--swap-model", "scorer=./better.onnx@5")
    assert call("run", "world.toml", "--journal", "scores.twk", *swap).status == 0
    return folder / "scores.twk"


@pytest.mark.slow
def test_answers_of_both_versions_come_out_again_also_for_tensors_in_a_window(scores: Path) -> None:
    shown = call("show", scores, "frame", "--tick", "5").out
    assert "model_swapped scorer 0+" in shown
    answer = call("verify", scores, "--reexecute")
    assert answer.status == 0, answer.err
    assert "equal: every record came out again" in answer.out
    assert "0 different, 0 skipped" in answer.out
    found = call("verify", scores, "--reexecute", "--model", "scorer", "-o", "json").document()["reexecution"]
    assert isinstance(found, dict)
    assert (found["equal"], found["difference"]) == (True, None)
    assert sum(tally["equal"] for tally in found["models"]) == ANSWERS
    assert len(found["models"]) == 2


@pytest.mark.slow
def test_without_the_store_a_run_verifies_and_is_not_asked_again(scores: Path) -> None:
    before = call("verify", scores, "-o", "json").document()
    shutil.rmtree("store")
    assert call("verify", scores, "-o", "json").document() == before
    assert call("replay", scores, "-o", "json").document()["head"] == before["head"]
    answer = call("verify", scores, "--reexecute")
    assert (answer.status, answer.err.split(":")[0]) == (8, "TW6001")


def test_what_is_asked_makes_sense_together(journal: Path) -> None:
    assert call("verify", journal, "--chain-only", "--reexecute").status == 2
    assert call("verify", journal, "--model", "x").status == 2
    answer = call("verify", journal, "--reexecute", "--model", "x")
    assert (answer.status, answer.err.split(":")[0]) == (8, "TW6001")
    assert call("verify", journal, "--reexecute").status == 0


def test_an_answer_that_is_another_now_ends_with_status_3(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tally = ModelTally("scorer", "1.0.0", "00" * 32, 6, 1, 2, ["no model answered"])
    other = OtherAnswer(4, 17, "judge", "scorer 1.0.0 (00000000)", "1 of 8 bytes differ, the first at 3")
    found = Reexecution(False, (tally,), other)
    monkeypatch.setattr(verify, "ask_again", lambda *_, **__: found)
    answer = call("verify", journal, "--reexecute")
    assert answer.status == 3
    assert "scorer 1.0.0: 6 answers equal, 1 different, 2 skipped (no model answered)" in answer.out
    assert "first other answer: tick 4, effect 17 of agent 'judge', model 'scorer 1.0.0 (00000000)'" in answer.out
    document = call("verify", journal, "--reexecute", "-o", "json").document()["reexecution"]
    assert isinstance(document, dict)
    assert document["difference"]["effect"] == 17
