"""Plans in a few words, and skills that answer as a test says."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import msgspec

import tickwork
from tickwork import codec
from tickwork.driver.options import Options
from tickwork.driver.verify import Run
from tickwork.journal.memory import MemoryJournal
from tickwork.plane.calls import Answer, Failure, SkillCall
from tickwork.plane.compiled import (
    SYSTEM_SKILLS,
    AgentPin,
    Assignment,
    Budget,
    Call,
    Compiled,
    Plan,
    SkillPin,
    Step,
)
from tickwork.plane.executor.ending import Ending
from tickwork.plane.json_text import write_json
from tickwork.plane.world import plan_world, read_ending
from tickwork.records import Effect, Encoding, Result

PINS = (
    SkillPin("echo", "1", b"\1" * 32, 0),
    SkillPin("send", "1", b"\2" * 32, 1, side_effects=True),
    SkillPin("fetch", "1", b"\3" * 32, 1, outside=True),
    SkillPin("break", "1", b"\4" * 32, 1),
    SkillPin("pay", "1", b"\5" * 32, 3, side_effects=True),
)
ECHO, SEND, FETCH, BREAK, PAY = range(5)

Given = Callable[[SkillCall], Any]


def call(skill: int = ECHO, params: Any = None) -> Call:
    raw = write_json(params if params is not None else {})
    return Call(skill, raw, b"${" not in raw)


def step(id: str, *after: int, skill: int = ECHO, params: Any = None, **more: Any) -> Step:
    """Return a step that calls a skill; a wait or a plan where ``more`` says so."""
    own = None if "wait" in more or "plan" in more else call(skill, params)
    if "plan" in more and params is not None:
        more["params"] = write_json(params)
    if "outputs" in more:
        more["outputs"] = write_json(more["outputs"])
    return Step(id, call=own, after=tuple(after), **more)


def plan(*steps: Step, outputs: Any = None, name: str = "test", budget: Budget | None = None) -> Plan:
    raw = b"" if outputs is None else write_json(outputs)
    return Plan(name, "1", steps, outputs=raw, budget=budget or Budget())


def assign(
    *plans: Plan,
    inputs: Any = None,
    pins: Sequence[SkillPin] = PINS,
    agent: AgentPin | None = None,
    budget: Budget | None = None,
    ordering: str = "issue",
    **more: Any,
) -> Assignment:
    compiled = Compiled(plans, tuple(pins), b"{}", b"\0" * 32, ordering)
    given = write_json(inputs or {})
    return Assignment("", given, agent or AgentPin(), compiled, budget=budget or Budget(), **more)


class Answering:
    """Performs every skill by asking a function; what it gives is the output, an answer or a failure."""

    def __init__(self, given: Given) -> None:
        self.given = given
        self.calls: list[SkillCall] = []
        self._lock = threading.Lock()

    def perform(self, effect: Effect) -> Result:
        asked = msgspec.msgpack.decode(effect.body, type=SkillCall)
        with self._lock:
            self.calls.append(asked)
        found = self.given(asked)
        if isinstance(found, Failure):
            found = Answer(asked.number, failure=found)
        if not isinstance(found, Answer):
            found = Answer(asked.number, write_json(found))
        answer = msgspec.structs.replace(found, number=asked.number)
        return Result(effect.number, 0, Encoding.MSGPACK, codec.encode(answer))

    def paths(self, purpose: str = "step") -> list[str]:
        return [asked.path for asked in self.calls if asked.purpose == purpose]


def params_of(asked: SkillCall) -> Any:
    return msgspec.json.decode(asked.params)


def usual(asked: SkillCall) -> Any:
    """Answer as the names of the skills say: with the parameters, or with a failure."""
    if asked.skill == "break@1":
        return Failure("TW7008", "it broke", retryable=True)
    if asked.skill == "ask.approval":
        return {"decision": "grant", "by": ["ann"]}
    if asked.skill in SYSTEM_SKILLS:
        return None
    return params_of(asked)


class Played(msgspec.Struct):
    """A run that is over.

    Attributes:
        journal: Its records.
    """

    run: Run
    ending: Ending
    skills: Answering
    journal: MemoryJournal

    @property
    def output(self) -> Any:
        return msgspec.json.decode(self.ending.output)

    @property
    def steps(self) -> Mapping[str, int]:
        return dict(self.ending.steps)


def ending_of(journal: MemoryJournal) -> Ending:
    """Return the ending that a journal holds."""
    fold = tickwork_fold(journal)
    found = read_ending(fold.machine.state)
    assert found is not None, "the plan has not ended"
    return found


def tickwork_fold(journal: MemoryJournal) -> Any:
    from tickwork.driver.fold import Fold, open_machine

    _, machine = open_machine(journal.header()[0])
    fold = Fold(journal, machine, None)
    for frame in journal.frames():
        fold.feed(frame)
    return fold


def play(
    assignment: Assignment,
    given: Given = usual,
    *,
    lanes: int = 1,
    seed: int = 0,
    inputs: tuple[tuple[int, Any], ...] = (),
) -> Played:
    """Run a plan in memory to its end."""
    world = plan_world(assignment, seed=seed)
    skills = Answering(given)
    if inputs:
        world = msgspec.structs.replace(world, inputs=inputs)
    known = {spec.name: skills for spec in world.header.skills}
    executor: Callable[[], Executor] = lambda: ThreadPoolExecutor(lanes)  # noqa: E731
    environment = codec.encode(())
    del environment
    journal = _journal(world)
    run = tickwork.run(world, journal=journal, options=Options(performers=known, executor=executor))
    return Played(run, ending_of(journal), skills, journal)


def _journal(world: Any) -> MemoryJournal:
    from tickwork.driver.opening import new_environment

    environment = codec.encode(new_environment(Options()))
    return MemoryJournal(codec.encode(world.header), environment, ())
