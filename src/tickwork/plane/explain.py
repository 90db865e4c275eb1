"""A run of a plan told from its journal: every step, what it was called with and what came of it, and who agreed.

The executor is a function of what the journal holds, so it is run once more over the recorded inboxes, and says this
time what it decides. Nothing is performed.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from ..codec import decode_frames
from ..driver.fold import open_machine, read_inputs, read_turns
from ..driver.shape import is_array
from ..errors import ReplayDivergence, UsageFault
from ..journal.store import JournalReader
from ..kernel import Machine, RunStatus
from ..native import Context
from ..records import Frame, Operation, Turn
from .calls import Answer, ApprovalDecision, ArtifactRef, Failure, SkillCall, Usage
from .compiled import APPROVAL, EXECUTOR_ENTRY, Assignment, Compiled, Step
from .executor.advance import advance, begin
from .executor.money import add_usage
from .executor.prepared import prepare
from .executor.state import PlanState, Stage, StepState
from .executor.values import status_name
from .executor.work import Note

_NEVER: Final = -1
_assignments: Final = msgspec.msgpack.Decoder(Assignment)


class CallStory(msgspec.Struct):
    """A call and what came of it.

    Attributes:
        effect: What it is among the effects of the run: with the class it is called in, where that is not its own.
        tick, answered: When it was made and answered; -1 where it is not answered.
        params, output: JSON.
        decision: What people decided, for an approval.
        transcript: JSON; empty for none.
    """

    number: int
    path: str
    purpose: str
    attempt: int
    skill: str
    effect: str
    tick: int
    params: msgspec.Raw
    labels: tuple[str, ...] = ()
    approved_by: str = ""
    reserved_micros: int = 0
    answered: int = _NEVER
    output: msgspec.Raw = msgspec.Raw(b"null")
    failure: Failure | None = None
    usage: Usage = Usage()
    cached: bool = False
    artifacts: tuple[ArtifactRef, ...] = ()
    transcript: msgspec.Raw = msgspec.Raw(b"")
    decision: ApprovalDecision | None = None


class Told(msgspec.Struct, frozen=True):
    """Something that was decided, and when."""

    tick: int
    path: str
    kind: str
    text: str


class StepStory(msgspec.Struct):
    """A step, or an iteration of one, or a step of a plan within.

    Attributes:
        status: ``pending`` where it has not begun.
        began, ended: Ticks; -1 for not yet.
        output: JSON.
        calls: Order: as made.
        usage: Of all its calls.
    """

    path: str
    title: str = ""
    skill: str = ""
    status: str = "pending"
    reason: str = ""
    began: int = _NEVER
    ended: int = _NEVER
    output: msgspec.Raw = msgspec.Raw(b"null")
    error: Failure | None = None
    labels: tuple[str, ...] = ()
    calls: list[CallStory] = msgspec.field(default_factory=list[CallStory])
    usage: Usage = Usage()

    @property
    def artifacts(self) -> tuple[ArtifactRef, ...]:
        """What its calls have left behind. Order: as answered."""
        return tuple(one for call in self.calls for one in call.artifacts)


class Explained(msgspec.Struct):
    """A run of a plan.

    Attributes:
        status: ``planning``, ``running`` or ``waiting``; or how it ended.
        source: The plan's tables, JSON; empty where there is no plan yet.
        steps: Order: the plan's, iterations and steps of plans within after the step that they belong to.
        system: What the executor asked for itself: recall, plan, summary.
        told: What was decided on the way. Order: time.
        open: Calls without an answer. Order: as made.
        ticks: So far.
    """

    goal: str
    profile: str
    planner: str
    plan: str
    version: str
    inputs: msgspec.Raw
    source: msgspec.Raw
    status: str
    output: msgspec.Raw
    failure: Failure | None
    degraded: bool
    undone: bool
    usage: Usage
    calls: int
    ticks: int
    steps: tuple[StepStory, ...]
    system: tuple[CallStory, ...]
    told: tuple[Told, ...]
    open: tuple[CallStory, ...]
    prices: str = ""


def explain(journal: JournalReader, *, until: int | None = None) -> Explained:
    """Return a run of a plan as its journal tells it.

    Args:
        until: The last tick that counts; None for all.

    Raises:
        UsageFault: TW1001, the journal is not of a run of a plan.
        ReplayDivergence: TW4001, this version's executor does not come to what is recorded.
        JournalDamaged: TW2004.
    """
    header, machine = open_machine(journal.header()[0])
    places = [place for place, agent in enumerate(header.agents) if agent.entry == EXECUTOR_ENTRY]
    if not places:
        raise UsageFault(
            f"{header.name} is no run of a plan",
            why="none of its agents runs plans",
            fix="look at it with `tickwork show RUN state`",
        )
    telling = _Telling(header.agents[places[0]].config)
    for frame in journal.frames(0, until):
        _fold(journal, machine, frame, places[0], telling)
    return telling.explained(machine)


def _fold(journal: JournalReader, machine: Machine, frame: Frame, number: int, telling: "_Telling") -> None:
    machine.admit(read_inputs(journal, frame))
    turns = machine.turns(machine.plan())
    outcomes = [record.outcome for record in read_turns(journal, frame)]
    for turn, outcome in zip(turns, outcomes, strict=True):
        if turn.agent == number and not outcome.status:
            spec = machine.state.agents[number].spec
            found = telling.take(turn, Context(turn.tick, turn.seed, number, turn.wall_us, spec))
            if found is not None and found != outcome.outbox:
                raise ReplayDivergence(
                    f"the executor does not come to what is recorded for tick {frame.tick}",
                    why="the run was made by another version",
                    fix="look at it with the version that made it",
                )
    machine.commit(turns, outcomes)
    machine.take_flips()
    machine.seal()


class _Telling:
    """Runs the executor once more and collects what it says."""

    def __init__(self, config: bytes) -> None:
        self._config = config
        self._state: PlanState | None = None
        self._stories: dict[str, StepStory] = {}
        self._calls: dict[int, CallStory] = {}
        self._system: list[CallStory] = []
        self._told: list[Told] = []

    def take(self, turn: Turn, context: Context) -> bytes | None:
        """Run one turn; return its outbox, or None where it leaves none of interest."""
        notes: list[Note] = []
        inbox = tuple(decode_frames(turn.inbox))
        if turn.operation == Operation.INIT:
            work = begin(inbox[0].body, context, notes)
        elif turn.operation == Operation.STEP and self._state is not None:
            if not inbox or self._state.stage == Stage.ENDED:
                return None
            work = advance(self._state, inbox, context, notes)
        else:
            return None
        self._state = work.freeze()
        for note in notes:
            self._hear(turn.tick, note)
        return work.outbox.encode()

    def _hear(self, tick: int, note: Note) -> None:
        if note.call is not None:
            self._called(tick, note, note.call)
        elif note.answer is not None:
            self._answered(tick, note.answer)
        elif note.state is not None:
            self._ended(tick, note.path, note.state)
        else:
            if note.kind == "begun" and note.path not in self._stories:
                self._story(note.path, tick)
            elif note.kind == "undone":
                self._story(note.path, tick).status = "compensated"
            if note.kind != "begun":
                self._told.append(Told(tick, note.path, note.kind, note.text))

    def _story(self, path: str, tick: int) -> StepStory:
        found = self._stories.get(path)
        if found is None:
            found = self._stories[path] = StepStory(path, status="running", began=tick)
        return found

    def _called(self, tick: int, note: Note, call: SkillCall) -> None:
        story = CallStory(
            call.number,
            call.path,
            call.purpose,
            call.attempt,
            call.skill,
            note.effect,
            tick,
            msgspec.Raw(call.params),
            call.labels,
            call.approved_by,
            call.reserved_micros,
        )
        self._calls[call.number] = story
        if not call.path:
            self._system.append(story)
            return
        step = self._story(call.path, tick)
        step.calls.append(story)
        if call.purpose == "step":
            step.skill = call.skill

    def _answered(self, tick: int, answer: Answer) -> None:
        call = self._calls[answer.number]
        call.answered, call.output, call.failure = tick, msgspec.Raw(answer.output), answer.failure
        call.usage, call.cached, call.artifacts = answer.usage, answer.cached, answer.artifacts
        call.transcript = msgspec.Raw(answer.transcript)
        if call.skill == APPROVAL and answer.failure is None:
            try:
                call.decision = msgspec.json.decode(answer.output, type=ApprovalDecision)
            except msgspec.DecodeError:
                call.decision = None
        if call.path:
            step = self._stories[call.path]
            step.usage = add_usage(step.usage, answer.usage)

    def _ended(self, tick: int, path: str, state: StepState) -> None:
        story = self._stories.get(path)
        if story is None:
            story = self._stories[path] = StepStory(path)
        story.status, story.reason, story.ended = status_name(state.status), state.reason, tick
        story.output, story.error, story.labels = msgspec.Raw(state.output), state.error, state.labels

    def explained(self, machine: Machine) -> Explained:
        """Return all that was said."""
        assignment = _assignments.decode(self._config)
        state = self._state or PlanState(stage=Stage.PLANNING)
        compiled = prepare(self._config, state.planned).compiled
        plan = compiled.plans[0] if compiled is not None else None
        open_ = tuple(self._calls[number] for number, _ in state.calls if number in self._calls)
        inputs = dict(state.scopes)[1].inputs if state.scopes else assignment.inputs
        return Explained(
            goal=assignment.goal,
            profile=assignment.agent.name,
            planner=assignment.planner,
            plan=plan.name if plan is not None else "",
            version=plan.version if plan is not None else "",
            inputs=msgspec.Raw(inputs),
            source=msgspec.Raw(compiled.source if compiled is not None else b""),
            status=_status(state, machine, open_),
            output=msgspec.Raw(state.output),
            failure=state.failure,
            degraded=state.degraded,
            undone=state.undone,
            usage=state.usage,
            calls=state.skill_calls,
            ticks=machine.ticks,
            steps=tuple(self._in_order(compiled)),
            system=tuple(self._system),
            told=tuple(self._told),
            open=open_,
            prices=assignment.prices,
        )

    def _in_order(self, compiled: Compiled | None) -> Iterator[StepStory]:
        """Yield the steps. Order: the plan's; what lies within a step follows it, in the order of its beginning."""
        within: dict[str, list[StepStory]] = {}
        for path, story in self._stories.items():
            top = path.partition("/")[0].partition("[")[0].partition("~")[0]
            within.setdefault(top, []).append(story)
        for step in compiled.plans[0].steps if compiled is not None else ():
            found = within.get(step.id, [])
            own = next((story for story in found if story.path == step.id), None) or _whole(step, found)
            own.title, own.skill = step.title, own.skill or _skill(compiled, step)
            yield own
            yield from (story for story in found if story is not own)


def _whole(step: Step, parts: Iterable[StepStory]) -> StepStory:
    """Return the story of a step of which so far only parts have one."""
    began = min((part.began for part in parts if part.began >= 0), default=_NEVER)
    return StepStory(step.id, status="running" if began >= 0 else "pending", began=began)


def _skill(compiled: Compiled | None, step: Step) -> str:
    if step.call is None or compiled is None:
        return ""
    pin = compiled.pins[step.call.skill]
    return f"{pin.name}@{pin.version}"


def _status(state: PlanState, machine: Machine, open_: Iterable[CallStory]) -> str:
    if state.status and state.stage in (Stage.CLOSING, Stage.KEEPING, Stage.ENDED):
        return state.status
    if machine.state.status >= RunStatus.COMPLETE:
        return "failed"
    if state.stage in (Stage.RECALLING, Stage.PLANNING):
        return "planning"
    waiting = [call for call in open_ if call.purpose == "system"]
    return "waiting" if waiting and all(call.purpose == "system" for call in open_) else "running"


def as_document(explained: Explained) -> dict[str, Any]:
    """Return it as plain data, for ``-o json``: digests as hexadecimal digits, JSON as what it holds."""
    document: dict[str, Any] = _plain(explained)
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Raw):
        raw = bytes(value)
        return msgspec.json.decode(raw) if raw else None
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        value = [*value]
    return [_plain(one) for one in value] if is_array(value) else value
