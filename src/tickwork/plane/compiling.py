"""Turns a plan's tables into what the executor runs, or says everything that is wrong with them.

Invariants:
    * Nothing is called and nothing is spent: skills are asked for their traits and shapes.
    * Every fault is found at once, each with its path and a way to mend it, so that who wrote the plan, a person or a
      model, can mend all of them in one go.
    * What a plan may do follows from the agent: a table can ask, and only ``Constraints`` allow.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as File
from typing import Any, Final, Protocol

import msgspec

from .. import codec
from ..driver.faults import choose
from ..driver.places import Path
from ..driver.shape import is_array, is_table
from ..kinds import EffectClass
from . import cel, templates
from .compiled import Approval, Budget, Call, Compiled, Plan, RetryRule, SkillPin, Step, Wait
from .errors import PlaneError
from .executor.money import bound
from .json_text import write_json
from .money import usd_text
from .plan_faults import PlanFault, as_error
from .plan_inputs import defaults_of, given_faults, inputs_schema
from .plan_order import Nest, find_cycles, nest_of
from .plan_rules import duration_ms, missing_step, money_micros, rule_faults
from .plan_scope import Place, Scope
from .plan_text import plan_bytes
from .plan_types import ANYTHING, Promise, kind_of, of_list, of_members, param_faults, promise_of
from .skills.skill import Shape, Skill, Waiting
from .tables import MAX_STEPS, ApprovalTable, CallTable, PlanTable, RetryTable, StepTable, WaitTable

MAX_DEPTH: Final = 16
"""How deep plans may lie within each other."""

_SHOWN: Final = 12
"""Steps of a long cycle that are named."""

MAX_PARAMS_BYTES: Final = 1 << 20


class FoundSkill(Protocol):
    """A skill as a registry finds it."""

    @property
    def pin(self) -> SkillPin:
        """What a run keeps of it."""
        ...

    @property
    def skill(self) -> Skill:
        """Itself."""
        ...


class Registry(Protocol):
    """Whatever finds skills by name."""

    def find(self, reference: str) -> FoundSkill:
        """Return the skill of a reference, ``NAME`` or ``NAME@VERSION``.

        Raises:
            PlaneError: There is none, or it cannot be made.
        """
        ...


def allow_all(_name: str, _version: str) -> bool:
    """Return that a skill may be used."""
    return True


class Constraints(msgspec.Struct, frozen=True):
    """What the agent allows.

    Attributes:
        allows: Whether a skill of a name and version may be used.
        budget: What one run may use.
        max_steps: Steps that a plan may have, those of plans inside it included.
        skills: Names of skills that may be used, where they are known, for the texts of faults.
    """

    allows: Callable[[str, str], bool] = allow_all
    budget: Budget = Budget()
    max_steps: int = MAX_STEPS
    skills: tuple[str, ...] = ()


FREE: Final = Constraints()


def compile_plan(
    table: PlanTable,
    registry: Registry,
    constraints: Constraints = FREE,
    *,
    file: File | None = None,
    lines: Mapping[Path, int] | None = None,
) -> Compiled:
    """Return a plan as the executor runs it.

    Args:
        file, lines: Named in errors.

    Raises:
        PlanInvalid: TW7001, every fault is named.

    Law: equal tables, skills and constraints give equal bytes.
    """
    compiler = _Compiler(registry, constraints)
    compiled = compiler.compile(table)
    if compiled is None:
        raise as_error(compiler.faults, file, lines)
    return compiled


def find_faults(table: PlanTable, registry: Registry, constraints: Constraints = FREE) -> list[PlanFault]:
    """Return everything that is wrong with a plan. Order: as it is found, plan by plan and step by step."""
    compiler = _Compiler(registry, constraints)
    compiler.compile(table)
    return list(dict.fromkeys(compiler.faults))


class _Known(msgspec.Struct, frozen=True):
    """A skill that a plan names."""

    index: int
    pin: SkillPin
    given: Shape
    wants: Promise
    gives: Promise


class _Compiler:
    """One compilation: the skills and plans it has come across, and the faults."""

    def __init__(self, registry: Registry, constraints: Constraints) -> None:
        self.registry = registry
        self.constraints = constraints
        self.faults: list[PlanFault] = []
        self.pins: list[SkillPin] = []
        self.plans: list[Plan | None] = []
        self._known: dict[str, _Known | PlanFault] = {}
        self._looked_up: dict[str, FoundSkill | PlaneError] = {}

    def compile(self, table: PlanTable) -> Compiled | None:
        """Return the plan, or None and leave what is wrong with it in ``faults``."""
        root = nest_of(self._with_waits(table, ()))
        self.plan(root)
        self._declared(root)
        if root.steps > self.constraints.max_steps:
            what = f"the plan comes to {root.steps:,} steps"
            why = f"at most {self.constraints.max_steps:,} are allowed"
            self.fault(("steps",), what, why, "leave some out, or use for_each")
        self._within(root, self.constraints.budget.hard_micros, "the agent's budget")
        plans = tuple(plan for plan in self.plans if plan is not None)
        if self.faults:
            return None
        source, pins = plan_bytes(table), tuple(self.pins)
        return Compiled(plans, pins, source, codec.digest(source + codec.encode(pins)), table.ordering)

    def fault(self, path: Path, what: str, why: str = "", fix: str = "", step: str = "") -> None:
        """Note a fault."""
        self.faults.append(PlanFault(path, what, why, fix, step))

    def _with_waits(self, table: PlanTable, path: Path) -> PlanTable:
        """Return a plan in which each step that names a skill which is a wait is that wait."""
        steps = tuple(self._as_wait(step, (*path, "steps", index)) for index, step in enumerate(table.steps))
        plans = {name: self._with_waits(inner, (*path, "plans", name)) for name, inner in table.plans.items()}
        return msgspec.structs.replace(table, steps=steps, plans=plans)

    def _as_wait(self, step: StepTable, path: Path) -> StepTable:
        skill = self._waiting(step.skill) if step.skill and step.wait is None and not step.plan else None
        if skill is None:
            return step
        wait, faults = skill.wait_of(step.params, (*path, "params"))
        self.faults += [msgspec.structs.replace(fault, step=step.id) for fault in faults]
        return msgspec.structs.replace(step, skill="", params={}, wait=wait)

    def _waiting(self, reference: str) -> Waiting | None:
        """Return the skill of a reference where it is a wait that may be used; of all others something else is told."""
        found = self._look_up(reference)
        if isinstance(found, PlaneError) or not isinstance(found.skill, Waiting):
            return None
        return found.skill if self.constraints.allows(found.pin.name, found.pin.version) else None

    def _look_up(self, reference: str) -> FoundSkill | PlaneError:
        if reference not in self._looked_up:
            try:
                self._looked_up[reference] = self.registry.find(reference)
            except PlaneError as error:
                self._looked_up[reference] = error
        return self._looked_up[reference]

    def _declared(self, nest: Nest) -> None:
        """Look at plans that no step runs, too: they are as wrong as others."""
        for inner in nest.inner.values():
            if inner.index < 0 and inner.depth <= MAX_DEPTH:
                self.plan(inner)
            self._declared(inner)

    # -- plans --

    def plan(self, nest: Nest) -> int:
        """Compile a plan, and return its place among the compiled ones."""
        if nest.index >= 0:
            return nest.index
        nest.index = len(self.plans)
        self.plans.append(None)
        nest.busy = True
        table = nest.table
        self.faults.extend(rule_faults(table, nest.path))
        scope = Scope(table, lambda index: self.output_of(nest, index), self.faults)
        steps = [_StepWriter(self, nest, scope, index).step() for index in range(len(table.steps))]
        self._no_cycles(nest, [step.after for step in steps])
        place = Place((*nest.path, "outputs"))
        scope.value(table.outputs, place)
        self.plans[nest.index] = Plan(
            table.name,
            table.version,
            tuple(steps),
            write_json(msgspec.to_builtins(table.inputs)),
            write_json(table.outputs) if table.outputs else b"",
            _budget(table),
        )
        self._within(nest, money_micros(table.budget.usd), "its own budget")
        nest.steps += len(steps)
        nest.busy = False
        return nest.index

    def _no_cycles(self, nest: Nest, after: Sequence[tuple[int, ...]]) -> None:
        steps = nest.table.steps
        for cycle in find_cycles(after):
            names = [steps[index].id for index in cycle]
            shown = names if len(names) <= _SHOWN else [*names[:_SHOWN], f"{len(names) - _SHOWN} more"]
            first = steps[cycle[0]]
            waits = ", ".join(
                f"{one} waits for {other}" for one, other in zip(names, names[1:] + names[:1], strict=True)
            )
            written = first.depends_on and names[1 % len(names)] in first.depends_on
            path = (*nest.path, "steps", cycle[0], *(("depends_on",) if written else ()))
            what = f"the steps {' → '.join([*shown, names[0]])} wait for each other"
            self.fault(path, what, waits, "let one of them not read or depend on the next", first.id)

    def _within(self, nest: Nest, limit: int, whose: str) -> None:
        """Note that a plan may cost more than there is."""
        if 0 <= limit < nest.micros:
            what = f"the plan may cost {usd_text(nest.micros)} USD"
            why = f"{whose} is {usd_text(limit)} USD"
            fix = "use cheaper skills, ask for shorter answers, or raise the budget"
            self.fault((*nest.path, "budget", "usd"), what, why, fix)

    def output_of(self, nest: Nest, index: int) -> Promise:
        """Return what the output of a step promises."""
        step = nest.table.steps[index]
        found = ANYTHING
        if step.outputs:
            found = of_members({key: _written_promise(value) for key, value in step.outputs.items()})
        elif step.skill:
            known = self.skill(step.skill)
            found = known.gives if isinstance(known, _Known) else ANYTHING
        elif step.plan:
            inner = nest.find(step.plan)
            if inner is not None and inner.table.outputs:
                found = of_members({key: _written_promise(value) for key, value in inner.table.outputs.items()})
        elif step.wait is not None:
            found = promise_of(step.wait.input) if step.wait.input else ANYTHING
        return of_list(found) if step.for_each else found

    # -- skills --

    def skill(self, reference: str) -> _Known | PlanFault:
        """Return a skill, or what is wrong with its name wherever it stands."""
        found = self._known.get(reference)
        if found is None:
            found = self._known[reference] = self._find(reference)
        return found

    def _find(self, reference: str) -> _Known | PlanFault:
        found = self._look_up(reference)
        try:
            if isinstance(found, PlaneError):
                raise found
            given, made = found.skill.shapes
            wants, gives = given.schema(), made.schema()
        except PlaneError as error:
            fix = choose(reference.partition("@")[0], self.constraints.skills, error.fix)
            return PlanFault((), error.what, "; ".join(filter(None, (error.why, error.where))), fix)
        pin = found.pin
        if not self.constraints.allows(pin.name, pin.version):
            fix = choose(pin.name, self.constraints.skills, "use another, or have it allowed: `tickwork profile set`")
            return PlanFault((), f"the agent may not use {pin.name}", "its profile says which it may use", fix)
        if isinstance(found.skill, Waiting):
            what = f"{pin.name} is a step of its own"
            return PlanFault((), what, "nothing waits in place of a step, or to undo one", "make a step of it")
        if pin not in self.pins:
            self.pins.append(pin)
        # A Pydantic model writes its own fields and no others, even where its schema does not say so.
        closed = type(made).__name__ == "ModelShape"
        return _Known(self.pins.index(pin), pin, given, promise_of(wants), promise_of(gives, closed=closed))


class _StepWriter:
    """Writes one step, and gathers what it waits for."""

    def __init__(self, compiler: _Compiler, nest: Nest, scope: Scope, index: int) -> None:
        self.compiler = compiler
        self.nest = nest
        self.scope = scope
        self.table: StepTable = nest.table.steps[index]
        self.path: Path = (*nest.path, "steps", index)
        self.reads = set[int]()
        names = frozenset(("item", "index")) if self.table.for_each else frozenset[str]()
        item = ANYTHING
        if self.table.for_each:
            item = scope.element_of(self.table.for_each, Place(self.path, self.table.id))
        self.place = Place(self.path, self.table.id, names, item=item)

    def fault(self, keys: Path, what: str, why: str = "", fix: str = "") -> None:
        """Note a fault of the step."""
        self.compiler.fault((*self.path, *keys), what, why, fix, self.table.id)

    def step(self) -> Step:
        """Return the step."""
        table = self.table
        self._conditions()
        call = self._call(table.skill, table.params, ()) if table.skill else None
        plan, params = self._plan() if table.plan else (-1, b"{}")
        self._texts()
        with_error = frozenset(("error",))
        fallback = self._other(table.fallback, "fallback", with_error)
        compensate = self._other(table.compensate, "compensate", frozenset(("result",)), itself=True)
        if table.outputs:
            place = msgspec.structs.replace(self.place, names=self.place.names | {"result"})
            self.reads |= self.scope.value(table.outputs, place.inside("outputs"))
        self._cost(call, fallback)
        after = self._after()
        return Step(
            id=table.id,
            title=table.title,
            call=call,
            plan=plan,
            params=params,
            wait=_wait(table.wait),
            after=after,
            join=self._join(len(after)),
            when=table.when,
            for_each=table.for_each,
            max_parallel=table.max_parallel,
            timeout_ms=duration_ms(table.timeout),
            retry=_retry(table.retry),
            on_error=table.on_error,
            fallback=fallback,
            approval=_approval(table.approval),
            compensate=compensate,
            cache_key=table.cache.key if table.cache is not None else "",
            cache_ms=duration_ms(table.cache.ttl) if table.cache is not None else 0,
            outputs=write_json(table.outputs) if table.outputs else b"",
            effect_class=self._effect_class(call),
            budget_micros=money_micros(table.budget_usd),
        )

    def _conditions(self) -> None:
        place = Place(self.path, self.table.id)
        if self.table.when:
            self.reads |= self.scope.condition(self.table.when, place.inside("when"))
        if self.table.for_each:
            self.reads |= self.scope.sequence(self.table.for_each, place.inside("for_each"))

    def _texts(self) -> None:
        """Look at texts that may hold templates."""
        table = self.table
        texts = [
            (table.approval.message if table.approval is not None else "", ("approval", "message")),
            (table.wait.message if table.wait is not None else "", ("wait", "message")),
            (table.wait.signal if table.wait is not None else "", ("wait", "signal")),
            (table.cache.key if table.cache is not None else "", ("cache", "key")),
        ]
        for text, keys in texts:
            self.reads |= self.scope.value(text, self.place.inside(*keys))

    def _other(self, table: CallTable | None, name: str, names: frozenset[str], *, itself: bool = False) -> Call | None:
        """Return the call that takes the place of the step's own, or undoes it."""
        if table is None:
            return None
        before = self.place
        self.place = msgspec.structs.replace(before, names=before.names | names, itself=itself)
        call = self._call(table.skill, table.params, (name,))
        self.place = before
        return call

    def _call(self, reference: str, params: dict[str, Any], inside: Path) -> Call | None:
        place = self.place.inside(*inside, "params")
        self.reads |= self.scope.value(params, place)
        known = self.compiler.skill(reference)
        if isinstance(known, PlanFault):
            self.fault((*inside, "skill"), known.what, known.why, known.fix)
            return None
        raw = write_json(params)
        if len(raw) > MAX_PARAMS_BYTES:
            why = f"at most {MAX_PARAMS_BYTES:,} are allowed"
            self.fault((*inside, "params"), f"parameters of {len(raw):,} bytes", why, "read them from a file")
        static = templates.is_static(params)
        found = list(param_faults(params, known.wants, place.path, lambda text: self.scope.expected(text, place)))
        self.compiler.faults.extend(msgspec.structs.replace(fault, step=self.table.id) for fault in found)
        if static and not found:
            try:
                known.given.check(raw)
            except ValueError as error:
                self.fault((*inside, "params"), f"{reference} cannot take them", str(error), "mend what is named")
        return Call(known.index, raw, static)

    def _plan(self) -> tuple[int, bytes]:
        """Return which plan the step runs, and with what."""
        table = self.table
        place = self.place.inside("params")
        self.reads |= self.scope.value(table.params, place)
        inner = self.nest.find(table.plan)
        if inner is None:
            fix = choose(table.plan, self.nest.names(), "add it to plans")
            self.fault(("plan",), f"there is no plan {table.plan}", "", fix)
            return -1, b"{}"
        if inner.busy or inner.depth > MAX_DEPTH:
            what = f"{table.plan} runs itself" if inner.busy else "plans lie too deep within each other"
            self.fault(("plan",), what, "it would never come to an end", "let it end somewhere")
            return -1, b"{}"
        index = self.compiler.plan(inner)
        self.nest.steps += inner.steps
        self.nest.micros += inner.micros * self._rounds()
        wants = promise_of(inputs_schema(inner.table.inputs))
        found = list(param_faults(table.params, wants, place.path, lambda text: self.scope.expected(text, place)))
        if not found and templates.is_static(table.params):
            given = given_faults(inner.table.inputs, table.params)
            found = [msgspec.structs.replace(fault, path=(*place.path, *fault.path[1:])) for fault in given]
        self.compiler.faults.extend(msgspec.structs.replace(fault, step=table.id) for fault in found)
        return index, write_json({**defaults_of(inner.table.inputs), **table.params})

    def _after(self) -> tuple[int, ...]:
        """Return the steps that have to end first, those that are named and those that are read."""
        for index, name in enumerate(self.table.depends_on):
            place = self.scope.places.get(name)
            if name == self.table.id:
                self.fault(("depends_on", index), f"{name} waits for itself", "", "remove it")
            elif place is None:
                what, fix = missing_step(name, list(self.scope.places))
                self.fault(("depends_on", index), what, "", fix)
            else:
                self.reads.add(place)
        return tuple(sorted(self.reads))

    def _join(self, count: int) -> int:
        """Return how many have to have succeeded; 0 for all."""
        join = self.table.join
        if join == "all":
            return 0
        wanted = 1 if isinstance(join, str) else join
        if wanted > count:
            what = f"{wanted} have to succeed and the step waits for {count}"
            self.fault(("join",), what, "", "name more in depends_on, or lower join")
        return wanted

    def _effect_class(self, call: Call | None) -> int:
        table = self.table
        own = EffectClass.UNSAFE if call is None else EffectClass(self.compiler.pins[call.skill].effect_class)
        given = EffectClass[table.effect_class.upper()] if table.effect_class else own
        if call is not None and given != own and given == EffectClass.PURE:
            why = "a plan cannot say that a skill neither changes nor reads what is outside"
            self.fault(("effect_class",), f"{table.skill} is {own.name.lower()}", why, "write idempotent, or remove it")
        if call is not None and table.cache is not None and given not in (EffectClass.PURE, EffectClass.IDEMPOTENT):
            why = f"{table.skill} is {given.name.lower()}: an earlier output does not stand for doing it"
            self.fault(("cache",), "the output may not be kept", why, "remove cache")
        return int(given) if table.effect_class else -1

    # -- money --

    def _rounds(self) -> int:
        """Return how often the step is done, as far as that is written."""
        source = self.table.for_each.strip()
        if not source:
            return 1
        try:
            found = cel.evaluate(source, {}) if not cel.compile_expression(source).paths else None
        except PlaneError:
            return 1
        return len(found) if is_array(found) else 1

    def _cost(self, call: Call | None, fallback: Call | None) -> None:
        table, pins = self.table, self.compiler.pins
        rounds = self._rounds()
        own = money_micros(table.budget_usd)
        limited = own >= 0 or self.nest.table.budget.usd or self.compiler.constraints.budget.hard_micros >= 0
        for each, keys in ((call, ("skill",)), (fallback, ("fallback", "skill"))):
            if each is None:
                continue
            hint = pins[each.skill].cost
            cost = bound(hint, each.params)
            if not cost.known and limited:
                why = "money is limited, and nothing is called that may cost any amount"
                self.fault(keys, "nobody knows what the call costs at most", why, "give the skill its price")
            if 0 <= own < cost.micros:
                what = f"a call may cost {usd_text(cost.micros)} USD"
                why = f"the step may spend {usd_text(own)} USD"
                self.fault(("budget_usd",), what, why, "raise it, or ask for a shorter answer")
            self.nest.micros += cost.micros * rounds


def _written_promise(value: Any) -> Promise:
    """Return what a value of ``outputs`` promises: its kind, unless a template decides it."""
    if isinstance(value, str) and not templates.is_static(value):
        return ANYTHING
    if is_table(value):
        return of_members({key: _written_promise(item) for key, item in value.items()})
    return promise_of({"type": kind_of(value)})


def _budget(table: PlanTable) -> Budget:
    budget = table.budget
    return Budget(money_micros(budget.usd), money_micros(budget.soft_usd), budget.tokens or -1, budget.calls or -1)


def _retry(table: RetryTable | None) -> RetryRule | None:
    if table is None:
        return None
    return RetryRule(
        table.max,
        duration_ms(table.initial),
        round(table.factor * 1000),
        duration_ms(table.longest),
        table.jitter,
        table.never,
    )


def _approval(table: ApprovalTable | None) -> Approval | None:
    if table is None:
        return None
    return Approval(
        table.by, table.need, table.message, duration_ms(table.timeout), table.on_timeout, table.escalate_to
    )


def _wait(table: WaitTable | None) -> Wait | None:
    if table is None:
        return None
    kind = "timer" if table.timer else "signal" if table.signal else "input"
    schema = write_json(table.input) if table.input else b""
    return Wait(kind, duration_ms(table.timer), table.signal, schema, table.message, duration_ms(table.timeout))
