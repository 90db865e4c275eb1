"""Who has to agree to a call before it is made: whom the step names, and whom policy asks.

Invariants:
    * What is agreed to is what is called with: the parameters that were shown, or those that the person gave instead.
    * Policy is not satisfied by less than it asks for: a plan that names its own approvers, or lets time decide, does
      not decide for those whom the agent's owner named.
    * A rule that cannot be evaluated asks a person.
"""

from typing import Any, Final

import msgspec

from ...driver.shape import is_table
from ..calls import Answer, ApprovalDecision, ApprovalRequest, Failure
from ..compiled import APPROVAL, Approval, SkillPin
from ..errors import SkillInputInvalid, SkillRefused
from ..json_text import write_json
from .failing import call_of, end_item, fail_item, set_status
from .money import bound
from .prepared import PreparedCall, PreparedStep
from .state import FOR_UNDOING, Asked, Item, Purpose, StepStatus
from .values import evaluate, is_outside, render_text, variables
from .work import Work, failure_of, value_of

_BY_STEP: Final = 1
_BY_POLICY: Final = 2

_decisions: Final = msgspec.json.Decoder(ApprovalDecision)


def agreed(work: Work, number: int, step: PreparedStep, call: PreparedCall | None) -> bool:
    """Return whether everybody agrees who has to; asks the next one otherwise."""
    item = work.items[number]
    approval = step.step.approval if item.purpose != FOR_UNDOING else None
    if approval is None and (call is None or not _is_watched(work, call.pin)):
        return True
    wanted = _policy(work, item, call.pin) if call is not None and not item.agreed & _BY_POLICY else ""
    if approval is not None and not item.agreed & _BY_STEP:
        _ask(work, number, call, Asked.APPROVAL, "step", approval)
        return False
    if wanted and not (approval is not None and _covers(work, approval)):
        _ask(work, number, call, Asked.POLICY, wanted, Approval(work.prepared.assignment.agent.approvers))
        return False
    return True


def _is_watched(work: Work, pin: SkillPin) -> bool:
    return bool(pin.approval) or work.prepared.assignment.agent.lets_out(pin)


def _covers(work: Work, approval: Approval) -> bool:
    """Return whether those who agree to a step are those whom policy would ask."""
    approvers = work.prepared.assignment.agent.approvers
    if approval.timeout_ms and approval.on_timeout != "deny":
        return False
    return not approvers or (bool(approval.by) and {*approval.by, *approval.escalate_to} <= {*approvers})


def _policy(work: Work, item: Item, pin: SkillPin) -> str:
    """Return what policy asks a person for: ``rule``, ``taint``, or nothing."""
    given: dict[str, Any] = {"params": value_of(item.params), "labels": list(item.labels)}
    if pin.approval and evaluate(pin.approval, given) is not False:
        return "rule"
    if is_outside(item.labels) and work.prepared.assignment.agent.lets_out(pin) and not _permitted(work, pin, given):
        return "taint"
    return ""


def _permitted(work: Work, pin: SkillPin, given: dict[str, Any]) -> bool:
    for permission in work.prepared.permissions:
        if permission.skill in (pin.name, f"{pin.name}@{pin.version}") and (
            not permission.condition or evaluate(permission.condition, given) is True
        ):
            return True
    return False


def _ask(work: Work, number: int, call: PreparedCall | None, asked: Asked, kind: str, approval: Approval) -> None:
    item = work.item(number)
    prepared, path = work.step_of(item), work.path_of(item)
    message = approval.message
    if message:
        found = render_text(message, variables(work, item.scope, prepared.reads, item))
        if isinstance(found, Failure):
            fail_item(work, number, found)
            return
        message = found
    request = ApprovalRequest(
        kind=kind,
        step=path,
        skill=call.title if call is not None else "",
        arguments=msgspec.Raw(item.params),
        message=message or prepared.step.title,
        by=approval.by,
        need=approval.need,
        timeout_ms=approval.timeout_ms,
        on_timeout=approval.on_timeout,
        escalate_to=approval.escalate_to,
        labels=item.labels,
        cost_micros=bound(call.pin.cost, item.params).micros if call is not None else 0,
    )
    set_status(work, item, StepStatus.WAITING)
    item.call = work.ask(asked, APPROVAL, request, path=path, item=number)


def decision_of(answer: Answer) -> ApprovalDecision | Failure:
    """Return what people have decided, or why nobody did."""
    if answer.failure is not None:
        return answer.failure
    try:
        return _decisions.decode(answer.output)
    except msgspec.DecodeError as error:
        return failure_of(SkillRefused.code, f"the answer to an approval is no decision: {error}")


def hear(work: Work, number: int, asked: int, answer: Answer) -> None:
    """Take what people have decided on a call that is to be made."""
    decision = decision_of(answer)
    if isinstance(decision, Failure):
        fail_item(work, number, decision, again=False)
        return
    item = work.item(number)
    item.call = 0
    people = ", ".join(decision.by)
    work.note(work.path_of(item), "decided", f"{decision.decision} by {people or 'nobody'}")
    if decision.decision == "modify" and not _take_arguments(work, number, decision):
        return
    if decision.decision in ("grant", "modify"):
        own = _BY_STEP if asked == Asked.APPROVAL else _BY_POLICY
        if decision.decision == "modify":
            # Whoever agreed before has agreed to something else, and is asked about this.
            item.agreed, item.approved_by = own, people
        else:
            item.agreed |= own
            item.approved_by = ", ".join(filter(None, (item.approved_by, people)))
        work.push_item(number)
        return
    text = f"{people} did not agree" if people else "nobody agreed"
    text += f": {decision.comment}" if decision.comment else ""
    fail_item(work, number, failure_of(SkillRefused.code, text, "person"), again=False)


def _take_arguments(work: Work, number: int, decision: ApprovalDecision) -> bool:
    """Take parameters that a person has edited; the item fails where they are none."""
    given = decision.arguments
    if not is_table(given):
        text = "the edited arguments are no JSON object"
        fail_item(work, number, failure_of(SkillInputInvalid.code, text, "person"), again=False)
        return False
    work.item(number).params = write_json(given)
    return True


def hear_escalation(work: Work, number: int, answer: Answer) -> None:
    """Take what people have decided on a step that failed: again, with other parameters, without it, or not at all."""
    item = work.item(number)
    item.call = 0
    decision = decision_of(answer)
    before = item.error or failure_of(SkillRefused.code, "it failed")
    if isinstance(decision, Failure):
        fail_item(work, number, before, again=False)
        return
    people = ", ".join(decision.by)
    work.note(work.path_of(item), "decided", f"{decision.decision} by {people or 'nobody'}")
    if decision.decision == "modify" and not _take_arguments(work, number, decision):
        return
    if decision.decision in ("retry", "grant", "modify"):
        if not item.params and decision.decision != "modify":
            _begin_again(work, number)
            return
        item.approved_by = people
        if decision.decision == "modify" and call_of(work.step_of(item), item) is not None:
            item.agreed |= _BY_STEP | _BY_POLICY
        work.push_item(number)
    elif decision.decision == "skip":
        end_item(work, number, StepStatus.SKIPPED, reason="manual")
    elif decision.decision == "complete":
        end_item(work, number, StepStatus.SUCCEEDED, output=write_json(decision.arguments), labels=item.labels)
    else:
        fail_item(work, number, before, again=False)


def _begin_again(work: Work, number: int) -> None:
    """Begin a step anew of which not even the parameters came about: its condition and its list are looked at again."""
    item = work.items[number]
    step = work.step_of(item).step
    if item.index >= 0 or item.purpose != Purpose.STEP or not (step.when or step.for_each):
        work.push_item(number)
        return
    del work.items[number]
    state = work.step(item.scope, item.step)
    ready = msgspec.structs.replace(state, status=int(StepStatus.READY), item=0)
    work.put_step(item.scope, item.step, ready)
    work.push(item.scope, item.step)
