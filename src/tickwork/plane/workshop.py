"""Who performs the effects of a project's runs: skills within the grants of their profile, people, planners, memory.

Invariants:
    * A run gets the profile that it has pinned, whatever has become of the profile since.
    * A skill that is not the one that the run has pinned is not called: the call fails and says so.
    * Nothing is opened for a run before one of its calls needs it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from .. import codec
from ..driver.performers import Parked, Performer, Terms
from ..errors import TickworkError
from ..infer.embeddings import Embedder
from ..records import Effect, Header, Result
from .artifacts import ArtifactShelf
from .asking import answered, read_call, waiting_performers
from .budgets import Ledger, Purse
from .calls import Answer, Failure
from .compiled import KEEP, PROPOSE, RECALL, SYSTEM_SKILLS, Assignment, SkillPin
from .deadlines import Threads
from .errors import SkillNotFound
from .live import Staff
from .memory.items import Memory
from .memory.performing import memory_performers
from .planners.opening import ProjectProposer
from .planners.planner import Means
from .planners.reach import Reach, look
from .profile import ProfileTable
from .profiles import Profiles
from .secrets import SecretBox
from .skills.caching import StoredOutputs
from .skills.granting import grant_parts, granted_secrets
from .skills.performing import Ports, SkillPerformer
from .skills.registry import Found, Registry
from .store.runs import RunRow
from .store.store import Store
from .store.tables import TENANT
from .waits import Waits

MODELS: Final = "models"
"""Capability of skills that ask models of this machine."""


class Workshop:
    """Staffs the runs of one project.

    Args:
        folder: ``.tickwork`` of the project.
        secrets: Of this user, by name.
        embedder: Makes, once, what makes vectors of texts.
        models: Makes, once, what asks models of this machine.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        *,
        folder: Path,
        secrets: Mapping[str, str],
        shelf: ArtifactShelf,
        embedder: Callable[[], Embedder],
        models: Callable[[], Any],
    ) -> None:
        self.store = store
        self.registry = registry
        self._folder = folder
        self._secrets = secrets
        self._shelf = shelf
        self._embedder = embedder
        self._models = models
        self._profiles = Profiles(store, store.clock)
        self._waits = Waits(store)
        self._threads = Threads()
        self._tables: dict[tuple[str, int], ProfileTable] = {}
        self._parts: dict[tuple[str, int], dict[str, Any]] = {}
        self._boxes: dict[frozenset[str], SecretBox] = {}

    def staff(self, row: RunRow, header: Header, assignment: Assignment) -> Staff:
        """Return who performs the effects of a run.

        Raises:
            ProfileNotFound: TW7014, its profile is not in the store.
        """
        waited = header.ordering == "issue"
        performers: dict[str, Performer] = waiting_performers(self._waits, row.id)
        terms = dict.fromkeys(performers, Terms(waited=False, inline=True))
        table = self._table(row)
        if assignment.planner:
            performers |= self._planning(row, assignment, table)
            terms |= dict.fromkeys((RECALL, KEEP, PROPOSE), Terms(waited=False))
        elif assignment.remember:
            performers[KEEP] = Deferred(lambda: self._memory(row, table)[KEEP])
            terms[KEEP] = Terms(waited=False)
        ports = self._ports(row, table)
        pins = {f"{pin.name}@{pin.version}": pin for pin in pins_of(assignment)}
        for spec in header.skills:
            if spec.name in SYSTEM_SKILLS:
                continue
            title = spec.name.partition("#")[0]
            performer, inline = self._skill(pins[title], row, ports)
            performers[spec.name] = performer
            terms[spec.name] = Terms(waited, inline=inline)
        return Staff(performers, terms)

    def _skill(self, pin: SkillPin, row: RunRow, ports: Ports) -> tuple[Performer, bool]:
        if "." in pin.name:
            # A server's skill: the server is asked for it by the first call, and by nobody who only looks.
            return Deferred(lambda: self._performer(self._find(pin), row, ports)), False
        try:
            found = self._find(pin)
        except TickworkError as error:
            return Refusing(error), True
        return self._performer(found, row, ports), found.traits.inline

    def _performer(self, found: Found, row: RunRow, ports: Ports) -> Performer:
        if MODELS in found.traits.capabilities:
            ports = msgspec.structs.replace(ports, parts={**ports.parts, MODELS: self._models()})
        return SkillPerformer(found, ports, run_id=row.id, lineage=row.lineage)

    def _find(self, pin: SkillPin) -> Found:
        found = self.registry.find(f"{pin.name}@{pin.version}")
        if found.pin.digest != pin.digest:
            raise SkillNotFound(
                f"the skill {pin.name}@{pin.version} is not the one that the run has pinned",
                why="its schemas or its effect class have changed since the run began",
                fix="bring back what it was, or run the plan again with `tickwork rerun`",
            )
        return found

    def _table(self, row: RunRow) -> ProfileTable:
        key = (row.profile, row.profile_version)
        if key not in self._tables:
            self._tables[key] = self._profiles.find(*key).table
        return self._tables[key]

    def _ports(self, row: RunRow, table: ProfileTable) -> Ports:
        key, clock = (row.profile, row.profile_version), self.store.clock
        if key not in self._parts:
            self._parts[key] = grant_parts(
                table.grants, project=self._folder.parent, clock=clock, threads=self._threads
            )
        return Ports(
            clock,
            self._box(table),
            artifacts=self._shelf.of,
            # What a profile was given may be more than another may have, so each finds what was kept by its like.
            cache=StoredOutputs(self.store, clock, whose=codec.digest(msgspec.msgpack.encode(table.grants))),
            purse=Purse(Ledger(self.store, clock), table, row.id),
            parts=self._parts[key],
            threads=self._threads,
        )

    def _box(self, table: ProfileTable) -> SecretBox:
        names = granted_secrets(table.grants, self.registry)
        if names not in self._boxes:
            # What it looks for in each answer is made once.
            self._boxes[names] = SecretBox(self._secrets, names)
        return self._boxes[names]

    def _planning(self, row: RunRow, assignment: Assignment, table: ProfileTable) -> dict[str, Performer]:
        proposer = ProjectProposer(
            assignment,
            self.registry,
            self._folder,
            clock=self.store.clock,
            secrets=SecretBox(self._secrets),
            means=Means(
                table.planner,
                Purse(Ledger(self.store, self.store.clock), table, row.id),
                lambda: self._reach(assignment, table),
            ),
            embedder=self._embedder,
        )
        return {
            PROPOSE: proposer,
            RECALL: Deferred(lambda: self._memory(row, table)[RECALL]),
            KEEP: Deferred(lambda: self._memory(row, table)[KEEP]),
        }

    def _reach(self, assignment: Assignment, table: ProfileTable) -> Reach:
        """Return what a run's skills can reach."""
        own = [self._find(pin) for pin in assignment.allowed if "." not in pin.name]
        models = self._models if any(MODELS in found.traits.capabilities for found in own) else None
        return look(table.grants, self._folder.parent, self.store.clock, models)

    def _memory(self, row: RunRow, table: ProfileTable) -> Mapping[str, Performer]:
        memory = Memory(self.store, self.store.clock, self._embedder(), profile=row.profile, tenant=TENANT)
        return memory_performers(memory, table.memory, row.id)


def pins_of(assignment: Assignment) -> tuple[SkillPin, ...]:
    """Return the skills that a run may call."""
    own = assignment.compiled.pins if assignment.compiled is not None else ()
    return (*own, *assignment.allowed)


class Deferred:
    """A performer that is made when it is first needed. What cannot be made is the answer to every call."""

    def __init__(self, make: Callable[[], Performer]) -> None:
        self._make = make
        self._made: Performer | None = None

    def perform(self, effect: Effect) -> Result | Parked:
        """Return what the performer gives."""
        if self._made is None:
            try:
                self._made = self._make()
            except TickworkError as error:
                return Refusing(error).perform(effect)
        return self._made.perform(effect)


class Refusing:
    """Answers every call with an error."""

    def __init__(self, error: TickworkError) -> None:
        self._failure = Failure(error.code, error.what, source="policy")

    def perform(self, effect: Effect) -> Result:
        """Return the error."""
        return answered(effect, Answer(read_call(effect).number, failure=self._failure))
