"""Money, tokens and calls: set aside before a call, settled after it.

Law: what is spent and set aside together passes no hard limit as long as no call costs more than its bound.

A call counts against its step, its plan, and every step and plan around these. One that does not fit waits while other
calls have something set aside, of which a part may come back; when nothing is, it fails.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from ...driver.shape import is_table
from ..calls import Failure, Usage
from ..compiled import CostHint
from ..errors import BudgetExceeded
from ..money import usd_text
from .state import OpenCall
from .work import Work, failure_of, value_of

_MILLION: Final = 1_000_000
_OUTPUT_KEYS: Final = ("max_tokens", "max_output_tokens")
"""Parameters in which a call says itself how many tokens its answer may hold."""


class Bound(msgspec.Struct, frozen=True):
    """What a call costs at most. Units: micro-dollars, tokens."""

    micros: int = 0
    tokens: int = 0
    known: bool = True


_FREE: Final = Bound()


def bound(hint: CostHint, params: bytes) -> Bound:
    """Return what a call costs at most.

    No text has more tokens than bytes: every token of the models in use stands for a byte at least.
    """
    if not (hint.input_micros or hint.output_micros or hint.max_output):
        return Bound(hint.per_call_micros, 0, hint.known) if hint.per_call_micros or not hint.known else _FREE
    most = hint.max_output
    given = value_of(params)
    for key in _OUTPUT_KEYS:
        value = given.get(key) if is_table(given) else None
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            most = value
            break
    price = len(params) * hint.input_micros + most * hint.output_micros
    return Bound(hint.per_call_micros - (-price // _MILLION), len(params) + most, hint.known)


def _around(work: Work, scope: int, step: int) -> Iterator[tuple[int, int]]:
    """Yield the step that a call is of and those that it lies within, each with its scope. Order: inside out."""
    while True:
        yield scope, step
        inside = work.scopes[scope]
        if not inside.outer:
            return
        scope, step = inside.outer, inside.outer_step


def admit(work: Work, scope: int, step: int, cost: Bound) -> Failure | bool:
    """Return whether a call may be made now, or why it never may."""
    if not work.prepared.limited:
        return True
    waits = False
    for number, place in _around(work, scope, step):
        inside = work.scopes[number]
        limits = work.prepared.budget(inside.plan, root=not inside.outer)
        plan = work.plan(number).plan
        if not cost.known and (limits.hard_micros >= 0 or plan.steps[place].budget_micros >= 0):
            return failure_of(BudgetExceeded.code, "nobody knows what the call costs at most, and money is limited")
        if 0 <= limits.calls <= inside.calls:
            return failure_of(BudgetExceeded.code, f"the {limits.calls} calls of plan {plan.name!r} are used up")
        state = work.step(number, place)
        checks = (
            (limits.hard_micros, inside.spent, inside.reserved, cost.micros, f"plan {plan.name!r}"),
            (
                plan.steps[place].budget_micros,
                state.spent,
                state.reserved,
                cost.micros,
                f"step {plan.steps[place].id!r}",
            ),
            (limits.tokens, inside.tokens, inside.tokens_reserved, cost.tokens, ""),
        )
        for limit, spent, reserved, wanted, whose in checks:
            if limit < 0 or spent + reserved + wanted <= limit or not wanted:
                continue
            if spent + wanted > limit or not reserved:
                return _too_much(limit, spent, wanted, whose)
            waits = True
    return not waits


def _too_much(limit: int, spent: int, wanted: int, whose: str) -> Failure:
    if whose:
        text = f"the call may cost {usd_text(wanted)} USD, and of {usd_text(limit)} USD for {whose} "
        text += f"{usd_text(max(0, limit - spent))} are left"
    else:
        text = f"the call may use {wanted} tokens, and of {limit} are left {max(0, limit - spent)}"
    return failure_of(BudgetExceeded.code, text)


def reserve(work: Work, scope: int, step: int, cost: Bound) -> None:
    """Set aside what a call may cost, and count it."""
    work.state.skill_calls += 1
    if not work.prepared.limited:
        return
    for number, place in _around(work, scope, step):
        inside = work.scope(number)
        inside.reserved += cost.micros
        inside.tokens_reserved += cost.tokens
        inside.calls += 1
        if cost.micros and work.plan(number).plan.steps[place].budget_micros >= 0:
            state = work.step(number, place)
            work.put_step(number, place, msgspec.structs.replace(state, reserved=state.reserved + cost.micros))


def settle(work: Work, call: OpenCall, usage: Usage) -> None:
    """Count what a call has used in place of what was set aside for it."""
    tokens = usage.tokens_in + usage.tokens_out
    if usage != _NOTHING:
        work.state.usage = add_usage(work.state.usage, usage)
        _tell(work)
    if not work.prepared.limited or not call.scope or call.scope not in work.scopes:
        return
    for number, place in _around(work, call.scope, call.step):
        inside = work.scope(number)
        inside.reserved -= call.reserved
        inside.spent += usage.cost_micros
        inside.tokens_reserved -= call.tokens
        inside.tokens += tokens
        if work.plan(number).plan.steps[place].budget_micros >= 0:
            state = work.step(number, place)
            changed = msgspec.structs.replace(
                state, reserved=state.reserved - call.reserved, spent=state.spent + usage.cost_micros
            )
            work.put_step(number, place, changed)


_NOTHING: Final = Usage()


def _tell(work: Work) -> None:
    """Tell once that the soft limit is passed."""
    soft = work.prepared.limits.soft_micros
    if not work.state.told and 0 <= soft < work.state.usage.cost_micros:
        work.state.told = True
        text = (
            f"{usd_text(work.state.usage.cost_micros)} USD are spent, more than the soft limit of {usd_text(soft)} USD"
        )
        work.outbox.log(text)
        work.note("", "soft limit", text)


def add_usage(one: Usage, other: Usage) -> Usage:
    """Return what two calls have used together; the model and the prices of the latter."""
    return Usage(
        one.tokens_in + other.tokens_in,
        one.tokens_out + other.tokens_out,
        one.tokens_cached + other.tokens_cached,
        one.requests + other.requests,
        one.cost_micros + other.cost_micros,
        other.model or one.model,
        other.prices or one.prices,
    )
