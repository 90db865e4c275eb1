"""What is wrong with a plan: every fault with its place and a way to mend it, for people and for models alike."""

from collections.abc import Mapping, Sequence
from pathlib import Path as File
from typing import Any, Final

import msgspec

from ..driver.faults import key_text
from ..driver.places import Path, line_of
from .errors import PlanInvalid

MOST_TOLD: Final = 50
"""Faults that an error names in full. Who mends them sees the rest afterwards."""


class PlanFault(msgspec.Struct, frozen=True):
    """One thing wrong with a plan.

    Attributes:
        path: Keys and indices from the root of the plan to the place.
        step: The step it is in, where it is in one.
    """

    path: Path
    what: str
    why: str = ""
    fix: str = ""
    step: str = ""

    def place(self, file: File | None = None, lines: Mapping[Path, int] | None = None) -> str:
        """Return where it is: ``plan.toml:12, steps[1].params.url (step load)``."""
        inside = key_text(self.path) + (f" (step {self.step})" if self.step else "")
        if file is None:
            return inside
        line = f"{file}:{line_of(lines, self.path)}" if lines else str(file)
        return f"{line}, {inside}" if inside else line

    def told(self) -> str:
        """Return it in one line without its place."""
        return "; ".join(part for part in (self.what, self.why, self.fix) if part)

    def as_row(self, lines: Mapping[Path, int] | None = None) -> dict[str, Any]:
        """Return it for programs."""
        row: dict[str, Any] = {"path": key_text(self.path), "what": self.what}
        if lines:
            row["line"] = line_of(lines, self.path)
        row.update({name: value for name in ("step", "why", "fix") if (value := getattr(self, name))})
        return row


def in_order(faults: Sequence[PlanFault], lines: Mapping[Path, int] | None = None) -> list[PlanFault]:
    """Return faults without repetition. Order: lines of the file where they are known, else as they were found."""
    once = list(dict.fromkeys(faults))
    return sorted(once, key=lambda fault: line_of(lines, fault.path)) if lines else once


def as_error(
    faults: Sequence[PlanFault], file: File | None = None, lines: Mapping[Path, int] | None = None
) -> PlanInvalid:
    """Return one error that tells the first fault in full and every other below it."""
    first, *others = in_order(faults, lines)
    shown = [f"  also:  {fault.place(file, lines)}: {fault.told()}" for fault in others[: MOST_TOLD - 1]]
    if len(others) >= MOST_TOLD:
        shown.append(f"  and {len(others) - MOST_TOLD + 1} more")
    return PlanInvalid(
        first.what, where=first.place(file, lines), why=first.why, fix="\n".join([first.fix or "mend it", *shown])
    )


def nested(faults: Sequence[PlanFault], path: Path, step: str = "") -> list[PlanFault]:
    """Return faults of a part as faults of the whole that holds it at ``path``."""
    return [msgspec.structs.replace(fault, path=(*path, *fault.path), step=step or fault.step) for fault in faults]
