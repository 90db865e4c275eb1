"""What a planner is: one method from a task to a plan.

A planner proposes and decides nothing: whatever it returns is untrusted, is compiled like a plan that a person wrote,
and can use only the skills, the money and the rules that its agent has.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import msgspec

from ...clock import Clock
from ..compiled import Budget, Compiled
from ..errors import BudgetExceeded
from ..llm.port import Account, ModelPort, Request
from ..money import usd_text
from ..profile import PlannerTable
from ..tables import PlanTable

MAX_GOAL_CHARACTERS: Final = 10_000


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
        budget: What the whole run may use; planning is part of it.
    """

    goal: str
    inputs: Mapping[str, Any]
    skills: tuple[SkillCard, ...]
    recalled: Mapping[str, Any] = {}
    budget: Budget = Budget()


class Draft(msgspec.Struct, frozen=True):
    """What a planner proposes.

    Attributes:
        inputs: Parameters of the plan that the planner has found, besides those that the run was given.
    """

    table: PlanTable
    inputs: Mapping[str, Any] = {}


class Desk(msgspec.Struct):
    """What a planner may use, and where it leaves what it has used.

    Attributes:
        check: Compiles a plan. Raises PlanInvalid, TW7001, which names every fault.
        models: Language models; None where the machine has none.
        notes: What a person is to read of the planner's reasons. It becomes part of the transcript.
    """

    check: Callable[[PlanTable], Compiled]
    clock: Clock
    account: Account
    models: ModelPort | None = None
    settings: PlannerTable = PlannerTable()
    notes: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])

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


def set_aside(task: Task, desk: Desk, request: Request) -> None:
    """Refuse a request to a language model whose bound is beyond what the run has left.

    Nothing else of the run is under way while it is planned, so what is left is the limit less what planning has used.

    Raises:
        BudgetExceeded: TW7010, it may cost more, or nobody knows what it costs and there is a limit.
    """
    limit, used = task.budget.hard_micros, desk.account.usage
    if task.budget.calls >= 0 and used.requests >= task.budget.calls:
        raise BudgetExceeded("planning has used all calls of the run", fix="raise `calls` of the budget")
    if desk.models is None or limit < 0:
        return
    bound = desk.models.bound(request)
    if bound is None:
        raise BudgetExceeded(
            "nobody knows what the language model costs, and the run has a limit of money",
            fix="give the model its prices in .tickwork/providers.toml, or `free = true`",
        )
    if used.cost_micros + bound > limit:
        raise BudgetExceeded(
            f"planning may cost ${usd_text(bound)} more, and ${usd_text(max(0, limit - used.cost_micros))} are left",
            why="money is set aside before a language model is asked",
            fix="raise the budget, name a cheaper model, or use the template planner",
        )
