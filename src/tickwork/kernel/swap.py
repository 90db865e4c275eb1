"""Swapping: another version takes an agent's place between two ticks.

Whether its state could be handed on was found out before the input entered and is believed. What follows here is all
that the rest of the run sees of it: handles, subscriptions, mail, timers and tasks.

Invariants:
    * An agent keeps its number, its name, its random stream and what it had in its mailbox.
    * A swap that failed changes nothing; it is one record.
    * What the new version cannot be given any more is a dead letter, never silently gone.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from ..records import DIRECT, MODEL_HANDLE, OUTSIDE, AgentSpec, DerivedKind, FrameKind, Input, SwapMode, SwapOrder
from .bus import handle_of, kind_of, seq_of
from .cast import Cast
from .state import AgentState, AgentStatus, Subscription

MODES: Final = frozenset(map(str, SwapMode))
WASM: Final = "wasm"

REASON_CHARACTERS: Final = 400
"""A reason is cut here before it is noted; the input holds all of it."""

_DESTINATION_AT: Final = 12
_Rebound = Callable[[bytes], bytes | None]


def read_order(item: Input) -> SwapOrder | None:
    """Return what a SWAP_AGENT input orders, None where its body is no order."""
    try:
        return msgspec.msgpack.decode(item.body, type=SwapOrder)
    except msgspec.DecodeError:
        return None


def why_not(agent: AgentState | None, target: str, order: SwapOrder) -> str:
    """Return why a version cannot take this agent's place, or nothing. Pure."""
    if agent is None:
        return f"there is no agent {target!r}"
    if agent.status == AgentStatus.STOPPED:
        return f"agent {target!r} has stopped"
    if agent.spec.kind != WASM or order.spec.kind != WASM:
        return f"agent {target!r} is native; only a module takes the place of a module"
    if order.mode not in MODES:
        return f"there is no mode {order.mode!r}"
    if order.spec.name != agent.name:
        return f"the new version is of agent {order.spec.name!r}"
    if order.replaces != agent.spec.package:
        return f"it was prepared for another version than agent {target!r} runs"
    return ""


def begins_anew(agent: AgentState, order: SwapOrder) -> bool:
    """Return whether the new version begins with ``agent_init``: there is no state, or it is not to be kept."""
    return not agent.started or order.mode == SwapMode.RESTART


def admit_swap(cast: Cast, item: Input) -> str:
    """Apply a SWAP_AGENT input; return why it is no swap at all, or nothing."""
    order = read_order(item)
    if order is None:
        return "its body is no swap"
    number = cast.numbers.get(item.target)
    agent = None if number is None else cast.state.agents[number]
    reason = order.reason if item.code else why_not(agent, item.target, order)
    if not reason and agent is not None and any(known == agent.number for known, _ in cast.done.swapped):
        reason = f"agent {item.target!r} was swapped in this tick already"
    if item.code or reason or agent is None:
        who = OUTSIDE if agent is None else agent.number
        text = f"{order.mode} to {shown_version(order.spec)}: {reason[:REASON_CHARACTERS]}"
        cast.bus.note(DerivedKind.SWAP_FAILED, who, 0, text, order.spec.package)
    else:
        _swap(cast, agent, order)
    return ""


def shown_version(spec: AgentSpec) -> str:
    """Return a version for people: its own number, if it has one, and the beginning of its digest."""
    mark = spec.package.hex()[:8]
    return f"{spec.version} ({mark})" if spec.version else mark


def _swap(cast: Cast, agent: AgentState, order: SwapOrder) -> None:
    old, new = agent.spec, order.spec
    text = f"{order.mode} {shown_version(old)} -> {shown_version(new)}"
    cast.bus.note(DerivedKind.SWAPPED, agent.number, 0, text, new.package)
    cast.done.swapped.append((agent.number, new))
    agent.failures = 0
    if begins_anew(agent, order):
        _begin_anew(cast, agent)
    subscribed = _leave_lost(cast, agent, new)
    _rebind_mail(cast, agent, _rebinding(old, new))
    for subscription, handle in subscribed:
        subscription.handle = handle
    agent.spec = new
    cast.rebind(agent)
    if order.mode != SwapMode.KEEP_IMAGE:
        cast.windows.forget(agent.number)
    _join_added(cast, agent, old)


def _begin_anew(cast: Cast, agent: AgentState) -> None:
    """Put an agent before its first turn. Its timers go, since the new version sets its own."""
    state = cast.state
    if agent.task >= 0 and not cast.has_unseen_task(agent):
        cast.fail_tasks([agent.task])
    if agent.timers:
        state.timers = [timer for timer in state.timers if timer.agent != agent.number]
        agent.timers = 0
    agent.started = agent.unfinished = False
    agent.wake = agent.ready_since = state.tick


def _granted(spec: AgentSpec) -> dict[str, int]:
    """Return the handles of the topics that a spec may subscribe to, by name."""
    denied = frozenset(spec.denied)
    return {name: handle for handle, name in enumerate(spec.subscribe) if f"subscribe:{name}" not in denied}


def _leave_lost(cast: Cast, agent: AgentState, new: AgentSpec) -> list[tuple[Subscription, int]]:
    """Leave the topics that the new version may not subscribe to; return the other subscriptions, with new handles."""
    granted = _granted(new)
    kept: list[tuple[Subscription, int]] = []
    for index, topic in enumerate(cast.state.topics):
        own = next((known for known in topic.subscribers if known.agent == agent.number), None)
        if own is None:
            continue
        handle = granted.get(topic.name)
        if handle is None:
            cast.bus.leave(agent, index)
        else:
            kept.append((own, handle))
    return kept


def _join_added(cast: Cast, agent: AgentState, old: AgentSpec) -> None:
    """Join the topics that the old version did not know; one that it knew and had left stays left."""
    for handle, index in enumerate(cast.ports[agent.number].subscribe):
        if index >= 0 and agent.spec.subscribe[handle] not in old.subscribe:
            cast.bus.join(agent, index, handle)


def _rebinding(old: AgentSpec, new: AgentSpec) -> _Rebound:
    """Return what gives a frame the new version's handle, or None where the new version has none for it."""
    topics = _translation(old.subscribe, new.subscribe)
    skills = _translation(old.skills, new.skills)
    models = {
        MODEL_HANDLE | before: MODEL_HANDLE | after for before, after in _translation(old.models, new.models).items()
    }
    by_kind: Mapping[int, Mapping[int, int]] = {
        FrameKind.MESSAGE: topics,
        FrameKind.RETAINED: topics,
        FrameKind.RESULT: skills | models,
        FrameKind.ERROR: models,
    }

    def rebound(frame: bytes) -> bytes | None:
        handles, before = by_kind.get(kind_of(frame)), handle_of(frame)
        if handles is None or before == DIRECT:
            return frame
        after = handles.get(before)
        if after is None or after == before:
            return None if after is None else frame
        return frame[:_DESTINATION_AT] + struct.pack("<I", after) + frame[_DESTINATION_AT + 4 :]

    def fitting(frame: bytes) -> bytes | None:
        found = rebound(frame)
        return found if found is not None and len(found) <= new.limits.inbox_bytes else None

    return fitting


def _translation(old: tuple[str, ...], new: tuple[str, ...]) -> dict[int, int]:
    places = {name: handle for handle, name in enumerate(new)}
    return {before: places[name] for before, name in enumerate(old) if name in places}


def _rebind_mail(cast: Cast, agent: AgentState, rebound: _Rebound) -> None:
    """Give what waits for an agent its new handles; what the new version cannot be given becomes a dead letter."""
    mail, lost_task = list[bytes](), False
    for frame in agent.mail:
        found = rebound(frame)
        if found is None:
            cast.bus.bury(agent.number, seq_of(frame), "the new version cannot be given it")
            lost_task = lost_task or kind_of(frame) == FrameKind.TASK_READY
        else:
            mail.append(found)
    agent.mail, agent.mail_bytes = mail, sum(map(len, mail))
    if lost_task:
        cast.fail_tasks([agent.task])
    for sender in cast.state.agents:
        if any(item.target == agent.number for item in sender.deferred):
            cast.bus.redirect(sender, agent.number, rebound)
