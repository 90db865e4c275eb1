"""Isolation: whatever one agent does to itself, the others' messages are the bytes of a run in which it does not."""

from pathlib import Path

import msgspec
import pytest

from tests.laws.corpus import listener, options, wasm, world
from tests.laws.recorded import Recorded, record
from tickwork import codec
from tickwork.driver.resolve import World
from tickwork.driver.verify import verify
from tickwork.records import Limits, Status, Supervision

ACTS = {
    "trap": Status.TRAP,
    "loop": Status.OUT_OF_FUEL,
    "memory": Status.TRAP,
    "recursion": Status.DEPTH_LIMIT,
    "stack": Status.TRAP,
    "length": Status.ABI_VIOLATION,
    "count": Status.ABI_VIOLATION,
    "frame": Status.ABI_VIOLATION,
    "tail": Status.ABI_VIOLATION,
    "kind": Status.ABI_VIOLATION,
    "handle": Status.ABI_VIOLATION,
    "code": Status.FAILED,
}
AT = 5
TICKS = 16


def beside(act: str, *, where: str = "step", policy: str = "restart", linear: bool = False) -> World:
    """Return a world in which a rogue lives among agents that talk to each other and to it."""
    names = ("g0", "g1", "g2")
    gossips = tuple(
        wasm(
            name,
            "gossip",
            {"peers": 3, "fanout": 2},
            send=names,
            publish=("heard", "rumour"),
            subscribe=("rumour",),
        )
        for name in names
    )
    rogue = wasm(
        "rogue",
        "rogue",
        {"act": act, "at": AT, "every": 4, "where": where},
        subscribe=("rumour", "heard"),
        limits=Limits(fuel=3_000_000, memory_pages=64),
        supervision=Supervision(policy, 3),
    )
    echo = wasm("echo", "echo", {}, send=("*",), subscribe=("heard",))
    agents = (gossips[0], rogue, *gossips[1:], echo, listener(subscribe=("heard", "rumour")))
    return world("beside", TICKS, agents, visibility="linear" if linear else "next")


def said(made: Recorded) -> list[tuple[int, int, int, bytes]]:
    """Return what every agent but the rogue came to and left, turn by turn."""
    rogue = next(index for index, spec in enumerate(made.world.header.agents) if spec.name == "rogue")
    return [
        (frame.tick, turn.agent, turn.outcome.status, turn.outcome.outbox)
        for frame in made.journal.frames()
        for turn in codec.decode_turns(frame.turns)
        if turn.agent != rogue
    ]


def failures(made: Recorded) -> set[int]:
    """Return the statuses of the turns that were not OK."""
    turns = [turn for frame in made.journal.frames() for turn in codec.decode_turns(frame.turns)]
    return {turn.outcome.status for turn in turns} - {Status.OK}


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("act", ACTS)
def test_a_rogue_leaves_the_messages_of_others_as_they_are(cache: Path, act: str, workers: int) -> None:
    chosen = msgspec.structs.replace(options(cache), workers=workers)
    calm, wild = record(beside("none"), chosen), record(beside(act), chosen)
    assert (failures(calm), failures(wild)) == (set(), {ACTS[act]})
    assert said(wild) == said(calm)
    assert len(said(calm)) > TICKS
    assert verify(wild.journal, world=wild.world, options=chosen).equal


@pytest.mark.parametrize("policy", ["stop", "restart", "retry", "suspend"])
@pytest.mark.parametrize("where", ["init", "receive", "step", "shutdown"])
@pytest.mark.parametrize("linear", [False, True])
def test_where_it_happens_and_what_follows_makes_no_difference(
    cache: Path, policy: str, where: str, linear: bool
) -> None:
    calm = record(beside("none", linear=linear), options(cache))
    wild = record(beside("trap", where=where, policy=policy, linear=linear), options(cache))
    assert failures(wild) == {Status.TRAP}
    assert said(wild) == said(calm)
