"""plane/readers.py: who reads an input of a plan, and when."""

import msgspec

from tickwork.plane.calls import Usage
from tickwork.plane.explain import Explained, StepStory, Told
from tickwork.plane.readers import NEVER, Reader, readers_of

PLAN = b"""{"steps": [
 {"id": "a", "params": {"x": "${inputs.city} and ${inputs.n}"}},
 {"id": "b", "when": "inputs.n > 1", "compensate": {"params": {"x": "${inputs.undo}"}}},
 {"id": "c", "for_each": "inputs.list", "params": {"x": "$${inputs.city}"}},
 {"id": "d", "outputs": {"all": "${inputs}"}}],
"outputs": {"all": "${inputs.end}"}}"""


def told_of(*told: Told) -> Explained:
    """Return a run of that plan, of which the last step has not ended."""
    steps = (
        StepStory("a", began=0, ended=2),
        StepStory("b", ended=3),
        StepStory("c", began=4, ended=9),
        StepStory("d", began=4),
    )
    null = msgspec.Raw(b"null")
    return Explained(
        goal="",
        profile="",
        planner="",
        plan="p",
        version="1",
        inputs=null,
        source=msgspec.Raw(PLAN),
        status="running",
        output=null,
        failure=None,
        degraded=False,
        undone=True,
        usage=Usage(),
        calls=0,
        ticks=12,
        steps=steps,
        system=(),
        told=told,
        open=(),
    )


def test_what_is_read_late_is_told_from_what_is_read_at_the_beginning() -> None:
    told = told_of()
    assert readers_of(told, "city") == [Reader("a", 0), Reader("d", NEVER)]
    assert readers_of(told, "n") == [Reader("a", 0), Reader("b", 3), Reader("d", NEVER)]
    assert readers_of(told, "list") == [Reader("c", 9), Reader("d", NEVER)]
    assert readers_of(told, "undo") == [Reader("b", NEVER), Reader("d", NEVER)]
    assert readers_of(told, "end")[-1] == Reader("", NEVER)
    ended = told_of(Told(11, "", "ended", "succeeded"))
    assert readers_of(ended, "undo")[0] == Reader("b", 11)
    assert readers_of(ended, "end")[-1] == Reader("", 11)


def test_a_change_reaches_who_reads_in_its_tick_or_later_and_nobody_who_begins_with_the_run() -> None:
    assert [Reader("a", tick).reached(5) for tick in (NEVER, 0, 4, 5, 6)] == [True, False, False, True, True]
    assert not Reader("a", 0).reached(0)
