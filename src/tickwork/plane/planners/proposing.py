"""Performs ``plan.propose``: finds the run's planner, lets it plan, compiles what it proposes, and answers.

Invariants:
    * Every request comes to an answer, and an answer that failed says what was said and spent until then.
    * What is answered has been compiled against the skills of the run, whoever proposed it.
"""

import base64
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Final, cast

import msgspec

from ... import codec
from ...clock import Clock
from ...driver.faults import choose
from ...errors import TickworkError
from ...infer.embeddings import Embedder
from ...kinds import EffectClass
from ...records import Effect, Encoding, Result
from ..calls import Answer, Failure, ProposeRequest, SkillCall
from ..compiled import Assignment, Budget, Compiled, SkillPin
from ..compiling import Constraints, compile_plan
from ..errors import PlaneError, PlannerFailed, SkillNotFound
from ..json_text import read_json, write_json
from ..llm.port import Account, ModelPort
from ..plan_inputs import fill_inputs
from ..secrets import Secrets
from ..skills.performing import PROVIDER, REFUSED
from ..skills.registry import Found, Registry
from ..tables import PlanTable
from . import llm, template
from .extract import read_value
from .planner import Desk, Means, Planner, SkillCard, Task
from .reach import Reach

GROUP: Final = "tickwork.planners"
"""Entry points of this group are classes of planners, by name; they are called without arguments."""

USUAL_TIMEOUT_MS: Final = 300_000
MAX_MESSAGE: Final = 2_000

_calls: Final = msgspec.msgpack.Decoder(SkillCall)


class Proposer:
    """Makes the plans of one run.

    Args:
        assignment: What the run is to do.
        planners: By name, beside those that installed packages bring.
    """

    def __init__(
        self,
        assignment: Assignment,
        planners: Mapping[str, Planner],
        skills: Registry,
        *,
        clock: Clock,
        secrets: Secrets,
        models: ModelPort | None = None,
        means: Means | None = None,
    ) -> None:
        self._assignment = assignment
        self._planners = planners
        self._skills = skills
        self._clock = clock
        self._secrets = secrets
        self._models = models
        self._means = means or Means()
        self._reach = Reach()

    def perform(self, effect: Effect) -> Result:
        """Return the answer to a request. May block."""
        return answered(effect, self.answer(_calls.decode(effect.body), effect.key.hex()))

    def answer(self, call: SkillCall, key: str = "") -> Answer:
        """Return what comes of a request.

        Args:
            key: What is booked under; the same however often the request is performed.
        """
        request = msgspec.json.decode(call.params, type=ProposeRequest)
        within_ms = call.timeout_ms or USUAL_TIMEOUT_MS
        account = Account(self._secrets, self._clock.elapsed_ns() + within_ms * 1_000_000)
        booked, means = f"{key}:{call.attempt}", self._means
        desk = Desk(self.check, self._clock, account, self._models, means.settings, purse=means.purse, key=booked)
        try:
            output = self._output(request, desk)
        except TickworkError as error:
            return self._failed(call, request, desk, failure_of(error))
        except Exception as error:  # noqa: BLE001 - Any fault of a planner is its answer, never the run's end.
            failure = Failure(PlannerFailed.code, f"the planner raised {type(error).__name__}", source="skill")
            return self._failed(call, request, desk, failure)
        # The template planner looks at the goal alone; every other may have put into the plan what it was told.
        told = () if request.planner == template.NAME else {*call.labels, *self._reach.labels}
        labels = tuple(sorted(told))
        transcript = desk.transcript(request.planner)
        return Answer(call.number, output, usage=account.usage, labels=labels, transcript=transcript)

    def _output(self, request: ProposeRequest, desk: Desk) -> bytes:
        planner = find_planner(request.planner, self._planners)
        inputs, recalled = read_json(bytes(request.inputs)), read_json(bytes(request.recalled))
        if request.planner != template.NAME and self._means.reach is not None:
            self._reach = self._means.reach()
        shown = cards(self._skills, self._assignment.allowed)
        task = Task(request.goal, inputs, shown, recalled or {}, self._reach.shown, self._budget())
        draft = planner.propose(task, desk)
        if not isinstance(draft.table, PlanTable):
            raise PlannerFailed(f"the planner {request.planner} gave a {type(draft.table).__name__} and no plan")
        compiled = codec.encode(self.check(draft.table))
        given = {name: _declared(draft.table, name, value) for name, value in inputs.items()}
        taken = fill_inputs(draft.table.inputs, {**draft.inputs, **given})
        return write_json({"compiled": base64.b64encode(compiled).decode(), "inputs": taken})

    def check(self, table: PlanTable) -> Compiled:
        """Return a plan compiled for the run.

        Raises:
            PlanInvalid: TW7001, it cannot be run; every fault is named.
        """
        allowed = {(pin.name, pin.version) for pin in self._assignment.allowed}
        steps = self._means.settings.max_steps
        constraints = Constraints(lambda name, version: (name, version) in allowed, self._budget(), steps)
        return compile_plan(table, _Allowed(self._skills, allowed), constraints)

    def _budget(self) -> Budget:
        """Return what the run may use: the tighter one of its own limits and its agent's."""
        own, agent = self._assignment.budget, self._assignment.agent.budget
        limits = (_tighter(getattr(own, name), getattr(agent, name)) for name in Budget.__struct_fields__)
        return Budget(*limits)

    def _failed(self, call: SkillCall, request: ProposeRequest, desk: Desk, failure: Failure) -> Answer:
        account, transcript = desk.account, desk.transcript(request.planner)
        return Answer(call.number, failure=failure, usage=account.usage, transcript=transcript)


class _Allowed:
    """The skills of a run, as a compiler finds them: whoever is told of a fault is told of no others."""

    def __init__(self, skills: Registry, allowed: Collection[tuple[str, str]]) -> None:
        self._skills = skills
        self._allowed = sorted(f"{name}@{version}" for name, version in allowed)

    def find(self, reference: str) -> Found:
        """Return the skill of a reference.

        Raises:
            SkillNotFound: TW7003, the run has none of that name. PlaneError: It cannot be made.
        """
        name = reference.partition("@")[0]
        if not any(known.partition("@")[0] == name for known in self._allowed):
            fix = choose(reference, self._allowed, "the profile allows none")
            raise SkillNotFound(f"there is no skill called {name}", fix=fix)
        return self._skills.find(reference)


def _declared(table: PlanTable, name: str, value: Any) -> Any:
    """Return a given input as the plan declares it: whoever gave it as a text did not know the plan yet."""
    item = table.inputs.get(name)
    if item is None or item.type == "string" or not isinstance(value, str):
        return value
    try:
        return read_value(item, value)
    except ValueError:
        # What is wrong with it is told with the faults of the other inputs.
        return value


def _tighter(one: int, other: int) -> int:
    known = [limit for limit in (one, other) if limit >= 0]
    return min(known, default=-1)


def cards(skills: Registry, allowed: Sequence[SkillPin]) -> tuple[SkillCard, ...]:
    """Return skills as planners are shown them. Order: as given."""
    shown = list[SkillCard]()
    for pin in allowed:
        found = skills.find(f"{pin.name}@{pin.version}")
        given, made = found.skill.shapes
        kind = EffectClass(pin.effect_class).name.lower()
        shown.append(
            SkillCard(found.reference, found.traits.description, kind, pin.side_effects, given.schema(), made.schema())
        )
    return tuple(shown)


def find_planner(name: str, planners: Mapping[str, Planner]) -> Planner:
    """Return the planner of a name: one of those given, or of an installed package.

    Raises:
        PlannerFailed: TW7016, there is none of that name, or it cannot be loaded.
    """
    if name in planners:
        return planners[name]
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name not in points:
        fix = choose(name, [*planners, *points], f"install a package with the entry point {GROUP}")
        raise PlannerFailed(f"there is no planner called {name}", fix=fix)
    try:
        make: Any = points[name].load()
        return cast("Planner", make())
    except (ImportError, AttributeError, TypeError) as error:
        raise PlannerFailed(
            f"the planner {name} of an installed package cannot be loaded",
            where=f"entry point {points[name].value}",
            why=f"{type(error).__name__}: {error}",
            fix="install the package again, or name another planner",
        ) from error


def shipped(plans: Mapping[str, PlanTable], embedder: Embedder | None = None) -> dict[str, Planner]:
    """Return the planners that are shipped, by name.

    Args:
        plans: Those that the template planner chooses from.
        embedder: By which it does; None for the one that needs no model.
    """
    return {template.NAME: template.TemplatePlanner(plans, embedder), llm.NAME: llm.LlmPlanner()}


def answered(effect: Effect, came: Answer | Failure) -> Result:
    """Return an answer, or a failure before there was one, as the result of its effect."""
    if isinstance(came, Failure):
        came = Answer(_calls.decode(effect.body).number, failure=came)
    return Result(effect.number, 0, Encoding.MSGPACK, codec.encode(came))


def failure_of(error: TickworkError) -> Failure:
    """Return an error as an answer says it."""
    again, wait = False, 0
    if isinstance(error, PlaneError):
        again, wait = error.retryable, error.retry_after_ms
    source = "policy" if error.code in REFUSED else "provider" if error.code in PROVIDER else "skill"
    told = "; ".join(part for part in (error.what, error.why, error.fix) if part)
    return Failure(error.code, told[:MAX_MESSAGE], again, source, wait)
