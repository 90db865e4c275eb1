"""cli/cost.py: a goal that a language model plans and a step that asks one, and what both have cost."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.program import call
from tests.unit.plane.llm.stand import KEY, Stand, openai_whole

pytestmark = pytest.mark.slow

PLAN = {
    "name": "greet",
    "steps": [
        {"id": "say", "skill": "llm_invoke@1", "params": {"prompt": "Say hello", "max_tokens": 40}},
        {
            "id": "cut",
            "skill": "json_transform@1",
            "params": {"value": "${steps.say.output}", "expression": "text"},
        },
    ],
    "outputs": {"said": "${steps.cut.output}"},
}
PROVIDERS = """
[providers.stand]
kind = "openai"
base_url = "URL/v1"
key = "secret:STAND"
loopback = true

[models.parrot]
provider = "stand"
model = "parrot-1"
input_usd = "3"
output_usd = "15"
"""
SPENT = 12 * 3 + 7 * 15
"""Of each answer of the stand. Units: micro-dollars."""


@pytest.fixture(autouse=True)
def machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKWORK_MODELS", str(folder / "models"))
    monkeypatch.setenv("TICKWORK_SECRET_STAND", KEY)


def run_goal(folder: Path, *words: str) -> tuple[Any, list[dict[str, Any]]]:
    """Run a goal with a language model that plans it and then says hello."""
    (folder / ".tickwork").mkdir(exist_ok=True)
    with Stand(openai_whole(json.dumps(PLAN)), openai_whole("Hello.")) as stand:
        (folder / ".tickwork" / "providers.toml").write_text(PROVIDERS.replace("URL", stand.url))
        assert call("allow").status == 0
        allowed = ["--allow", "llm_invoke", "--allow", "json_transform", "--planner", "llm", "--model", "parrot"]
        assert call("profile", "add", "talker", *allowed, *words).status == 0
        done = call("goal", "Say hello", "--profile", "talker", "-o", "json")
        return done, [heard.body for heard in stand.heard]


def test_what_a_run_has_cost_is_told_by_step_and_model(folder: Path) -> None:
    done, heard = run_goal(folder)
    assert done.status == 0, done.err
    assert len(heard) == 2
    (run,) = call("runs", "-o", "json").rows("runs")
    document: Any = call("cost", str(run["run_id"]), "-o", "json").document()
    planning, say = document["rows"]
    assert (planning["step"], planning["model"], planning["settled_micros"]) == ("(planning)", "parrot-1", SPENT)
    assert planning["reserved_micros"] > 8_000 * 15
    assert (say["step"], say["skill"], say["calls"], say["tokens_in"], say["tokens_out"]) == (
        "say", "llm_invoke@1", 1, 12, 7,
    )  # fmt: skip
    assert say["settled_micros"] == SPENT < say["reserved_micros"]
    assert document["total"]["settled_micros"] == 2 * SPENT == run["cost_micros"]
    assert document["ledger"] == {"entries": 2, "open_micros": 0, "settled_micros": 2 * SPENT}
    text = call("cost", str(run["run_id"])).out
    assert "0.000282" in text
    assert "prices of settings" in text
    assert KEY not in text


def test_show_tells_what_was_said_word_for_word(folder: Path) -> None:
    run_goal(folder)
    (run,) = call("runs", "-o", "json").rows("runs")
    name = str(run["run_id"])
    shown = call("show", name)
    assert "--step '(planning)'" in shown.out, shown.err
    planning = call("show", name, "--step", "(planning)").out
    assert "You plan for a runtime." in planning
    assert "--- stand, parrot-1 (stop)" in planning
    said = call("show", name, "--step", "say").out
    assert said.index("--- user\nSay hello") < said.index("--- stand, parrot-1 (stop)\nHello.")
    document: Any = call("show", name, "--step", "(planning)", "-o", "json").document()
    assert [each["skill"] for each in document["calls"]] == ["memory.recall", "plan.propose", "memory.keep"]


def test_what_was_said_is_in_the_journal_and_nobody_is_asked_again(folder: Path) -> None:
    _, heard = run_goal(folder)
    (run,) = call("runs", "-o", "json").rows("runs")
    name = str(run["run_id"])
    assert call("replay", name).status == 0
    assert call("verify", name).status == 0
    assert call("pack", name, "-o", "run.twk").status == 0
    packed = (folder / "run.twk").read_bytes()
    assert json.dumps(heard[0]["messages"][0]["content"])[1:40].encode() in packed
    assert KEY.encode() not in packed
    assert "booked" not in call("cost", "run.twk").out


def test_a_plan_beyond_the_budget_is_refused_before_anybody_is_asked(folder: Path) -> None:
    done, heard = run_goal(folder, "--budget-usd", "0.001")
    assert done.status != 0
    assert heard == []
    assert "TW7010" in done.out


def test_a_run_that_costs_nothing_says_so(folder: Path) -> None:
    (folder / "free.toml").write_text(
        'name = "free"\n\n[[steps]]\nid = "a"\nskill = "json_transform@1"\nparams = { value = 1, expression = "@" }\n'
    )
    assert call("plan", "run", "free.toml").status == 0
    (run,) = call("runs", "-o", "json").rows("runs")
    told = call("cost", str(run["run_id"]))
    assert "no step of this run costs" in told.out, told.err
