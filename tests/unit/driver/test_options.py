"""Options of the verbs."""

import msgspec
import pytest

from tests.unit.driver.troupe import Echo, asking, chat, empty, frames_of
from tickwork.clock import SteppedClock
from tickwork.driver.options import Options
from tickwork.driver.resolve import World
from tickwork.driver.run import run


@pytest.mark.parametrize("world", [chat(ticks=6), asking()])
@pytest.mark.parametrize(
    "changes",
    [
        {"opt_level": "none"},
        {"clock": SteppedClock(5, 9)},
        {"flush_ticks": 1},
        {"progress_ticks": 1},
        {"signing_key": bytes(32)},
    ],
)
def test_no_option_changes_a_head(world: World, changes: dict[str, object]) -> None:
    plain = Options(performers={"do": Echo()})
    one, other = empty(world), empty(world)
    run(world, journal=one, options=plain)
    run(world, journal=other, options=msgspec.structs.replace(plain, **changes))
    assert frames_of(one) == frames_of(other)
    assert one.head().d == other.head().d


def test_phase_edges_come_in_order() -> None:
    seen: list[str] = []
    run(asking(asks=1), options=Options(performers={"do": Echo()}, edge=seen.append))
    tick = ["admit", "plan", "compute", "commit", "seal", "append"]
    assert seen[:6] == tick
    assert seen[6:13] == [*tick, "release"]
