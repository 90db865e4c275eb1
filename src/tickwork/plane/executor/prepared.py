"""An assignment made ready for many turns: everything that follows from the plan alone, found out once.

Invariants:
    * It is a function of the configuration and of the planner's plan; a turn reads it and never changes it.
    * Nothing here is state: a process that begins in the middle of a run prepares the same.
"""

from functools import cached_property, lru_cache
from typing import Any, Final

import msgspec

from ...kinds import EffectClass
from .. import templates
from ..compiled import AgentPin, Assignment, Budget, Call, Compiled, Plan, RetryRule, SkillPin, Step
from ..json_text import read_json
from .rows import Rows, make_rows
from .state import StepState

_KEPT: Final = 1024
"""Runs of one process whose plans stay prepared; a plan that is not is prepared again, in milliseconds."""

_KEPT_PLANS: Final = 64
"""A plan of some thousand steps takes megabytes once it is prepared."""

_compiled: Final = msgspec.msgpack.Decoder(Compiled)
_compilations: Final = msgspec.msgpack.Decoder(Compiled | None)
_OWN_RETRY: Final = RetryRule(max=2)
"""For a step that says ``on_error = "retry"`` and nothing else, of a skill that says nothing about it."""

_BETWEEN: Final = " if "

_NO_LIMIT: Final = Budget()


class PreparedCall(msgspec.Struct, frozen=True):
    """A call of a step, and whom it is.

    Attributes:
        effect: Its name among the effects of the run, and the skill's own where the run does not have that.
        reads: Steps whose outputs its parameters read. Order: the plan's.
        fill: Gives the parameters, for what their expressions read.
    """

    call: Call
    pin: SkillPin
    title: str
    effect: str
    retry: RetryRule
    reads: tuple[int, ...]
    fill: templates.Filled | None = None


class PreparedStep(msgspec.Struct, frozen=True):
    """A step, and what follows from it.

    Attributes:
        followers: Steps that come after it. Order: the plan's.
        reads: Steps that its other expressions read: condition, list, outputs, texts. Order: the plan's.
        when_reads: Steps that its condition reads, and so whether anything is done at all. Order: the plan's.
    """

    step: Step
    call: PreparedCall | None
    fallback: PreparedCall | None
    compensate: PreparedCall | None
    followers: tuple[int, ...]
    reads: tuple[int, ...]
    when_reads: tuple[int, ...]
    each_reads: tuple[int, ...]
    outputs_reads: tuple[int, ...]
    params_reads: tuple[int, ...]


class PreparedPlan:
    """A plan with what follows from it."""

    def __init__(self, plan: Plan, pins: tuple[SkillPin, ...]) -> None:
        self.plan = plan
        self.places = {step.id: place for place, step in enumerate(plan.steps)}
        followers: list[list[int]] = [[] for _ in plan.steps]
        for place, step in enumerate(plan.steps):
            for before in step.after:
                followers[before].append(place)
        self.steps = tuple(
            self._prepare(step, pins, tuple(after)) for step, after in zip(plan.steps, followers, strict=True)
        )
        self.first: Rows[StepState] = make_rows(StepState(left=len(step.after)) for step in plan.steps)
        self.starters = tuple(place for place, step in enumerate(plan.steps) if not step.after)

    @cached_property
    def output_reads(self) -> tuple[int, ...]:
        """Steps that the plan's outputs read; all those nothing comes after, where it does not say."""
        if self.plan.outputs:
            return self._places(templates.steps_read(self.plan.outputs))
        return tuple(place for place, step in enumerate(self.steps) if not step.followers)

    @cached_property
    def output(self) -> templates.Filled:
        """Gives the plan's outputs, where it says what they are."""
        return templates.prepare(msgspec.json.decode(self.plan.outputs))

    def _places(self, names: frozenset[str]) -> tuple[int, ...]:
        return tuple(sorted(self.places[name] for name in names if name in self.places)) if names else ()

    def _prepare(self, step: Step, pins: tuple[SkillPin, ...], followers: tuple[int, ...]) -> PreparedStep:
        texts = [step.cache_key]
        if step.approval is not None:
            texts.append(step.approval.message)
        if step.wait is not None:
            texts += [step.wait.signal, step.wait.message]
        each_reads = templates.steps_in_expression(step.for_each) if step.for_each else frozenset[str]()
        when_reads = templates.steps_in_expression(step.when) if step.when else frozenset[str]()
        outputs_reads = templates.steps_read(step.outputs) if step.outputs else frozenset[str]()
        others = frozenset[str]().union(*(templates.steps_in_text(text) for text in texts if text))
        return PreparedStep(
            step,
            self._call(step, step.call, pins, main=True),
            self._call(step, step.fallback, pins),
            self._call(step, step.compensate, pins),
            followers,
            self._places(each_reads | when_reads | others),
            self._places(when_reads),
            self._places(each_reads),
            self._places(outputs_reads),
            self._places(templates.steps_read(step.params)) if step.plan >= 0 else (),
        )

    def _call(
        self, step: Step, call: Call | None, pins: tuple[SkillPin, ...], *, main: bool = False
    ) -> PreparedCall | None:
        if call is None:
            return None
        pin = pins[call.skill]
        title = f"{pin.name}@{pin.version}"
        effect = effect_name(pin, step.effect_class if main else -1)
        retry = step.retry if main and step.retry is not None else pin.retry
        if main and step.on_error == "retry" and not retry.max:
            retry = _OWN_RETRY
        if call.static:
            return PreparedCall(call, pin, title, effect, retry, ())
        template = read_json(call.params)
        reads = self._places(_steps_in(template))
        return PreparedCall(call, pin, title, effect, retry, reads, templates.prepare(template))


def _steps_in(template: Any) -> frozenset[str]:
    return frozenset(member for root, member in templates.reads(template) if root == "steps")


def effect_name(pin: SkillPin, override: int = -1) -> str:
    """Return what a skill is called among the effects of a run, in the class that a step gives it; -1 for its own."""
    title = f"{pin.name}@{pin.version}"
    if override in (-1, pin.effect_class):
        return title
    return f"{title}#{EffectClass(override).name.lower()}"


class Permission(msgspec.Struct, frozen=True):
    """A skill that may change something outside with values from outside, and when."""

    skill: str
    condition: str


class PreparedPlans:
    """The plans of a run, each prepared when it is first asked for. Runs of equal plans share them."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self._plans: dict[int, PreparedPlan] = {}

    @cached_property
    def limited(self) -> bool:
        """Whether a plan within another, or a step, has a limit of its own."""
        return any(_limits(plan.budget) for plan in self.compiled.plans[1:]) or any(
            step.budget_micros >= 0 for plan in self.compiled.plans for step in plan.steps
        )

    def plan(self, number: int) -> PreparedPlan:
        """Return a plan."""
        found = self._plans.get(number)
        if found is None:
            found = self._plans[number] = PreparedPlan(self.compiled.plans[number], self.compiled.pins)
        return found


class Prepared:
    """An assignment, its plan and what follows from them."""

    def __init__(self, assignment: Assignment, plans: PreparedPlans | None) -> None:
        self.assignment = assignment
        self.compiled = plans.compiled if plans is not None else None
        self._plans = plans
        self.limits = self._limits()
        self.limited = _limits(self.limits) or (plans is not None and plans.limited)
        self.permissions = tuple(_permission(text) for text in assignment.agent.tainted)

    def plan(self, number: int) -> PreparedPlan:
        """Return a plan, prepared when it is first asked for."""
        assert self._plans is not None, "a plan is begun once there is one"
        return self._plans.plan(number)

    def _limits(self) -> Budget:
        """Return the limits of the run: of each kind the lowest that is given anywhere."""
        found = _lowest(self.assignment.budget, self.assignment.agent.budget)
        return found if self.compiled is None else _lowest(found, self.compiled.plans[0].budget)

    def budget(self, plan: int, *, root: bool) -> Budget:
        """Return the limits of a plan; of the run's own those of the run."""
        assert self.compiled is not None, "a plan is begun once there is one"
        return self.limits if root else self.compiled.plans[plan].budget


def _lowest(one: Budget, other: Budget) -> Budget:
    if other == _NO_LIMIT:
        return one
    return Budget(
        _least(one.hard_micros, other.hard_micros),
        _least(one.soft_micros, other.soft_micros),
        _least(one.tokens, other.tokens),
        _least(one.calls, other.calls),
    )


def _least(one: int, other: int) -> int:
    return max(one, other) if one < 0 or other < 0 else min(one, other)


def _limits(budget: Budget) -> bool:
    return budget.hard_micros >= 0 or budget.tokens >= 0 or budget.calls >= 0


def _permission(text: str) -> Permission:
    skill, _, condition = text.partition(_BETWEEN)
    return Permission(skill.strip(), condition.strip())


@lru_cache(_KEPT)
def prepare(config: bytes, planned: bytes) -> Prepared:
    """Return an assignment made ready.

    Args:
        config: The encoded assignment.
        planned: The planner's plan, encoded; empty where the assignment holds one, or there is none yet.
    """
    given = _shallow.decode(config)
    plans = _prepare_plans(planned or bytes(given.compiled))
    own = plans.compiled if plans is not None and not planned else None
    return Prepared(
        Assignment(
            given.goal,
            given.inputs,
            given.agent,
            own,
            given.allowed,
            given.planner,
            given.budget,
            given.prices,
            given.remember,
        ),
        plans,
    )


class _Shallow(msgspec.Struct, frozen=True, array_like=True):
    """An assignment whose plan is not decoded: equal bytes are an equal plan, which is prepared already."""

    goal: str
    inputs: bytes
    agent: AgentPin
    compiled: msgspec.Raw = msgspec.Raw(b"\xc0")
    allowed: tuple[SkillPin, ...] = ()
    planner: str = ""
    budget: Budget = Budget()
    prices: str = ""
    remember: bool = False


_shallow: Final = msgspec.msgpack.Decoder(_Shallow)


@lru_cache(_KEPT_PLANS)
def _prepare_plans(raw: bytes) -> PreparedPlans | None:
    compiled = _compilations.decode(raw)
    return PreparedPlans(compiled) if compiled is not None else None


def decode_compiled(raw: bytes) -> Compiled:
    """Return an encoded plan.

    Raises:
        msgspec.DecodeError: It is none.
    """
    return _compiled.decode(raw)
