"""One simulation: what it reports, and how it is repeated and made smaller."""

import msgspec
import pytest

from tickwork.driver.resolve import World
from tickwork.native import Context, Outbox
from tickwork.records import Message
from tickwork.sim import Case, Draw, Fault, Report, shrink, simulate
from tickwork.sim.actors import ENTRY, Actor, Life
from tickwork.sim.disk import Disk
from tickwork.sim.world import draw_world


class LyingDisk(Disk):
    """Promises that a group survives a loss of power, and only writes it."""

    def write(self, durable: bool) -> None:
        super().write(durable=False)


def failing() -> Report:
    return next(report for report in (simulate(seed, disk=LyingDisk) for seed in range(100)) if not report.ok)


def test_a_seed_gives_the_same_report_twice() -> None:
    assert [simulate(seed) for seed in range(6)] == [simulate(seed) for seed in range(6)]


def test_a_failure_begins_with_its_seed_and_ends_with_the_command_that_repeats_it() -> None:
    report = failing()
    lines = str(report).splitlines()
    assert lines[0].startswith(f"seed {report.case.seed}: ")
    assert lines[-1].endswith(f"python -m tickwork.sim --seed {report.case.seed}")


def test_the_command_names_all_that_a_smaller_case_leaves_out() -> None:
    case = Case(3, (Fault("plan", 2),), ("a1", "a2"), 4)
    assert case.command() == "python -m tickwork.sim --seed 3 --faults plan:2:kill:0 --drop a1,a2 --ticks 4"
    assert Case(3, ()).command() == "python -m tickwork.sim --seed 3 --faults none"


@pytest.mark.slow
def test_a_failure_is_shrunk_to_a_smaller_case_that_still_fails() -> None:
    report = failing()
    smallest = shrink(report, disk=LyingDisk)
    assert not smallest.ok
    assert smallest == simulate(smallest.case, disk=LyingDisk)
    assert smallest.case.faults is not None
    assert len(smallest.case.faults) <= len(report.struck)
    assert smallest.ticks <= report.ticks


def test_a_case_without_faults_lives_once() -> None:
    report = simulate(Case(5, faults=()))
    assert (report.ok, report.struck, report.lives) == (True, (), 1)


def test_a_world_of_ones_own_is_simulated() -> None:
    def mine(draw: Draw) -> World:
        world = draw_world(draw)
        return msgspec.structs.replace(world, header=msgspec.structs.replace(world.header, name="mine"))

    assert simulate(3, world=mine).ok
    assert simulate(3, world=mine).head != simulate(3).head


def test_an_agent_that_keeps_something_outside_its_state_is_found() -> None:
    kept: list[int] = []

    class Forgetful(Actor):
        def turn(self, state: Life, inbox: tuple[Message, ...], context: Context) -> tuple[Life, Outbox]:
            kept.append(context.tick)
            after, outbox = super().turn(state, inbox, context)
            outbox.log(f"turn {len(kept)}")
            return after, outbox

    def mine(draw: Draw) -> World:
        return msgspec.structs.replace(draw_world(draw), natives={ENTRY: Forgetful})

    reports = [simulate(seed, world=mine) for seed in range(10)]
    assert any("first difference" in str(report) for report in reports)


def test_a_world_that_cannot_be_run_is_a_failure_and_no_crash() -> None:
    def broken(draw: Draw) -> World:
        return msgspec.structs.replace(draw_world(draw), natives={})

    assert "AgentCodeMissing where none belongs" in str(simulate(3, world=broken))
