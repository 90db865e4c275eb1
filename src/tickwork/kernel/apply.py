"""Applying the rarer frames of an outbox and the inputs from outside, one small function each."""

import hashlib
import struct
from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Final

import msgspec

from ..codec import FRAME, encode_frame
from ..records import (
    DIRECT,
    INFER_PREFIX,
    MODEL_HANDLE,
    OUTSIDE,
    AgentSpec,
    DerivedKind,
    Effect,
    EffectClass,
    Encoding,
    FrameKind,
    Input,
    InputKind,
    Refusal,
    WindowSpec,
)
from .cast import Cast, Request
from .grants import grant, revoke
from .models import admit_model_swap, place_tensors
from .outbox import TASK_HEAD_BYTES, Action
from .random import stream_key
from .state import (
    MAX_AGENTS,
    MAX_EFFECTS,
    MAX_TASKS,
    MAX_TIMERS,
    AgentState,
    AgentStatus,
    RunStatus,
    TaskState,
    TaskStatus,
    TimerState,
)
from .swap import admit_swap

_DELAY: Final = struct.Struct("<Q")
_TASK_HEAD: Final = struct.Struct("<iIII")
_KEY: Final = struct.Struct("<IQQ")
_MAX_DELAY: Final = 1 << 60

_MAX_U64: Final = (1 << 64) - 1
_MAX_I64: Final = (1 << 63) - 1
_MAX_ENCODING: Final = 0xFFFF
_CODES: Final = frozenset(map(int, Refusal))
_INFER, _RESULT = int(FrameKind.INFER), int(FrameKind.RESULT)
_EFFECT, _SETTLED = int(DerivedKind.EFFECT), int(DerivedKind.EFFECT_SETTLED)
_STOPPED: Final = int(AgentStatus.STOPPED)

_LEAST: Final[dict[str, int]] = {"priority": -_MAX_I64, "fuel": 1}
EDITABLE: Final = tuple(_LEAST)
"""What a CONFIGURE_AGENT input may change."""


def effect_key(lineage: bytes, agent: int, tick: int, number: int) -> bytes:
    """Return the idempotency key of an effect. Shape: 32 bytes.

    Law: equal (lineage, agent, tick, number) give equal keys: resumed runs and unchanged forks ask with the same key.
    """
    return hashlib.sha256(b"TWK1" + lineage + _KEY.pack(agent, tick, number)).digest()


def _publish_retained(cast: Cast, agent: AgentState, action: Action) -> None:
    _, topic, _, encoding, size, body = action
    cast.bus.retain(topic, encoding, agent.number, body[: size - FRAME.size])


def _join(cast: Cast, agent: AgentState, action: Action) -> None:
    _, topic, handle, *_ = action
    cast.bus.join(agent, topic, handle)


def _leave(cast: Cast, agent: AgentState, action: Action) -> None:
    cast.bus.leave(agent, action[1])


def _spawn(cast: Cast, agent: AgentState, action: Action) -> None:
    kind, index, _, encoding, size, body = action
    template = cast.header.templates[index]
    refused = _no_spawn(cast, template, size)
    if refused is not None:
        code, text = refused
        cast.bus.refuse(agent.number, code, kind, cast.bus.next_seq(), text)
        return
    cast.spawn(template, agent.number, body[: size - FRAME.size], encoding)


def _no_spawn(cast: Cast, template: AgentSpec, size: int) -> tuple[Refusal, str] | None:
    """Return why an agent cannot be made from a template with a configuration frame of ``size`` bytes."""
    if len(cast.state.agents) >= MAX_AGENTS:
        return Refusal.NO_MEMORY, f"a run holds at most {MAX_AGENTS} agents"
    if size > template.limits.inbox_bytes:
        return Refusal.TOO_BIG, "the configuration is larger than the new agent's inbox"
    name = cast.next_name(template)
    return (Refusal.CONFLICT, f"there is an agent {name!r} already") if name in cast.numbers else None


def _timer(cast: Cast, agent: AgentState, action: Action) -> None:
    kind, tag, _, _, size, body = action
    number = cast.bus.next_seq()
    delay = _DELAY.unpack(body)[0] if size == FRAME.size + _DELAY.size else _MAX_DELAY + 1
    if delay > _MAX_DELAY:
        cast.bus.refuse(agent.number, Refusal.BAD_MESSAGE, kind, number, "a timer's body is a delay in ticks, u64")
    elif agent.timers >= MAX_TIMERS:
        cast.bus.refuse(agent.number, Refusal.TOO_BIG, kind, number, f"more than {MAX_TIMERS} timers")
    else:
        agent.timers += 1
        insort(cast.state.timers, TimerState(cast.state.tick + max(1, delay), agent.number, number, tag))


def _task(cast: Cast, agent: AgentState, action: Action) -> None:
    kind, target, _, encoding, size, padded = action
    state, body, seq = cast.state, padded[: size - FRAME.size], cast.bus.next_seq()
    parsed = _read_task(body)
    if isinstance(parsed, str):
        cast.bus.refuse(agent.number, Refusal.BAD_MESSAGE, kind, seq, parsed)
        return
    priority, tag, dependencies, start = parsed
    known = cast.task_tags
    missing = [other for other in dependencies if (agent.number, other) not in known]
    if missing:
        cast.bus.refuse(agent.number, Refusal.NOT_FOUND, kind, seq, f"no earlier task {missing[0]}")
    elif (agent.number, tag) in known:
        cast.bus.refuse(agent.number, Refusal.CONFLICT, kind, seq, f"task {tag} exists already")
    elif len(state.tasks) >= MAX_TASKS:
        cast.bus.refuse(agent.number, Refusal.NO_MEMORY, kind, seq, f"a run holds at most {MAX_TASKS} tasks")
    else:
        name = f"{agent.name}/{tag}"
        task = TaskState(len(state.tasks), name, target, priority, encoding, body[start:], tag, agent.number)
        state.tasks.append(task)
        known[agent.number, tag] = task.number
        cast.bus.note(DerivedKind.TASK_ADDED, target, task.number, name)
        _connect(cast, task, [state.tasks[known[agent.number, other]] for other in dict.fromkeys(dependencies)])


def _read_task(body: bytes) -> tuple[int, int, tuple[int, ...], int] | str:
    """Return priority, tag, tags it depends on and where the task's own body begins, or what is wrong."""
    if len(body) < TASK_HEAD_BYTES:
        return "a task's body is shorter than its head"
    priority, tag, count, _ = _TASK_HEAD.unpack_from(body)
    start = TASK_HEAD_BYTES + ((count * 4 + 7) & -8)
    if start > len(body):
        return "a task's dependencies run past its body"
    return priority, tag, struct.unpack_from(f"<{count}I", body, TASK_HEAD_BYTES), start


def _connect(cast: Cast, task: TaskState, dependencies: list[TaskState]) -> None:
    """Make a new task wait for its dependencies, or fail or queue it at once."""
    if any(known.status == TaskStatus.FAILED for known in dependencies):
        cast.fail_tasks([task.number])
        return
    for known in dependencies:
        task.rank = max(task.rank, known.rank + 1)
        if known.status != TaskStatus.DONE:
            known.dependents.append(task.number)
            task.waits += 1
    if not task.waits:
        cast.queue_task(task)


def _skill(cast: Cast, agent: AgentState, action: Action) -> None:
    _issue(cast, agent, cast.bus.next_seq(), action, _body(action))


def _infer(cast: Cast, agent: AgentState, action: Action) -> None:
    """Ask a model. Nothing outside changes by it, so a request whose answer a crash has lost goes out again."""
    number = cast.bus.next_seq()
    if action[3] == Encoding.IN_WINDOW:
        cast.requests.append(Request(cast.bus.slot, agent.number, number, action))
    else:
        _issue(cast, agent, number, action, _body(action))


def issue_requests(cast: Cast) -> None:
    """Issue the requests of a tick whose tensors lie in windows, now that these have flipped. Order: number."""
    requests, cast.requests = cast.requests, []
    for request in requests:
        cast.bus.slot = request.slot
        agent, action = cast.state.agents[request.agent], request.action
        found = place_tensors(cast, agent, action)
        if isinstance(found, tuple):
            code, text = found
            _refuse(cast, agent, request.number, action, code, text)
        else:
            _issue(cast, agent, request.number, action, found.encode())


def _body(action: Action) -> bytes:
    return action[5][: action[4] - FRAME.size]


def _issue(cast: Cast, agent: AgentState, number: int, action: Action, body: bytes) -> None:
    """Issue a request or a call as an effect, or refuse it by a record and an ERROR frame."""
    if agent.effects >= MAX_EFFECTS:
        text = f"more than {MAX_EFFECTS} effects without result"
        _refuse(cast, agent, number, action, Refusal.TOO_BIG, text)
        return
    agent.effects += 1
    state, index, encoding = cast.state, action[1], action[3]
    if action[0] == _INFER:
        model = state.models[index]
        name, effect_class, version = INFER_PREFIX + model.name, int(EffectClass.PURE), model.digest
    else:
        skill = cast.header.skills[index]
        name, effect_class, version = skill.name, skill.effect_class, b""
    key = effect_key(state.lineage, agent.number, state.tick, number)
    effect = Effect(number, state.tick, agent.number, name, effect_class, key, encoding, body, version)
    _add_in_order(state.effects, effect)
    _add_in_order(cast.done.effects, effect)
    cast.bus.note(_EFFECT, agent.number, number, name, key)


def _add_in_order(effects: list[Effect], effect: Effect) -> None:
    """Add an effect by its number, which is nearly always the largest so far."""
    if not effects or effects[-1].number < effect.number:
        effects.append(effect)
    else:
        insort(effects, effect, key=_effect_number)


def _refuse(cast: Cast, agent: AgentState, number: int, action: Action, code: Refusal, text: str) -> None:
    kind, answer_to = action[0], MODEL_HANDLE | action[2] if action[0] == FrameKind.INFER else DIRECT
    cast.bus.note(DerivedKind.DENIED, agent.number, kind, text)
    cast.bus.refuse(agent.number, code, kind, number, text, destination=answer_to)


def _window_write(cast: Cast, agent: AgentState, action: Action) -> None:
    cast.windows.write(agent, action)


def _nothing(cast: Cast, agent: AgentState, action: Action) -> None:
    """Logs and metrics have no consequence: the outbox that holds them is the record."""


_ACTIONS: Final[dict[int, Callable[[Cast, AgentState, Action], None]]] = {
    FrameKind.PUBLISH_RETAINED: _publish_retained,
    FrameKind.JOIN: _join,
    FrameKind.LEAVE: _leave,
    FrameKind.SPAWN: _spawn,
    FrameKind.TIMER: _timer,
    FrameKind.TASK: _task,
    FrameKind.SKILL: _skill,
    FrameKind.INFER: _infer,
    FrameKind.WINDOW_WRITE: _window_write,
    FrameKind.LOG: _nothing,
    FrameKind.METRIC: _nothing,
}


def apply_action(cast: Cast, agent: AgentState, action: Action) -> None:
    """Apply one checked frame that is no send, publish or exit."""
    _ACTIONS[action[0]](cast, agent, action)


def admit_input(cast: Cast, item: Input) -> None:
    """Let one input in. An input that fits nothing is a record, never an error."""
    admitting = _INPUTS.get(item.kind)
    if admitting is None:
        refused = "unknown kind of input"
    elif not 0 <= item.encoding <= _MAX_ENCODING:
        refused = f"no encoding {item.encoding}"
    else:
        refused = admitting(cast, item)
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


def _on_publish(cast: Cast, item: Input) -> str:
    index = cast.topics.get(item.target)
    if index is None:
        return f"no topic {item.target!r}"
    cast.bus.publish(cast.state.topics[index], FrameKind.MESSAGE, item.encoding, OUTSIDE, item.body)
    return ""


def _on_retained(cast: Cast, item: Input) -> str:
    index = cast.topics.get(item.target)
    if index is None:
        return f"no topic {item.target!r}"
    cast.bus.retain(index, item.encoding, OUTSIDE, item.body)
    return ""


def _on_result(cast: Cast, item: Input) -> str:
    """Settle an effect. Its result is owed to the agent: a full mailbox does not keep it out, unlike a message."""
    state, bus = cast.state, cast.bus
    place = bisect_left(state.effects, item.number, key=_effect_number)
    if place == len(state.effects) or state.effects[place].number != item.number:
        return "no such effect is open"
    effect = state.effects.pop(place)
    agent = state.agents[effect.agent]
    agent.effects -= 1
    bus.note(_SETTLED, effect.agent, effect.number, effect.skill)
    size = FRAME.size + len(item.body)
    if agent.status == _STOPPED:
        return ""  # Nobody waits for it any more; that it was settled is the record.
    kind, handle, failing = _answer(agent.spec, effect.skill)
    if item.code:
        code = item.code if item.code in _CODES else Refusal.FAILED
        text = item.body.decode(errors="replace")
        bus.refuse(effect.agent, code, kind, effect.number, text, bounded=False, destination=failing)
    elif size > agent.spec.limits.inbox_bytes:
        text = f"a result of {len(item.body)} bytes is larger than the inbox"
        bus.refuse(effect.agent, Refusal.TOO_BIG, kind, effect.number, text, bounded=False, destination=failing)
    elif handle < 0:
        bus.bury(effect.agent, effect.number, "the new version does not call the skill")
    else:
        frame = encode_frame(_RESULT, item.encoding, OUTSIDE, handle, effect.number, state.tick, item.body)
        bus.put(agent, frame)
    return ""


def _answer(spec: AgentSpec, skill: str) -> tuple[FrameKind, int, int]:
    """Return what kind of frame asked for an effect, and the destinations of its RESULT and of its ERROR.

    The RESULT's is -1 where the agent has no such handle any more.
    """
    if not skill.startswith(INFER_PREFIX):
        return FrameKind.SKILL, spec.skills.index(skill) if skill in spec.skills else -1, DIRECT
    model = skill.removeprefix(INFER_PREFIX)
    if model not in spec.models:
        return FrameKind.INFER, -1, DIRECT
    handle = MODEL_HANDLE | spec.models.index(model)
    return FrameKind.INFER, handle, handle


def _on_open_window(cast: Cast, item: Input) -> str:
    if not item.body:
        return cast.windows.open(item.target, None)
    try:
        spec = msgspec.msgpack.decode(item.body, type=WindowSpec)
    except msgspec.DecodeError as error:
        return f"its body is no window: {error}"
    return cast.windows.open(item.target, spec)


def _on_close_window(cast: Cast, item: Input) -> str:
    return cast.windows.close(item.target)


def _effect_number(effect: Effect) -> int:
    return effect.number


def _on_clock(cast: Cast, item: Input) -> str:
    if not 0 <= item.number <= _MAX_U64:
        return "a clock sample is microseconds since 1970, u64"
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
    if not _LEAST[field] <= item.number <= _MAX_I64:
        return f"{field} cannot be {item.number}"
    if field == "priority":
        spec = msgspec.structs.replace(agent.spec, priority=item.number)
    else:
        limits = msgspec.structs.replace(agent.spec.limits, fuel=item.number)
        spec = msgspec.structs.replace(agent.spec, limits=limits)
    cast.change_spec(agent, spec)
    return ""


def _on_reseed(cast: Cast, item: Input) -> str:
    if not 0 <= item.number <= _MAX_U64:
        return "a seed is u64"
    cast.state.seed = item.number
    for agent in cast.state.agents:
        agent.key = stream_key(item.number, agent.number)
    cast.reseeded = True
    return ""


def _on_close(cast: Cast, item: Input) -> str:
    if cast.state.status != RunStatus.OPEN:
        return "the run is closing already"
    cast.state.status = RunStatus.DRAINING
    cast.state.closing_since = cast.state.tick
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
    InputKind.SWAP_AGENT: admit_swap,
    InputKind.GRANT: grant,
    InputKind.REVOKE: revoke,
    InputKind.OPEN_WINDOW: _on_open_window,
    InputKind.CLOSE_WINDOW: _on_close_window,
    InputKind.SWAP_MODEL: admit_model_swap,
}
