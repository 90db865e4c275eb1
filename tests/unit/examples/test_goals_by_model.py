"""The agents of examples/goals with a language model that plans, as their page says: a server of this machine."""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support import ROOT, run
from tests.unit.cli.program import call
from tests.unit.plane.llm.stand import Stand, openai_whole

PROVIDERS = """
[providers.local]
kind = "openai"
base_url = "URL/v1"
loopback = true

[models.smart]
provider = "local"
model = "m-1"
input_usd = "0"
output_usd = "0"
"""
RAIN = "SELECT station, round(sum(precip), 2) AS rain FROM observation WHERE month = 'May' GROUP BY 1 ORDER BY 2 DESC"


class Case(NamedTuple):
    """An example, and what a model makes of another goal.

    Attributes:
        steps, outputs: Of its plan.
        told: What the model has to be told for that.
        came: What the run comes to.
        written: What it writes, once somebody agrees.
    """

    name: str
    goal: str
    steps: list[dict[str, Any]]
    outputs: dict[str, str]
    told: tuple[str, ...]
    came: dict[str, Any]
    written: dict[str, str]


CASES = (
    Case(
        "weather_analyst",
        "Which station had the most rain in May, and how much?",
        [
            {"id": "rain", "skill": "sql_query@1", "params": {"database": "weather.db", "sql": RAIN}},
            {
                "id": "write",
                "skill": "file_write@1",
                "params": {"path": "reports/rain.txt", "text": "${steps.rain.output.rows[0].station}"},
            },
        ],
        {"rain": "${steps.rain.output.rows[0].rain}"},
        ('"weather.db"', '"precip REAL"', '"forecast":{"inputs":{"hours":"uint8[batch, 78]"}', '"write":["reports"]'),
        {"rain": 5.44},
        {"reports/rain.txt": "EWR"},
    ),
    Case(
        "log_investigator",
        "How many log files are there?",
        [{"id": "shelf", "skill": "file_read@1", "params": {"path": "logs", "format": "list"}}],
        {"files": "${size(steps.shelf.output.files)}"},
        ('"read":["logs","knowledge","incidents"]', '"write":["incidents"]'),
        {"files": len(list((ROOT / "examples" / "goals" / "log_investigator" / "logs").iterdir()))},
        {},
    ),
    Case(
        "librarian",
        "Count the concepts",
        [{"id": "shelf", "skill": "file_read@1", "params": {"path": "library/concepts", "format": "list"}}],
        {"files": "${size(steps.shelf.output.files)}"},
        ('"read":["library"]',),
        {"files": len(list((ROOT / "docs" / "concepts").iterdir()))},
        {},
    ),
)


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_example_plans_freely_with_a_language_model(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = run([sys.executable, str(ROOT / "examples" / "goals" / case.name), "--work", str(tmp_path)])
    assert example.returncode in (0, 6), example.stderr
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TICKWORK_MODELS", str(tmp_path / "models"))
    plan = {"name": "free", "steps": case.steps, "outputs": case.outputs}
    with Stand(openai_whole(json.dumps(plan))) as stand:
        Path(".tickwork/providers.toml").write_text(PROVIDERS.replace("URL", stand.url), encoding="utf-8")
        assert call("allow").status == 0
        assert call("profile", "set", case.name, "--planner", "llm", "--model", "smart").status == 0
        done = call("goal", case.goal, "--profile", case.name, "-o", "json")
        said = stand.heard[0].body["messages"][-1]["content"]
    assert [word for word in case.told if word not in said] == []
    found = json.loads(done.out)
    run_id = found["run_id"]
    if case.written:
        assert done.status == 6, done.err
        # A plan that a model made asks before it writes what came from outside, although it did not say so.
        [wait] = [row for row in call("approval", "list", "-o", "json").rows("approvals") if row["run_id"] == run_id]
        assert wait["kind"] == "taint"
        assert call("approval", "grant", wait["id"]).status == 0
    story = json.loads(call("show", run_id, "-o", "json").out)
    assert story["status"] == "succeeded", done.err
    assert story["output"] == case.came
    assert {path: Path(path).read_text(encoding="utf-8") for path in case.written} == case.written
    assert "You plan for a runtime" in call("show", run_id, "--step", "(planning)").out
