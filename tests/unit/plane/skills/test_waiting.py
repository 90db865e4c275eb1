"""``wait`` and ``ask_human``: skills that plans name and nothing calls."""

from typing import Any

import msgspec
import pytest

from tickwork.plane.compiled import Compiled
from tickwork.plane.compiling import Constraints, compile_plan, find_faults
from tickwork.plane.skills.configuration import Configuration
from tickwork.plane.skills.registry import Registry
from tickwork.plane.tables import PlanTable


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load(installed=False)


def table(*steps: dict[str, Any], **more: Any) -> PlanTable:
    return msgspec.convert({"name": "waits", "steps": list(steps), **more}, PlanTable)


def compiled(registry: Registry, *steps: dict[str, Any], **more: Any) -> Compiled:
    return compile_plan(table(*steps, **more), registry)


@pytest.mark.parametrize(
    ("skill", "params", "wait"),
    [
        ("wait", {"timer": "5m"}, {"timer": "5m"}),
        ("wait@1", {"signal": "go", "timeout": "1h"}, {"signal": "go", "timeout": "1h"}),
        ("ask_human", {"message": "Which one?"}, {"input": {"type": "string"}, "message": "Which one?"}),
        (
            "ask_human@1",
            {"message": "How many of ${inputs.x}?", "answer": {"type": "integer"}, "timeout": "1h"},
            {"input": {"type": "integer"}, "message": "How many of ${inputs.x}?", "timeout": "1h"},
        ),
    ],
)
def test_a_step_that_names_one_waits(
    registry: Registry, skill: str, params: dict[str, Any], wait: dict[str, Any]
) -> None:
    inputs: dict[str, Any] = {"inputs": {"x": {}}}
    named = compiled(registry, {"id": "a", "skill": skill, "params": params}, **inputs)
    written = compiled(registry, {"id": "a", "wait": wait}, **inputs)
    assert named.plans == written.plans
    assert named.pins == ()


def test_plans_within_plans_wait_too(registry: Registry) -> None:
    inner = {"name": "inner", "steps": [{"id": "a", "skill": "wait", "params": {"timer": "1s"}}]}
    plans = compiled(registry, {"id": "b", "plan": "inner"}, plans={"inner": inner}).plans
    assert [plan.steps[0].wait is not None for plan in plans] == [False, True]


@pytest.mark.parametrize(
    ("step", "path", "words"),
    [
        ({"skill": "wait", "params": {"timer": "soon"}}, "steps[0].params.timer", "30s"),
        ({"skill": "wait", "params": {"until": "5m"}}, "steps[0].params.until", "unknown"),
        ({"skill": "wait", "params": {}}, "steps[0].wait", "the wait is for nothing"),
        ({"skill": "ask_human", "params": {}}, "steps[0].params", "message"),
        (
            {
                "skill": "json_transform",
                "params": {"value": 1, "expression": "@"},
                "on_error": "fallback",
                "fallback": {"skill": "ask_human", "params": {"message": "What now?"}},
            },
            "steps[0].fallback.skill",
            "ask_human is a step of its own",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(
    registry: Registry, step: dict[str, Any], path: str, words: str
) -> None:
    faults = {
        fault.place().partition(" (")[0]: fault.told() for fault in find_faults(table({"id": "a", **step}), registry)
    }
    assert words in faults[path], faults


def test_a_profile_that_does_not_allow_it_has_no_such_step(registry: Registry) -> None:
    none = Constraints(lambda name, _: name != "ask_human")
    [fault] = find_faults(table({"id": "a", "skill": "ask_human", "params": {"message": "?"}}), registry, none)
    assert fault.what == "the agent may not use ask_human"


def test_a_wait_has_another_name_where_the_settings_say_so() -> None:
    named = Registry(Configuration(skills={"ask_legal": {"kind": "ask_human"}}), {})
    [plan] = compiled(named, {"id": "a", "skill": "ask_legal", "params": {"message": "May we?"}}).plans
    assert plan.steps[0].wait is not None
    assert plan.steps[0].wait.message == "May we?"


@pytest.mark.parametrize("name", ["wait", "ask_human"])
def test_it_is_shown_as_a_skill_and_cannot_be_called(registry: Registry, name: str) -> None:
    assert name in registry.names()
    skill = registry.find(name).skill
    given, _ = skill.shapes
    assert given.schema()["additionalProperties"] is False
    with pytest.raises(Exception, match=f"{name} is a step of a plan") as caught:
        skill.call(None, None)  # type: ignore[arg-type]
    assert getattr(caught.value, "code", "") == "TW7008"
