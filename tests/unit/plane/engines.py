"""Engines for tests: plans made in a line, skills that write down what they did, and a staff that knows both."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tickwork import codec
from tickwork.clock import Clock, SystemClock
from tickwork.driver.options import Options
from tickwork.driver.performers import Terms
from tickwork.kinds import EffectClass
from tickwork.plane.asking import waiting_performers
from tickwork.plane.calls import Answer, Failure, SkillCall
from tickwork.plane.compiled import AgentPin, Approval, Assignment, Call, Compiled, Plan, SkillPin, Step, Wait
from tickwork.plane.engine import Engine
from tickwork.plane.live import Staff
from tickwork.plane.skills.performing import call_key
from tickwork.plane.store.runs import NewRun, RunRow
from tickwork.plane.store.store import Store
from tickwork.plane.waits import Waits
from tickwork.records import Effect, Header, Result

CLASSES = ("pure", "idempotent", "compensable", "unsafe")
PINS = tuple(
    SkillPin(name, "1", bytes(32), int(EffectClass[name.upper()]), side_effects=name == "unsafe") for name in CLASSES
)

Doing = Callable[[SkillCall, str], Any]
_calls = msgspec.msgpack.Decoder(SkillCall)


def step(name: str, kind: str = "idempotent", *after: int, params: Any = None, **fields: Any) -> Step:
    """Return a step that calls the skill of a class."""
    body = msgspec.json.encode({} if params is None else params)
    return Step(name, call=Call(CLASSES.index(kind), body, b"${" not in body), after=after, **fields)


def waiting(name: str, *after: int, **fields: Any) -> Step:
    """Return a step that waits."""
    return Step(name, wait=Wait(**fields), after=after)


def asking(name: str, *after: int, kind: str = "idempotent", params: Any = None, **fields: Any) -> Step:
    """Return a step that people have to agree to."""
    return step(name, kind, *after, params=params, approval=Approval(**fields))


def plan_of(*steps: Step, outputs: Any = None, ordering: str = "issue") -> Compiled:
    """Return a plan of some steps."""
    plan = Plan("p", "1", steps, outputs=msgspec.json.encode(outputs) if outputs is not None else b"")
    return Compiled((plan,), PINS, b"{}", bytes(32), ordering)


def task(compiled: Compiled, **inputs: Any) -> Assignment:
    """Return what a run of a plan is to do."""
    return Assignment("", msgspec.json.encode(inputs), AgentPin(), compiled)


class Doer:
    """A performer that does what it is told to, and answers with that."""

    def __init__(self, run_id: str, doing: Doing) -> None:
        self._run = run_id
        self._doing = doing

    def perform(self, effect: Effect) -> Result:
        call = _calls.decode(effect.body)
        made = self._doing(call, call_key(self._run, call.path, call.purpose))
        answer = Answer(call.number, msgspec.json.encode(made))
        if isinstance(made, Failure):
            answer = Answer(call.number, failure=made)
        return Result(effect.number, 0, 2, codec.encode(answer))


class Deeds:
    """What skills did, for whoever staffs runs with them."""

    def __init__(self, doing: Mapping[str, Doing] | None = None, *, inline: bool = True) -> None:
        self.done: list[tuple[str, str, int]] = []
        self._doing = dict(doing or {})
        self._inline = inline
        self.waits: Waits | None = None

    def staff(self, row: RunRow, header: Header, assignment: Assignment) -> Staff:
        assert self.waits is not None
        performers: dict[str, Any] = waiting_performers(self.waits, row.id)
        terms = dict.fromkeys(performers, Terms(waited=False, inline=True))
        for spec in header.skills:
            if spec.name not in performers:
                performers[spec.name] = Doer(row.id, self._do)
                terms[spec.name] = Terms(header.ordering == "issue", inline=self._inline)
        return Staff(performers, terms)

    def _do(self, call: SkillCall, key: str) -> Any:
        self.done.append((call.path, call.skill.partition("@")[0], call.attempt))
        doing = self._doing.get(call.path)
        return doing(call, key) if doing is not None else msgspec.json.decode(call.params)


@contextmanager
def engine_in(
    folder: Path, deeds: Deeds, *, clock: Clock | None = None, options: Options | None = None, **fields: Any
) -> Generator[Engine]:
    """Yield an engine over a store in a folder."""
    with Store.open(folder / "state.db", clock or SystemClock()) as store:
        deeds.waits = Waits(store)
        with Engine(store, deeds, options, **fields) as engine:
            yield engine


def begin(engine: Engine, compiled: Compiled, key: str = "", **inputs: Any) -> str:
    """Submit a run of a plan, and return its id."""
    return engine.submit(NewRun(name="p", key=key), task(compiled, **inputs))[0].id


def status_of(engine: Engine, run_id: str) -> str:
    """Return how a run stands."""
    return engine.runs.get(run_id).status
