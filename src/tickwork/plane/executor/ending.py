"""How a run of a plan ends: what it came to, for whoever asked for it."""

from typing import Final

import msgspec

from ... import codec
from ..calls import Failure, Usage
from .rows import each
from .state import Stage
from .values import status_name
from .work import Work

ENDING_TOPIC: Final = "ending"
"""Topic whose retained value is the run's ending."""


class Ending(msgspec.Struct, frozen=True, array_like=True):
    """What a run of a plan came to.

    Attributes:
        status: ``succeeded``, ``partially_succeeded``, ``failed`` or ``cancelled``.
        output: JSON.
        culprit: Path of the step that it failed for.
        steps: How many steps of its plan ended how. Order: name.
        degraded: Whether a fallback stood in for a step.
        undone: Whether everything that was to be undone could be.
        calls: Of skills.
    """

    status: str
    output: bytes = b"null"
    failure: Failure | None = None
    culprit: str = ""
    steps: tuple[tuple[str, int], ...] = ()
    usage: Usage = Usage()
    degraded: bool = False
    undone: bool = True
    calls: int = 0


_endings: Final = msgspec.msgpack.Decoder(Ending)


def decode_ending(body: bytes) -> Ending:
    """Return the ending that a topic's value holds."""
    return _endings.decode(body)


def publish(work: Work) -> None:
    """Say what the run came to, and leave."""
    work.state.stage = Stage.ENDED
    root = min(work.scopes, default=0)
    counts: dict[int, int] = {}
    culprit = ""
    if root:
        site = work.site(root)
        for state in each(site.steps.rows()):
            counts[state.status] = counts.get(state.status, 0) + 1
        culprit = site.scope.culprit
    steps = tuple(sorted((status_name(status), count) for status, count in counts.items()))
    ending = Ending(
        work.state.status,
        work.state.output,
        work.state.failure,
        culprit,
        steps,
        work.state.usage,
        work.state.degraded,
        work.state.undone,
        work.state.skill_calls,
    )
    work.outbox.publish(ENDING_TOPIC, codec.encode(ending), retain=True, encoding=2)
    work.note("", "ended", work.state.status)
    work.calls.clear()  # Nobody is left to take an answer.
    work.outbox.exit()
