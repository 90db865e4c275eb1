"""Looking into a run: its state, agents, messages and records at any tick. Nothing is executed or performed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from .. import codec
from ..errors import AgentNotFound, JournalIncomplete, RunFailed, TickOutOfRange
from ..journal.store import JournalReader
from ..kernel import Machine, State
from ..kernel.models import read_model_order
from ..kernel.swap import read_order
from ..records import (
    Derived,
    DerivedKind,
    Encoding,
    Frame,
    FrameKind,
    Input,
    InputKind,
    Message,
    Operation,
    Status,
)
from .compare import kind_name, name_of, shown, shown_as
from .fold import Fold, open_machine, read_inputs, read_turns
from .model_notes import describe_note
from .model_swaps import shown_model_order
from .opening import read_header, reading
from .options import Options
from .snapshots import last_snapshot, restore_machine
from .swap import shown_order
from .verify import feed, fold_prefix

Explain = Callable[[str, bytes], str]
"""Makes a failed turn's text one for people, given the text and the agent's module."""


def as_it_is(detail: str, _module: bytes) -> str:
    """Return a failed turn's text as the engine gave it."""
    return detail


class AgentView(msgspec.Struct, frozen=True):
    """An agent between two ticks. ``wake`` is None when only a message will wake it."""

    number: int
    name: str
    kind: str
    status: str
    priority: int
    mail: int
    mail_bytes: int
    wake: int | None
    failures: int
    task: str
    version: str
    digest: str


class TopicView(msgspec.Struct, frozen=True):
    """A topic between two ticks."""

    name: str
    subscribers: tuple[str, ...]
    version: int
    value: str


class WindowView(msgspec.Struct, frozen=True):
    """A window between two ticks. ``total`` counts its bytes, of a ring all that were ever written to it."""

    name: str
    kind: str
    open: bool
    writer: str
    readers: tuple[str, ...]
    epoch: int
    total: int
    digest: str


class StateView(msgspec.Struct, frozen=True):
    """A run after a tick: ``tick`` is the next one to run."""

    tick: int
    status: str
    seq: int
    dead_letters: int
    timers: int
    effects: tuple[str, ...]
    tasks: tuple[str, ...]
    agents: tuple[AgentView, ...]
    topics: tuple[TopicView, ...]
    root: str
    windows: tuple[WindowView, ...] = ()


class MessageView(msgspec.Struct, frozen=True):
    """One frame that a turn left or that came from outside in a tick."""

    tick: int
    place: str
    kind: str
    source: str
    target: str
    size: int
    encoding: str
    body: str


class TurnView(msgspec.Struct, frozen=True):
    """One turn. ``fuel`` is a hint."""

    slot: int
    agent: str
    operation: str
    status: str
    code: int
    frames: int
    fuel: int
    detail: str


class FrameView(msgspec.Struct, frozen=True):
    """One tick's records for people. ``models`` says who answered requests to models; a hint."""

    tick: int
    d: str
    f: str
    inputs: tuple[MessageView, ...]
    turns: tuple[TurnView, ...]
    messages: tuple[MessageView, ...]
    derived: tuple[str, ...]
    models: tuple[str, ...] = ()


def machine_at(journal: JournalReader, tick: int | None) -> Machine:
    """Return the machine after ``tick`` (None: after the last one), folded from the last snapshot before it.

    Raises:
        TickOutOfRange: TW4006.
        JournalDamaged: TW2004.
        ReplayDivergence: TW4001, a record on the way does not come out again.
    """
    last = _last_tick(journal, tick)
    read_header(journal)
    header, machine = open_machine(journal.header()[0])
    snapshot = last_snapshot(journal, last + 1, pages=False)
    if snapshot is not None:
        machine = restore_machine(header, machine.state.lineage, snapshot)
    fold_prefix(Fold(journal, machine, None), journal, last + 1, None, "show", Options())
    return machine


def _last_tick(journal: JournalReader, tick: int | None) -> int:
    length = journal.length()
    if tick is None:
        return length - 1
    if not 0 <= tick < length:
        raise TickOutOfRange(
            f"the run has no tick {tick}",
            why=f"it has ticks 0 to {length - 1}" if length else "it has no tick yet",
            fix="name one of them with --tick",
        )
    return tick


def state_at(source: Path | str | JournalReader, tick: int | None = None) -> StateView:
    """Return the state after a tick, the last one by default."""
    with reading(source) as journal:
        return view_state(machine_at(journal, tick))


def view_state(machine: Machine) -> StateView:
    """Return a machine's state for people."""
    from ..kernel.state import NEVER, AgentStatus, RunStatus, TaskStatus, encode_state

    state = machine.state
    agents = tuple(
        AgentView(
            agent.number,
            agent.name,
            agent.spec.kind,
            AgentStatus(agent.status).name.lower(),
            agent.spec.priority,
            len(agent.mail),
            agent.mail_bytes,
            None if agent.wake >= NEVER else agent.wake,
            agent.failures,
            state.tasks[agent.task].name if agent.task >= 0 else "",
            agent.spec.version,
            agent.spec.digest.hex(),
        )
        for agent in state.agents
    )
    topics = tuple(
        TopicView(
            topic.name,
            tuple(state.agents[known.agent].name for known in topic.subscribers),
            topic.version,
            shown(topic.value) if topic.version else "",
        )
        for topic in state.topics
    )
    return StateView(
        state.tick,
        RunStatus(state.status).name.lower(),
        state.seq,
        state.dead_letters,
        len(state.timers),
        tuple(f"{effect.number} {effect.skill}" for effect in state.effects),
        tuple(f"{task.name}: {TaskStatus(task.status).name.lower()}" for task in state.tasks),
        agents,
        topics,
        codec.digest(encode_state(state)).hex(),
        _windows(state),
    )


def _windows(state: State) -> tuple[WindowView, ...]:
    return tuple(
        WindowView(
            window.spec.name,
            window.spec.kind,
            window.open,
            window.spec.writer,
            window.spec.readers,
            window.epoch,
            window.total,
            window.digest.hex(),
        )
        for window in state.windows
    )


def agent_number(machine: Machine, agent: str) -> int:
    """Return an agent's number by its name or number.

    Raises:
        AgentNotFound: TW4005.
    """
    numbers = machine.cast.numbers
    if agent in numbers:
        return numbers[agent]
    if agent.isascii() and agent.isdigit() and int(agent) < len(machine.state.agents):
        return int(agent)
    raise AgentNotFound(
        f"the run has no agent {agent!r}", why=f"it has {', '.join(list(numbers)[:20])}", fix="name one of them"
    )


def frame_at(source: Path | str | JournalReader, tick: int | None = None, *, explain: Explain = as_it_is) -> FrameView:
    """Return one tick's records, the last one's by default.

    Args:
        explain: What makes of a trap's offsets the lines of its source.
    """
    with reading(source) as journal:
        last = _last_tick(journal, tick)
        machine = machine_at(journal, last)
        frame = journal.frame(last)
        assert frame is not None, "the tick was checked"
        return view_frame(journal, machine, frame, explain=explain)


def view_frame(journal: JournalReader, machine: Machine, frame: Frame, *, explain: Explain = as_it_is) -> FrameView:
    """Return a tick's records for people.

    Args:
        machine: After that tick, or a later one: it gives numbers their names.
    """
    tick, hints, recorded = frame.tick, codec.decode_hints(frame.hints), read_turns(journal, frame)
    details = dict(hints.details)
    turns = tuple(
        TurnView(
            slot,
            machine.state.agents[turn.agent].name,
            Operation(turn.operation).name.lower(),
            Status(turn.outcome.status).name.lower(),
            turn.outcome.code,
            sum(1 for _ in codec.decode_frames(turn.outcome.outbox)),
            hints.fuel[slot] if slot < len(hints.fuel) else 0,
            _explained(journal, machine, turn.agent, details.get(slot, ""), explain),
        )
        for slot, turn in enumerate(recorded)
    )
    messages = tuple(
        view
        for slot, turn in enumerate(recorded)
        for view in _sent(machine, tick, slot, turn.agent, turn.outcome.outbox)
    )
    inputs = tuple(_entered(tick, index, item) for index, item in enumerate(read_inputs(journal, frame)))
    derived = tuple(_describe(machine, item) for item in codec.decode_derived(frame.derived))
    models = tuple(describe_note(note) for note in hints.models)
    return FrameView(tick, frame.d.hex(), frame.f.hex(), inputs, turns, messages, derived, models)


def messages_between(
    source: Path | str | JournalReader, first: int, last: int, agent: str = ""
) -> Iterator[MessageView]:
    """Yield what entered and what was sent in a range of ticks, both included. Order: tick, then place.

    Args:
        agent: Only what this agent sent or was addressed by name.
    """
    with reading(source) as journal:
        name = ""
        if agent:
            ended = machine_at(journal, None)
            name = ended.state.agents[agent_number(ended, agent)].name
        machine = machine_at(journal, first)
        fold = Fold(journal, machine, None)
        for frame in journal.frames(first, last):
            if frame.tick > first:
                feed(fold, frame)  # An agent's handles are those of the version that it had in that tick.
            views = [_entered(frame.tick, index, item) for index, item in enumerate(read_inputs(journal, frame))]
            for slot, turn in enumerate(read_turns(journal, frame)):
                views.extend(_sent(machine, frame.tick, slot, turn.agent, turn.outcome.outbox))
            yield from (view for view in views if not name or name in (view.source, view.target))


def _entered(tick: int, index: int, item: Input) -> MessageView:
    kind = InputKind(item.kind).name.lower()
    encoding = Encoding(item.encoding).name.lower() if item.encoding in Encoding._value2member_map_ else "?"
    target = item.target or (f"effect {item.number}" if item.kind == InputKind.RESULT else "")
    order = read_order(item) if item.kind == InputKind.SWAP_AGENT else None
    of_model = read_model_order(item) if item.kind == InputKind.SWAP_MODEL else None
    body = shown_order(order) if order is not None else shown_as(item.body, item.encoding)
    body = shown_model_order(of_model) if of_model is not None else body
    return MessageView(tick, f"inputs[{index}]", kind, item.source, target, item.size, encoding, body)


def _sent(machine: Machine, tick: int, slot: int, number: int, outbox: bytes) -> Iterator[MessageView]:
    for index, message in enumerate(codec.decode_frames(outbox)):
        known = message.encoding in Encoding._value2member_map_
        yield MessageView(
            tick,
            f"turns[{slot}].outbox[{index}]",
            kind_name(message.kind),
            machine.state.agents[number].name,
            _target(machine, number, message),
            len(message.body),
            Encoding(message.encoding).name.lower() if known else "?",
            shown_as(message.body, message.encoding),
        )


def _target(machine: Machine, number: int, message: Message) -> str:
    """Return what a frame's destination means to its sender."""
    spec = machine.state.agents[number].spec
    names: dict[int, tuple[str, ...]] = {
        FrameKind.SEND: spec.send,
        FrameKind.TASK: spec.send,
        FrameKind.PUBLISH: spec.publish,
        FrameKind.PUBLISH_RETAINED: spec.publish,
        FrameKind.JOIN: spec.subscribe,
        FrameKind.LEAVE: spec.subscribe,
        FrameKind.SKILL: spec.skills,
        FrameKind.SPAWN: spec.spawn,
        FrameKind.INFER: spec.models,
        FrameKind.WINDOW_WRITE: spec.windows,
    }
    handles = names.get(message.kind if message.kind < 0x8000 else FrameKind.SEND, ())
    if message.destination < len(handles):
        return handles[message.destination]
    agents = machine.state.agents
    raw = message.destination & 0x7FFFFFFF
    return agents[raw].name if message.destination >= 0x80000000 and raw < len(agents) else ""


def _describe(machine: Machine, item: Derived) -> str:
    agents = machine.state.agents
    who = agents[item.agent].name if item.agent < len(agents) else ""
    parts = [DerivedKind(item.kind).name.lower(), who, str(item.number) if item.number else "", item.note]
    return " ".join(part for part in parts if part)


def _explained(journal: JournalReader, machine: Machine, agent: int, detail: str, explain: Explain) -> str:
    """Return a failed turn's text for people, as far as the agent is a module that the journal carries."""
    spec = machine.state.agents[agent].spec
    if not detail or spec.kind != "wasm":
        return detail
    try:
        return explain(detail, journal.content(spec.digest))
    except JournalIncomplete:
        return detail


def why_failed(source: Path | str | JournalReader, *, explain: Explain = as_it_is) -> RunFailed:
    """Return the failure that ended a run, as an error to show: which agent, when, and what its turn came to."""
    with reading(source) as journal:
        machine = machine_at(journal, None)
        frame = journal.frame(journal.length() - 1)
        assert frame is not None, "a failed run has a tick in which it failed"
        details = dict(codec.decode_hints(frame.hints).details)
        for item in codec.decode_derived(frame.derived):
            if item.kind == DerivedKind.ESCALATED:
                name = machine.state.agents[item.agent].name
                why = _explained(journal, machine, item.agent, details.get(item.slot, ""), explain)
                return RunFailed(
                    f"agent {name!r} failed and its supervision policy is escalate",
                    where=f"tick {frame.tick}",
                    why=f"{item.note}: {why}" if why else item.note,
                    fix="look at the tick with `tickwork show JOURNAL frame`, or choose another policy for the agent",
                )
    return RunFailed("the run failed", where=f"tick {frame.tick}")


def first_failure(source: Path | str | JournalReader, *, explain: Explain = as_it_is) -> tuple[int, str]:
    """Return the tick of a run's first failed turn and a sentence on it; (-1, "") if none failed."""
    with reading(source) as journal:
        header, _ = read_header(journal)
        for frame in journal.frames():
            for slot, turn in enumerate(read_turns(journal, frame)):
                if turn.outcome.status != Status.OK:
                    hint = dict(codec.decode_hints(frame.hints).details).get(slot, "")
                    detail = _explained(journal, machine_at(journal, frame.tick), turn.agent, hint, explain)
                    status = Status(turn.outcome.status).name.lower()
                    why = detail or f"code {turn.outcome.code}"
                    return frame.tick, f"agent {name_of(header, turn.agent)!r} at tick {frame.tick}: {status}, {why}"
    return -1, ""
