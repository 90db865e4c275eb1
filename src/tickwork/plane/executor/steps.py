"""How a step begins and goes on: condition, list, parameters, agreement, and then its call, its wait or its plan."""

import hashlib
from typing import Any, Final

import msgspec

from ...driver.shape import is_array
from ..calls import Failure, InputRequest, SignalRequest, SkillCall, TimerRequest
from ..compiled import INPUT, SIGNAL, TIMER, Wait
from ..errors import ExpressionFailed, OutputTooLarge
from ..json_text import write_json
from . import gates, money
from .failing import call_of, end_step, fail_item, set_status
from .prepared import PreparedCall, PreparedStep
from .rows import make_rows
from .scopes import open_scope
from .state import (
    ASKED_SKILL,
    FOR_FALLBACK,
    FOR_STEP,
    FOR_UNDOING,
    SCOPE_RUNNING,
    STEP_PENDING,
    STEP_READY,
    STEP_RUNNING,
    STEP_SUCCEEDED,
    Asked,
    Each,
    Item,
    OpenCall,
    Purpose,
    ScopeStatus,
    StepState,
    StepStatus,
)
from .values import error_labels, evaluate, fill, item_labels, labels_of, render, render_text, variables
from .work import Site, Work, failure_of, value_of

MOST_ITERATIONS: Final = 10_000
MOST_AT_ONCE: Final = 1024
"""Iterations of a step that are under way at once where it gives no bound of its own."""

_PURPOSES: Final = {int(purpose): purpose.name.lower() for purpose in Purpose}


def follow(work: Work, number: int, place: int) -> None:
    """Look at what comes after a step that has ended."""
    site = work.going(number)
    if site is None:
        return
    state = site.steps[place]
    good = state.status == STEP_SUCCEEDED
    fine = good or (state.status == StepStatus.FAILED and state.tolerated) or state.reason == "manual"
    for following in site.plan.steps[place].followers:
        after = site.steps[following]
        after = msgspec.structs.replace(after, left=after.left - 1, good=after.good + good, fine=after.fine + fine)
        if after.status == STEP_PENDING:
            step = site.plan.steps[following].step
            may = after.good >= step.join if step.join else after.fine == len(step.after)
            if may:
                after = msgspec.structs.replace(after, status=STEP_READY)
                work.push(number, following)
            elif not after.left or (step.join and after.good + after.left < step.join):
                end_step(work, number, following, _skipped(after, "upstream"))
                continue
        site.steps[following] = after


def _skipped(state: StepState, reason: str) -> StepState:
    return msgspec.structs.replace(state, status=int(StepStatus.SKIPPED), reason=reason, item=0)


def begin(work: Work, number: int, place: int) -> None:
    """Begin a step whose turn has come: decide on its condition, and on what it is done for."""
    site = work.going(number)
    if site is None or site.steps[place].status != STEP_READY:
        return
    prepared = site.plan.steps[place]
    step = prepared.step
    if not step.when and not step.for_each:
        _begin_item(work, number, site, place)
        return
    given = variables(work, number, prepared.reads)
    if step.when:
        wanted = evaluate(step.when, given)
        work.note(work.path(number, place), "condition", f"{step.when} is {_shown(wanted)}")
        if wanted is False:
            end_step(work, number, place, _skipped(work.step(number, place), "condition"))
            return
        if wanted is not True:
            _begin_failing(work, number, place, wanted, f"`when` of {step.id!r} has to come to true or false")
            return
    if not step.for_each:
        _begin_item(work, number, site, place)
        return
    values = evaluate(step.for_each, given)
    if not is_array(values):
        _begin_failing(work, number, place, values, f"`for_each` of {step.id!r} has to come to a list")
    else:
        _begin_each(work, number, place, list(values))


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "neither true nor false"


def _begin_item(work: Work, number: int, site: Site, place: int, index: int = -1) -> None:
    """Begin a step or an iteration, and go on with it: nothing that is ready comes before it."""
    item = work.add_item(Item(number, place, index))
    if index < 0:
        site.steps[place] = msgspec.structs.replace(site.steps[place], item=item)
    if work.notes is not None:
        work.note(site.path(place, index), "begun")
    go_on(work, item)


def _begin_failing(work: Work, number: int, place: int, found: Any, expected: str) -> None:
    """Let a step fail whose condition or list came to something else."""
    if not isinstance(found, Failure):
        found = failure_of(ExpressionFailed.code, f"{expected}, not to {type(found).__name__}")
    labels = labels_of(work, number, work.plan(number).steps[place].reads)
    item = work.add_item(Item(number, place, -1, labels=labels))
    work.put_step(number, place, msgspec.structs.replace(work.step(number, place), item=item))
    fail_item(work, item, found)


def _begin_each(work: Work, number: int, place: int, values: list[Any]) -> None:
    count = len(values)
    state = work.step(number, place)
    if count > MOST_ITERATIONS:
        text = f"`for_each` came to {count:,} items, and {MOST_ITERATIONS:,} are allowed"
        _begin_failing(work, number, place, failure_of(OutputTooLarge.code, text), "")
        return
    prepared = work.plan(number).steps[place]
    labels = labels_of(work, number, prepared.each_reads)
    if not count:
        each = Each(b"[]", 0, ())
        empty = msgspec.structs.replace(state, status=int(StepStatus.SUCCEEDED), output=b"[]", labels=labels, each=each)
        end_step(work, number, place, empty)
        return
    first = min(count, prepared.step.max_parallel or MOST_AT_ONCE)
    each = Each(write_json(values), count, make_rows(b"null" for _ in values), first)
    work.put_step(
        number,
        place,
        msgspec.structs.replace(state, status=int(StepStatus.RUNNING), labels=labels, each=each),
    )
    work.note(work.path(number, place), "begun", f"{count} iterations")
    for index in range(first):
        work.push(number, place, index)


def begin_iteration(work: Work, number: int, place: int, index: int) -> None:
    """Begin an iteration of a step."""
    site = work.going(number)
    if site is not None and site.steps[place].status == STEP_RUNNING:
        _begin_item(work, number, site, place, index)


def go_on(work: Work, number: int) -> None:
    """Do what comes next for an item: find its parameters, ask who has to agree, then call, wait or begin a plan."""
    item = work.items.get(number)
    if item is None or not _is_going(work, item):
        return
    if work.crowded:
        work.queue.append(number)
        return
    item = work.item(number)
    item.call = 0
    step = work.step_of(item)
    call = call_of(step, item)
    if not item.params and not _find_params(work, number, step, call):
        return
    if not gates.agreed(work, number, step, call):
        return
    if call is not None:
        issue(work, number, call)
    elif step.step.plan >= 0:
        open_scope(work, number)
    elif step.step.wait is not None:
        _wait(work, number, step.step.wait)
    else:
        end_nothing(work, number)


def _is_going(work: Work, item: Item) -> bool:
    """Return whether the plan of an item still goes on, or undoes it."""
    if item.undoer:
        return work.scopes[item.undoer].status == ScopeStatus.UNDOING
    return work.scopes[item.scope].status == SCOPE_RUNNING


def end_nothing(work: Work, number: int) -> None:
    """End a step that neither calls, nor waits, nor is a plan: one that only joins others."""
    from_item = work.items[number]
    fail_item(work, number, failure_of(ExpressionFailed.code, f"step {work.path_of(from_item)} does nothing"))


def _find_params(work: Work, number: int, step: PreparedStep, call: PreparedCall | None) -> bool:
    """Find what an item is called with; it fails where that comes to no value."""
    item = work.items[number]
    raw, reads = (call.call.params, call.reads) if call is not None else (step.step.params, step.params_reads)
    told: tuple[str, ...] = ()
    if call is not None and item.purpose == FOR_FALLBACK and b"error" in call.call.params:
        # What failed says so in its own words, which may be anybody's.
        told = error_labels(work, item)
    item.labels = item_labels(work, item, step, reads, told)
    if call is not None and call.fill is None:
        item.params = raw
        return True
    given = variables(work, item.scope, reads, item)
    if item.purpose == FOR_UNDOING:
        given["result"] = msgspec.json.decode(item.result)
        item.labels = tuple(sorted({*item.labels, *work.step(item.scope, item.step).labels}))
    found = fill(call.fill, given) if call is not None and call.fill is not None else render(value_of(raw), given)
    if not isinstance(found, bytes):
        fail_item(work, number, found)
        return False
    item.params = found
    return True


def issue(work: Work, number: int, call: PreparedCall) -> None:
    """Call a skill, or wait for the money, or fail for want of it."""
    item = work.items[number]
    cost = money.bound(call.pin.cost, item.params)
    # Who came first is served first, or a large call would wait behind small ones for ever.
    waits = bool(cost.micros or cost.tokens) and bool(work.held) and work.held[0] != number
    verdict = False if waits else money.admit(work, item.scope, item.step, cost)
    if not isinstance(verdict, bool):
        fail_item(work, number, verdict)
    elif verdict:
        _call(work, number, call, cost)
    elif not work.held or work.held[0] != number:
        work.held.append(number)
        work.note(work.path_of(item), "held", "until money that is set aside for others is settled")


def try_held(work: Work) -> bool:
    """Try the call that has waited longest for money; return whether it waits no longer."""
    number = work.held[0]
    item = work.items.get(number)
    if item is not None and _is_going(work, item):
        call = call_of(work.step_of(item), item)
        cost = money.bound(call.pin.cost, item.params) if call is not None else money.Bound()
        if work.crowded or money.admit(work, item.scope, item.step, cost) is False:
            return False
        assert call is not None, "only calls of skills wait for money"
        issue(work, number, call)
    work.held.popleft()
    return True


def _call(work: Work, number: int, call: PreparedCall, cost: money.Bound) -> None:
    item, site = work.item(number), work.site(work.items[number].scope)
    step = site.plan.steps[item.step].step
    for_step = item.purpose == FOR_STEP
    cache_key, cache_ms = "", step.cache_ms if for_step else 0
    if cache_ms:
        found = _cache_key(work, item)
        if not isinstance(found, str):
            fail_item(work, number, found)
            return
        cache_key = found
    money.reserve(work, item.scope, item.step, cost)
    site.scope.busy += 1
    item.attempt += 1
    own = step.timeout_ms if for_step else 0
    asked = SkillCall(
        0,
        site.path(item.step, item.index),
        _PURPOSES[item.purpose],
        item.attempt,
        call.title,
        item.params,
        item.labels,
        own or call.pin.timeout_ms,
        cache_key,
        cache_ms,
        cost.micros,
        item.approved_by,
    )
    undoable = for_step and step.compensate is not None
    open_ = OpenCall(ASKED_SKILL, number, item.scope, item.step, item.index, undoable, cost.micros, cost.tokens)
    item.call = work.call(call.effect, asked, open_)
    set_status(work, item, STEP_RUNNING)


def _cache_key(work: Work, item: Item) -> Any:
    """Return under which key the output of a call is kept, or the failure that it came to."""
    prepared = work.step_of(item)
    if not prepared.step.cache_key:
        return hashlib.sha256(item.params).hexdigest()
    return render_text(prepared.step.cache_key, variables(work, item.scope, prepared.reads, item))


def _wait(work: Work, number: int, wait: Wait) -> None:
    """Wait for a timer, a signal or a person."""
    item = work.item(number)
    prepared, path = work.step_of(item), work.path_of(item)
    timeout = wait.timeout_ms or prepared.step.timeout_ms
    given = variables(work, item.scope, prepared.reads, item)
    found = render_text(wait.signal if wait.kind == "signal" else wait.message, given)
    if not isinstance(found, str):
        fail_item(work, number, found)
        return
    item.attempt += 1
    skill, request = _request(wait, path, found, timeout)
    set_status(work, item, StepStatus.WAITING)
    item.call = work.ask(Asked.WAIT, skill, request, path=path, item=number, attempt=item.attempt)


def _request(wait: Wait, path: str, text: str, timeout_ms: int) -> tuple[str, msgspec.Struct]:
    """Return what is waited for, as it is asked for."""
    if wait.kind == "timer":
        return TIMER, TimerRequest(path, wait.timer_ms)
    if wait.kind == "signal":
        return SIGNAL, SignalRequest(path, text, timeout_ms)
    return INPUT, InputRequest(path, text, msgspec.Raw(wait.schema or b"{}"), timeout_ms)
