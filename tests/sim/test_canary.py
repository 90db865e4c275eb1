"""Canaries: a driver, a journal or a kernel broken on purpose. A simulation that does not notice is dead.

Each plants one mistake that somebody could make, and must be found within ``SEEDS`` seeds.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import pytest

from tickwork.driver import fork, loop, models, performers, run
from tickwork.kernel import apply, bus, supervise
from tickwork.kernel.bus import Bus
from tickwork.kernel.state import AgentState, TopicState
from tickwork.records import Effect, EffectClass, Result, Turn
from tickwork.sim import Report, simulate
from tickwork.sim.disk import Disk

SEEDS = 1000
Sorted = tuple[list[Effect], list[Result], list[Effect]]

pytestmark = pytest.mark.slow


def find(*, disk: type[Disk] = Disk) -> Report:
    """Return the report of the first seed that finds something."""
    for seed in range(SEEDS):
        report = simulate(seed, disk=disk)
        if not report.ok:
            assert str(report).startswith(f"seed {seed}: ")
            return report
    pytest.fail(f"{SEEDS} seeds did not find the planted mistake")


def test_effects_released_before_the_flush_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class HastyLoop(loop.Loop):
        def flush(self, *, durable: bool) -> None:
            super().flush(durable=False)

    monkeypatch.setattr(run, "Loop", HastyLoop)
    assert "released before its intent was durable" in str(find())


def test_frames_acknowledged_before_they_are_flushed_are_found() -> None:
    class LyingDisk(Disk):
        def write(self, durable: bool) -> None:
            super().write(durable=False)

    assert "acknowledged" in str(find(disk=LyingDisk)) or "released before" in str(find(disk=LyingDisk))


def test_a_disk_that_loses_its_last_frame_with_the_process_is_found() -> None:
    class ForgetfulDisk(Disk):
        def write(self, durable: bool) -> None:
            super().write(durable)
            self.written = max(self.durable, self.written - 1) if not durable else self.written

    assert "acknowledged" in str(find(disk=ForgetfulDisk))


def test_results_taken_in_the_order_they_complete_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class HastyDispatch(performers.Dispatch):
        def take(self, *, wait: bool = False) -> list[Result]:
            self._pending = [msgspec.structs.replace(sent, waited=False) for sent in self._pending]
            return super().take(wait=wait)

    monkeypatch.setattr(models, "Dispatch", HastyDispatch)
    assert "the undisturbed one" in str(find())


def test_a_batch_of_which_a_part_enters_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def halved(batches: Sequence[int], room: int) -> int:
        return room

    monkeypatch.setattr(loop, "whole_batches", halved)
    find()


def test_effects_forgotten_at_a_crash_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(effects: Sequence[Effect], decisions: Mapping[int, str]) -> Sorted:
        return [], [], []

    monkeypatch.setattr(run, "settle_unknown", forgetful)
    find()


def test_unsafe_effects_that_go_out_again_unasked_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    settle = loop.settle_unknown

    def careless(effects: Sequence[Effect], decisions: Mapping[int, str]) -> Sorted:
        safe = [msgspec.structs.replace(effect, effect_class=EffectClass.PURE) for effect in effects]
        again, decided, undecided = settle(safe, decisions)
        numbers = {effect.number for effect in again}
        return [effect for effect in effects if effect.number in numbers], decided, undecided

    monkeypatch.setattr(run, "settle_unknown", careless)
    assert "nobody had decided" in str(find())


def test_a_fork_that_performs_again_what_has_a_result_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def unread(*arguments: object) -> tuple[list[Effect], list[object]]:
        return list(arguments[2]), []  # type: ignore[call-overload]

    monkeypatch.setattr(fork, "recorded_results", unread)
    assert "whose results" in str(find())


def test_keys_that_differ_between_lives_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(range(1 << 30))
    monkeypatch.setattr(apply, "effect_key", lambda *_: next(drawn).to_bytes(32, "big"))
    find()


def test_a_cut_that_is_lost_when_a_turn_is_tried_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(agent: AgentState, turn: Turn) -> None:
        agent.wake = agent.ready_since = turn.tick + 1

    monkeypatch.setattr(supervise, "_put_back", lose)
    assert "do not add up" in str(find())


def test_a_topic_that_forgets_a_subscriber_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    publish: Callable[[Bus, TopicState, int, int, int, bytes], None] = Bus.publish

    def partial(self: Bus, topic: TopicState, kind: int, encoding: int, source: int, body: bytes) -> None:
        some = msgspec.structs.replace(topic, subscribers=topic.subscribers[:2])
        publish(self, some, kind, encoding, source, body)

    monkeypatch.setattr(Bus, "publish", partial)
    assert "do not add up" in str(find())


def test_a_message_that_overtakes_one_which_waits_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus.Bus, "_waits_for", lambda self, sender, target: False)
    assert "of agent" in str(find())


def test_a_topic_that_a_held_back_publisher_puts_out_of_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus.Bus, "_topic_waits", lambda self, target, frame: False)
    assert "of topic" in str(find())


def test_an_agent_that_keeps_state_of_its_own_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from tickwork.sim import actors

    turns = iter(range(1 << 30))
    monkeypatch.setattr(actors.Scene, "body", lambda self: (next(turns) // 7).to_bytes(8, "little"))
    find()
