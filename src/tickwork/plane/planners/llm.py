"""The planner that asks a language model.

Invariants:
    * What the model answers is text from outside. It is read strictly, compiled like any plan, and sent back with every
      fault at most twice.
    * A model widens nothing: it cannot say what a skill's loss means, nor use a skill that it was not shown.
    * Money is set aside before every request.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ...driver.shape import is_table
from ..errors import PlanInvalid, PlannerFailed
from ..json_text import write_json
from ..llm.port import Completion, Form, Message, Request
from ..llm.text import unfenced
from ..plan_faults import PlanFault, as_error
from ..plan_text import parse_json_plan
from ..tables import InputTable, PlanTable
from .planner import MAX_GOAL_CHARACTERS, Desk, Draft, SkillCard, Task, ask
from .prompting import filled, prompts_digest

NAME: Final = "llm"
FORM_NAME: Final = "plan"
MAX_TOKENS: Final = 8_000
MAX_ANSWER_BYTES: Final = 256 << 10
MAX_REPAIRS: Final = 2
MAX_RECALLED_BYTES: Final = 64 << 10
MAX_FAULT_BYTES: Final = 8 << 10


class LlmPlanner:
    """Has a language model plan."""

    def propose(self, task: Task, desk: Desk) -> Draft:
        """Return the model's plan.

        Raises:
            PlannerFailed: TW7016, it gave none that can be run, or none at all.
            ProviderFailed: TW7017, its provider gave no answer.
            BudgetExceeded: TW7010, asking may cost more than the run has.
        """
        if len(task.goal) > MAX_GOAL_CHARACTERS:
            raise PlannerFailed(f"the goal has more than {MAX_GOAL_CHARACTERS:,} characters")
        desk.notes |= {"prompts": prompts_digest(), "faults": []}
        messages = [Message("user", _goal(task))]
        system = _system(task, desk)
        for repairs in range(min(desk.settings.repairs, MAX_REPAIRS) + 1):
            request = Request(
                desk.settings.model, tuple(messages), system, MAX_TOKENS, form=Form(FORM_NAME, answer_schema())
            )
            said = ask(task, desk, request)
            try:
                return Draft(_read(said, task, desk))
            except PlanInvalid as error:
                told = _told(error)
                desk.notes["faults"].append(told)
                if repairs == min(desk.settings.repairs, MAX_REPAIRS):
                    raise _given_up(error, repairs) from error
                # A turn without words is no turn, and some providers refuse one.
                messages += [
                    Message("assistant", said.text or "{}"),
                    Message("user", filled("repair", {"faults": told})),
                ]
        raise AssertionError("the last round returns or raises")


def answer_schema() -> dict[str, Any]:
    """Return the JSON Schema of what the model is to answer: a plan, without what is not for a model to say."""
    tables: dict[str, Any] = msgspec.json.schema(PlanTable)["$defs"]
    for table, names in _NOT_FOR_MODELS.items():
        for name in names:
            tables[table]["properties"].pop(name, None)
    used = {name: table for name, table in tables.items() if name not in ("PlanTable", "InputTable", "BudgetTable")}
    # Providers want an object at the root, and no reference to one.
    return {**tables["PlanTable"], "$defs": {name: used[name] for name in used if name != "CacheTable"}}


_NOT_FOR_MODELS: Final[Mapping[str, tuple[str, ...]]] = {
    "PlanTable": ("format", "planner", "plans", "examples", "version", "ordering", "budget", "inputs"),
    "StepTable": ("plan", "effect_class", "budget_usd", "cache"),
}


def _system(task: Task, desk: Desk) -> str:
    skills = "\n\n".join(map(_shown, task.skills)) or "There are none."
    schema = write_json(answer_schema()).decode()
    return filled("plan", {"skills": skills, "schema": schema, "max_steps": str(desk.settings.max_steps)})


def _shown(card: SkillCard) -> str:
    changes = (
        "It changes something outside: think of `approval`." if card.side_effects else "It changes nothing outside."
    )
    given, made = write_json(card.given).decode(), write_json(card.made).decode()
    return f"## {card.name}\n\n{card.description} {changes}\n\n- given: {given}\n- made: {made}"


def _goal(task: Task) -> str:
    given: Any = task.recalled.get("sections") or []
    sections = [section for section in given if not is_table(section) or section.get("items")]
    recalled = write_json(sections).decode() if sections else "Nothing."
    if len(recalled) > MAX_RECALLED_BYTES:
        recalled = f"{recalled[:MAX_RECALLED_BYTES]}..."
    inputs, reach = write_json(dict(task.inputs)).decode(), write_json(dict(task.reach)).decode()
    return filled("goal", {"goal": task.goal, "inputs": inputs, "reach": reach, "recalled": recalled})


def _read(said: Completion, task: Task, desk: Desk) -> PlanTable:
    """Return what a model said as a plan that can be run.

    Raises:
        PlanInvalid: TW7001. PlannerFailed: TW7016, the model refuses, or says that there is no way.
    """
    if said.finish == "refusal":
        raise PlannerFailed("the model refuses to plan", why=said.text[:500] or "it does not say why")
    if said.finish == "length":
        raise as_error(
            [PlanFault((), "the answer was cut off at its limit of tokens", fix="answer with a shorter plan")]
        )
    text = unfenced(said.text)
    if len(text.encode("utf-8", "replace")) > MAX_ANSWER_BYTES:
        raise as_error([PlanFault((), f"the answer has more than {MAX_ANSWER_BYTES:,} bytes", fix="make it shorter")])
    table, faults = parse_json_plan(text)
    if table is None:
        raise as_error(faults)
    faults = list(_beyond(table, desk.settings.max_steps))
    if faults:
        raise as_error(faults)
    if not table.steps:
        reason = table.outputs.get("reason", "it gave a plan without steps")
        raise PlannerFailed("the model sees no way to the goal", why=str(reason)[:500], fix="allow more skills")
    inputs = {name: _input_of(value) for name, value in task.inputs.items()}
    table = msgspec.structs.replace(table, goal=task.goal, planner=NAME, inputs=inputs)
    desk.check(table)
    return table


def _beyond(table: PlanTable, max_steps: int) -> list[PlanFault]:
    """Return what a model has said that is not for it to say."""
    faults = list[PlanFault]()
    if len(table.steps) > max_steps:
        faults.append(PlanFault(("steps",), f"there are {len(table.steps)} steps", f"at most {max_steps} are allowed"))
    empty = PlanTable("x")
    for name in _NOT_FOR_MODELS["PlanTable"]:
        if name not in ("version", "examples", "planner", "inputs") and getattr(table, name) != getattr(empty, name):
            faults.append(PlanFault((name,), f"{name} is not for a planner to say", fix="leave it out"))
    for index, step in enumerate(table.steps):
        for name in _NOT_FOR_MODELS["StepTable"]:
            if getattr(step, name):
                place = ("steps", index, name)
                faults.append(PlanFault(place, f"{name} is not for a planner to say", fix="leave it out", step=step.id))
    return faults


def _input_of(value: Any) -> InputTable:
    kinds = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    return InputTable(type=kinds.get(type(value), "string"), optional=value is None)  # type: ignore[arg-type]


def _told(error: PlanInvalid) -> str:
    """Return every fault on a line of its own, with its place."""
    mend, *others = error.fix.split("\n")
    first = f"{error.where or 'the plan'}: {error.what.strip()}"
    lines = ["; ".join(part for part in (first, error.why, mend) if part)]
    lines += [line.removeprefix("  also:  ").strip() for line in others]
    text = "\n".join(f"- {line}" for line in lines if line)
    return text.encode("utf-8", "replace")[:MAX_FAULT_BYTES].decode("utf-8", "ignore")


def _given_up(error: PlanInvalid, repairs: int) -> PlannerFailed:
    again = f" after {repairs} repair{'s' if repairs > 1 else ''}" if repairs else ""
    return PlannerFailed(
        f"the model gave no plan that can be run{again}: {error.what}",
        where=error.where,
        why=error.why,
        fix="say the goal more exactly, allow the skills that it needs, name another model, or write the plan yourself",
    )
