"""What expressions of a step read, and where it comes from.

Invariants:
    * An expression sees the steps it reads and no other, so that a plan of thousands of steps costs each of them what
      it reads.
    * A label is never lost on the way: what is computed from a value has its labels.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from .. import cel, templates
from ..calls import MAX_OUTPUT_BYTES, Failure
from ..errors import ExpressionFailed, ExpressionInvalid, OutputTooLarge
from ..json_text import write_json
from .prepared import PreparedStep
from .state import Item, Purpose, StepStatus
from .work import Work, failure_of, value_of

OUTSIDE: Final = "outside:"
"""What the labels of values begin with that come from outside."""

_STATUS_NAMES: Final = {int(status): status.name.lower() for status in StepStatus}


def status_name(status: int) -> str:
    """Return a step's status as plans and people write it."""
    return _STATUS_NAMES[status]


def error_value(failure: Failure | None) -> dict[str, Any] | None:
    """Return a failure as expressions see it."""
    return None if failure is None else {"code": failure.code, "message": failure.message, "source": failure.source}


def variables(work: Work, number: int, reads: Iterable[int], item: Item | None = None) -> dict[str, Any]:
    """Return what an expression of a scope may read.

    Args:
        reads: Steps that it reads.
        item: Whose expression it is, where it is an iteration's or reads an error.
    """
    site = work.site(number)
    steps: dict[str, Any] = {}
    for place in reads:
        state = site.steps[place]
        steps[site.plan.plan.steps[place].id] = {
            "output": value_of(state.output),
            "status": _STATUS_NAMES[state.status],
            "error": error_value(state.error),
        }
    found: dict[str, Any] = {
        "inputs": value_of(site.scope.inputs),
        "steps": steps,
        "goal": work.prepared.assignment.goal,
    }
    if item is not None:
        found["error"] = error_value(item.error)
        if item.index >= 0:
            found["index"] = item.index
            found["item"] = _iteration(work, item)
    return found


def _iteration(work: Work, item: Item) -> Any:
    """Return the value of the list that an iteration is for."""
    each = work.step(item.scope, item.step).each
    assert each is not None, "only a step over a list has iterations"
    return value_of(each.values)[item.index]


def labels_of(work: Work, number: int, reads: Iterable[int], *more: Iterable[str]) -> tuple[str, ...]:
    """Return where a value comes from that reads some steps and the inputs of a scope. Order: sorted."""
    site = work.site(number)
    found = set(site.scope.labels)
    for place in reads:
        found.update(site.steps[place].labels)
    for labels in more:
        found.update(labels)
    return tuple(sorted(found)) if found else ()


def item_labels(
    work: Work, item: Item, step: PreparedStep, reads: tuple[int, ...], more: tuple[str, ...]
) -> tuple[str, ...]:
    """Return where parameters of an item come from, and whether they are used at all. Order: sorted."""
    reads = (*reads, *step.when_reads)
    if item.index < 0:
        return labels_of(work, item.scope, reads, more)
    return labels_of(work, item.scope, (*reads, *step.each_reads), more)


def error_labels(work: Work, item: Item) -> tuple[str, ...]:
    """Return where the text of an item's failure comes from: what was called says it in its own words. Order: sorted.

    Law: of an item that makes way for its fallback, those of what has failed, as long as it has no parameters again.
    """
    step, labels = work.step_of(item), item.labels
    call = step.fallback if item.purpose == Purpose.FALLBACK and item.params else step.call
    if call is None or not call.pin.outside:
        return labels
    return tuple(sorted({*labels, OUTSIDE + call.pin.name}))


def is_outside(labels: Iterable[str]) -> bool:
    """Return whether something of a value comes from outside."""
    return any(label.startswith(OUTSIDE) for label in labels)


def _came_to_nothing(error: ExpressionFailed | ExpressionInvalid) -> Failure:
    return failure_of(error.code, f"{error.what} ({error.why})" if error.why else error.what)


def _cannot_be_written(error: ValueError | RecursionError) -> Failure:
    return failure_of(ExpressionFailed.code, f"what the expressions come to cannot be written ({error})")


def evaluate(source: str, given: dict[str, Any]) -> Any:
    """Return the value of an expression, or the failure it came to."""
    try:
        return cel.evaluate(source, given)
    except (ExpressionFailed, ExpressionInvalid) as error:
        return _came_to_nothing(error)


def render(template: Any, given: dict[str, Any]) -> bytes | Failure:
    """Return a value as JSON, with the expressions in its texts replaced, or the failure they came to."""
    return fill(partial(templates.resolve, template), given)


def fill(filled: templates.Filled, given: dict[str, Any]) -> bytes | Failure:
    """Return as JSON what a prepared value comes to, or the failure it came to."""
    try:
        raw = write_json(filled(given))
    except (ExpressionFailed, ExpressionInvalid) as error:
        return _came_to_nothing(error)
    except (ValueError, RecursionError) as error:
        return _cannot_be_written(error)
    if len(raw) > MAX_OUTPUT_BYTES:
        text = f"what the expressions come to has {len(raw):,} bytes, and {MAX_OUTPUT_BYTES:,} are allowed"
        return failure_of(OutputTooLarge.code, text)
    return raw


def render_text(text: str, given: dict[str, Any]) -> str | Failure:
    """Return a text in which expressions are replaced by their values, or the failure they came to."""
    try:
        value = templates.resolve(text, given)
    except (ExpressionFailed, ExpressionInvalid) as error:
        return _came_to_nothing(error)
    except (ValueError, RecursionError) as error:
        return _cannot_be_written(error)
    if isinstance(value, str):
        return value
    return failure_of(ExpressionFailed.code, f"{text!r} has to come to a text, not to {type(value).__name__}")
