"""What a run of a plan has come to, from the end of its journal, and how its steps stand while it goes on."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from ..codec import decode_frames
from ..driver.fold import read_turns
from ..journal.store import JournalReader
from ..records import FrameKind
from .executor.ending import Ending, decode_ending
from .executor.prepared import prepare
from .executor.rows import each
from .executor.state import PlanState, StepStatus

LAST_FRAMES: Final = 8
"""Where the ending usually is: closing takes two frames, and what is withdrawn a few."""


def read_ending_of(journal: JournalReader) -> Ending | None:
    """Return what the run of a journal has come to; None where it has not ended."""
    near = max(0, journal.length() - LAST_FRAMES)
    return _find(journal, near) or (_find(journal, 0) if near else None)


def _find(journal: JournalReader, first: int) -> Ending | None:
    for frame in journal.frames(first):
        for turn in read_turns(journal, frame):
            for message in decode_frames(turn.outcome.outbox):
                if message.kind == FrameKind.PUBLISH_RETAINED:
                    return decode_ending(message.body)
    return None


def step_statuses(config: bytes, state: PlanState | None, most: int) -> Mapping[str, int]:
    """Return how the steps of a run's own plan stand, by name. Order: the plan's.

    Args:
        config: The executor's.
        most: Of a plan with more steps nothing is returned.
    """
    if state is None or not state.scopes:
        return {}
    root = state.scopes[0][1]
    steps = prepare(config, state.planned).plan(root.plan).plan.steps
    if len(steps) > most:
        return {}
    return {step.id: row.status for step, row in zip(steps, each(root.steps), strict=True)}


def ended_statuses(known: Mapping[str, int], ending: Ending) -> Mapping[str, int]:
    """Return how the steps of a plan ended of which it is known how they stood a tick before. Order: as known.

    A step of which the ending does not say for certain what became of it stays as it was.
    """
    left = Counter({StepStatus[name.upper()]: count for name, count in ending.steps})
    found = dict(known)
    for status in known.values():
        if status >= StepStatus.SUCCEEDED:
            left[StepStatus(status)] -= 1
    culprit = ending.culprit.partition("/")[0].partition("[")[0]
    if found.get(culprit, StepStatus.SUCCEEDED) < StepStatus.SUCCEEDED:
        found[culprit] = StepStatus.FAILED
        left[StepStatus.FAILED] -= 1
    kinds = [status for status, count in left.items() if count]
    unsure = [path for path, status in found.items() if status < StepStatus.SUCCEEDED]
    if len(kinds) == 1 and left[kinds[0]] == len(unsure):
        found.update(dict.fromkeys(unsure, kinds[0]))
    return found


def reason_of(ending: Ending) -> str:
    """Return why a run did not come to what it should, for its row: the step, the code, and what was wrong."""
    if ending.failure is None:
        return ""
    step = f"step {ending.culprit}: " if ending.culprit else ""
    return f"{step}{ending.failure.code} {ending.failure.message}"
