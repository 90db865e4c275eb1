"""Which steps of a run read an input of its plan, and up to which tick a change of it reaches them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from . import cel, templates
from .errors import ExpressionInvalid
from .explain import Explained, StepStory

NEVER: Final = -1


class Reader(msgspec.Struct, frozen=True):
    """Something that reads an input.

    Attributes:
        path: The step; empty for the outputs of the plan.
        tick: When it has read it; -1 where it may still do so.
    """

    path: str
    tick: int

    def reached(self, at: int) -> bool:
        """Return whether a change that enters with a tick reaches it. Steps that the first tick begins read before."""
        return self.tick == NEVER or self.tick >= max(at, 1)


def readers_of(told: Explained, name: str) -> list[Reader]:
    """Return who reads an input of a run's own plan. Order: the plan's, its outputs last."""
    source = bytes(told.source)
    plan: Mapping[str, Any] = msgspec.json.decode(source) if source else {}
    stories = {story.path: story for story in told.steps}
    ended = next((one.tick for one in told.told if one.kind == "ended"), NEVER)
    found = list[Reader]()
    for step in plan.get("steps", ()):
        tick = _read_at(step, name, stories.get(step["id"], StepStory(step["id"])), ended)
        if tick is not None:
            found.append(Reader(step["id"], tick))
    if _in_templates(plan.get("outputs"), name):
        found.append(Reader("", ended))
    return found


def _read_at(step: Mapping[str, Any], name: str, story: StepStory, ended: int) -> int | None:
    """Return when a step has last read an input, -1 where it may still do so; None where it never does.

    Args:
        ended: When the plan has ended; -1 for not yet.
    """
    if _in_templates(step.get("compensate"), name):
        return ended
    if any(_in_templates(step.get(key), name) for key in ("outputs", "fallback")):
        return story.ended
    conditions = [step[key] for key in ("when", "for_each") if step.get(key)]
    if not _in_templates(step, name) and not any(_in_expression(source, name) for source in conditions):
        return None
    # Each of several iterations reads when it begins, and what was skipped has read its condition at its end.
    return story.ended if step.get("for_each") or story.began < 0 else story.began


def _in_templates(value: Any, name: str) -> bool:
    return any(_in_expression(source, name) for source, _ in _expressions(value))


def _expressions(value: Any) -> Iterator[tuple[str, Any]]:
    try:
        yield from templates.expressions(value)
    except ExpressionInvalid:
        return  # No template: the plan was compiled.


def _in_expression(source: str, name: str) -> bool:
    try:
        return bool(cel.reads(source) & {("inputs", name), ("inputs", "")})
    except ExpressionInvalid:
        return False
