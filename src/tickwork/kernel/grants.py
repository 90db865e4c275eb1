"""Grants: what an agent declares and is allowed, changed while it runs.

Invariants:
    * Nothing can be granted that the agent does not declare.
    * What is denied stands in the agent's ``denied`` in the order of its handles: equal grants are equal bytes.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from ..records import AgentSpec, DerivedKind, Input
from .cast import Cast
from .state import AgentState, AgentStatus

GRANT_LISTS: Final = ("publish", "subscribe", "send", "skills", "spawn", "models", "windows")
"""Lists of an agent whose names can be granted, each as ``LIST:NAME``."""

CLOCK: Final = "clock"


def declared(spec: AgentSpec) -> Iterator[str]:
    """Yield all that an agent declares, as GRANT and REVOKE name it. Order: lists, then handles, then the clock."""
    for key in GRANT_LISTS:
        names: tuple[str, ...] = getattr(spec, key)
        for name in names:
            yield f"{key}:{name}"
    if spec.clock or CLOCK in spec.denied:
        yield CLOCK


def change(spec: AgentSpec, capability: str, *, denied: bool) -> AgentSpec:
    """Return the agent with a declared capability granted or denied."""
    wanted = (set(spec.denied) | {capability}) - (set[str]() if denied else {capability})
    clock = (not denied) if capability == CLOCK else spec.clock
    kept = tuple(known for known in declared(spec) if known in wanted)
    return msgspec.structs.replace(spec, denied=kept, clock=clock)


def grant(cast: Cast, item: Input) -> str:
    """Grant what an agent declares; return why not, or nothing."""
    return _apply(cast, item, denied=False)


def revoke(cast: Cast, item: Input) -> str:
    """Take a grant back; return why not, or nothing."""
    return _apply(cast, item, denied=True)


def _apply(cast: Cast, item: Input, *, denied: bool) -> str:
    number, capability = cast.numbers.get(item.target), item.body.decode(errors="replace")
    agent = cast.state.agents[number] if number is not None else None
    if agent is None or agent.status == AgentStatus.STOPPED:
        return f"no running agent {item.target!r}"
    if capability not in declared(agent.spec):
        return f"agent {item.target!r} declares no {capability!r}"
    if (capability in agent.spec.denied) == denied:
        return f"{capability!r} is {'not granted' if denied else 'granted'} already"
    if not denied and not _exists(cast, capability):
        return f"the run has nothing that {capability!r} names"
    cast.change_spec(agent, change(agent.spec, capability, denied=denied))
    kind = DerivedKind.REVOKED if denied else DerivedKind.GRANTED
    cast.bus.note(kind, agent.number, 0, capability)
    _follow(cast, agent, capability, denied=denied)
    return ""


def _exists(cast: Cast, capability: str) -> bool:
    """Return whether the run has what a capability names; agents and windows may yet come into being."""
    key, _, name = capability.partition(":")
    header = cast.header
    if key in ("publish", "subscribe"):
        return name in cast.topics
    if key == "skills":
        return any(skill.name == name for skill in header.skills)
    if key == "spawn":
        return any(template.name == name for template in header.templates)
    return key != "models" or any(model.name == name for model in header.models)


def _follow(cast: Cast, agent: AgentState, capability: str, *, denied: bool) -> None:
    """Begin or end the subscription that was granted or revoked."""
    key, _, name = capability.partition(":")
    if key == "subscribe":
        handle, index = agent.spec.subscribe.index(name), cast.topics.get(name, -1)
        if index >= 0 and denied:
            cast.bus.leave(agent, index)
        elif index >= 0:
            cast.bus.join(agent, index, handle)
