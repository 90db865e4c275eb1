"""cli/told.py: a run of a plan as ``tickwork show`` tells it."""

from pathlib import Path

import pytest

import tickwork
from tests.unit.cli.program import call
from tests.unit.plane.executor.props import Answering, assign, plan, step, usual
from tickwork.driver.options import Options
from tickwork.plane.calls import Answer, ArtifactRef, Failure, SkillCall, Usage
from tickwork.plane.compiled import Approval
from tickwork.plane.world import plan_world


def answering(asked: SkillCall) -> object:
    if asked.path == "load":
        ref = ArtifactRef("rows.csv", b"\1" * 32, 9, "text/csv")
        return Answer(0, b'{"n":2}', usage=Usage(3, 4, cost_micros=50), artifacts=(ref,), transcript=b'["hi"]')
    return Failure("TW7008", "it broke") if asked.path == "fail" else usual(asked)


@pytest.fixture(name="told")
def _told(tmp_path: Path) -> Path:
    steps = (
        step("load"),
        step("send", 0, skill=1, params={"n": 1}, approval=Approval()),
        step("fail", on_error="continue"),
    )
    world = plan_world(assign(plan(*steps, outputs={"n": "${steps.load.output.n}"}), inputs={"city": "Ulm"}))
    skills = Answering(answering)
    path = tmp_path / "plan.twk"
    tickwork.run(world, journal=path, options=Options(performers=dict.fromkeys(world.header.agents[0].skills, skills)))
    return path


def test_a_run_of_a_plan_is_shown_by_its_steps(told: Path) -> None:
    out = call("show", told).out
    for text in ("test@1", "partially_succeeded", '{"city":"Ulm"}', '{"n":2}', "0.00005 USD", "3 in, 4 out"):
        assert text in out
    for text in ("rows.csv", "grant", "ann", "TW7008 it broke"):
        assert text in out
    assert call("show", told, "plan").out == out
    assert "next tick" in call("show", told, "state").out


def test_all_of_a_step_is_shown_with_what_was_said(told: Path) -> None:
    out = call("show", told, "plan", "--step", "load").out
    assert "1 of echo@1 (step, attempt 1)" in out
    assert '["hi"]' in out
    assert "rows.csv (text/csv, 9 bytes, 0101010101010101)" in out
    assert "not answered yet" in call("show", told, "plan", "--step", "load", "--tick", "0").out


def test_it_is_a_document_too(told: Path) -> None:
    document = call("show", told, "-o", "json").document()
    assert document["status"] == "partially_succeeded"
    assert call("show", told, "plan", "--step", "send", "-o", "json").document()["path"] == "send"


def test_a_step_that_is_not_there_and_a_run_of_no_plan_are_refused(told: Path, journal: Path) -> None:
    assert call("show", told, "plan", "--step", "nobody").status == 2
    assert call("show", journal, "plan").status == 2
