"""The cast: agents, and what a shell is asked to do about them."""

from tests.unit.kernel.stage import Stage, message, spec, supervision, trap, world
from tickwork.kernel.state import AgentStatus
from tickwork.native import Outbox
from tickwork.records import DerivedKind, Input, InputKind

STOP = Input(InputKind.STOP_AGENT, "operator", "a")


def test_a_stopped_agent_keeps_its_number_and_name_and_runs_no_more() -> None:
    stage = Stage(world(spec("a", subscribe=("t",)), spec("b")))
    stage.start()
    tick = stage.tick(STOP, message("a"))
    assert tick.retire == [0]
    assert "a" not in tick.turns
    assert [item.note for item in tick.notes(DerivedKind.LEFT)] == ["t"]
    assert stage.agent("a").status == AgentStatus.STOPPED
    assert stage.tick(STOP).notes(DerivedKind.REFUSED_INPUT)


def test_what_is_asked_of_the_shell_is_that_of_the_tick() -> None:
    stage = Stage(
        world(
            spec("a", supervision=supervision("restart")),
            spec("b", spawn=("w",)),
            templates=(spec("w"),),
        )
    )
    stage.start()
    tick = stage.tick(a=trap(), b=lambda outbox: outbox.spawn("w"))
    assert (tick.reset, [number for number, _ in stage.machine.done.placed]) == ([0], [2])
    later = stage.tick()
    assert (later.reset, stage.machine.done.placed) == ([], [])


def test_numbers_of_spawned_agents_are_dense_and_never_reused() -> None:
    stage = Stage(world(spec("boss", spawn=("w",)), templates=(spec("w"),)))
    stage.start()

    def act(outbox: Outbox) -> None:
        outbox.spawn("w")
        outbox.spawn("w")

    stage.tick(boss=act)
    stage.tick(Input(InputKind.STOP_AGENT, "operator", "w-1"), message("boss"), boss=act)
    assert [agent.name for agent in stage.machine.state.agents] == ["boss", "w-1", "w-2", "w-3", "w-4"]
    assert [agent.number for agent in stage.machine.state.agents] == list(range(5))


def test_subscriptions_begin_in_the_order_of_agents_and_handles() -> None:
    stage = Stage(world(spec("a", subscribe=("t", "u")), spec("b", subscribe=("u",))))
    joined = stage.start().notes(DerivedKind.JOINED)
    assert [(item.agent, item.number, item.note) for item in joined] == [(0, 0, "t"), (0, 1, "u"), (1, 0, "u")]


def test_a_subscription_that_is_denied_does_not_begin() -> None:
    stage = Stage(world(spec("a", subscribe=("t",), denied=("subscribe:t",))))
    assert stage.start().notes(DerivedKind.JOINED) == []
    assert stage.tick(message("a"), a=lambda outbox: outbox.join("t")).outcomes["a"].status == 7
