"""The state tree."""

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.kernel.stage import Stage, message, spec, world
from tickwork.kernel.state import decode_state, encode_state, initial_state
from tickwork.native import Outbox
from tickwork.records import Limits, SkillSpec, TaskSpec


def busy(outbox: Outbox) -> None:
    outbox.sleep(1)
    outbox.send("b", b"x" * 10)
    outbox.publish("t", b"y", retain=True)
    outbox.timer(5, tag=2)
    outbox.call("s", b"z")
    outbox.task("b", 7, b"work")


@given(st.integers(0, 6))
def test_a_decoded_state_encodes_to_the_same_bytes(ticks: int) -> None:
    stage = Stage(
        world(
            spec("a", send=("b",), publish=("t",), skills=("s",)),
            spec("b", subscribe=("t",), limits=Limits(overflow="defer", mailbox_messages=1)),
            skills=(SkillSpec("s"),),
            tasks=(TaskSpec("one", "b", 0, 0, b"body"),),
        )
    )
    for _ in range(ticks):
        stage.tick(message("a"), a=busy)
    encoded = encode_state(stage.machine.state)
    assert encode_state(decode_state(encoded)) == encoded
    assert decode_state(encoded) == stage.machine.state


def test_agents_are_numbered_in_the_order_of_the_header() -> None:
    state = initial_state(world(spec("x"), spec("y")), bytes(32))
    assert [(agent.number, agent.name, agent.parent) for agent in state.agents] == [(0, "x", -1), (1, "y", -1)]
    assert len({agent.key for agent in state.agents}) == 2


def test_states_do_not_share_their_lists() -> None:
    one, other = (initial_state(world(spec("x")), bytes(32)) for _ in range(2))
    one.agents[0].mail.append(b"")
    assert other.agents[0].mail == []
