"""Seeds: the simulation itself, and what it reaches."""

from collections import Counter

import msgspec
import pytest

from tests.support import python
from tickwork.driver.resolve import World
from tickwork.kernel.policy import POLICIES
from tickwork.records import EffectClass
from tickwork.sim import Case, Draw, Fault, Report, shrink, simulate
from tickwork.sim.actors import HABITS, Traits
from tickwork.sim.disk import Disk
from tickwork.sim.faults import HOWS, POINTS
from tickwork.sim.world import OVERFLOWS, SKILLS, SUPERVISIONS, draw_world

SEEDS = 2000
BATCH = 250


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_every_seed_is_well(first: int) -> None:
    for seed in range(first, first + BATCH):
        report = simulate(seed)
        if not report.ok:
            pytest.fail(f"{report}\nsmallest case found:\n{shrink(report)}")


@pytest.mark.slow
def test_the_faults_that_strike_are_all_there_are() -> None:
    struck = Counter((fault.point, fault.how) for seed in range(300) for fault in simulate(seed).struck)
    assert {(point, how) for point in POINTS for how in HOWS.get(point, ("kill", "power"))} == set(struck)


def test_the_worlds_drawn_have_every_feature() -> None:
    worlds = [draw_world(Draw(seed).branch(1)) for seed in range(300)]
    headers = [world.header for world in worlds]
    specs = [spec for header in headers for spec in header.agents]
    traits = [msgspec.msgpack.decode(spec.config, type=Traits) for spec in specs]
    assert {header.policy for header in headers} == set(POLICIES)
    assert {(header.visibility, header.ordering) for header in headers} == {
        (visibility, ordering) for visibility in ("next", "linear") for ordering in ("issue", "arrival")
    }
    assert {spec.limits.overflow for spec in specs} == set(OVERFLOWS)
    assert {spec.supervision.policy for spec in specs} == set(SUPERVISIONS)
    assert {habit for known in traits for habit in known.habits} == set(HABITS)
    assert {skill.effect_class for header in headers for skill in header.skills} == set(EffectClass)
    assert len(SKILLS) == len(EffectClass)
    for feature in ("templates", "tasks", "feeds", "topics", "turns_per_tick"):
        assert {bool(getattr(header, feature)) for header in headers} == {False, True}, feature
    for trouble in ("raises", "fails", "tears", "strays", "ends", "pace"):
        assert {bool(getattr(known, trouble)) for known in traits} == {False, True}, trouble


def test_a_seed_gives_the_same_report_twice() -> None:
    assert [simulate(seed) for seed in range(8)] == [simulate(seed) for seed in range(8)]


@pytest.mark.slow
def test_a_seed_gives_the_same_report_under_every_hash_seed() -> None:
    code = "from tickwork.sim import simulate\nfor seed in range(40): print(simulate(seed))"
    printed = {python(code, PYTHONHASHSEED=seed).stdout for seed in ("0", "1", "77")}
    assert len(printed) == 1
    assert len(printed.pop().splitlines()) == 40


class LyingDisk(Disk):
    def write(self, durable: bool) -> None:
        super().write(durable=False)


def _failing() -> Report:
    return next(report for report in (simulate(seed, disk=LyingDisk) for seed in range(100)) if not report.ok)


def test_a_failure_begins_with_its_seed_and_ends_with_the_command_that_repeats_it() -> None:
    report = _failing()
    lines = str(report).splitlines()
    assert lines[0].startswith(f"seed {report.case.seed}: ")
    assert lines[-1].endswith(f"python -m tickwork.sim --seed {report.case.seed}")


@pytest.mark.slow
def test_a_failure_is_shrunk_to_a_smaller_case_that_still_fails() -> None:
    report = _failing()
    smallest = shrink(report, disk=LyingDisk)
    assert not smallest.ok
    assert smallest == simulate(smallest.case, disk=LyingDisk)
    assert smallest.case.faults is not None
    assert len(smallest.case.faults) <= len(report.struck)
    assert smallest.ticks <= report.ticks
    faults = tuple(Fault.parse(str(fault)) for fault in smallest.case.faults)
    assert faults == smallest.case.faults


def test_a_case_without_faults_runs_twice_the_same() -> None:
    report = simulate(Case(5, faults=()))
    assert report.ok
    assert report.struck == ()
    assert report.lives == 1


def test_a_world_of_ones_own_is_simulated() -> None:
    drawn: list[World] = []

    def mine(draw: Draw) -> World:
        world = draw_world(draw)
        drawn.append(msgspec.structs.replace(world, header=msgspec.structs.replace(world.header, name="mine")))
        return drawn[-1]

    assert simulate(3, world=mine).head != simulate(3).head
    assert drawn[0].header.name == "mine"


@pytest.mark.parametrize("text", ["", "plan", "plan:1:disk:0", "nowhere:1:kill:0", "plan:x:kill:0"])
def test_a_text_that_names_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Fault.parse(text)


@pytest.mark.slow
def test_the_command_line_repeats_a_case_and_refuses_nonsense() -> None:
    start = "import runpy, sys; sys.argv[1:] = {}; runpy.run_module('tickwork.sim', run_name='__main__')"
    well = python(start.format(["--seed", "7", "--faults", "none"]))
    assert (well.returncode, well.stderr.splitlines()[0][:8]) == (0, "seed 7: ")
    assert python(start.format(["--seeds", "0..3"])).returncode == 0
    for nonsense in (["--seed"], ["--seed", "x"], ["--seed", "1", "--faults", "a"], []):
        refused = python(start.format(nonsense))
        assert refused.returncode == 2
        assert "usage:" in refused.stderr
