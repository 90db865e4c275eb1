"""What the commands about approvals share: how one is shown, and how an answer lets its run go on."""

import re
from typing import Any, Final

import msgspec

from ..errors import UsageFault
from ..packages.times import format_time
from ..plane.approvals import Approvals, ApprovalView
from ..plane.errors import RunBusy
from ..plane.money import usd_text
from ..plane.store.runs import OPEN, Runs
from .output import Document, Format, talk
from .state import open_state
from .underway import go_on, open_engine, person, write_outcome

SHOWN: Final = 100


def approval_document(view: ApprovalView) -> Document:
    """Return an approval as a document."""
    return {
        "id": view.id,
        "run_id": view.run_id,
        "step": view.step,
        "kind": view.kind,
        "skill": view.skill,
        "arguments": msgspec.json.decode(view.arguments),
        "digest": view.digest,
        "edited": view.edited,
        "message": view.message,
        "labels": list(view.labels),
        "error": view.error,
        "cost_micros": view.cost_micros,
        "need": view.need,
        "missing": view.missing,
        "allowed": list(view.allowed),
        "escalate_to": list(view.escalate_to),
        "escalated": view.escalated,
        "on_timeout": view.on_timeout,
        "status": view.status,
        "decision": view.decision,
        "comment": view.comment,
        "opened": format_time(view.opened_us),
        "due": format_time(view.due_us) if view.due_us is not None else "",
        "choices": list(view.choices),
        "votes": [
            {"by": one.by, "decision": one.decision, "comment": one.comment, "delegated_to": one.delegated_to}
            for one in view.votes
        ],
    }


def approval_facts(view: ApprovalView) -> list[tuple[str, object]]:
    """Return an approval as named values, for people. Those that say nothing are left out."""
    facts: list[tuple[str, object]] = [
        ("approval", view.id),
        ("run", view.run_id),
        ("step", view.step),
        ("kind", view.kind),
        ("message", view.message),
        ("skill", view.skill),
        ("comes from", ", ".join(view.labels)),
        ("failed with", view.error),
        ("costs at most", f"{usd_text(view.cost_micros)} USD" if view.cost_micros else ""),
        ("who decides", ", ".join(view.allowed) or "anybody"),
        ("how many", view.need if view.need > 1 else ""),
        ("until", format_time(view.due_us) if view.due_us is not None else ""),
        ("then", view.on_timeout if view.due_us is not None else ""),
        ("status", view.status),
        ("decision", view.decision),
        ("comment", view.comment),
    ]
    for one in view.votes:
        to = f" to {one.delegated_to}" if one.delegated_to else ""
        facts.append((f"said by {one.by}", one.decision + to + (f": {one.comment}" if one.comment else "")))
    return [(name, value) for name, value in facts if value != ""]


def answer(
    wanted: str,
    decision: str,
    *,
    by: str,
    comment: str,
    output: Format,
    no_work: bool,
    value: Any = None,
    digest: str = "",
) -> int:
    """Answer an approval and go on with its run; return the exit status, 0 where the answer changes nothing.

    Args:
        digest: Of the arguments that they looked at; empty for those that are asked about now.

    Raises:
        WaitNotFound: TW7012. WaitClosed: TW7013. DeciderRefused: TW7031. SkillInputInvalid: TW7006.
        UsageFault: TW1001, the digest is none.
    """
    if digest and re.fullmatch("[0-9a-fA-F]{16,64}", digest) is None:
        fix = "give the digits that `tickwork approval show` tells, at least 16 of them"
        raise UsageFault(f"{digest!r} is no SHA-256", where="--digest", fix=fix)
    with open_state() as store:
        decided = Approvals(store).decide(wanted, decision, by=person(by), comment=comment, value=value, seen=digest)
        view, changed = decided
    tell(view, changed=changed)
    return work_on(view.run_id, output, no_work=no_work or not changed or view.status == "open")


def tell(view: ApprovalView, *, changed: bool) -> None:
    """Say what an answer has come to."""
    if not changed:
        talk(f"{view.id}: that has been said already; nothing has changed")
    elif view.status == "open":
        talk(f"{view.id}: noted; {view.missing} more {'has' if view.missing == 1 else 'have'} to agree")
    else:
        talk(f"{view.id}: {view.decision}")


def work_on(run_id: str, output: Format, *, no_work: bool) -> int:
    """Go on with a run that was told something, unless another process does or nobody wants it; print how it stands."""
    if no_work:
        with open_state() as store:
            write_outcome(store, run_id, output)
        return 0
    with open_engine(quiet=output != "text") as under:
        if Runs(under.store).get(run_id).status not in OPEN:
            return write_outcome(under.store, run_id, output)
        try:
            return go_on(under, [run_id], output)
        except RunBusy as error:
            if Runs(under.store).get(run_id).status in OPEN:
                talk(f"{error.what}; it goes on there")
            return write_outcome(under.store, run_id, output)
