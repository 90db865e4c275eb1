"""One turn: what has come in is taken, and then everything goes on that can.

Order: what follows from what has ended, then whoever waited longest, then steps as they stand in their plans.

Law: the outbox follows from the state, the inbox and the turn's seed, and from nothing else. Where results come in the
order of their calls, it does not depend on how long any of them took.
"""

from collections.abc import Iterable

from ...native import Context
from ...records import FrameKind, Message
from ..calls import Answer
from ..errors import SkillFailed
from . import answers, ending, orders, planning, scopes, steps
from .prepared import prepare
from .state import PlanState, Stage
from .work import Note, Work, failure_of


def begin(config: bytes, context: Context, notes: list[Note] | None = None) -> Work:
    """Return the first turn of a run, done."""
    work = Work(PlanState(), prepare(config, b""), context, notes)
    planning.start(work)
    _go_on(work)
    return work


def advance(state: PlanState, inbox: Iterable[Message], context: Context, notes: list[Note] | None = None) -> Work:
    """Return a turn, done."""
    work = Work(state, prepare(context.spec.config, state.planned), context, notes)
    last = 0
    for message in inbox:
        if message.kind == FrameKind.RESULT:
            answer = answers.read_answer(message.body) or _unreadable(work, last, "an answer that is none")
            last = max(last, answer.number)
            answers.take(work, answer)
        elif message.kind == FrameKind.ERROR:
            answer = _unreadable(work, last, message.body[16:].decode(errors="replace"))
            last = max(last, answer.number)
            answers.take(work, answer)
        elif message.kind == FrameKind.MESSAGE:
            orders.take(work, message.body)
    _go_on(work)
    return work


def _unreadable(work: Work, last: int, text: str) -> Answer:
    """Return a failure in place of an answer that does not say whose it is.

    Answers come in the order of their calls, so that it is the next one after the last; where they come as they are
    ready, another may be taken for it, and then the run does not wait for what never comes.
    """
    open_ = [number for number in work.calls if number > last] or list(work.calls) or [0]
    return Answer(open_[0], failure=failure_of(SkillFailed.code, text))


def _go_on(work: Work) -> None:
    """Do everything that can be done now."""
    while True:
        if work.ended:
            steps.follow(work, *work.ended.popleft())
        elif work.closing:
            scopes.close(work, work.closing.popleft())
        elif work.held and steps.try_held(work):
            continue
        elif work.queue and not work.crowded:
            steps.go_on(work, work.queue.popleft())
        elif work.ready:
            number, place, index, item = work.pop()
            if item:
                steps.go_on(work, item)
            elif index >= 0:
                steps.begin_iteration(work, number, place, index)
            else:
                steps.begin(work, number, place)
        else:
            break
    if work.state.stage == Stage.RUNNING:
        return
    if work.state.stage == Stage.CLOSING and work.prepared.assignment.remember:
        planning.keep(work)
    elif work.state.stage in (Stage.CLOSING, Stage.ENDED):
        ending.publish(work)
