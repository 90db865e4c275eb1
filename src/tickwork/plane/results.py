"""What a run of a plan has come to, from the end of its journal, and how its steps stand while it goes on."""

from collections.abc import Mapping
from typing import Final

from ..codec import decode_frames
from ..driver.fold import read_turns
from ..journal.store import JournalReader
from ..records import FrameKind
from .executor.ending import Ending, decode_ending
from .executor.prepared import prepare
from .executor.rows import each
from .executor.state import PlanState

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
