"""The front of the plane: a goal or a plan becomes a run, pinned to the agent and the skills as they are now.

Invariants:
    * Nothing is submitted that cannot be run: the plan is compiled for the agent, and its inputs are judged, before.
    * A key stands for one submission: the same again is the same run, however many ask at once.
    * A rerun is a new run of what its parent was to do, with what was changed; its idempotency keys are its own.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from .. import codec
from ..errors import UsageFault
from ..records import Header
from .compiled import Assignment, Compiled, SkillPin
from .compiling import Constraints, compile_plan
from .engine import Engine, read_assignment
from .errors import SkillRefused
from .json_text import read_json, write_json
from .plan_inputs import read_inputs, take_inputs
from .plan_text import PlanFile, plan_bytes
from .prices import installed_version
from .profile import DEFAULT, Profile, ProfileTable
from .profiles import Profiles
from .secrets import SecretBox
from .skills.registry import Registry
from .store.runs import NewRun, RunRow
from .store.sql import Connection, select
from .store.tables import TENANT, run
from .tables import InputTable


class Wish(msgspec.Struct, frozen=True):
    """What goes with a goal or plan.

    Attributes:
        inputs: By name.
        key: The same key is the same run; empty for none.
        work: Whether the engine goes on with it at once.
    """

    inputs: Mapping[str, Any] = {}
    profile: str = DEFAULT
    key: str = ""
    tags: tuple[str, ...] = ()
    priority: int = 0
    seed: int = 0
    work: bool = True


NO_WISH = Wish()


class Goals:
    """Turns goals and plans into runs of an engine.

    Args:
        secrets: Of this user, none of which a plan, a goal or an input may hold.
    """

    def __init__(self, engine: Engine, registry: Registry, secrets: SecretBox | None = None) -> None:
        self._secrets = secrets or SecretBox({})
        self._engine = engine
        self._registry = registry
        self._profiles = Profiles(engine.store, engine.store.clock)

    def run_plan(self, plan: PlanFile, wish: Wish = NO_WISH) -> tuple[RunRow, bool]:
        """Return the run of a plan, and whether it was made now.

        Raises:
            PlanInvalid: TW7001, the plan is not what it must be; every fault is named.
            UsageFault: TW1001, an input is missing or not what it must be; every fault is named.
            ProfileNotFound: TW7014. SkillRefused: TW7005, the profile is paused. BudgetExceeded: TW7010, its rate.
            KeyReused: TW7021.
        """
        profile = self._profiles.find(wish.profile)
        table = profile.table
        constraints = Constraints(table.allows, table.limits())
        compiled = compile_plan(plan.table, self._registry, constraints, file=plan.file, lines=plan.lines)
        inputs = take_inputs(plan.table.inputs, wish.inputs)
        assignment = Assignment(
            plan.table.goal, write_json(inputs), table.pin(profile.version), compiled, prices=installed_version()
        )
        return self._submit(assignment, profile, wish, plan_bytes(plan.table), plan.table.name)

    def run_goal(self, goal: str, wish: Wish = NO_WISH, *, planner: str = "") -> tuple[RunRow, bool]:
        """Return the run of a goal, which begins with planning, and whether it was made now.

        Args:
            planner: ``template``, ``llm`` or an installed one; empty for the profile's.

        Raises:
            ProfileNotFound: TW7014. SkillRefused: TW7005. BudgetExceeded: TW7010. KeyReused: TW7021.
        """
        if not goal.strip():
            raise UsageFault("the goal is empty", fix='say what is to be achieved: tickwork goal "..."')
        profile = self._profiles.find(wish.profile)
        inputs = write_json(dict(wish.inputs))
        assignment = Assignment(
            goal.strip(),
            inputs,
            profile.table.pin(profile.version),
            allowed=self._allowed(profile.table),
            planner=planner or profile.table.planner.kind,
            prices=installed_version(),
            remember=profile.table.memory.remember,
        )
        return self._submit(assignment, profile, wish, goal.strip().encode(), profile.name)

    def rerun(self, parent: RunRow, wish: Wish = NO_WISH) -> tuple[RunRow, bool]:
        """Return a new run of what another was to do, with the inputs changed that the wish names.

        The plan and the profile are those that the parent has pinned.

        Raises:
            UsageFault: TW1001, a changed input is not what it must be. KeyReused: TW7021.
        """
        header, assignment = self._read(parent)
        changed: dict[str, Any] = {**read_json(assignment.inputs), **wish.inputs}
        if assignment.compiled is not None:
            changed = take_inputs(read_inputs(assignment.compiled.plans[0].inputs), changed)
        inputs = write_json(changed)
        assignment = msgspec.structs.replace(assignment, inputs=inputs)
        profile = self._profiles.find(parent.profile, parent.profile_version)
        wish = msgspec.structs.replace(wish, profile=parent.profile, seed=wish.seed or header.seed)
        request = f"rerun {parent.id}".encode()
        return self._submit(assignment, profile, wish, request, parent.name, parent)

    def inputs_of(self, parent: RunRow) -> dict[str, InputTable]:
        """Return the inputs of a run's plan; of a run that is planned first none are known."""
        assignment = self._read(parent)[1]
        return read_inputs(assignment.compiled.plans[0].inputs) if assignment.compiled is not None else {}

    def _read(self, parent: RunRow) -> tuple[Header, Assignment]:
        with self._engine.store.journals.open_run(parent.id) as journal:
            header = codec.decode_header(journal.header()[0])
        return header, read_assignment(header)

    def _submit(
        self,
        assignment: Assignment,
        profile: Profile,
        wish: Wish,
        request: bytes,
        name: str,
        parent: RunRow | None = None,
    ) -> tuple[RunRow, bool]:
        if name_held := self._secrets.held_in(codec.encode(assignment)):
            raise SkillRefused(
                f"what is to be run holds the secret {name_held} itself",
                why="it would stand in the record for good, for everybody who may read that",
                fix=f"write secret:{name_held} in its place, and let the profile use it: --secret {name_held}",
            )
        stands_for = [request.decode(), read_json(assignment.inputs), profile.name, assignment.planner]
        new = NewRun(
            key=wish.key,
            request=write_json(stands_for),
            name=name,
            goal=assignment.goal,
            profile=profile.name,
            profile_version=profile.version,
            plan_digest=_digest(assignment.compiled),
            inputs=assignment.inputs,
            tags=wish.tags,
            priority=wish.priority,
            parent_id=parent.id if parent is not None else "",
            relation="rerun" if parent is not None else "",
        )
        with self._engine.store.begin() as connection:
            if not _is_known(connection, wish.key):
                # Who asks again for a run that is there begins none.
                self._profiles.admit(profile.name, connection)
            return self._engine.submit(new, assignment, seed=wish.seed, work=wish.work)

    def _allowed(self, table: ProfileTable) -> tuple[SkillPin, ...]:
        """Return the skills that a planner may use. Servers are asked only where the profile allows some of theirs."""
        named = {pattern.partition(".")[0] for pattern in table.skills.allow if "." in pattern}
        found = self._registry.usable([server for server in self._registry.servers() if server in named])
        return tuple(one.pin for one in found if table.allows(one.pin.name, one.pin.version))


def _is_known(connection: Connection, key: str) -> bool:
    if not key:
        return False
    found = connection.execute(select(run.c.id).where(run.c.tenant_id == TENANT, run.c.key == key))
    return found.first() is not None


def _digest(compiled: Compiled | None) -> bytes:
    return compiled.digest if compiled is not None else b""
