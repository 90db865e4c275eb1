"""From a goal to a plan, and from a run's end into memory: what the executor asks for itself."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ... import codec
from ...driver.shape import is_table
from ..calls import Answer, Failure, KeepRequest, ProposeRequest, RecallRequest
from ..compiled import KEEP, PROPOSE, RECALL, Compiled
from ..errors import PlannerFailed, SkillRefused
from ..json_text import write_json
from .prepared import decode_compiled, prepare
from .scopes import open_root
from .state import Asked, Stage
from .values import labels_of
from .work import Work, failure_of, value_of

SUMMARY_BYTES: Final = 4096
"""What memory keeps of a run's output."""


def start(work: Work) -> None:
    """Begin the plan, or ask what is remembered, so that one can be made."""
    assignment = work.prepared.assignment
    if assignment.compiled is not None:
        open_root(work, assignment.inputs)
    elif assignment.planner:
        work.state.stage = Stage.RECALLING
        work.ask(Asked.RECALL, RECALL, RecallRequest(assignment.goal), path="")
    else:
        _fail(work, failure_of(PlannerFailed.code, "there is neither a plan nor a planner"))


def hear(work: Work, asked: int, answer: Answer) -> None:
    """Take an answer to what the executor has asked for itself."""
    if asked != Asked.KEEP and work.state.status:
        work.state.stage = Stage.CLOSING  # Somebody has cancelled it meanwhile.
    elif asked == Asked.RECALL:
        _recalled(work, answer)
    elif asked == Asked.PROPOSE:
        _proposed(work, answer)
    else:
        work.state.stage = Stage.ENDED


def _recalled(work: Work, answer: Answer) -> None:
    """Ask for a plan. A memory that cannot be asked keeps nobody from planning."""
    assignment = work.prepared.assignment
    recalled = answer.output if answer.failure is None else b'{"sections":[]}'
    work.state.recalled = recalled
    work.state.stage = Stage.PLANNING
    request = ProposeRequest(assignment.goal, msgspec.Raw(assignment.inputs), assignment.planner, msgspec.Raw(recalled))
    # A plan that is made of outside values is one itself, and so is whatever it says.
    work.ask(Asked.PROPOSE, PROPOSE, request, path="", labels=answer.labels)


def _proposed(work: Work, answer: Answer) -> None:
    if answer.failure is not None:
        _fail(work, answer.failure)
        return
    found = _read_plan(work, answer.output)
    if isinstance(found, Failure):
        _fail(work, found)
        return
    compiled, inputs = found
    work.state.planned = codec.encode(compiled)
    work.prepared = prepare(work.context.spec.config, work.state.planned)
    given = value_of(work.prepared.assignment.inputs)
    # What was given as text has become what the plan declares, so the planner's word holds; what people have said since
    # holds before it.
    known = {**given, **inputs}
    changed: Mapping[str, Any] = value_of(work.state.changed)
    for name in sorted(changed.keys() - known.keys()):
        work.note("", "refused", f"input {name!r}: the plan has no such input")
    known |= {name: value for name, value in changed.items() if name in known}
    open_root(work, write_json(known) if inputs or changed else work.prepared.assignment.inputs, answer.labels)


def _read_plan(work: Work, output: bytes) -> tuple[Compiled, Mapping[str, Any]] | Failure:
    """Return the planner's plan and the inputs it found, or why it cannot be run.

    What is known of a skill is taken from the run, never from the planner.
    """
    try:
        given: Any = msgspec.json.decode(output)
        compiled = decode_compiled(base64.b64decode(given["compiled"], validate=True))
        inputs: Any = given.get("inputs") or {}
    except (msgspec.DecodeError, binascii.Error, KeyError, TypeError, ValueError) as error:
        return failure_of(PlannerFailed.code, f"the planner's answer holds no plan: {type(error).__name__}")
    if not compiled.plans or not is_table(inputs):
        return failure_of(PlannerFailed.code, "the planner's answer holds no plan")
    allowed = {(pin.name, pin.version): pin for pin in work.prepared.assignment.allowed}
    for pin in compiled.pins:
        known = allowed.get((pin.name, pin.version))
        if known is None or known.digest != pin.digest:
            text = f"the plan calls {pin.name}@{pin.version}, which the run does not have"
            return failure_of(SkillRefused.code, text, "policy")
    pins = tuple(allowed[pin.name, pin.version] for pin in compiled.pins)
    return msgspec.structs.replace(compiled, pins=pins), inputs


def _fail(work: Work, failure: Failure) -> None:
    work.state.status, work.state.failure, work.state.stage = "failed", failure, Stage.CLOSING


def keep(work: Work) -> None:
    """Have memory keep what came of the run."""
    assignment = work.prepared.assignment
    text = work.state.output[:SUMMARY_BYTES].decode(errors="replace")
    if work.state.failure is not None:
        text = f"{work.state.failure.code} {work.state.failure.message}"
    work.state.stage = Stage.KEEPING
    name = work.prepared.compiled.plans[0].name if work.prepared.compiled is not None else ""
    request = KeepRequest(assignment.goal or name, work.state.status, text)
    work.ask(Asked.KEEP, KEEP, request, path="", labels=_labels(work))


def _labels(work: Work) -> tuple[str, ...]:
    """Return where anything of the run's own plan comes from: its end may tell of any of it. Order: sorted."""
    for number, scope in work.scopes.items():
        if not scope.outer:
            return labels_of(work, number, range(len(work.plan(number).steps)))
    return ()
