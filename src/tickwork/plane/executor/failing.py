"""How a step ends, well or badly, and what a failure means: trying again, something else, a person, or the end."""

from typing import Final

import msgspec

from ...driver.loop import REPEATABLE
from ..calls import MAX_OUTPUT_BYTES, ApprovalRequest, Failure, TimerRequest
from ..compiled import APPROVAL, TIMER, RetryRule
from ..errors import OutputTooLarge, SkillTimeout
from .prepared import PreparedCall, PreparedStep
from .rows import Draft, each
from .state import FOR_STEP, FOR_UNDOING, Asked, Each, Item, Purpose, Scope, ScopeStatus, StepState, StepStatus
from .values import error_labels
from .work import Work, failure_of

MOST_COLLECTED_BYTES: Final = 16 * MAX_OUTPUT_BYTES
"""What the outputs of a step's iterations may come to together."""

_NO_RETRY: Final = RetryRule()


def call_of(step: PreparedStep, item: Item) -> PreparedCall | None:
    """Return what an item calls for its purpose; None for a step that is a plan or a wait."""
    if item.purpose == FOR_STEP:
        return step.call
    return step.fallback if item.purpose == Purpose.FALLBACK else step.compensate


def fail_item(work: Work, number: int, failure: Failure, *, again: bool = True, labels: tuple[str, ...] = ()) -> None:
    """Do what the step's policy says of a failure.

    Args:
        again: Whether it may be tried again, or put before a person; not where a person has decided.
        labels: Where its text comes from, beside what the item was called with and whom it called.
    """
    item = work.item(number)
    item.error, item.call = failure, 0
    step, scope = work.step_of(item), work.scopes[item.scope]
    work.note(work.path_of(item), "failed", f"{failure.code} {failure.message}")
    going = scope.status == ScopeStatus.RUNNING or item.purpose == Purpose.COMPENSATE
    rule = _retry_rule(step, item)
    if going and again and _may_retry(step, item, rule, failure):
        _back_off(work, number, rule, failure)
    elif item.purpose == Purpose.COMPENSATE:
        _not_undone(work, number, failure)
    elif not going or item.purpose == Purpose.FALLBACK:
        end_item(work, number, StepStatus.FAILED, error=failure, labels=_told_by(work, item, labels))
    elif step.step.on_error == "fallback" and step.fallback is not None:
        item.purpose, item.attempt, item.params, item.agreed, item.approved_by = Purpose.FALLBACK, 0, b"", 0, ""
        work.push_item(number)
    elif step.step.on_error == "escalate" and again:
        _escalate(work, number, failure)
    else:
        told = _told_by(work, item, labels)
        tolerated = step.step.on_error == "continue"
        end_item(work, number, StepStatus.FAILED, error=failure, labels=told, tolerated=tolerated)


def _told_by(work: Work, item: Item, labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*error_labels(work, item), *labels}))


def _retry_rule(step: PreparedStep, item: Item) -> RetryRule:
    call = call_of(step, item)
    if call is not None:
        return call.retry
    return step.step.retry or _NO_RETRY


def _may_retry(step: PreparedStep, item: Item, rule: RetryRule, failure: Failure) -> bool:
    if not failure.retryable or not 0 < item.attempt <= rule.max or failure.code in rule.never:
        return False
    call = call_of(step, item)
    # Nobody knows whether a call that was not answered in time has happened, and some may not happen twice.
    return call is None or failure.code != SkillTimeout.code or _effect_class(step, item, call) in REPEATABLE


def _effect_class(step: PreparedStep, item: Item, call: PreparedCall) -> int:
    given = step.step.effect_class
    return given if given >= 0 and item.purpose == Purpose.STEP else call.pin.effect_class


def _back_off(work: Work, number: int, rule: RetryRule, failure: Failure) -> None:
    item = work.items[number]
    delay = max(_delay(work, rule, item.attempt), failure.retry_after_ms)
    path = work.path_of(item)
    work.note(path, "backing off", f"{delay} ms before attempt {item.attempt + 1}")
    if not delay:
        work.push_item(number)
        return
    set_status(work, item, StepStatus.BACKING_OFF)
    item.call = work.ask(Asked.BACKOFF, TIMER, TimerRequest(path, delay), path=path, item=number, attempt=item.attempt)


def _delay(work: Work, rule: RetryRule, attempt: int) -> int:
    """Return how long to wait after an attempt, from 1. Units: milliseconds."""
    milli = rule.initial_ms * 1000
    for _ in range(attempt - 1):
        if milli >= rule.longest_ms * 1000:
            break
        milli = milli * rule.factor_milli // 1000
    delay = min(milli // 1000, rule.longest_ms)
    if not rule.jitter or delay < 2:
        return delay
    half = delay // 2
    return half + work.random().below(delay - half + 1)


def _escalate(work: Work, number: int, failure: Failure) -> None:
    item = work.items[number]
    step, path, call = work.step_of(item), work.path_of(item), call_of(work.step_of(item), item)
    approval, agent = step.step.approval, work.prepared.assignment.agent
    request = ApprovalRequest(
        kind="escalation",
        step=path,
        skill=call.title if call is not None else "",
        arguments=msgspec.Raw(item.params or b"{}"),
        message=step.step.title,
        by=agent.approvers or (approval.by if approval is not None else ()),
        # To call it otherwise takes as many as to call it.
        need=approval.need if approval is not None and not agent.approvers else 1,
        labels=item.labels,
        error=f"{failure.code} {failure.message}",
    )
    set_status(work, item, StepStatus.WAITING)
    item.call = work.ask(Asked.ESCALATION, APPROVAL, request, path=path, item=number, attempt=max(1, item.attempt))


def set_status(work: Work, item: Item, status: int) -> None:
    """Say how far the step of an item is; an iteration does not change its step's status."""
    if item.index < 0 and item.purpose != FOR_UNDOING:
        steps = work.site(item.scope).steps
        state = steps[item.step]
        if state.status != status:
            steps[item.step] = msgspec.structs.replace(state, status=int(status))


def _not_undone(work: Work, number: int, failure: Failure) -> None:
    item = work.items.pop(number)
    work.state.undone = False
    text = f"{work.path_of(item)} is not undone: {failure.code} {failure.message}"
    work.outbox.log(text)
    work.note(work.path_of(item), "not undone", text)
    end_undoing(work, item)


def end_undoing(work: Work, item: Item) -> None:
    """Go on with what else is to be undone."""
    work.scope(item.undoer).undoing = 0
    work.closing.append(item.undoer)


def end_item(
    work: Work,
    number: int,
    status: StepStatus,
    *,
    output: bytes = b"null",
    labels: tuple[str, ...] = (),
    error: Failure | None = None,
    reason: str = "",
    tolerated: bool = False,
) -> None:
    """End an item, and with it its step, or an iteration of it."""
    item = work.items.pop(number)
    if item.timer:
        work.drop_call(item.timer)
    if error is not None:
        work.outbox.log(f"{work.path_of(item)} failed: {error.code} {error.message}")
    if item.index >= 0:
        _end_iteration(work, item, status, output, labels, error, tolerated=tolerated)
    else:
        state = msgspec.structs.replace(
            work.site(item.scope).steps[item.step],
            status=int(status),
            item=0,
            output=output,
            labels=labels,
            error=error,
            reason=reason,
            tolerated=tolerated,
        )
        end_step(work, item.scope, item.step, state)
    if error is not None and not tolerated:
        stop(work, item.scope, error, work.path_of(item))


def _end_iteration(
    work: Work,
    item: Item,
    status: StepStatus,
    output: bytes,
    labels: tuple[str, ...],
    error: Failure | None,
    *,
    tolerated: bool,
) -> None:
    state = work.step(item.scope, item.step)
    assert state.each is not None, "only a step over a list has iterations"
    outputs = Draft(state.each.outputs)
    outputs[item.index] = output
    failed = state.each.failed + (status == StepStatus.FAILED)
    now = msgspec.structs.replace(state.each, outputs=outputs.rows(), done=state.each.done + 1, failed=failed)
    ended = StepState(status=int(status), output=output, labels=labels, error=error)
    work.note(work.path_of(item), "ended", state=ended)
    joined = tuple(sorted({*state.labels, *labels}))
    state = msgspec.structs.replace(state, each=now, labels=joined, error=error or state.error)
    if state.status >= StepStatus.SUCCEEDED:
        work.put_step(item.scope, item.step, state)
    elif error is not None and not tolerated:
        end_step(work, item.scope, item.step, msgspec.structs.replace(state, status=int(StepStatus.FAILED)))
    elif now.done == now.count:
        _end_each(work, item, state, now)
    else:
        if now.next < now.count and work.scopes[item.scope].status == ScopeStatus.RUNNING:
            work.push(item.scope, item.step, now.next)
            state = msgspec.structs.replace(state, each=msgspec.structs.replace(now, next=now.next + 1))
        work.put_step(item.scope, item.step, state)


def _end_each(work: Work, item: Item, state: StepState, now: Each) -> None:
    """End a step whose iterations have all ended: it has failed only if all of them have."""
    output = b"[" + b",".join(each(now.outputs)) + b"]"
    status, error = StepStatus.SUCCEEDED, None
    if now.failed == now.count:
        status, error = StepStatus.FAILED, state.error
    elif len(output) > MOST_COLLECTED_BYTES:
        text = f"the outputs of {now.count} iterations come to {len(output):,} bytes, and {MOST_COLLECTED_BYTES:,}"
        status, error = StepStatus.FAILED, failure_of(OutputTooLarge.code, text + " are allowed")
        tolerated = work.plan(item.scope).steps[item.step].step.on_error == "continue"
        state = msgspec.structs.replace(state, status=int(status), error=error, tolerated=tolerated)
        end_step(work, item.scope, item.step, state)
        if not tolerated:
            stop(work, item.scope, error, work.path(item.scope, item.step))
        return
    if error is not None:
        output = b"null"
    # Undoing an iteration may read what it was for.
    kept = now.values if work.plan(item.scope).steps[item.step].compensate is not None else b"[]"
    done = msgspec.structs.replace(now, outputs=(), values=kept)
    state = msgspec.structs.replace(
        state, status=int(status), output=output, error=error, tolerated=now.failed > 0, each=done
    )
    end_step(work, item.scope, item.step, state)


def end_step(work: Work, number: int, place: int, state: StepState) -> None:
    """Set the last state of a step; what comes after it is looked at later in the turn."""
    site = work.site(number)
    scope = site.scope
    scope.left -= 1
    scope.partial |= state.tolerated
    site.steps[place] = state
    work.ended.append((number, place))
    if not scope.left:
        work.closing.append(number)
    if work.notes is not None:
        work.note(work.path(number, place), "ended", state=state)


def stop(work: Work, number: int, failure: Failure, culprit: str, *, cancelled: bool = False) -> None:
    """Begin nothing more of a plan. What has been asked of skills is still taken; everything else is let go."""
    if work.scopes[number].status != ScopeStatus.RUNNING:
        return
    scope = work.scope(number)
    scope.status, scope.failure, scope.culprit, scope.cancelled = ScopeStatus.STOPPING, failure, culprit, cancelled
    for inside in [one for one, item in work.items.items() if item.scope == number]:
        let_go(work, inside, failure, culprit)
    work.closing.append(number)


def let_go(work: Work, number: int, failure: Failure, culprit: str) -> None:
    """Give an item up, unless a skill or a plan is at work for it."""
    item = work.item(number)
    out = work.calls.get(item.call)
    if item.scope_within:
        stop(work, item.scope_within, failure, culprit, cancelled=True)
    elif out is None or out.asked != Asked.SKILL:
        work.drop_call(item.call)
        if item.timer:
            work.drop_call(item.timer)
        del work.items[number]


def sweep(work: Work, number: int, scope: Scope) -> None:
    """Say of every step of a stopped plan that has not ended that it was cancelled."""
    if not scope.left:
        return
    for place in range(len(work.plan(number).steps)):
        state = work.step(number, place)
        if state.status < StepStatus.SUCCEEDED:
            cancelled = msgspec.structs.replace(state, status=int(StepStatus.CANCELLED), item=0)
            work.put_step(number, place, cancelled)
            work.note(work.path(number, place), "ended", state=cancelled)
    work.scope(number).left = 0
