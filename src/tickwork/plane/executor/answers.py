"""What an answer means, by what was asked."""

from typing import Final

import msgspec

from ..calls import Answer, Failure
from ..errors import SkillOutputInvalid, WaitClosed
from . import gates, money, planning
from .failing import call_of, end_item, end_undoing, fail_item, stop
from .prepared import PreparedStep
from .state import ASKED_SKILL, FOR_FALLBACK, FOR_UNDOING, Asked, Item, OpenCall, ScopeStatus, StepStatus, Undo
from .values import OUTSIDE, labels_of, render, variables
from .work import Work, failure_of, value_of

_answers: Final = msgspec.msgpack.Decoder(Answer)


def read_answer(body: bytes) -> Answer | None:
    """Return the answer that a result holds; None where it holds none."""
    try:
        return _answers.decode(body)
    except msgspec.DecodeError:
        return None


def take(work: Work, answer: Answer) -> None:
    """Take an answer. One to a call that is not open changes nothing."""
    call = work.calls.pop(answer.number, None)
    if call is None:
        return
    money.settle(work, call, answer.usage)
    if call.asked == ASKED_SKILL:
        scope = work.scope(call.scope)
        scope.busy -= 1
        if call.undoable and answer.failure is None and _is_json(answer.output):
            scope.undo += (Undo(call.scope, call.step, call.index, answer.output),)
        work.closing.append(call.scope)
    item = work.items.get(call.item)
    if work.notes is not None:
        work.note(work.path_of(item) if item is not None else "", "answered", answer=answer)
    if item is not None:
        _hear(work, call, answer)
    elif call.asked >= Asked.RECALL:
        planning.hear(work, call.asked, answer)


def _is_json(raw: bytes) -> bool:
    try:
        value_of(raw)
    except (ValueError, RecursionError):
        return False
    return True


def _hear(work: Work, call: OpenCall, answer: Answer) -> None:
    asked, number = call.asked, call.item
    if asked == ASKED_SKILL:
        _skill(work, number, answer)
    elif asked in (Asked.APPROVAL, Asked.POLICY):
        gates.hear(work, number, asked, answer)
    elif asked == Asked.ESCALATION:
        gates.hear_escalation(work, number, answer)
    elif asked == Asked.BACKOFF:
        work.item(number).call = 0
        work.push_item(number)
    elif asked == Asked.WAIT:
        _waited(work, number, answer)
    elif asked == Asked.TIMEOUT:
        _timed_out(work, number)


def _skill(work: Work, number: int, answer: Answer) -> None:
    item = work.item(number)
    item.call = 0
    if answer.failure is not None:
        if _is_given_up(work, item, answer.failure):
            del work.items[number]  # The plan says of its step that it was cancelled.
        else:
            fail_item(work, number, answer.failure)
        return
    step = work.step_of(item)
    call = call_of(step, item)
    assert call is not None, "only a call of a skill is answered by one"
    if item.purpose == FOR_UNDOING:
        _undone(work, number)
        return
    labels = {*item.labels, *answer.labels}
    if call.pin.outside:
        labels.add(OUTSIDE + call.pin.name)
    work.state.degraded |= item.purpose == FOR_FALLBACK
    _finish(work, number, step, answer.output, tuple(sorted(labels)))


def _is_given_up(work: Work, item: Item, failure: Failure) -> bool:
    """Return whether a person has ended the plan, and with it a call."""
    by_person = (failure.code, failure.source) == (WaitClosed.code, "person")
    return by_person and work.scopes[item.scope].status == ScopeStatus.STOPPING


def _undone(work: Work, number: int) -> None:
    item = work.items.pop(number)
    state = work.step(item.scope, item.step)
    if state.status >= StepStatus.SUCCEEDED:
        state = msgspec.structs.replace(state, status=int(StepStatus.COMPENSATED))
        work.put_step(item.scope, item.step, state)
    work.note(work.path_of(item), "undone")
    end_undoing(work, item)


def _finish(work: Work, number: int, prepared: PreparedStep, result: bytes, labels: tuple[str, ...]) -> None:
    """End an item well, with what its step says that its output is."""
    item = work.items[number]
    try:
        value = value_of(result)
    except (ValueError, RecursionError):
        fail_item(work, number, failure_of(SkillOutputInvalid.code, "the output is no JSON", "skill"), again=False)
        return
    if not prepared.step.outputs:
        end_item(work, number, StepStatus.SUCCEEDED, output=result, labels=labels)
        return
    given = variables(work, item.scope, prepared.outputs_reads, item)
    given["result"] = value
    output = render(value_of(prepared.step.outputs), given)
    if isinstance(output, Failure):
        fail_item(work, number, output, again=False)
        return
    joined = labels_of(work, item.scope, prepared.outputs_reads, labels)
    end_item(work, number, StepStatus.SUCCEEDED, output=output, labels=joined)


def _waited(work: Work, number: int, answer: Answer) -> None:
    item = work.item(number)
    item.call = 0
    if answer.failure is not None:
        fail_item(work, number, answer.failure)
        return
    labels = {*item.labels, *answer.labels}
    step = work.step_of(item)
    wait = step.step.wait
    if wait is not None and wait.kind == "signal":
        labels.add(f"{OUTSIDE}signal")
    _finish(work, number, step, answer.output, tuple(sorted(labels)))


def _timed_out(work: Work, number: int) -> None:
    """Stop a plan within this one whose time is over."""
    item: Item = work.item(number)
    item.timer = 0
    inside = item.scope_within
    if inside and work.scopes[inside].status == ScopeStatus.RUNNING:
        text = f"not done within {work.step_of(item).step.timeout_ms} ms"
        stop(work, inside, failure_of("TW7009", text), work.path_of(item))
