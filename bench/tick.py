"""The tick of 50 agents and the turns in it: against objects, a loop in C, Extism; and the region of an agent."""

from collections.abc import Iterator
from pathlib import Path

import tickwork as tw
from tickwork.sandbox import engine
from tickwork.sandbox.instance import guest_slice

from . import ours
from .measure import Effort, Line, Stand
from .ours import AGENTS, MESSAGE_BYTES
from .peers.c_loop import CLoop
from .peers.extism_call import ExtismTurns
from .peers.wasmtime_objects import ObjectTicks

TICK, UNWRITTEN, TURNS, OBJECTS = "tick", "tick in memory", "turns", "wasmtime-py objects"
LIMIT, EXTISM = "C loop", "Extism plugin.call"
REGION = "region"


def tick(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure a tick in which each of 50 agents sends one message of 64 bytes. All cases are per turn."""
    with Stand(folder) as stand:
        live = stand.hold(ours.Ticking(ours.talking(1), folder / "tick.twk", tw.Options(cache=folder)))
        turns = stand.hold(ours.Turns(folder))
        stand.case(TICK, live.tick, AGENTS)
        unwritten = stand.hold(ours.Ticking(ours.talking(1), None, tw.Options(cache=folder)))
        stand.case(UNWRITTEN, unwritten.tick, AGENTS)
        objects = ObjectTicks(ours.module("chatter"), AGENTS, ours.talk_config(1))
        stand.case(OBJECTS, objects.tick, AGENTS)
        stand.case(TURNS, turns.run, AGENTS)
        stores = stand.hold(ours.Stores(folder))
        stand.peer(LIMIT, lambda: _loop(stores, folder), lambda loop: loop.run, AGENTS)
        stand.peer(EXTISM, lambda: ExtismTurns(AGENTS, MESSAGE_BYTES), lambda peer: peer.run, AGENTS)
        found = stand.measure(effort)
    yield found.absolute("tick", TICK, "ms", "< 0.5", times=AGENTS, note="journaled to SQLite, hashed, metered")
    both = f"same modules; both hashed, neither written; written, it is {found.ratio(TICK, OBJECTS):.3f}"
    yield found.compared("tick-objects", UNWRITTEN, OBJECTS, "ms", "<= 1/6", times=AGENTS, note=both)
    alone = f"tick / {AGENTS}; computing alone is {found.ratio(TURNS, LIMIT):.0f} times"
    yield found.compared("turn-c-loop", TICK, LIMIT, "us", "<= 100", note=alone)
    whole = f"computing alone, ours metered; the whole tick gives {found.ratio(EXTISM, TICK):.1f} times"
    yield found.compared("turn-extism", TURNS, EXTISM, "turns/s", ">= 5", note=whole)


def _loop(stores: ours.Stores, folder: Path) -> CLoop:
    return CLoop(folder, engine._PATH, stores.addresses(), ours.heard_turn(0).inbox, ours.FUEL)


def region(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure reads and writes of blocks in an agent's memory, each with its address checked."""
    with Stand(folder) as stand:
        stores = stand.hold(ours.Stores(folder))
        _, start, length = stores.region()
        places = range(start, start + length - MESSAGE_BYTES, MESSAGE_BYTES)
        stand.case(REGION, lambda times: _write_and_read(stores, places, times), 2 * len(places))
        found = stand.measure(effort)
    yield found.absolute("region", REGION, "blocks/s", ">= 1,000,000", note="64 bytes, written and read back in turn")


def _write_and_read(stores: ours.Stores, places: range, times: int) -> None:
    memory, _, _ = stores.region()
    block = bytes(range(MESSAGE_BYTES))
    for _ in range(times):
        for at in places:
            guest_slice(memory, at, MESSAGE_BYTES)[:] = block
            if guest_slice(memory, at, MESSAGE_BYTES).tobytes() != block:
                raise RuntimeError("a block reads otherwise than it was written")
