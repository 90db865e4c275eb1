"""Plans for tests of planners, and a desk to plan at."""

from typing import Any

import msgspec

from tickwork.clock import SystemClock
from tickwork.plane.compiled import Budget, Compiled, Plan
from tickwork.plane.errors import PlanInvalid
from tickwork.plane.llm.port import Account, ModelPort
from tickwork.plane.plan_faults import PlanFault, as_error
from tickwork.plane.planners.planner import Desk, SkillCard, Task
from tickwork.plane.profile import PlannerTable
from tickwork.plane.secrets import SecretBox
from tickwork.plane.tables import PlanTable

FORECAST: dict[str, Any] = {
    "name": "forecast",
    "goal": "Forecast the temperature of a weather station",
    "description": "Reads the observations of a station and forecasts the next days.",
    "examples": ["Forecast the temperature in {station} for {days} days", "How warm will it be at {station}?"],
    "inputs": {
        "station": {"enum": ["EWR", "JFK", "LGA"], "description": "A weather station."},
        "days": {"type": "integer", "minimum": 1, "maximum": 14, "default": 3},
    },
    "steps": [{"id": "load", "skill": "sql_query@1", "params": {"sql": "select 1"}}],
}
INCIDENT: dict[str, Any] = {
    "name": "incident",
    "goal": "Summarise the errors of a log file",
    "examples": ["Summarise what went wrong in {file}", "Investigate the log {file} from {since}"],
    "inputs": {"file": {"description": "The log."}, "since": {"pattern": r"^\d{4}-\d{2}-\d{2}$", "optional": True}},
    "steps": [{"id": "read", "skill": "file_read@1", "params": {"path": "${inputs.file}"}}],
}
ANSWER: dict[str, Any] = {
    "name": "answer",
    "goal": "Answer a question from a folder of documents, with citations",
    "examples": ["Answer from the documents: {question}"],
    "inputs": {"question": {}},
    "steps": [{"id": "find", "skill": "text_search@1", "params": {"query": "${inputs.question}"}}],
}


def table(document: dict[str, Any]) -> PlanTable:
    """Return a document as a plan."""
    return msgspec.convert(document, PlanTable)


PLANS = {str(each["name"]): table(each) for each in (FORECAST, INCIDENT, ANSWER)}

CARD = SkillCard(
    "file_read@1", "Read a file.", "pure", False, {"type": "object", "properties": {"path": {}}}, {"type": "string"}
)


def task(goal: str, budget: Budget | None = None, **inputs: Any) -> Task:
    """Return what is to be planned."""
    return Task(goal, inputs, (CARD,), budget=budget or Budget())


def checked(plan: PlanTable) -> Compiled:
    """Compile a plan that uses the skill of the card, and refuse any other."""
    faults = [
        PlanFault(("steps", index, "skill"), f"there is no skill {step.skill}", step=step.id)
        for index, step in enumerate(plan.steps)
        if step.skill != CARD.name
    ]
    if faults:
        raise as_error(faults)
    return Compiled((Plan(plan.name, plan.version, ()),), (), b"{}", bytes(32))


def anything(plan: PlanTable) -> Compiled:
    """Compile any plan."""
    return Compiled((Plan(plan.name, plan.version, ()),), (), b"{}", bytes(32))


def desk(models: ModelPort | None = None, **settings: Any) -> Desk:
    """Return a desk; plans may use the skill of the card."""
    account = Account(SecretBox({"KEY": "sk-test-0123456789abcdef"}))
    return Desk(checked, SystemClock(), account, models, msgspec.convert(settings, PlannerTable))


__all__ = ["CARD", "PLANS", "PlanInvalid", "anything", "checked", "desk", "table", "task"]
