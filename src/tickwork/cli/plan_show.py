"""``tickwork plan show``."""

from typing import Annotated, Any, Final

import msgspec
from cyclopts import App, Parameter

from ..driver.faults import choose
from ..errors import UsageFault
from ..plane.compiled import Compiled, Plan
from ..plane.plan_text import PlanFile
from .output import Output, write_document, write_facts, write_line
from .wishes import ForProfile, PlanReference

EXAMPLES: Final = """Examples:

    tickwork plan show report.toml
    tickwork plan show report.toml --step load
    tickwork plan show report.toml -o json

A step of a plan inside a plan is named with the path to it: outer/load. What a
step waits for includes what its expressions read."""

app = App(name="show", help_epilogue=EXAMPLES)


@app.default
def show(
    plan: PlanReference,
    /,
    *,
    step: Annotated[str, Parameter(help="Show all of this step.")] = "",
    profile: ForProfile = "",
    output: Output = "text",
) -> int:
    """Show the steps of a plan, or all of one step."""
    from .plans import compile_file, find_plan, find_profile

    file = find_plan(plan)
    compiled = compile_file(file, find_profile(profile))
    if step:
        _show_step(file, compiled, step, output)
    elif output != "text":
        write_document(_document(file, compiled), output)
    else:
        _show_plan(file, compiled)
    return 0


def _document(file: PlanFile, compiled: Compiled) -> dict[str, Any]:
    from ..plane.plan_inputs import inputs_schema
    from ..plane.plan_text import plan_document

    return {
        "plan": plan_document(file.table),
        "digest": compiled.digest.hex(),
        "inputs": inputs_schema(file.table.inputs),
        "skills": [{"name": pin.name, "version": pin.version, "digest": pin.digest.hex()} for pin in compiled.pins],
        "plans": [
            {"name": one.name, "steps": [_step(one, index) for index in range(len(one.steps))]}
            for one in compiled.plans
        ],
    }


def _step(plan: Plan, index: int) -> dict[str, Any]:
    step = plan.steps[index]
    return {"id": step.id, "after": [plan.steps[before].id for before in step.after], "join": step.join}


def _show_plan(file: PlanFile, compiled: Compiled) -> None:
    from ..plane.plan_graph import does, remarks
    from ..plane.plan_inputs import read_inputs
    from .screen import write_table  # Loads rich.

    table = file.table
    facts = [("plan", f"{table.name} {table.version}"), ("goal", table.goal), ("about", table.description)]
    facts += [("budget", f"{table.budget.usd} USD" if table.budget.usd else ""), ("digest", compiled.digest.hex())]
    write_facts([(name, value) for name, value in facts if value])
    for index, plan in enumerate(compiled.plans):
        write_line("" if not index else f"\nplan {plan.name}")
        inputs = read_inputs(plan.inputs)
        if inputs:
            rows = [
                (
                    name,
                    one.type,
                    "" if one.default is None else msgspec.json.encode(one.default).decode(),
                    one.description,
                )
                for name, one in inputs.items()
            ]
            write_table(("input", "type", "default", "description"), rows)
        steps = [
            (
                step.id,
                does(step, compiled.pins, compiled.plans),
                ", ".join(plan.steps[before].id for before in step.after),
                "; ".join(remarks(step)),
                step.title,
            )
            for step in plan.steps
        ]
        write_table(("step", "does", "after", "besides", "title"), steps)


def _show_step(file: PlanFile, compiled: Compiled, path: str, output: Output) -> None:
    from ..plane.plan_graph import does

    *outer, name = path.split("/")
    plan = compiled.plans[0]
    for part in outer:
        plan = compiled.plans[_find(plan, part, "plan")]
    place = _find(plan, name, "step")
    step = plan.steps[place]
    whole: dict[str, Any] = {"step": path, "does": does(step, compiled.pins, compiled.plans)}
    for key, value in msgspec.structs.asdict(step).items():
        shown = _shown(value, compiled)
        if key not in ("id", "plan") and shown not in (None, "", [], {}, 0, -1):
            whole[key] = [plan.steps[before].id for before in step.after] if key == "after" else shown
    if output != "text":
        write_document({"file": str(file.file), **whole}, output)
        return
    write_facts(
        (key.replace("_", " "), value if isinstance(value, str) else _text(value)) for key, value in whole.items()
    )


def _find(plan: Plan, name: str, wanted: str) -> int:
    for place, step in enumerate(plan.steps):
        if step.id == name:
            if wanted == "plan" and step.plan < 0:
                raise UsageFault(f"{name} is no plan", fix="name the step by itself")
            return step.plan if wanted == "plan" else place
    raise UsageFault(f"there is no step {name}", fix=choose(name, [step.id for step in plan.steps], ""))


def _shown(value: object, compiled: Compiled) -> Any:
    """Return a part of a step as people read it: JSON as values, skills by name."""
    from ..plane.compiled import Call

    if isinstance(value, bytes):
        return msgspec.json.decode(value) if value else None
    if isinstance(value, Call):
        pin = compiled.pins[value.skill]
        return {"skill": f"{pin.name}@{pin.version}", "params": msgspec.json.decode(value.params)}
    if isinstance(value, msgspec.Struct):
        parts = {key: _shown(part, compiled) for key, part in msgspec.structs.asdict(value).items()}
        return {key: part for key, part in parts.items() if part not in (None, "", [], {})}
    return msgspec.to_builtins(value)


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()
