"""Rules of a plan's tables that a schema cannot say, each judged by what is written alone."""

import re
from collections.abc import Iterator
from typing import Final

from ..driver.faults import choose
from ..driver.places import Path
from .money import parse_usd
from .people import person_key
from .plan_faults import PlanFault
from .plan_inputs import input_faults
from .profile import duration_us
from .tables import NAME_PATTERN, PlanTable, StepTable

MAX_DURATION_MS: Final = 3_660 * 86_400_000
"""Ten years: whoever writes more means something else."""

_DURATIONS: Final = (
    ("timeout",),
    ("retry", "initial"),
    ("retry", "longest"),
    ("approval", "timeout"),
    ("wait", "timer"),
    ("wait", "timeout"),
    ("cache", "ttl"),
)
_DOES: Final = ("skill", "plan", "wait")


def duration_ms(text: str) -> int:
    """Return a duration such as ``1h30m``; 0 for none. Units: milliseconds."""
    return duration_us(text) // 1000


def money_micros(text: str) -> int:
    """Return dollars in micro-dollars; -1 where there is no limit."""
    return parse_usd(text) if text else -1


def rule_faults(table: PlanTable, path: Path) -> Iterator[PlanFault]:
    """Yield what is wrong with a plan by itself; plans inside of it are not looked at."""
    if not table.steps:
        yield PlanFault((*path, "steps"), "the plan has no steps", "", "add a step with an id and a skill")
    for name, declared in table.inputs.items():
        place = (*path, "inputs", name)
        if not re.search(NAME_PATTERN, name):
            yield PlanFault(place, f"{name!r} is no name of an input", _NAMES, _rename(name))
        yield from input_faults(name, declared, place)
    for name in table.plans:
        if not re.search(NAME_PATTERN, name):
            yield PlanFault((*path, "plans", name), f"{name!r} is no name of a plan", _NAMES, _rename(name))
    soft, hard = money_micros(table.budget.soft_usd), money_micros(table.budget.usd)
    if 0 <= hard < soft:
        why, fix = "it would never be told of", "lower it"
        yield PlanFault((*path, "budget", "soft_usd"), "the soft limit is above the hard one", why, fix)
    first: dict[str, int] = {}
    for index, step in enumerate(table.steps):
        place = (*path, "steps", index)
        if step.id in first:
            why = f"steps[{first[step.id]}] has it already"
            yield PlanFault((*place, "id"), f"two steps are called {step.id}", why, "rename one of them", step.id)
        first.setdefault(step.id, index)
        yield from step_faults(step, place)


_NAMES: Final = "names are lower-case letters, digits and underscores, and begin with a letter"


def _rename(name: str) -> str:
    text = re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_")[:64]
    return f"call it {text}" if re.search(NAME_PATTERN, text) else "choose another name"


def step_faults(step: StepTable, path: Path) -> Iterator[PlanFault]:
    """Yield what is wrong with a step by itself."""
    for what, why, fix, *inside in (
        *_doing(step),
        *_belonging(step),
        *_waiting(step),
        *_failing(step),
        *_agreeing(step),
        *_lasting(step),
    ):
        yield PlanFault((*path, *inside), what, why, fix, step.id)
    for index, name in enumerate(step.depends_on):
        if name in step.depends_on[:index]:
            place = (*path, "depends_on", index)
            yield PlanFault(place, f"{name} is named twice", "", "name it once", step.id)


Told = tuple[str, ...]
"""What, why, fix, and the keys inside of the step."""


def _doing(step: StepTable) -> Iterator[Told]:
    does = [name for name in _DOES if getattr(step, name)]
    if not does:
        yield ("the step does nothing", "a step has exactly one of skill, plan and wait", 'add skill = "NAME"')
    elif len(does) > 1:
        what = f"the step has {' and '.join(does)}"
        yield (what, "a step has exactly one of skill, plan and wait", "make steps of them", does[1])


def _belonging(step: StepTable) -> Iterator[Told]:
    """Yield what is given and has no meaning in this kind of step."""
    for name in ("cache", "effect_class", "budget_usd", "params"):
        fits = step.skill or (step.plan and name in ("budget_usd", "params"))
        if getattr(step, name) and not fits:
            yield (f"{name} has no meaning here", "the step calls no skill", "remove it", name)
    if step.max_parallel and not step.for_each:
        yield ("max_parallel has no meaning here", "the step has no for_each", "remove it", "max_parallel")


def _waiting(step: StepTable) -> Iterator[Told]:
    wait = step.wait
    if wait is None:
        return
    kinds = [name for name in ("timer", "signal", "input") if getattr(wait, name)]
    if len(kinds) != 1:
        what = f"the wait has {' and '.join(kinds)}" if kinds else "the wait is for nothing"
        yield (what, "a wait has exactly one of timer, signal and input", 'write wait = { timer = "5m" }', "wait")
    if wait.timer and wait.timeout:
        yield ("a timer has no timeout", "it ends by itself", "remove it", "wait", "timeout")
    if wait.timeout and step.timeout:
        yield ("the wait has two timeouts", "", "keep the one in wait", "timeout")


def _failing(step: StepTable) -> Iterator[Told]:
    if step.on_error == "fallback" and step.fallback is None:
        yield ("there is no fallback", 'on_error is "fallback"', "add fallback = { skill = ... }", "on_error")
    if step.on_error != "fallback" and step.fallback is not None:
        why = f"on_error is {step.on_error}"
        yield ("the fallback is never used", why, 'write on_error = "fallback"', "fallback")


def _agreeing(step: StepTable) -> Iterator[Told]:
    approval = step.approval
    if approval is None:
        return
    people = len({person_key(name) for name in approval.by})
    if approval.by and approval.need > people:
        what = f"{approval.need} have to agree and {people} {'is' if people == 1 else 'are'} asked"
        yield (what, "nobody can agree twice", "name more people, or lower need", "approval", "need")
    escalates = approval.on_timeout == "escalate"
    if escalates != bool(approval.escalate_to):
        what = "nobody is named for when time is up" if escalates else "escalate_to is never used"
        fix = "name them in escalate_to" if escalates else 'write on_timeout = "escalate"'
        yield (what, f"on_timeout is {approval.on_timeout}", fix, "approval", "escalate_to")
    if approval.on_timeout != "deny" and not approval.timeout:
        yield (
            "the approval never runs out of time",
            "it has no timeout",
            'add timeout = "1h"',
            "approval",
            "on_timeout",
        )


def _lasting(step: StepTable) -> Iterator[Told]:
    for names in _DURATIONS:
        value: object = step
        for name in names:
            value = getattr(value, name, None)
        if isinstance(value, str) and value and duration_ms(value) > MAX_DURATION_MS:
            yield (f"{value} is more than ten years", "", "write a shorter time", *names)


def missing_step(name: str, known: Iterator[str] | list[str]) -> tuple[str, str]:
    """Return what to say of a step that is not there, and how to mend it."""
    return f"there is no step {name}", choose(name, known, "add it")
