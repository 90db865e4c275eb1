"""Applying the rarer frames of an outbox and the inputs from outside, one small function each."""

import hashlib
import struct
from bisect import insort
from collections.abc import Callable
from typing import Final

import msgspec

from ..codec import FRAME
from ..records import OUTSIDE, DerivedKind, Effect, FrameKind, Input, InputKind, Refusal
from . import graph
from .cast import Cast
from .outbox import TASK_HEAD_BYTES, Action
from .random import stream_key
from .state import MAX_AGENTS, MAX_TIMERS, AgentState, AgentStatus, RunStatus, TaskState, TaskStatus, TimerState

_DELAY: Final = struct.Struct("<Q")
_TASK_HEAD: Final = struct.Struct("<iIII")
_KEY: Final = struct.Struct("<IQQ")
_MAX_DELAY: Final = 1 << 60

EDITABLE: Final = ("priority", "fuel")
"""What a CONFIGURE_AGENT input may change."""


def effect_key(lineage: bytes, agent: int, tick: int, number: int) -> bytes:
    """Return the idempotency key of an effect. Shape: 32 bytes.

    Law: equal (lineage, agent, tick, number) give equal keys; a replay, a resume and an unedited fork ask under the same key.
    """
    return hashlib.sha256(b"TWK1" + lineage + _KEY.pack(agent, tick, number)).digest()


def _body(action: Action) -> bytes:
    return action.body[: action.size - FRAME.size]


def _publish_retained(cast: Cast, agent: AgentState, action: Action) -> None:
    cast.bus.retain(action.target, action.encoding, agent.number, _body(action))


def _join(cast: Cast, agent: AgentState, action: Action) -> None:
    cast.bus.join(agent, action.target, action.destination)


def _leave(cast: Cast, agent: AgentState, action: Action) -> None:
    cast.bus.leave(agent, action.target)


def _spawn(cast: Cast, agent: AgentState, action: Action) -> None:
    if len(cast.state.agents) >= MAX_AGENTS:
        text = f"a run holds at most {MAX_AGENTS} agents"
        cast.bus.refuse(agent.number, Refusal.NO_MEMORY, action.kind, cast.bus.next_seq(), text)
        return
    cast.spawn(cast.header.templates[action.target], agent.number, _body(action), action.encoding)


def _exit(cast: Cast, agent: AgentState, action: Action) -> None:
    if agent.status != AgentStatus.STOPPED:
        cast.stop_agent(agent, "it asked to exit")


def _timer(cast: Cast, agent: AgentState, action: Action) -> None:
    number = cast.bus.next_seq()
    body = _body(action)
    delay = _DELAY.unpack(body)[0] if len(body) == _DELAY.size else _MAX_DELAY + 1
    if delay > _MAX_DELAY:
        cast.bus.refuse(
            agent.number, Refusal.BAD_MESSAGE, action.kind, number, "a timer's body is a delay in ticks, u64"
        )
    elif agent.timers >= MAX_TIMERS:
        cast.bus.refuse(agent.number, Refusal.TOO_BIG, action.kind, number, f"more than {MAX_TIMERS} timers")
    else:
        agent.timers += 1
        due = cast.state.tick + max(1, delay)
        insort(cast.state.timers, TimerState(due, agent.number, number, action.destination))


def _task(cast: Cast, agent: AgentState, action: Action) -> None:
    state, body, seq = cast.state, _body(action), cast.bus.next_seq()
    if len(body) < TASK_HEAD_BYTES:
        cast.bus.refuse(agent.number, Refusal.BAD_MESSAGE, action.kind, seq, "a task's body is shorter than its head")
        return
    priority, tag, count, _ = _TASK_HEAD.unpack_from(body)
    start = TASK_HEAD_BYTES + ((count * 4 + 7) & ~7)
    if start > len(body):
        cast.bus.refuse(agent.number, Refusal.BAD_MESSAGE, action.kind, seq, "a task's dependencies run past its body")
        return
    tags = struct.unpack_from(f"<{count}I", body, TASK_HEAD_BYTES)
    own = {task.tag: task for task in state.tasks if task.owner == agent.number}
    missing = [known for known in tags if known not in own]
    if missing or tag in own:
        text = f"no earlier task {missing[0]}" if missing else f"task {tag} exists already"
        cast.bus.refuse(agent.number, Refusal.NOT_FOUND if missing else Refusal.CONFLICT, action.kind, seq, text)
        return
    task = TaskState(
        len(state.tasks),
        f"{agent.name}/{tag}",
        action.target,
        priority,
        action.encoding,
        body[start:],
        tag,
        agent.number,
    )
    state.tasks.append(task)
    cast.bus.note(DerivedKind.TASK_ADDED, action.target, task.number, task.name)
    _connect(cast, task, [own[known] for known in dict.fromkeys(tags)])


def _connect(cast: Cast, task: TaskState, dependencies: list[TaskState]) -> None:
    """Make a new task wait for its dependencies, or fail or queue it at once."""
    if any(known.status == TaskStatus.FAILED for known in dependencies):
        task.status = TaskStatus.FAILED
        cast.bus.note(DerivedKind.TASK_FAILED, task.agent, task.number, task.name)
        return
    for known in dependencies:
        task.rank = max(task.rank, known.rank + 1)
        if known.status != TaskStatus.DONE:
            known.dependents.append(task.number)
            task.waits += 1
    if not task.waits:
        graph.enqueue(cast.state, task, cast.state.tick + 1)


def _skill(cast: Cast, agent: AgentState, action: Action) -> None:
    skill = cast.header.skills[action.target]
    state = cast.state
    number = cast.bus.next_seq()
    key = effect_key(state.lineage, agent.number, state.tick, number)
    effect = Effect(
        number, state.tick, agent.number, skill.name, skill.effect_class, key, action.encoding, _body(action)
    )
    state.effects.append(effect)
    cast.done.effects.append(effect)
    cast.bus.note(DerivedKind.EFFECT, agent.number, number, skill.name, key)


def _unsupported(cast: Cast, agent: AgentState, action: Action) -> None:
    name = FrameKind(action.kind).name.lower()
    cast.bus.refuse(
        agent.number, Refusal.UNSUPPORTED, action.kind, cast.bus.next_seq(), f"this host does not offer {name}"
    )


def _nothing(cast: Cast, agent: AgentState, action: Action) -> None:
    """Logs and metrics have no consequence: the outbox that holds them is the record."""


_ACTIONS: Final[dict[int, Callable[[Cast, AgentState, Action], None]]] = {
    FrameKind.PUBLISH_RETAINED: _publish_retained,
    FrameKind.JOIN: _join,
    FrameKind.LEAVE: _leave,
    FrameKind.SPAWN: _spawn,
    FrameKind.EXIT: _exit,
    FrameKind.TIMER: _timer,
    FrameKind.TASK: _task,
    FrameKind.SKILL: _skill,
    FrameKind.INFER: _unsupported,
    FrameKind.WINDOW_WRITE: _unsupported,
    FrameKind.LOG: _nothing,
    FrameKind.METRIC: _nothing,
}


def apply_action(cast: Cast, agent: AgentState, action: Action) -> None:
    """Apply one checked frame that is neither a send nor a publish."""
    _ACTIONS[action.kind](cast, agent, action)


def admit_input(cast: Cast, item: Input) -> None:
    """Let one input in. An input that fits nothing is a record, never an error."""
    refused = _INPUTS[item.kind](cast, item) if item.kind in _INPUTS else "unknown kind of input"
    if refused:
        cast.bus.note(DerivedKind.REFUSED_INPUT, OUTSIDE, item.number, refused)


def _find(cast: Cast, name: str) -> AgentState | None:
    number = cast.numbers.get(name)
    return None if number is None else cast.state.agents[number]


def _on_message(cast: Cast, item: Input) -> str:
    agent = _find(cast, item.target)
    if agent is None:
        return f"no agent {item.target!r}"
    cast.bus.send(agent, FrameKind.MESSAGE, item.encoding, OUTSIDE, item.body)
    return ""


def _topic(cast: Cast, name: str) -> int:
    names = [topic.name for topic in cast.state.topics]
    return names.index(name) if name in names else -1


def _on_publish(cast: Cast, item: Input) -> str:
    index = _topic(cast, item.target)
    if index < 0:
        return f"no topic {item.target!r}"
    cast.bus.publish(cast.state.topics[index], FrameKind.MESSAGE, item.encoding, OUTSIDE, item.body)
    return ""


def _on_retained(cast: Cast, item: Input) -> str:
    index = _topic(cast, item.target)
    if index < 0:
        return f"no topic {item.target!r}"
    cast.bus.retain(index, item.encoding, OUTSIDE, item.body)
    return ""


def _on_result(cast: Cast, item: Input) -> str:
    state, bus = cast.state, cast.bus
    effect = next((known for known in state.effects if known.number == item.number), None)
    if effect is None:
        return "no such effect is open"
    state.effects.remove(effect)
    agent = state.agents[effect.agent]
    bus.note(DerivedKind.EFFECT_SETTLED, effect.agent, effect.number, effect.skill)
    if agent.status == AgentStatus.STOPPED:
        return ""  # Nobody waits for it any more; that it was settled is the record.
    if item.code:
        bus.refuse(effect.agent, Refusal(item.code), FrameKind.SKILL, effect.number, item.body.decode(errors="replace"))
        return ""
    handle = agent.spec.skills.index(effect.skill)
    size = FRAME.size + len(item.body)
    head = FRAME.pack(size, FrameKind.RESULT, item.encoding, OUTSIDE, handle, effect.number, state.tick)
    bus.deliver(agent, head + item.body + bytes(-size & 7), OUTSIDE, effect.number)
    return ""


def _on_clock(cast: Cast, item: Input) -> str:
    cast.state.wall_us = item.number
    return ""


def _on_stop(cast: Cast, item: Input) -> str:
    agent = _find(cast, item.target)
    if agent is None or agent.status == AgentStatus.STOPPED:
        return f"no running agent {item.target!r}"
    cast.stop_agent(agent, "an operator stopped it")
    return ""


def _on_suspend(cast: Cast, item: Input) -> str:
    agent = _find(cast, item.target)
    if agent is None or agent.status != AgentStatus.ACTIVE:
        return f"no active agent {item.target!r}"
    agent.status = AgentStatus.SUSPENDED
    cast.bus.note(DerivedKind.SUSPENDED, agent.number, 0, "an operator suspended it")
    return ""


def _on_resume(cast: Cast, item: Input) -> str:
    agent = _find(cast, item.target)
    if agent is None or agent.status != AgentStatus.SUSPENDED:
        return f"no suspended agent {item.target!r}"
    agent.status = AgentStatus.ACTIVE
    agent.failures = 0
    agent.ready_since = cast.state.tick
    cast.bus.note(DerivedKind.RESUMED, agent.number)
    return ""


def _on_configure(cast: Cast, item: Input) -> str:
    agent = _find(cast, item.target)
    field = item.body.decode(errors="replace")
    if agent is None or field not in EDITABLE:
        return f"no agent {item.target!r} with a setting {field!r}"
    if field == "priority":
        agent.spec = msgspec.structs.replace(agent.spec, priority=item.number)
    else:
        limits = msgspec.structs.replace(agent.spec.limits, fuel=item.number)
        agent.spec = msgspec.structs.replace(agent.spec, limits=limits)
    return ""


def _on_reseed(cast: Cast, item: Input) -> str:
    cast.state.seed = item.number
    for agent in cast.state.agents:
        agent.key = stream_key(item.number, agent.number)
    cast.reseeded = True
    return ""


def _on_close(cast: Cast, item: Input) -> str:
    if cast.state.status != RunStatus.OPEN:
        return "the run is closing already"
    cast.state.status = RunStatus.DRAINING
    return ""


def _on_lineage(cast: Cast, item: Input) -> str:
    cast.state.lineage = hashlib.sha256(b"TWL1" + cast.state.lineage + item.body).digest()
    return ""


_INPUTS: Final[dict[int, Callable[[Cast, Input], str]]] = {
    InputKind.MESSAGE: _on_message,
    InputKind.PUBLISH: _on_publish,
    InputKind.PUBLISH_RETAINED: _on_retained,
    InputKind.RESULT: _on_result,
    InputKind.CLOCK: _on_clock,
    InputKind.STOP_AGENT: _on_stop,
    InputKind.SUSPEND_AGENT: _on_suspend,
    InputKind.RESUME_AGENT: _on_resume,
    InputKind.CONFIGURE_AGENT: _on_configure,
    InputKind.RESEED: _on_reseed,
    InputKind.CLOSE: _on_close,
    InputKind.LINEAGE: _on_lineage,
}
