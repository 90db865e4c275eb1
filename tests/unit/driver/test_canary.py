"""Canaries: a run's last ticks with another version, held against what is recorded."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.driver.successors import counter, counting, options, version
from tests.unit.driver.troupe import Echo
from tests.unit.sandbox import wat
from tickwork.driver.canary import canary
from tickwork.driver.plans import Swap
from tickwork.driver.resolve import with_swaps
from tickwork.driver.run import run
from tickwork.errors import AgentNotFound, SwapRefused, TickOutOfRange
from tickwork.records import EffectClass, SkillSpec

pytestmark = pytest.mark.slow

HEARS = ("counts",)
SAME, TWO = version("1.0.1", subscribe=HEARS), version("2.0.0", by=10, subscribe=HEARS)


def made(path: Path, *swaps: Swap, **fields: Any) -> Path:
    run(with_swaps(counting(**fields), swaps), journal=path, options=options())
    return path


def test_a_version_that_does_the_same_is_equal(tmp_path: Path) -> None:
    found = canary(made(tmp_path / "a.twk"), Swap("c0", SAME), ticks=10, options=options())
    assert (found.equal, found.failed, found.differing) == (True, False, 0)
    assert (found.divergence, found.agent_divergence) == (None, None)
    assert found.swapped.startswith("migrate 1.0.0 (")
    assert (found.old.turns, found.old.sent, found.old.failed) == (found.new.turns, found.new.sent, found.new.failed)
    assert found.first == 10


def test_a_version_that_differs_is_told_by_its_first_difference(tmp_path: Path) -> None:
    path = made(tmp_path / "a.twk")
    found = canary(path, Swap("c0", TWO, 8), options=options())
    assert (found.equal, found.first) == (False, 8)
    assert found.agent_divergence is not None
    assert (found.agent_divergence.tick, found.agent_divergence.agent) == (8, "c0")
    assert found.agent_divergence.record == "turns[0].outbox[0]"
    assert found.divergence is not None
    assert found.divergence.tick == 8
    assert found.differing >= 10


def test_what_differs_elsewhere_is_told_apart_from_the_agent_itself(tmp_path: Path) -> None:
    loud = version("2.0.0", subscribe=HEARS, step="(i32.const 0)")
    first = version(subscribe=HEARS, step="(i32.const 0)")
    found = canary(made(tmp_path / "a.twk", one=first), Swap("c0", loud), options=options())
    assert found.equal


def test_failed_turns_are_counted(tmp_path: Path) -> None:
    broken = version("2.0.0", subscribe=HEARS, step=wat.TRAP)
    found = canary(made(tmp_path / "a.twk"), Swap("c0", broken, 15), options=options())
    assert (found.new.turns, found.new.failed, found.old.failed) == (1, 1, 0)


def test_a_swap_that_fails_is_told_and_nothing_more(tmp_path: Path) -> None:
    refusing = version("2.0.0", subscribe=HEARS, load="(i32.const -9)")
    found = canary(made(tmp_path / "a.twk"), Swap("c0", refusing, 8), options=options())
    assert (found.equal, found.failed, found.ticks) == (False, True, 1)
    assert "agent_load returned -9, bad_state" in found.swapped


def test_a_restarted_version_differs_by_its_beginning(tmp_path: Path) -> None:
    found = canary(made(tmp_path / "a.twk"), Swap("c0", SAME, 8, "restart"), options=options())
    assert found.agent_divergence is not None
    assert (found.agent_divergence.field, found.agent_divergence.actual) == ("operation", "init")


def test_a_run_that_ends_earlier_differs_in_the_ticks_it_lacks(tmp_path: Path) -> None:
    sleepy = version("2.0.0", subscribe=HEARS, step="(i32.const 0x7fffffff)")
    found = canary(made(tmp_path / "a.twk", agents=1), Swap("c0", sleepy, 8), options=options())
    assert found.differing == found.ticks


def test_a_later_swap_of_the_same_agent_does_not_take_the_place_of_the_one_that_is_tried(tmp_path: Path) -> None:
    path = made(tmp_path / "a.twk", Swap("c0", TWO, 12), Swap("c1", SAME, 13))
    found = canary(path, Swap("c0", SAME, 8), options=options())
    assert found.divergence is not None
    assert found.divergence.tick == 12


def test_a_canary_needs_a_tick_an_agent_and_a_version_that_may_run(tmp_path: Path) -> None:
    path = made(tmp_path / "a.twk")
    with pytest.raises(TickOutOfRange):
        canary(path, Swap("c0", SAME, 99), options=options())
    with pytest.raises(TickOutOfRange):
        canary(path, Swap("c0", SAME), ticks=0, options=options())
    with pytest.raises(AgentNotFound):
        canary(path, Swap("c9", SAME), options=options())
    with pytest.raises(SwapRefused):
        canary(path, Swap("c0", version("2", publish=("totals",))), options=options())
    with pytest.raises(SwapRefused, match="no agent is swapped any more"):
        canary(path, Swap("c0", SAME, 22), options=options())


def asker(number: str, body: int, *, twice: bool = False) -> bytes:
    """Return an agent that asks for an effect in each turn, and publishes the results' first byte."""
    ask = f"""(i32.store (i32.const {wat.SCRATCH}) (i32.const {body}))
      (call $emit (i32.const 11) (i32.const 0) (i32.const {wat.SCRATCH}) (i32.const 4))"""
    hear = """(if (i32.eq (i32.load16_u offset=4 (local.get $message)) (i32.const 33)) (then
      (call $emit (i32.const 2) (i32.const 0) (i32.add (local.get $message) (i32.const 32)) (i32.const 8))))
      (i32.const 0)"""
    return version(number, skills=("do",), step=f"{ask * (2 if twice else 1)} (i32.const 0)", receive=hear)


def test_effects_are_answered_from_the_record_and_nothing_is_performed(tmp_path: Path) -> None:
    performer = Echo()
    first = asker("1.0.0", 65)
    world = counting(one=first, agents=1, ticks=12, skills=(SkillSpec("do", EffectClass.UNSAFE),))
    caller = counter("c0", first, skills=("do",))
    world = msgspec.structs.replace(world, header=msgspec.structs.replace(world.header, agents=(caller,)))
    live, journal = options(performers={"do": performer}), tmp_path / "a.twk"
    run(world, journal=journal, options=live)
    asked = len(performer.seen)
    same = canary(journal, Swap("c0", asker("1.1.0", 65), 4), options=live)
    assert (same.equal, same.unanswered, len(performer.seen)) == (True, 0, asked)
    other = canary(journal, Swap("c0", asker("2.0.0", 66), 4), options=live)
    assert other.agent_divergence is not None
    assert other.agent_divergence.tick == 4
    more = canary(journal, Swap("c0", asker("3.0.0", 65, twice=True), 4), options=live)
    assert more.unanswered > 0
    assert len(performer.seen) == asked
