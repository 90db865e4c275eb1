"""The planners of a project: its plans, its language models, and who performs its runs' ``plan.propose``."""

from pathlib import Path

from ...clock import Clock
from ...errors import TickworkError
from ...records import Effect, Result
from ..compiled import Assignment
from ..llm.client import open_models
from ..profile import PlannerTable
from ..secrets import Secrets
from ..skills.registry import Registry
from .folder import FOLDER, read_plans
from .planner import Planner
from .proposing import Proposer, answered, failure_of, shipped


def open_planners(folder: Path) -> dict[str, Planner]:
    """Return the shipped planners with the plans of a project, by name.

    Args:
        folder: ``.tickwork`` of the project.

    Raises:
        PlanInvalid: TW7001, a file among its plans is none.
    """
    return shipped(read_plans([folder / FOLDER]).plans)


class ProjectProposer:
    """Performs ``plan.propose`` for one run of a project. Nothing is read before it is asked.

    Args:
        folder: ``.tickwork`` of the project.
        settings: How the run's agent plans.
    """

    def __init__(
        self,
        assignment: Assignment,
        skills: Registry,
        folder: Path,
        *,
        clock: Clock,
        secrets: Secrets,
        settings: PlannerTable | None = None,
    ) -> None:
        self._assignment = assignment
        self._skills = skills
        self._folder = folder
        self._clock = clock
        self._secrets = secrets
        self._settings = settings

    def perform(self, effect: Effect) -> Result:
        """Return the answer to a request. May block."""
        try:
            planners = open_planners(self._folder)
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
            settings=self._settings,
        )
        return proposer.perform(effect)
