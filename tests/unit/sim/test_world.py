"""Drawn worlds."""

import msgspec

from tickwork import codec
from tickwork.kernel.policy import POLICIES
from tickwork.kernel.windows import KINDS
from tickwork.records import EffectClass
from tickwork.sim import Draw
from tickwork.sim.actors import HABITS, Traits
from tickwork.sim.world import OVERFLOWS, SUPERVISIONS, draw_world, reduce_world


def test_equal_seeds_give_equal_headers() -> None:
    assert [codec.encode(draw_world(Draw(seed)).header) for seed in range(20)] == [
        codec.encode(draw_world(Draw(seed)).header) for seed in range(20)
    ]


def test_the_worlds_drawn_have_every_feature() -> None:
    headers = [draw_world(Draw(seed).branch(1)).header for seed in range(300)]
    specs = [spec for header in headers for spec in header.agents]
    traits = [msgspec.msgpack.decode(spec.config, type=Traits) for spec in specs]
    assert {header.policy for header in headers} == set(POLICIES)
    assert {(header.visibility, header.ordering) for header in headers} == {
        (visibility, ordering) for visibility in ("next", "linear") for ordering in ("issue", "arrival")
    }
    assert {spec.limits.overflow for spec in specs} == set(OVERFLOWS)
    assert {spec.supervision.policy for spec in specs} == set(SUPERVISIONS)
    assert {habit for known in traits for habit in known.habits} == set(HABITS)
    # A compensable effect is an unsafe one to all that is simulated: its undoing is a plan's affair.
    drawn = {skill.effect_class for header in headers for skill in header.skills}
    assert drawn == set(EffectClass) - {EffectClass.COMPENSABLE}
    for feature in ("templates", "tasks", "feeds", "topics", "turns_per_tick", "models", "windows"):
        assert {bool(getattr(header, feature)) for header in headers} == {False, True}, feature
    for trouble in ("raises", "fails", "tears", "strays", "ends", "pace"):
        assert {bool(getattr(known, trouble)) for known in traits} == {False, True}, trouble


def test_windows_are_drawn_of_every_kind_with_writers_and_readers() -> None:
    headers = [draw_world(Draw(seed).branch(1)).header for seed in range(300)]
    windows = [window for header in headers for window in header.windows]
    assert {window.kind for window in windows} == set(KINDS)
    assert {bool(window.closes) for window in windows} == {bool(window.readers) for window in windows} == {False, True}
    assert any(name.startswith("child") for window in windows for name in (window.writer, *window.readers))
    assert any(spec.denied for header in headers for spec in header.agents)
    assert any(spec.regions for header in headers for spec in header.agents)


def test_a_reduced_world_names_nobody_who_was_dropped() -> None:
    for seed in range(100):
        world = draw_world(Draw(seed))
        gone = world.header.agents[0].name
        header = reduce_world(world, (gone,), 2).header
        assert gone not in {name for spec in header.agents for name in (spec.name, *spec.send)}
        assert gone not in {task.agent for task in header.tasks}
        assert all(known < index for index, task in enumerate(header.tasks) for known in task.depends_on)
        assert header.ticks == 2
