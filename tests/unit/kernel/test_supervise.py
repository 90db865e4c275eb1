"""What a failed turn leads to."""

import pytest

from tests.unit.kernel.stage import Act, Stage, failed, message, spec, supervision, trap, world
from tickwork.kernel.state import AgentStatus, RunStatus
from tickwork.native import Outbox
from tickwork.records import OUTSIDE, DerivedKind, Input, InputKind, Operation, Outcome, Refusal, Status


def supervised(policy: str, retries: int = 0) -> Stage:
    stage = Stage(world(spec("a", send=("b",), supervision=supervision(policy, retries)), spec("b", send=("a",))))
    stage.start()
    stage.tick()
    return stage


def test_stop_ends_the_agent_and_buries_what_its_turn_was_given() -> None:
    stage = supervised("stop")
    tick = stage.tick(message("a"), message("a"), a=trap(6))
    assert [item.note for item in tick.notes(DerivedKind.STOPPED)] == ["trap 6"]
    assert [item.note for item in tick.notes(DerivedKind.DEAD_LETTER)] == ["trap 6"] * 2
    assert tick.retire == [0]
    assert stage.agent("a").status == AgentStatus.STOPPED


def test_a_dead_letter_keeps_the_number_of_its_message() -> None:
    stage = supervised("stop")
    stage.tick(message("b"), b=lambda outbox: outbox.send("a", b"x"))
    sent = stage.machine.state.seq
    assert [item.number for item in stage.tick(a=trap()).notes(DerivedKind.DEAD_LETTER)] == [sent]


def test_restart_begins_again_with_init() -> None:
    stage = supervised("restart")
    tick = stage.tick(message("a"), a=trap())
    assert tick.reset == [0]
    assert [item.number for item in tick.notes(DerivedKind.RESTARTED)] == [1]
    assert stage.tick().turns["a"].operation == Operation.INIT


def test_restart_keeps_what_has_come_since_the_failed_turn() -> None:
    stage = supervised("restart")
    stage.tick(message("a", b"lost"), message("b"), a=trap(), b=lambda outbox: outbox.send("a", b"kept"))
    assert stage.tick().turns["a"].operation == Operation.INIT
    assert stage.tick().bodies("a") == [b"kept"]


def test_restart_is_bounded_by_failures_in_a_row_whatever_init_comes_to() -> None:
    stage = supervised("restart", 2)
    stage.start()
    restarts = 0
    while stage.agent("a").status != AgentStatus.STOPPED:
        restarts += stage.tick(message("a"), a=trap()).reset == [0]
        stage.tick()
        assert restarts <= 2
    assert restarts == 2


def test_a_good_step_ends_the_row() -> None:
    stage = supervised("restart", 1)
    stage.start()
    for _ in range(3):
        assert stage.tick(message("a"), a=trap()).reset == [0]
        stage.tick()
        stage.tick(message("a"))
    assert stage.agent("a").status != AgentStatus.STOPPED


def test_restart_fails_the_task_at_hand_and_keeps_those_that_wait() -> None:
    stage = Stage(world(spec("boss", send=("a",)), spec("a", supervision=supervision("restart"))))
    stage.start()
    stage.tick()

    def act(outbox: Outbox) -> None:
        outbox.task("a", 1, b"bad")
        outbox.task("a", 2, b"good")

    stage.tick(message("boss"), boss=act)
    assert [item.note for item in stage.tick(a=trap()).notes(DerivedKind.TASK_FAILED)] == ["boss/1"]
    stage.tick()
    assert [item.note for item in stage.tick().notes(DerivedKind.TASK_DONE)] == ["boss/2"]


def test_retry_gives_the_same_cut_again_before_what_came_since() -> None:
    stage = supervised("retry", 2)
    tick = stage.tick(message("a", b"one"), a=trap())
    assert [item.number for item in tick.notes(DerivedKind.RETRIED)] == [1]
    tick = stage.tick(message("a", b"two"), a=trap())
    assert tick.bodies("a") == [b"one", b"two"]
    tick = stage.tick()
    assert tick.bodies("a") == [b"one", b"two"]
    assert stage.agent("a").failures == 0


def test_retry_that_fails_too_often_ends_in_dead_letters() -> None:
    stage = supervised("retry", 2)
    ticks = [stage.tick(message("a"), a=trap())] + [stage.tick(a=trap()) for _ in range(2)]
    assert [len(tick.notes(DerivedKind.RETRIED)) for tick in ticks] == [1, 1, 0]
    assert [item.note for item in ticks[2].notes(DerivedKind.DEAD_LETTER)] == ["trap 5"]
    assert stage.agent("a").status == AgentStatus.STOPPED


def test_retry_of_a_failed_init_initialises_again() -> None:
    stage = Stage(world(spec("a", supervision=supervision("retry", 1))))
    assert stage.tick(a=trap()).turns["a"].operation == Operation.INIT
    assert stage.tick(message("a", b"early")).turns["a"].operation == Operation.INIT
    assert stage.tick().bodies("a") == [b"early"]


def test_a_task_survives_a_retry() -> None:
    stage = Stage(world(spec("boss", send=("a",)), spec("a", supervision=supervision("retry", 1))))
    stage.start()
    stage.tick(boss=lambda outbox: outbox.task("a", 1, b"work"))
    assert stage.tick(a=trap()).notes(DerivedKind.TASK_FAILED) == []
    tick = stage.tick()
    assert [item.body for item in tick.inbox("a")] == [b"work"]
    assert len(tick.notes(DerivedKind.TASK_DONE)) == 1


def test_suspend_keeps_the_cut_until_somebody_resumes_the_agent() -> None:
    stage = supervised("suspend")
    tick = stage.tick(message("a", b"poison"), a=failed(-1))
    assert [item.note for item in tick.notes(DerivedKind.SUSPENDED)] == ["failed -1"]
    assert "a" not in stage.tick(message("a", b"next")).turns
    tick = stage.tick(Input(InputKind.RESUME_AGENT, "operator", "a"))
    assert tick.bodies("a") == [b"poison", b"next"]


def test_escalate_tells_the_agent_that_spawned_it() -> None:
    stage = Stage(world(spec("boss", spawn=("w",)), templates=(spec("w", supervision=supervision("escalate")),)))
    stage.start()
    stage.tick(boss=lambda outbox: outbox.spawn("w"))
    stage.tick()
    tick = stage.run((), {"w-1": trap(3)})
    assert [(item.agent, item.number) for item in tick.notes(DerivedKind.ESCALATED)] == [(1, 0)]
    assert stage.tick().errors("boss") == [(Refusal.FAILED, "w-1: trap 3")]
    assert stage.status() == RunStatus.OPEN


def test_escalate_of_an_agent_of_the_world_fails_the_run() -> None:
    stage = supervised("escalate")
    tick = stage.tick(message("a"), message("b"), a=trap(), b=lambda outbox: outbox.send("a", b"x"))
    assert [item.number for item in tick.notes(DerivedKind.ESCALATED)] == [OUTSIDE]
    assert stage.status() == RunStatus.FAILED
    assert set(tick.turns) == {"a", "b"}


def test_an_agent_that_exits_in_the_tick_in_which_the_run_fails_hears_no_more() -> None:
    stage = Stage(
        world(
            spec("a", supervision=supervision("escalate")),
            spec("b", publish=("t",), subscribe=("t",)),
        )
    )
    stage.start()

    def act(outbox: Outbox) -> None:
        outbox.publish("t", b"last words", retain=True)
        outbox.exit()

    tick = stage.tick(a=trap(), b=act)
    assert [item.agent for item in tick.notes(DerivedKind.LEFT)] == [1]
    assert tick.notes(DerivedKind.DEAD_LETTER) == []


@pytest.mark.parametrize("policy", ["restart", "retry", "suspend", "escalate"])
def test_a_fatal_code_stops_the_agent_whatever_its_policy(policy: str) -> None:
    stage = supervised(policy, 5)
    tick = stage.tick(message("a"), a=failed(Refusal.FATAL))
    assert [item.note for item in tick.notes(DerivedKind.STOPPED)] == ["failed -12"]


def test_a_good_turn_begins_the_count_of_failures_anew() -> None:
    stage = supervised("retry", 1)
    for _ in range(5):
        stage.tick(message("a"), a=trap())
        stage.tick()
    assert stage.agent("a").status == AgentStatus.ACTIVE


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome(Status.OUT_OF_FUEL, 0, 5, b""), "out_of_fuel"),
        (Outcome(Status.DEPTH_LIMIT, 0, 5, b""), "depth_limit"),
        (Outcome(Status.MEMORY_LIMIT, 0, 5, b""), "memory_limit"),
        (Outcome(Status.ABI_VIOLATION, 0, 5, b""), "abi_violation"),
        (failed(-1001), "failed -1001"),
    ],
)
def test_every_outcome_has_a_short_stable_name(outcome: Outcome, text: str) -> None:
    stage = supervised("stop")
    assert [item.note for item in stage.tick(message("a"), a=outcome).notes(DerivedKind.STOPPED)] == [text]


def test_a_failing_agent_changes_nothing_for_the_others() -> None:
    quiet, failing = supervised("retry", 9), supervised("retry", 9)
    for index in range(5):
        inputs = message("a"), message("b")
        acts: dict[str, Act] = {"b": lambda outbox: outbox.send("a", b"x")}
        one = quiet.run(inputs, acts)
        other = failing.run(inputs, {**acts, "a": trap()} if index % 2 else acts)
        assert one.bodies("b") == other.bodies("b")
