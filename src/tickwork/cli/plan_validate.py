"""``tickwork plan validate``."""

from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from ..plane.compiling import Constraints
from ..plane.errors import PlanInvalid
from ..plane.money import usd_text
from ..plane.plan_text import PlanFile
from ..plane.skills.registry import Registry
from .output import Output, talk, write_document, write_facts, write_problem
from .wishes import ForProfile

EXAMPLES: Final = """Examples:

    tickwork plan validate report.toml
    tickwork plan validate plans/*.toml --profile analyst
    tickwork plan validate report.json -o json

Every fault is told at once: its line, the path to it, what is wrong, why, and
how to mend it. The exit status is 78 where a plan cannot be run."""

app = App(name="validate", help_epilogue=EXAMPLES)


@app.default
def validate(
    first: Annotated[str, Parameter(name="PLAN", help="A file, or the name of a plan in .tickwork/plans.")],
    /,
    *others: str,
    profile: ForProfile = "",
    output: Output = "text",
) -> int:
    """Say everything that is wrong with plans, each with its place and a way to mend it."""
    from .plans import constraints_of, find_profile
    from .skills import open_registry

    constraints = constraints_of(find_profile(profile))
    with open_registry() as registry:
        found = [_judge(one, registry, constraints, told=output == "text") for one in (first, *others)]
    if output != "text":
        write_document({"plans": found} if others else found[0], output)
    return 0 if all(row["valid"] for row in found) else PlanInvalid.exit_status


def _judge(reference: str, registry: Registry, constraints: Constraints, *, told: bool) -> dict[str, Any]:
    """Return what is to be said of a plan; with ``told``, say it."""
    from ..plane.compiling import find_faults
    from ..plane.plan_faults import in_order
    from .plans import find_plan

    try:
        plan = find_plan(reference)
        faults = in_order(find_faults(plan.table, registry, constraints), plan.lines)
        if faults and not told:
            rows = [fault.as_row(plan.lines) for fault in faults]
            return {"file": str(plan.file), "plan": plan.table.name, "valid": False, "faults": rows}
        facts = _facts(plan, registry, constraints)
    except PlanInvalid as error:
        if told:
            write_problem(error, "text")
        return {"file": reference, "valid": False, "problem": error.problem()}
    if told:
        most = facts.pop("cost_micros")
        shown = "unknown" if most is None else f"{usd_text(most)} USD"
        write_facts([*facts.items(), ("costs at most", shown)])
        talk(f"{plan.file} can be run")
    return {"file": str(plan.file), "valid": True, **facts, "faults": []}


def _facts(plan: PlanFile, registry: Registry, constraints: Constraints) -> dict[str, Any]:
    from ..plane.compiling import compile_plan
    from ..plane.rehearsal import rehearse

    compiled = compile_plan(plan.table, registry, constraints, file=plan.file, lines=plan.lines)
    most = rehearse(compiled, {})
    return {
        "plan": f"{plan.table.name} {plan.table.version}",
        "steps": sum(len(one.steps) for one in compiled.plans),
        "plans": len(compiled.plans),
        "skills": ", ".join(f"{pin.name}@{pin.version}" for pin in compiled.pins),
        "cost_micros": most.cost_micros if most.bounded else None,
        "digest": compiled.digest.hex(),
    }
