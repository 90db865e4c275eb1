"""Plans in a few words, and skills that answer as a test says: with a whole run around them, or turn by turn."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import msgspec

import tickwork
from tickwork import codec
from tickwork.driver.fold import Fold, open_machine
from tickwork.driver.opening import new_environment
from tickwork.driver.options import Options
from tickwork.driver.verify import Run
from tickwork.journal.memory import MemoryJournal
from tickwork.native import Context, Outbox
from tickwork.plane.calls import Answer, Failure, Order, SkillCall
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
from tickwork.plane.executor.agent import PlanExecutor
from tickwork.plane.executor.ending import Ending, decode_ending
from tickwork.plane.executor.rows import row
from tickwork.plane.executor.state import PlanState, StepStatus
from tickwork.plane.json_text import write_json
from tickwork.plane.world import plan_world, read_ending
from tickwork.records import OUTSIDE, Effect, Encoding, FrameKind, Input, Message, Result

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
        answer = answer_to(asked, self.given(asked))
        return Result(effect.number, 0, Encoding.MSGPACK, codec.encode(answer))

    def paths(self, purpose: str = "step") -> list[str]:
        return [asked.path for asked in self.calls if asked.purpose == purpose]


def answer_to(asked: SkillCall, found: Any) -> Answer:
    if isinstance(found, Failure):
        found = Answer(asked.number, failure=found)
    if not isinstance(found, Answer):
        found = Answer(asked.number, write_json(found))
    answer: Answer = msgspec.structs.replace(found, number=asked.number)
    return answer


def params_of(asked: SkillCall) -> Any:
    return msgspec.json.decode(asked.params)


BROKE = Failure("TW7008", "it broke", retryable=True)


def usual(asked: SkillCall) -> Any:
    """Answer as the names of the skills say: with the parameters, or with a failure."""
    if asked.skill == "break@1":
        return BROKE
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
    _, machine = open_machine(journal.header()[0])
    fold = Fold(journal, machine, None)
    for frame in journal.frames():
        fold.feed(frame)
    found = read_ending(machine.state)
    assert found is not None, "the plan has not ended"
    return found


def play(
    assignment: Assignment,
    given: Given = usual,
    *,
    lanes: int = 1,
    seed: int = 0,
    inputs: tuple[tuple[int, Input], ...] = (),
    executor: Callable[[], Executor] | None = None,
) -> Played:
    """Run a plan in memory to its end."""
    world = msgspec.structs.replace(plan_world(assignment, seed=seed), inputs=inputs)
    skills = Answering(given)
    journal = MemoryJournal(codec.encode(world.header), codec.encode(new_environment(Options())), ())
    options = Options(
        performers={spec.name: skills for spec in world.header.skills},
        executor=executor or (lambda: ThreadPoolExecutor(lanes)),
    )
    run = tickwork.run(world, journal=journal, options=options)
    return Played(run, ending_of(journal), skills, journal)


class Stage:
    """A plan turn by turn, with no kernel around it. Each state is encoded and decoded on its way to the next turn.

    Attributes:
        open: Calls without an answer, by number.
        issued: All calls so far. Order: as made.
        effects: What each of them is among the effects of the run.
        logs: What was left for people.
    """

    def __init__(self, assignment: Assignment, *, seed: int = 1) -> None:
        self._spec = plan_world(assignment, seed=seed).header.agents[0]
        self._agent = PlanExecutor()
        self._seed = seed
        self.config = self._spec.config
        self.tick = 0
        self.open: dict[int, SkillCall] = {}
        self.issued: list[SkillCall] = []
        self.effects: list[str] = []
        self.outboxes: list[bytes] = []
        self.logs: list[str] = []
        self.ending: Ending | None = None
        self.left = False
        state, outbox = self._agent.init(self._spec.config, self._context())
        self.state = self._seen(state, outbox)

    def _context(self) -> Context:
        return Context(self.tick, self._seed * 1000 + self.tick, 0, 0, self._spec)

    def _seen(self, state: PlanState, outbox: Outbox) -> PlanState:
        raw = outbox.encode()
        self.outboxes.append(raw)
        for frame in codec.decode_frames(raw):
            if frame.kind == FrameKind.SKILL:
                asked = msgspec.msgpack.decode(frame.body, type=SkillCall)
                assert asked.number not in self.open, "a number stands for one call"
                self.open[asked.number] = asked
                self.issued.append(asked)
                self.effects.append(self._spec.skills[frame.destination])
            elif frame.kind == FrameKind.LOG:
                self.logs.append(frame.body.decode())
            elif frame.kind == FrameKind.PUBLISH_RETAINED:
                self.ending = decode_ending(frame.body)
            elif frame.kind == FrameKind.EXIT:
                self.left = True
        encoded = msgspec.msgpack.encode(state, order="deterministic")
        again = msgspec.msgpack.decode(encoded, type=PlanState)
        assert again == state, "a snapshot holds all of the state"
        return again

    def turn(self, *inbox: Message) -> None:
        """Take one turn, and see that the state it was given stays as it was."""
        self.tick += 1
        before = msgspec.msgpack.encode(self.state, order="deterministic")
        state, outbox = self._agent.turn(self.state, inbox, self._context())
        assert msgspec.msgpack.encode(self.state, order="deterministic") == before, "a state is a value"
        self.state = self._seen(state, outbox)

    def answer(self, *given: tuple[str | int, Any]) -> None:
        """Answer calls, in one turn: each by number, or by the path of the oldest call that is open for it."""
        messages: list[Message] = []
        for which, found in given:
            number = which if isinstance(which, int) else self.number(which)
            body = codec.encode(answer_to(self.open.pop(number), found))
            messages.append(Message(FrameKind.RESULT, Encoding.MSGPACK, OUTSIDE, 0, number, self.tick, body))
        self.turn(*messages)

    def number(self, path: str) -> int:
        """Return the oldest open call for a path."""
        return next(number for number, asked in self.open.items() if asked.path == path)

    def order(self, order: str, step: str = "", output: Any = None, by: str = "ann") -> None:
        """Tell the plan something, as a person does."""
        body = msgspec.json.encode(Order(order, by, step, output))
        self.turn(Message(FrameKind.MESSAGE, Encoding.JSON, OUTSIDE, 0, 0, self.tick, body))

    def finish(self, given: Given = usual) -> Ending:
        """Answer everything until the plan has ended."""
        while self.ending is None:
            assert self.open, "nothing is open, and the plan has not ended"
            self.answer(*((number, given(asked)) for number, asked in list(self.open.items())))
        return self.ending

    @property
    def waiting(self) -> list[tuple[str, str]]:
        """Skill and path of each open call."""
        return [(asked.skill, asked.path) for asked in self.open.values()]

    def status(self, path: str) -> str:
        """Return how far a step of the run's own plan is."""
        scope = dict(self.state.scopes)[1]
        names = [found.id for found in self._plan().steps]
        return StepStatus(row(scope.steps, names.index(path)).status).name.lower()

    def _plan(self) -> Plan:
        assignment = msgspec.msgpack.decode(self._spec.config, type=Assignment)
        compiled = assignment.compiled
        if compiled is None:
            compiled = msgspec.msgpack.decode(self.state.planned, type=Compiled)
        return compiled.plans[0]
