"""Plans at work: the run's own, and plans that are steps of others; how they begin, stop, are undone and end.

Law: a plan that stops undoes what it has done in the reverse order of its doing, one thing after the other, and then
says that it has failed; what a plan within it has done is among that.
"""

from typing import Final

import msgspec

from ..calls import Failure, TimerRequest
from ..compiled import TIMER
from ..errors import OutputTooLarge, PlanInvalid
from ..json_text import write_json
from .failing import end_item, fail_item, set_status, stop, sweep
from .state import SCOPE_ENDED, SCOPE_RUNNING, Asked, Item, Purpose, Scope, ScopeStatus, Stage, StepStatus, Undo
from .values import fill, labels_of, variables
from .work import Work, failure_of

MOST_DEPTH: Final = 32
MOST_OUTPUT_BYTES: Final = 4 << 20


def open_root(work: Work, inputs: bytes, labels: tuple[str, ...] = ()) -> None:
    """Begin the run's own plan.

    Args:
        labels: Where the plan and its inputs come from, so far as that is outside.
    """
    work.state.stage = Stage.RUNNING
    number = _open(work, Scope(0, "", 0, inputs, labels, (), 0))
    scope = work.scope(number)
    scope.spent, scope.tokens = work.state.usage.cost_micros, work.state.usage.tokens_in + work.state.usage.tokens_out


def open_scope(work: Work, number: int) -> None:
    """Begin the plan that a step is."""
    item = work.item(number)
    step = work.step_of(item).step
    if work.scopes[item.scope].path.count("/") >= MOST_DEPTH:
        text = f"plans lie within each other more than {MOST_DEPTH} deep"
        fail_item(work, number, failure_of(PlanInvalid.code, text))
        return
    item.runs += 1
    item.attempt += 1
    path = work.path_of(item)
    inside = path + (f"~{item.runs}/" if item.runs > 1 else "/")
    scope = Scope(step.plan, inside, number, item.params, item.labels, (), 0, outer=item.scope, outer_step=item.step)
    work.scope(item.scope).busy += 1
    item.scope_within = _open(work, scope)
    set_status(work, item, StepStatus.RUNNING)
    if step.timeout_ms:
        request = TimerRequest(path, step.timeout_ms)
        item.timer = work.ask(Asked.TIMEOUT, TIMER, request, path=path, item=number, attempt=item.runs)


def _open(work: Work, scope: Scope) -> int:
    plan = work.prepared.plan(scope.plan)
    scope.steps, scope.left = plan.first, len(plan.steps)
    number = work.add_scope(scope)
    for place in plan.starters:
        state = work.step(number, place)
        work.put_step(number, place, msgspec.structs.replace(state, status=int(StepStatus.READY)))
        work.push(number, place)
    work.closing.append(number)
    return number


def close(work: Work, number: int) -> None:
    """End a plan that has come to its end, or go on with stopping it."""
    scope = work.scopes.get(number)
    if scope is None or scope.busy or scope.status == SCOPE_ENDED:
        return
    if scope.status == SCOPE_RUNNING:
        if not scope.left:
            _succeed(work, number)
        return
    if scope.status == ScopeStatus.STOPPING:
        sweep(work, number, scope)
        scope = work.scope(number)
        scope.status = ScopeStatus.UNDOING
    if scope.undoing:
        return
    if scope.undo:
        _undo_next(work, number)
    else:
        _end_stopped(work, number)


def _undo_next(work: Work, number: int) -> None:
    """Undo what was done last."""
    scope = work.scope(number)
    last = scope.undo[-1]
    scope.undo = scope.undo[:-1]
    item = Item(last.scope, last.step, last.index, Purpose.COMPENSATE, result=last.result, undoer=number)
    scope.undoing = work.add_item(item)
    work.push_item(scope.undoing)


def _succeed(work: Work, number: int) -> None:
    """End a plan all of whose steps have ended."""
    found = _outputs(work, number)
    scope = work.scope(number)
    if isinstance(found, Failure):
        stop(work, number, found, f"{scope.path}outputs")
        return
    scope.status = ScopeStatus.ENDED
    if not scope.outer:
        work.state.status = "partially_succeeded" if scope.partial else "succeeded"
        work.state.output = found
        work.state.stage = Stage.CLOSING
        return
    outer = work.scope(scope.outer)
    outer.busy -= 1
    outer.partial |= scope.partial
    labels = labels_of(work, number, work.plan(number).output_reads)
    own = work.plan(scope.outer).steps[scope.outer_step].compensate
    parent = work.items.get(scope.parent)
    if own is not None and parent is not None:
        outer.undo += (Undo(scope.outer, scope.outer_step, parent.index, found),)
    else:
        outer.undo += scope.undo
    if own is not None or not scope.undo:
        work.drop_scope(number)
    work.closing.append(scope.outer)
    if parent is not None:
        end_item(work, scope.parent, StepStatus.SUCCEEDED, output=found, labels=labels)


def _outputs(work: Work, number: int) -> bytes | Failure:
    """Return what a plan comes to; where it does not say, the outputs of the steps that nothing comes after."""
    prepared = work.plan(number)
    given = variables(work, number, prepared.output_reads)
    if prepared.plan.outputs:
        found = fill(prepared.output, given)
    else:
        found = write_json({name: step["output"] for name, step in given["steps"].items()})
    if isinstance(found, bytes) and len(found) > MOST_OUTPUT_BYTES:
        text = f"the outputs come to {len(found):,} bytes, and {MOST_OUTPUT_BYTES:,} are allowed"
        return failure_of(OutputTooLarge.code, text)
    return found


def _end_stopped(work: Work, number: int) -> None:
    """End a plan that was stopped, and has undone what it could."""
    scope = work.scope(number)
    scope.status = ScopeStatus.ENDED
    failure = scope.failure or failure_of(PlanInvalid.code, "it was stopped")
    if not scope.outer:
        work.state.status = "cancelled" if scope.cancelled else "failed"
        work.state.failure = failure
        work.state.stage = Stage.CLOSING
        return
    work.scope(scope.outer).busy -= 1
    work.closing.append(scope.outer)
    labels = labels_of(work, number, range(len(work.plan(number).steps)))
    work.drop_scope(number)
    parent = work.items.get(scope.parent)
    if parent is None:
        return
    item = work.item(scope.parent)
    item.scope_within = 0
    if item.timer:
        work.drop_call(item.timer)
        item.timer = 0
    if scope.cancelled:
        end_item(work, scope.parent, StepStatus.CANCELLED)
        return
    text = f"{scope.culprit}: {failure.message}"
    fail_item(work, scope.parent, msgspec.structs.replace(failure, message=text, retryable=True), labels=labels)
