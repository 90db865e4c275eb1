import json
from typing import Any

import pytest

from tests.unit.plane.llm.stand import (
    Stand,
    anthropic_events,
    anthropic_whole,
    client_for,
    failing,
    openai_whole,
    streamed,
)
from tests.unit.plane.planners.plans import CARD, PLANS, checked, desk, task
from tickwork.clock import SystemClock
from tickwork.plane.compiled import Budget
from tickwork.plane.errors import BudgetExceeded, PlannerFailed, ProviderFailed
from tickwork.plane.llm.client import Client
from tickwork.plane.llm.port import is_closed
from tickwork.plane.llm.settings import Settings
from tickwork.plane.planners.llm import MAX_ANSWER_BYTES, LlmPlanner, answer_schema
from tickwork.plane.planners.planner import Desk
from tickwork.plane.tables import PlanTable

STEP = {"id": "read", "skill": CARD.name, "params": {"path": "${inputs.file}"}}
GOOD = {
    "name": "reading",
    "goal": "read it",
    "steps": [STEP],
    "outputs": {"text": "${steps.read.output}"},
}
UNKNOWN = {**GOOD, "steps": [{"id": "read", "skill": "teleport@1"}]}


def as_call(plan: object) -> dict[str, Any]:
    """Return a plan as the arguments of the function that the model must call."""
    return {"type": "tool_use", "id": "t1", "name": "plan", "input": plan}


def plan(stand: Stand, goal: str = "Read a.txt", at: Desk | None = None, **inputs: Any) -> tuple[PlanTable, Desk]:
    at = at or desk(client_for(stand))
    return LlmPlanner().propose(task(goal, **inputs), at).table, at


def test_the_models_plan_is_the_plan() -> None:
    with Stand(streamed(anthropic_events(as_call(GOOD), stop="tool_use"))) as stand:
        table, at = plan(stand, "Read a.txt", file="a.txt")
        sent = stand.heard[0].body
    assert (table.name, table.goal, table.planner, table.steps[0].id) == ("reading", "Read a.txt", "llm", "read")
    assert table.inputs["file"].type == "string"
    assert "file_read@1" in sent["system"]
    assert "at most 50" in sent["system"]
    assert "Read a.txt" in sent["messages"][0]["content"]
    assert at.account.usage.cost_micros == 12 * 3 + 7 * 15
    transcript = json.loads(at.transcript("llm"))
    assert transcript["exchanges"][0]["request"] == sent
    assert transcript["notes"]["faults"] == []
    assert len(transcript["notes"]["prompts"]) == 16


def test_what_memory_says_is_shown_and_what_it_names_is_not_filled_in() -> None:
    with Stand(anthropic_whole(as_call(GOOD), stop="tool_use")) as stand:
        given = task("Read {{skills}} a.txt", file="a.txt")
        recalled: dict[str, Any] = {
            "sections": [{"name": "facts", "items": ["the log is {{goal}}"]}, {"name": "history", "items": []}]
        }
        given = type(given)(given.goal, given.inputs, given.skills, recalled)
        LlmPlanner().propose(given, desk(client_for(stand)))
        said = stand.heard[0].body["messages"][0]["content"]
    assert "Read {{skills}} a.txt" in said
    assert "the log is {{goal}}" in said
    assert "history" not in said


@pytest.mark.parametrize(
    "text", [json.dumps(GOOD), f"```json\n{json.dumps(GOOD)}\n```", f"\n```\n{json.dumps(GOOD)}\n```\n"]
)
def test_a_plan_as_text_is_a_plan(text: str) -> None:
    with Stand(openai_whole(text)) as stand:
        table, _ = plan(stand, at=desk(client_for(stand, "openai")))
    assert table.name == "reading"


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (json.dumps(UNKNOWN), "no skill teleport@1"),
        ("Sure! Here is the plan.", "the plan is no JSON"),
        (json.dumps(GOOD)[:-5], "the plan is no JSON"),
        (json.dumps(GOOD).replace('"read it"', "NaN"), "NaN"),
        (json.dumps(GOOD).replace('"goal"', '"name": "x", "goal"'), "stands twice"),
        ("[" * 100_000, "the plan is no JSON"),
        ('{"a":' * 80 + "1" + "}" * 80, "nested"),
        (json.dumps([GOOD]), "the plan: must be an object"),
        ("null", "the plan: must be an object"),
        ("{}", "name"),
        (json.dumps({**GOOD, "trust": "everything"}), "trust"),
        (json.dumps({**GOOD, "steps": [{**STEP, "effect_class": "pure"}]}), "effect_class is not for a planner"),
        (json.dumps({**GOOD, "budget": {"usd": "9999"}}), "budget is not for a planner"),
        (json.dumps({**GOOD, "plans": {"x": GOOD}}), "plans is not for a planner"),
        (json.dumps({**GOOD, "steps": [STEP] * 51}), "51 steps"),
        (json.dumps({**GOOD, "goal": "x" * MAX_ANSWER_BYTES}), "bytes"),
    ],
)  # fmt: skip
def test_a_plan_with_faults_is_sent_back_with_all_of_them(bad: str, told: str) -> None:
    with Stand(anthropic_whole(bad), anthropic_whole(json.dumps(GOOD))) as stand:
        table, at = plan(stand)
        first, second = (heard.body["messages"] for heard in stand.heard)
    assert table.name == "reading"
    assert second[:1] == first
    assert second[1] == {"role": "assistant", "content": bad}
    assert told in second[2]["content"]
    assert told in at.notes["faults"][0]
    assert len(second[2]["content"]) < 20_000


def test_every_fault_is_shown_at_once() -> None:
    twice = {**GOOD, "steps": [{"id": "a", "skill": "teleport@1"}, {"id": "b", "skill": "guess@2"}]}
    with Stand(anthropic_whole(json.dumps(twice)), anthropic_whole(json.dumps(GOOD))) as stand:
        plan(stand)
        said = stand.heard[1].body["messages"][2]["content"]
    assert "steps[0].skill" in said
    assert "steps[1].skill" in said


def test_there_are_two_repairs_and_no_third() -> None:
    with Stand(anthropic_whole(json.dumps(UNKNOWN))) as stand:
        at = desk(client_for(stand))
        with pytest.raises(PlannerFailed, match="after 2 repairs: there is no skill teleport@1"):
            plan(stand, at=at)
        assert len(stand.heard) == 3
    assert len(at.notes["faults"]) == 3
    assert at.account.usage.requests == 3


def test_an_agent_may_have_fewer_repairs() -> None:
    with Stand(anthropic_whole(json.dumps(UNKNOWN))) as stand:
        with pytest.raises(PlannerFailed):
            plan(stand, at=desk(client_for(stand), repairs=0))
        assert len(stand.heard) == 1


def test_a_refusal_is_no_plan() -> None:
    with Stand(anthropic_whole("I will not.", stop="refusal")) as stand:
        with pytest.raises(PlannerFailed, match="refuses") as caught:
            plan(stand)
        assert len(stand.heard) == 1
    assert caught.value.why == "I will not."


def test_a_model_that_sees_no_way_says_why() -> None:
    nothing = {"name": "none", "outputs": {"reason": "no skill sends mail"}}
    with Stand(anthropic_whole(json.dumps(nothing))) as stand, pytest.raises(PlannerFailed, match="no way") as caught:
        plan(stand)
    assert caught.value.why == "no skill sends mail"


def test_an_answer_at_its_limit_is_asked_for_shorter() -> None:
    with Stand(anthropic_whole('{"name":', stop="max_tokens"), anthropic_whole(json.dumps(GOOD))) as stand:
        plan(stand)
        assert "limit of tokens" in stand.heard[1].body["messages"][2]["content"]


def test_money_is_set_aside_before_each_request() -> None:
    with Stand(anthropic_whole(json.dumps(UNKNOWN))) as stand:
        bound = 8_000 * 15
        for limit, asked in ((bound, 0), (bound + 150_000, 3)):
            stand.heard.clear()
            at = desk(client_for(stand))
            with pytest.raises((BudgetExceeded, PlannerFailed)):
                LlmPlanner().propose(task("Read a.txt", Budget(hard_micros=limit)), at)
            assert len(stand.heard) == asked
            assert at.account.usage.cost_micros <= limit


def test_a_model_without_a_price_is_not_asked_where_money_is_limited() -> None:
    with Stand(anthropic_whole(json.dumps(GOOD))) as stand:
        settings = client_for(stand).settings.table
        free = type(settings.models["m"])("p", "unheard-of")
        unknown = Settings(type(settings)(default="m", providers=settings.providers, models={"m": free}))
        at = desk(Client(unknown, SystemClock()))
        with pytest.raises(BudgetExceeded, match="nobody knows"):
            LlmPlanner().propose(task("Read a.txt", Budget(hard_micros=1_000_000)), at)
        assert stand.heard == []


def test_calls_of_the_run_are_calls_to_the_model_too() -> None:
    with Stand(anthropic_whole(json.dumps(UNKNOWN))) as stand:
        with pytest.raises(BudgetExceeded, match="all calls"):
            LlmPlanner().propose(task("Read a.txt", Budget(calls=1)), desk(client_for(stand)))
        assert len(stand.heard) == 1


def test_tokens_are_set_aside_too() -> None:
    with Stand(anthropic_whole(json.dumps(UNKNOWN))) as stand:
        with pytest.raises(BudgetExceeded, match="10,000 are allowed"):
            LlmPlanner().propose(task("Read a.txt", Budget(tokens=10_000)), desk(client_for(stand)))
        assert stand.heard == []


def test_what_was_spent_before_a_failure_is_known() -> None:
    with Stand(anthropic_whole(json.dumps(UNKNOWN)), failing(401)) as stand:
        at = desk(client_for(stand))
        with pytest.raises(ProviderFailed):
            plan(stand, at=at)
    assert at.account.usage.cost_micros == 12 * 3 + 7 * 15
    assert [exchange["status"] for exchange in json.loads(at.transcript("llm"))["exchanges"]] == [200, 401]


def test_without_a_model_it_says_how_to_get_one() -> None:
    with pytest.raises(ProviderFailed, match="no language model") as caught:
        LlmPlanner().propose(task("Read a.txt"), desk(None))
    assert "providers.toml" in caught.value.fix


def test_the_schema_leaves_out_what_is_not_for_a_model_to_say() -> None:
    schema = answer_schema()
    assert schema["type"] == "object"
    assert {"name", "goal", "steps", "outputs"} <= set(schema["properties"]) <= {*schema["properties"]} - {"plans"}
    assert "effect_class" not in schema["$defs"]["StepTable"]["properties"]
    assert not is_closed(schema)
    named = json.dumps(schema)
    assert all(f"#/$defs/{name}" in named for name in schema["$defs"])


def test_a_plan_of_a_person_compiles_at_the_same_desk() -> None:
    with pytest.raises(Exception, match="no skill sql_query@1"):
        checked(PLANS["forecast"])
