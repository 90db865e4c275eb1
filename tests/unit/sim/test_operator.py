"""What the operator of a drawn world does."""

from tickwork.records import InputKind
from tickwork.sim import Draw
from tickwork.sim.operator import MAX_INPUTS
from tickwork.sim.world import draw_world

KINDS = {
    InputKind.MESSAGE,
    InputKind.PUBLISH,
    InputKind.PUBLISH_RETAINED,
    InputKind.STOP_AGENT,
    InputKind.SUSPEND_AGENT,
    InputKind.RESUME_AGENT,
    InputKind.CONFIGURE_AGENT,
    InputKind.RESEED,
    InputKind.GRANT,
    InputKind.REVOKE,
    InputKind.OPEN_WINDOW,
    InputKind.CLOSE_WINDOW,
}


def test_everything_is_done_in_some_world_and_within_its_ticks() -> None:
    worlds = [draw_world(Draw(seed).branch(1)) for seed in range(300)]
    assert {item.kind for world in worlds for _, item in world.inputs} == KINDS
    assert {len(world.inputs) for world in worlds} == set(range(MAX_INPUTS + 1))
    assert all(0 <= tick < world.header.ticks for world in worlds for tick, _ in world.inputs)


def test_equal_seeds_give_equal_deeds() -> None:
    assert [draw_world(Draw(seed)).inputs for seed in range(50)] == [
        draw_world(Draw(seed)).inputs for seed in range(50)
    ]
