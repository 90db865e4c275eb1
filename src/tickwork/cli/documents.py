"""What the commands say of runs, as the documents of ``-o json`` and as lines for people."""

from pathlib import Path
from typing import Final

import msgspec

from ..driver.compare import Divergence
from ..driver.reexecute import Reexecution
from ..driver.verify import Run, Verification
from ..errors import JournalDamaged
from ..journal.seal import Damage
from .output import Document, Format, write_document, write_facts, write_line

STATUSES: Final = {"complete": 0, "failed": 1, "waiting": 6, "interrupted": 130}
"""Exit status by the status of a run."""


def run_document(run: Run) -> dict[str, object]:
    """Return a run as a document."""
    return {
        "run_id": run.run_id,
        "name": run.name,
        "status": run.status,
        "ticks": run.ticks,
        "frames": run.frames,
        "head": run.head.hex(),
        "journal": None if run.journal is None else str(run.journal),
        "turns": run.turns,
        "failed_turns": run.failed,
    }


def write_run(run: Run, form: Format, more: Document | None = None) -> None:
    """Print a run."""
    more = more or {}
    if form != "text":
        write_document({**run_document(run), **more}, form)
        return
    failed = f", {run.failed} failed" if run.failed else ""
    closing = f", {run.frames - run.ticks} more ticks to close" if run.frames > run.ticks else ""
    write_facts(
        [
            # A journal too damaged to be opened does not say whose it is.
            ("run", f"{run.run_id} ({run.name})" if run.run_id else "unknown"),
            ("status", run.status),
            ("ticks", f"{run.ticks} ({run.turns} turns{failed}{closing})"),
            ("head", run.head.hex() or "unknown"),
            ("journal", run.journal or "none"),
            *((name.replace("_", " "), value) for name, value in more.items() if value not in (None, "", [])),
        ]
    )


def divergence_document(found: Divergence | None) -> Document | None:
    """Return a divergence as a document."""
    return None if found is None else msgspec.structs.asdict(found)


def damage_document(damage: Damage | None) -> Document | None:
    """Return damage as a document."""
    if damage is None:
        return None
    return {"record": damage.record, "offset": damage.offset, "reason": damage.what}


def write_verification(found: Verification, form: Format, *, executed: bool, again: Reexecution | None = None) -> None:
    """Print what a verification found, and what came of asking models again."""
    if form != "text":
        document: dict[str, object] = {
            **run_document(found.run),
            "equal": found.equal,
            "divergence": divergence_document(found.divergence),
            "damage": damage_document(found.damage),
            "signed_by": found.signed_by or None,
        }
        if again is not None:
            document["reexecution"] = reexecution_document(again)
        write_document(document, form)
        return
    write_run(found.run, form, {"signed_by": found.signed_by})
    if found.equal:
        write_line("equal: " + ("every record came out again" if executed else "every byte is what was written"))
    if found.divergence is not None:
        write_line("differs: " + found.divergence.sentence())
    if found.damage is not None:
        write_line("damaged: " + damage_sentence(found.damage))
    if again is not None:
        _write_reexecution(again)


def reexecution_document(found: Reexecution) -> Document:
    """Return what a reexecution found as a document."""
    return {
        "equal": found.equal,
        "models": [msgspec.structs.asdict(tally) for tally in found.models],
        "difference": None if found.first is None else msgspec.structs.asdict(found.first),
    }


def _write_reexecution(found: Reexecution) -> None:
    for tally in found.models:
        name = f"{tally.model} {tally.version or tally.digest[:8]}".strip()
        counts = f"{tally.equal} answers equal, {tally.different} different, {tally.skipped} skipped"
        write_line(f"{name}: {counts}" + (f" ({'; '.join(tally.reasons)})" if tally.reasons else ""))
    if found.first is not None:
        write_line("first other answer: " + found.first.sentence())


def damage_sentence(damage: Damage) -> str:
    """Return damage as one line."""
    record = "the header" if damage.record == -1 else f"the record of tick {damage.record}"
    places = [record if damage.record is not None else "", f"byte {damage.offset}" if damage.offset is not None else ""]
    place = ", ".join(filter(None, places))
    return f"{place}: {damage.what}" if place else damage.what


def unreadable(path: Path, error: JournalDamaged) -> Verification:
    """Return the verification of a journal that is too damaged to be opened."""
    damage = Damage(": ".join(filter(None, [error.what, error.why])), record=error.record, offset=error.offset)
    return Verification(Run("", "", "damaged", 0, b"", path, 0, 0), equal=False, damage=damage)
