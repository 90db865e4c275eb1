"""Goes through a plan without doing anything: what would be called, in which order, with what, and at what cost.

What follows from the inputs is worked out. What only a call can tell stays as the expression that will ask for it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from ..driver.shape import is_array, is_table
from ..kinds import EffectClass
from . import cel, templates
from .compiled import AgentPin, Compiled, RetryRule, SkillPin, Step
from .errors import PlaneError
from .executor.money import Bound, bound
from .executor.values import OUTSIDE
from .json_text import read_json, write_json
from .plan_graph import does
from .plan_order import levels, topological

MOST_ROWS: Final = 100_000
"""Rows of plans within plans, after which a rehearsal stops."""


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step, as it would be done.

    Attributes:
        path: ``outer/load`` for a step of a plan that is a step.
        wave: Steps of one wave can run at once; a later wave waits for an earlier one. From 1.
        params: With templates where they depend on what a call gives.
        after: Paths of the steps that have to end first.
        when: ``true``, ``false``, or the expression that a call's result decides.
        each: How often it is done; -1 where that is found out on the way.
        cost_micros: What it costs at most, every iteration once; those that are not known count as one.
        worst_micros: The same with every attempt that its retry rule allows, and its fallback.
        bounded: Whether both are bounds.
        asks: Who or what is asked before it is done: ``step``, ``rule``, ``outside values``.
    """

    path: str
    wave: int
    does: str
    effect_class: str = ""
    params: Any = None
    after: tuple[str, ...] = ()
    when: str = "true"
    each: int = 1
    cost_micros: int = 0
    worst_micros: int = 0
    bounded: bool = True
    tokens: int = 0
    asks: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    on_error: str = "abort"


class Rehearsal(msgspec.Struct, frozen=True):
    """A plan gone through.

    Attributes:
        rows: Order: as steps may begin; those of a plan that is a step follow the step.
        outputs: What the run comes to, with templates.
    """

    rows: tuple[Row, ...]
    cost_micros: int
    worst_micros: int
    bounded: bool
    calls: int
    outputs: Any = None


def rehearse(compiled: Compiled, inputs: Mapping[str, Any], goal: str = "", agent: AgentPin | None = None) -> Rehearsal:
    """Return what a run of a plan would do.

    Args:
        inputs: Complete, as ``take_inputs`` gives them.
        agent: Whose rules about outside values hold; None for nobody's.
    """
    stage = _Stage(compiled, agent or AgentPin())
    stage.plan(0, {"inputs": dict(inputs), "goal": goal}, "", 0, frozenset(), 1)
    rows = tuple(stage.rows)
    done = [row for row in rows if row.when != "false"]
    outputs = compiled.plans[0].outputs
    known = {"inputs": dict(inputs), "goal": goal}
    return Rehearsal(
        rows,
        sum(row.cost_micros for row in done),
        sum(row.worst_micros for row in done),
        all(row.bounded for row in done),
        sum(_count(row.each) for row in done if row.effect_class),
        partly(read_json(outputs), known) if outputs else None,
    )


def partly(value: Any, known: Mapping[str, object]) -> Any:
    """Return a value of which those templates are resolved that read nothing but what is known."""
    if isinstance(value, str):
        try:
            if "${" in value and {root for root, _ in templates.reads(value)} <= known.keys():
                return templates.resolve(value, known)
        except PlaneError:
            return value
        return value
    if is_array(value):
        return [partly(item, known) for item in value]
    return {key: partly(item, known) for key, item in value.items()} if is_table(value) else value


class _Stage:
    """One rehearsal."""

    def __init__(self, compiled: Compiled, agent: AgentPin) -> None:
        self.compiled = compiled
        self.agent = agent
        self.rows: list[Row] = []

    def plan(
        self, index: int, known: dict[str, Any], path: str, wave: int, labels: frozenset[str], times: int
    ) -> frozenset[str]:
        """Go through a plan, and return where its outputs come from."""
        plan = self.compiled.plans[index]
        order = [step.after for step in plan.steps]
        waves = levels(order)
        told: dict[str, frozenset[str]] = {}
        skipped = set[int]()
        for place in topological(order):
            step = plan.steps[place]
            if len(self.rows) >= MOST_ROWS:
                break
            given = self._labels(step, told) | labels
            told[step.id] = given | self._own(step)
            here = wave + waves[place] + 1
            left_out = not step.join and not skipped.isdisjoint(step.after)
            row = self._row(step, known, given, times)
            after = tuple(path + plan.steps[before].id for before in step.after)
            when = "false" if left_out else row.when
            self.rows.append(msgspec.structs.replace(row, path=path + step.id, wave=here, after=after, when=when))
            if when == "false":
                skipped.add(place)
            elif step.plan >= 0:
                inside = {"inputs": partly(read_json(step.params), known), "goal": known["goal"]}
                told[step.id] |= self.plan(
                    step.plan, inside, f"{path}{step.id}/", here, given, _count(row.each) * times
                )
        return frozenset[str]().union(*told.values())

    def _row(self, step: Step, known: dict[str, Any], labels: frozenset[str], times: int) -> Row:
        """Return a step without its place among the others."""
        pins, plans = self.compiled.pins, self.compiled.plans
        params = partly(read_json(step.call.params if step.call is not None else step.params), known)
        cost, worst = Bound(), 0
        if step.call is not None:
            cost, worst = self._cost(step, pins[step.call.skill], params)
        each = self._each(step, known)
        count = _count(each) * times
        asks = tuple(self._asks(step, labels))
        return Row(
            step.id,
            0,
            does(step, pins, plans),
            self._class(step),
            params if step.call is not None or step.plan >= 0 else None,
            when=self._when(step, known),
            each=each,
            cost_micros=cost.micros * count,
            worst_micros=worst * count,
            bounded=cost.known,
            tokens=cost.tokens * count,
            asks=asks,
            by=step.approval.by if step.approval is not None else self.agent.approvers if asks else (),
            on_error=step.on_error,
        )

    def _class(self, step: Step) -> str:
        if step.call is None:
            return ""
        own = self.compiled.pins[step.call.skill].effect_class
        return EffectClass(step.effect_class if step.effect_class >= 0 else own).name.lower()

    def _cost(self, step: Step, pin: SkillPin, params: Any) -> tuple[Bound, int]:
        """Return what one call costs at most, and all that may be made for it."""
        cost = bound(pin.cost, write_json(params))
        retry = step.retry or pin.retry
        if step.on_error == "retry" and not retry.max:
            retry = RetryRule(max=2)
        worst = cost.micros * (1 + retry.max)
        if step.fallback is not None:
            other = self.compiled.pins[step.fallback.skill]
            worst += bound(other.cost, step.fallback.params).micros * (1 + other.retry.max)
        return cost, worst

    def _asks(self, step: Step, labels: frozenset[str]) -> Iterator[str]:
        if step.approval is not None:
            yield "step"
        if step.call is None:
            return
        pin = self.compiled.pins[step.call.skill]
        if pin.approval:
            yield "rule"
        ruled = {rule.partition(" if ")[0].strip() for rule in self.agent.tainted}
        if self.agent.lets_out(pin) and labels and not ruled & {pin.name, f"{pin.name}@{pin.version}"}:
            yield "outside values"

    def _labels(self, step: Step, told: Mapping[str, frozenset[str]]) -> frozenset[str]:
        """Return where the values come from that a step reads."""
        raw = step.call.params if step.call is not None else step.params
        names = templates.steps_read(raw) | (
            templates.steps_in_expression(step.for_each) if step.for_each else frozenset[str]()
        )
        return frozenset[str]().union(*(told.get(name, frozenset()) for name in names))

    def _own(self, step: Step) -> frozenset[str]:
        """Return where the output of a step comes from beside its parameters."""
        if step.call is None:
            return frozenset()
        pin = self.compiled.pins[step.call.skill]
        return frozenset((OUTSIDE + pin.name,)) if pin.outside else frozenset()

    def _each(self, step: Step, known: Mapping[str, object]) -> int:
        """Return how often a step is done; -1 where that is found out on the way."""
        if not step.for_each:
            return 1
        values = _worked_out(step.for_each, known)
        return len(values) if is_array(values) else -1

    def _when(self, step: Step, known: Mapping[str, object]) -> str:
        if not step.when:
            return "true"
        found = _worked_out(step.when, known)
        return step.when if not isinstance(found, bool) else "true" if found else "false"


def _count(each: int) -> int:
    """Return how often a step is counted; once where nobody knows."""
    return 1 if each < 0 else each


def _worked_out(source: str, known: Mapping[str, object]) -> object:
    """Return what an expression comes to, or None where only a call can tell."""
    try:
        if {root for root, _ in cel.reads(source)} <= known.keys():
            return cel.evaluate(source, known)
    except PlaneError:
        pass
    return None
