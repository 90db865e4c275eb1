"""The agent that runs plans, for trusted code: see ``advance.py`` for what a turn does."""

import msgspec

from ...native import Context, Outbox
from ...records import Message
from . import advance, ending
from .prepared import prepare
from .state import PlanState, Stage
from .work import Work, failure_of


class PlanExecutor:
    """Runs the plan of an ``Assignment``.

    It asks for everything else: skills, people, timers and planners are effects, whose results are answers.
    """

    def init(self, config: bytes, context: Context) -> tuple[PlanState, Outbox]:
        """Return the state after the first steps have begun."""
        work = advance.begin(config, context)
        return work.freeze(), work.outbox

    def turn(self, state: PlanState, inbox: tuple[Message, ...], context: Context) -> tuple[PlanState, Outbox]:
        """Return the state after everything that follows from the messages of a tick."""
        if not inbox or state.stage == Stage.ENDED:
            return state, context.outbox()
        work = advance.advance(state, inbox, context)
        return work.freeze(), work.outbox

    def shutdown(self, state: PlanState, context: Context) -> tuple[PlanState, Outbox]:
        """Return the last state. A run that is closed before its plan has ended says so."""
        if state.stage == Stage.ENDED:
            return state, context.outbox()
        work = Work(state, prepare(context.spec.config, state.planned), context, None)
        work.state.status = "failed"
        work.state.failure = failure_of("TW7008", "the run was closed before the plan had ended")
        ending.publish(work)
        return work.freeze(), work.outbox


def encode_state(state: PlanState) -> bytes:
    """Return a state as a snapshot holds it."""
    return msgspec.msgpack.encode(state, order="deterministic")
