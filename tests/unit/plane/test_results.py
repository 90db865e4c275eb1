"""plane/results.py: what became of steps, as far as the ending of a run leaves no doubt."""

import pytest

from tickwork.plane.calls import Failure
from tickwork.plane.executor.ending import Ending
from tickwork.plane.executor.state import StepStatus
from tickwork.plane.results import ended_statuses, reason_of

RUNNING, SUCCEEDED, FAILED, CANCELLED = (
    StepStatus.RUNNING,
    StepStatus.SUCCEEDED,
    StepStatus.FAILED,
    StepStatus.CANCELLED,
)


@pytest.mark.parametrize(
    ("known", "counts", "culprit", "ended"),
    [
        ((SUCCEEDED, RUNNING), {"succeeded": 2}, "", (SUCCEEDED, SUCCEEDED)),
        ((RUNNING, RUNNING, 0), {"failed": 1, "cancelled": 2}, "b/in[2]", (CANCELLED, FAILED, CANCELLED)),
        ((RUNNING, RUNNING), {"failed": 1, "succeeded": 1}, "b[7]", (SUCCEEDED, FAILED)),
        ((RUNNING, RUNNING, RUNNING), {"failed": 1, "succeeded": 1, "cancelled": 1}, "a", (FAILED, RUNNING, RUNNING)),
        ((SUCCEEDED, RUNNING), {"compensated": 1, "failed": 1}, "b", (SUCCEEDED, FAILED)),
        ((), {"succeeded": 3}, "", ()),
    ],
)
def test_what_became_of_steps_follows_from_the_ending(
    known: tuple[int, ...], counts: dict[str, int], culprit: str, ended: tuple[int, ...]
) -> None:
    ending = Ending("failed", culprit=culprit, steps=tuple(sorted(counts.items())))
    assert tuple(ended_statuses(dict(zip("abc", known, strict=False)), ending).values()) == ended


def test_a_reason_names_the_step_the_code_and_the_fault() -> None:
    assert reason_of(Ending("succeeded")) == ""
    failure = Failure("TW7008", "it is not there")
    assert reason_of(Ending("failed", failure=failure)) == "TW7008 it is not there"
    assert reason_of(Ending("failed", failure=failure, culprit="load")) == "step load: TW7008 it is not there"
