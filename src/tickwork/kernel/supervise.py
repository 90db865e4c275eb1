"""Supervision: what a failed turn leads to.

The turn is undone already; this decides about the agent and its mailbox cut.
"""

from collections.abc import Callable
from typing import Final

from ..codec import decode_frames, encode_frame
from ..records import DerivedKind, FrameKind, Message, Outcome, Refusal, Status, Turn
from .cast import Cast
from .state import NEVER, AgentState, AgentStatus, RunStatus

_NO_MESSAGES: Final = (FrameKind.CONFIG, FrameKind.WINDOW_EPOCH)


def supervise(cast: Cast, agent: AgentState, turn: Turn, outcome: Outcome) -> None:
    """Act on a turn that is not OK, by the agent's supervision policy."""
    agent.failures += 1
    if agent.status == AgentStatus.STOPPED or cast.state.status >= RunStatus.STOPPING:
        _bury_cut(cast, agent, turn, "its turn failed while closing")
        return
    fatal = outcome.status == Status.FAILED and outcome.code == Refusal.FATAL
    _POLICIES["stop" if fatal else agent.spec.supervision.policy](cast, agent, turn, outcome)


def describe(outcome: Outcome) -> str:
    """Return an outcome as a short stable text, fit for a derived record."""
    name = Status(outcome.status).name.lower()
    return f"{name} {outcome.code}" if outcome.status in (Status.FAILED, Status.TRAP) else name


def _cut(turn: Turn) -> list[Message]:
    """Return the messages a failed turn had been given: neither its configuration nor what windows showed."""
    return [item for item in decode_frames(turn.inbox) if item.kind not in _NO_MESSAGES]


def _bury_cut(cast: Cast, agent: AgentState, turn: Turn, reason: str) -> None:
    for item in _cut(turn):
        cast.bus.bury(agent.number, item.seq, reason)


def _put_back(agent: AgentState, turn: Turn) -> None:
    """Put the cut back in front of what has arrived since; what was accepted once is not refused now."""
    frames = [
        encode_frame(item.kind, item.encoding, item.source, item.destination, item.seq, item.tick, item.body)
        for item in _cut(turn)
    ]
    agent.mail = frames + agent.mail
    agent.mail_bytes += sum(map(len, frames))
    agent.wake = agent.ready_since = turn.tick + 1


def _stop(cast: Cast, agent: AgentState, turn: Turn, outcome: Outcome) -> None:
    _bury_cut(cast, agent, turn, describe(outcome))
    cast.stop_agent(agent, describe(outcome))


def _restart(cast: Cast, agent: AgentState, turn: Turn, outcome: Outcome) -> None:
    allowed = agent.spec.supervision.retries
    if allowed and agent.failures > allowed:
        _stop(cast, agent, turn, outcome)
        return
    _bury_cut(cast, agent, turn, describe(outcome))
    if agent.task >= 0 and not cast.has_unseen_task(agent):
        cast.fail_tasks([agent.task])
    agent.started = agent.unfinished = False
    agent.wake = agent.ready_since = turn.tick + 1
    cast.done.reset.append(agent.number)
    cast.windows.forget(agent.number)
    cast.bus.note(DerivedKind.RESTARTED, agent.number, agent.failures, describe(outcome))


def _retry(cast: Cast, agent: AgentState, turn: Turn, outcome: Outcome) -> None:
    if agent.failures > agent.spec.supervision.retries:
        _stop(cast, agent, turn, outcome)
        return
    _put_back(agent, turn)
    cast.bus.note(DerivedKind.RETRIED, agent.number, agent.failures, describe(outcome))


def _suspend(cast: Cast, agent: AgentState, turn: Turn, outcome: Outcome) -> None:
    _put_back(agent, turn)
    agent.status = AgentStatus.SUSPENDED
    cast.bus.note(DerivedKind.SUSPENDED, agent.number, 0, describe(outcome))


def _escalate(cast: Cast, agent: AgentState, turn: Turn, outcome: Outcome) -> None:
    """Hand the failure to the agent that spawned this one; an agent the world itself declared takes the run down."""
    _bury_cut(cast, agent, turn, describe(outcome))
    cast.bus.note(DerivedKind.ESCALATED, agent.number, agent.parent & 0xFFFFFFFF, describe(outcome))
    cast.stop_agent(agent, describe(outcome))
    if agent.parent >= 0:
        text = f"{agent.name}: {describe(outcome)}"
        cast.bus.refuse(agent.parent, Refusal.FAILED, FrameKind.SPAWN, agent.number, text)
    else:
        cast.state.status = RunStatus.FAILED
        agent.wake = NEVER


_POLICIES: Final[dict[str, Callable[[Cast, AgentState, Turn, Outcome], None]]] = {
    "stop": _stop,
    "restart": _restart,
    "retry": _retry,
    "suspend": _suspend,
    "escalate": _escalate,
}
