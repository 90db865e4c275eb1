"""A run of a plan as a world."""

from pathlib import Path

import msgspec
import pytest

import tickwork
from tests.unit.plane.executor.drawn import draw, given
from tests.unit.plane.executor.props import Answering, assign, plan, play, step
from tickwork import codec
from tickwork.driver.options import Options
from tickwork.plane.compiled import SYSTEM_SKILLS
from tickwork.plane.executor.prepared import effect_name
from tickwork.plane.world import plan_header, plan_world
from tickwork.records import EffectClass


def test_equal_assignments_have_equal_headers() -> None:
    assert codec.encode(plan_header(draw(3))) == codec.encode(plan_header(draw(3)))
    assert plan_header(draw(3), seed=1) != plan_header(draw(3))
    assert (plan_header(draw(3)).name, plan_header(draw(3), name="mine").name) == ("drawn", "mine")


def test_a_skill_is_an_effect_in_its_own_class_and_in_those_that_steps_give_it() -> None:
    header = plan_header(assign(plan(step("a"), step("b", effect_class=2), step("c", skill=4, effect_class=1))))
    found = {skill.name: skill.effect_class for skill in header.skills}
    assert found["echo@1"] == EffectClass.PURE
    assert found["echo@1#unsafe"] == EffectClass.UNSAFE
    assert found["pay@1#idempotent"] == EffectClass.IDEMPOTENT
    assert all(found[name] == EffectClass.IDEMPOTENT for name in SYSTEM_SKILLS)
    assert header.agents[0].skills == tuple(found)


def test_a_class_that_is_the_skills_own_is_no_other_effect() -> None:
    pin = assign(plan()).compiled.pins[0]  # type: ignore[union-attr]
    assert effect_name(pin, pin.effect_class) == effect_name(pin) == "echo@1"


def test_a_plan_decides_in_which_order_results_come() -> None:
    assert plan_header(assign(plan(), ordering="arrival")).ordering == "arrival"


@pytest.mark.parametrize("stop_at", [1, 2, 5])
@pytest.mark.parametrize("snapshots", [0, 1])
def test_a_run_that_is_interrupted_goes_on_to_the_same_head(tmp_path: Path, stop_at: int, snapshots: int) -> None:
    assignment = draw(14)
    whole = play(assignment, given, seed=3)
    assert whole.run.ticks > 5
    world = plan_world(assignment, seed=3)
    ticks = [0]

    def stop() -> bool:
        ticks[0] += 1
        return ticks[0] > stop_at

    path = tmp_path / "run.twk"
    skills = dict.fromkeys(world.header.agents[0].skills, Answering(given))
    options = Options(performers=skills, stop=stop, snapshot_ticks=snapshots)
    assert tickwork.run(world, journal=path, options=options).status == "interrupted"
    run = tickwork.resume(path, world=world, options=msgspec.structs.replace(options, stop=None))
    assert run.head == whole.run.head
