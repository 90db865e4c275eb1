"""What a planner is: one method from a task to a plan.

A planner proposes and decides nothing: whatever it returns is untrusted, is compiled like a plan that a person wrote,
and can use only the skills, the money and the rules that its agent has.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from ...clock import Clock
from ..calls import Usage
from ..compiled import PROPOSE, Budget, Compiled
from ..errors import BudgetExceeded, ProviderFailed
from ..llm.port import Account, Bound, Completion, ModelPort, Request
from ..money import usd_text
from ..profile import PlannerTable
from ..tables import PlanTable
from .reach import Reach

MAX_GOAL_CHARACTERS: Final = 10_000
SET_ASIDE: Final = "set_aside_micros"
"""Note of what was set aside for each request to a language model. Units: micro-dollars."""


class SkillCard(msgspec.Struct, frozen=True):
    """A skill as a planner is shown it.

    Attributes:
        given, made: JSON Schemas of its parameters and of its output.
    """

    name: str
    description: str
    effect_class: str
    side_effects: bool
    given: Mapping[str, Any]
    made: Mapping[str, Any]


class Task(msgspec.Struct, frozen=True):
    """What is to be planned.

    Attributes:
        inputs: What the run was given besides the goal.
        recalled: What memory has to say: ``{"sections": [{name, items, bytes, of}]}``. It is outside text.
        reach: What the skills can reach, as ``reach.Reach`` has it. Names of tables in it are outside text.
        budget: What the whole run may use; planning is part of it.
    """

    goal: str
    inputs: Mapping[str, Any]
    skills: tuple[SkillCard, ...]
    recalled: Mapping[str, Any] = {}
    reach: Mapping[str, Any] = {}
    budget: Budget = Budget()


class Draft(msgspec.Struct, frozen=True):
    """What a planner proposes.

    Attributes:
        inputs: Parameters of the plan that the planner has found, besides those that the run was given.
    """

    table: PlanTable
    inputs: Mapping[str, Any] = {}


class Purse(Protocol):
    """Money that runs share. Units: micro-dollars."""

    def reserve(self, key: str, micros: int, step: str, skill: str, *, metered: bool = False) -> object:
        """Set aside what a call may cost. One that is ``metered`` is paid for again when it is made again.

        Raises:
            BudgetExceeded: TW7010.
        """
        ...

    def settle(self, key: str, micros: int, usage: Usage) -> None:
        """Book what a call has cost, for which ``micros`` were set aside."""
        ...


class Means(msgspec.Struct, frozen=True):
    """How a run's agent plans, and with what.

    Attributes:
        purse: What all runs of the agent share; None where only the run itself counts.
        reach: Looks at what the run's skills can reach, for a planner that is told; None where nobody can.
    """

    settings: PlannerTable = PlannerTable()
    purse: Purse | None = None
    reach: Callable[[], Reach] | None = None


class Desk(msgspec.Struct):
    """What a planner may use, and where it leaves what it has used.

    Attributes:
        check: Compiles a plan. Raises PlanInvalid, TW7001, which names every fault.
        models: Language models; None where the machine has none. ``ask`` asks them within the run's budget.
        notes: What a person is to read of the planner's reasons. It becomes part of the transcript.
        purse: What all runs of the profile share; None where only the run itself counts.
        key: What bookings in the purse are made under, with their number.
    """

    check: Callable[[PlanTable], Compiled]
    clock: Clock
    account: Account
    models: ModelPort | None = None
    settings: PlannerTable = PlannerTable()
    notes: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    purse: Purse | None = None
    key: str = ""

    def transcript(self, planner: str) -> bytes:
        """Return what was said to a language model and what it said, verbatim, and the planner's notes, as JSON."""
        return msgspec.json.encode({"planner": planner, "notes": self.notes, "exchanges": self.account.exchanges})


class Planner(Protocol):
    """Makes plans."""

    def propose(self, task: Task, desk: Desk) -> Draft:
        """Return a plan for a task.

        Raises:
            PlannerFailed: TW7016, there is none.
        """
        ...


def ask(task: Task, desk: Desk, request: Request) -> Completion:
    """Return what a language model says, with money set aside for it before.

    Raises:
        BudgetExceeded: TW7010, it may cost more than is left, or nobody knows what it costs and there is a limit.
        ProviderFailed: TW7017.
    """
    if desk.models is None:
        raise ProviderFailed(
            "there is no language model to plan with",
            fix="add one to .tickwork/providers.toml, or use the template planner",
        )
    before = desk.account.usage
    bound = desk.models.bound(request)
    _admit(task, before, bound)
    micros = bound.micros or 0
    desk.notes.setdefault(SET_ASIDE, []).append(micros)
    key = f"{desk.key}:{len(desk.account.exchanges)}"
    if desk.purse is None:
        return desk.models.complete(request, desk.account)
    desk.purse.reserve(key, micros, "", PROPOSE, metered=True)
    try:
        return desk.models.complete(request, desk.account)
    finally:
        desk.purse.settle(key, micros, _since(before, desk.account.usage))


def _admit(task: Task, used: Usage, bound: Bound) -> None:
    """Refuse a request whose bound is beyond what the run has left.

    Nothing else of the run is under way while it is planned, so what is left is the limit less what planning has used.
    """
    limit = task.budget.hard_micros
    if 0 <= task.budget.calls <= used.requests:
        raise BudgetExceeded("planning has used all calls of the run", fix="raise `calls` of the budget")
    tokens = used.tokens_in + used.tokens_out + bound.tokens
    if 0 <= task.budget.tokens < tokens:
        what = f"planning may come to {tokens:,} tokens, and {task.budget.tokens:,} are allowed"
        raise BudgetExceeded(what, fix="raise `tokens` of the budget, or use the template planner")
    if limit < 0:
        return
    if bound.micros is None:
        raise BudgetExceeded(
            "nobody knows what the language model costs, and the run has a limit of money",
            fix="give the model its prices in .tickwork/providers.toml, or `free = true`",
        )
    if used.cost_micros + bound.micros > limit:
        left = usd_text(max(0, limit - used.cost_micros))
        raise BudgetExceeded(
            f"planning may cost ${usd_text(bound.micros)} more, and ${left} are left",
            why="money is set aside before a language model is asked",
            fix="raise the budget, name a cheaper model, or use the template planner",
        )


def _since(before: Usage, after: Usage) -> Usage:
    """Return what was used between two counts."""
    return Usage(
        after.tokens_in - before.tokens_in,
        after.tokens_out - before.tokens_out,
        after.tokens_cached - before.tokens_cached,
        after.requests - before.requests,
        after.cost_micros - before.cost_micros,
        after.model,
        after.prices,
    )
