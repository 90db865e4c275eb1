"""The planners of a project: its plans, its language models, and who performs its runs' ``plan.propose``."""

from collections.abc import Callable
from pathlib import Path

from ...clock import Clock
from ...errors import TickworkError
from ...infer.embeddings import Embedder
from ...records import Effect, Result
from ..compiled import Assignment
from ..llm.client import open_models
from ..secrets import Secrets
from ..skills.registry import Registry
from . import template
from .folder import FOLDER, read_plans
from .planner import Means, Planner
from .proposing import Proposer, answered, failure_of, shipped


def open_planners(folder: Path, embedder: Embedder | None = None) -> dict[str, Planner]:
    """Return the shipped planners with the plans of a project, by name.

    Args:
        folder: ``.tickwork`` of the project.
        embedder: By which goals are compared with plans; None for the one that needs no model.

    Raises:
        PlanInvalid: TW7001, a file among its plans is none.
    """
    return shipped(read_plans([folder / FOLDER]).plans, embedder)


class ProjectProposer:
    """Performs ``plan.propose`` for one run of a project. Nothing is read before it is asked.

    Args:
        folder: ``.tickwork`` of the project.
        embedder: Makes what compares goals with plans; None for what needs no model.
    """

    def __init__(
        self,
        assignment: Assignment,
        skills: Registry,
        folder: Path,
        *,
        clock: Clock,
        secrets: Secrets,
        means: Means | None = None,
        embedder: Callable[[], Embedder] | None = None,
    ) -> None:
        self._assignment = assignment
        self._skills = skills
        self._folder = folder
        self._clock = clock
        self._secrets = secrets
        self._means = means or Means()
        self._embedder = embedder

    def perform(self, effect: Effect) -> Result:
        """Return the answer to a request. May block."""
        try:
            planners = self._planners()
            models = open_models(self._folder, self._clock, self._secrets)
        except TickworkError as error:
            return answered(effect, failure_of(error))
        proposer = Proposer(
            self._assignment,
            planners,
            self._skills,
            clock=self._clock,
            secrets=self._secrets,
            models=models,
            means=self._means,
        )
        return proposer.perform(effect)

    def _planners(self) -> dict[str, Planner]:
        """Return the planners; plans and what compares them are read for the planner alone that needs them."""
        if self._assignment.planner != template.NAME:
            return shipped({})
        return open_planners(self._folder, self._embedder() if self._embedder is not None else None)
