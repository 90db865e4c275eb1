"""Worlds drawn from a seed that mix native actors with modules, and swap these while all else goes on."""

from typing import Final

import msgspec

from tests.support import ROOT
from tickwork import codec
from tickwork.driver.plans import Swap
from tickwork.driver.resolve import World, canonical_json, make_world, with_swaps
from tickwork.kernel.windows import KINDS
from tickwork.records import AgentSpec, Limits, Supervision, WindowSpec
from tickwork.sim import Draw
from tickwork.sim.operator import draw_inputs
from tickwork.sim.world import OVERFLOWS, SUPERVISIONS, draw_world

MARKET: Final = {
    language: (ROOT / "examples" / "market" / language / f"market-{language}.wasm").read_bytes()
    for language in ("c", "rust", "assemblyscript")
}
PANE: Final = (ROOT / "tests" / "modules" / "pane.wasm").read_bytes()
TOPICS: Final = ("orders", "price")
WINDOWS: Final = ("first", "second")


def _limits(draw: Draw) -> Limits:
    if draw.chance(50):
        return Limits()
    return Limits(
        mailbox_messages=draw.pick((1, 3, 1024)),
        overflow=draw.pick(OVERFLOWS),
        window_fuel=draw.pick((0, 60_000)),
        window_ticks=draw.pick((0, 3)),
    )


def _trader(draw: Draw, name: str) -> AgentSpec:
    return AgentSpec(
        name, "wasm", "market-c", codec.digest(MARKET["c"]), config=canonical_json({"spread": 5, "every": 2}),
        publish=TOPICS, subscribe=TOPICS, send=("*",), limits=_limits(draw), version="1.0.0",
        supervision=Supervision(draw.pick(SUPERVISIONS), draw.below(3)),
    )  # fmt: skip


def _pane(draw: Draw, name: str, write: int) -> AgentSpec:
    config = {"write": write, "every": draw.between(1, 3), "most": 600, "fail": draw.pick((0, 3, 5))}
    policy = draw.pick(("retry", "restart", "suspend", "stop"))
    return AgentSpec(
        name, "wasm", "pane", codec.digest(PANE), config=canonical_json(config), publish=("seen",),
        windows=WINDOWS, limits=_limits(draw), supervision=Supervision(policy, 9),
    )  # fmt: skip


def _swaps(draw: Draw, ticks: int, traders: tuple[str, ...], panes: tuple[str, ...]) -> tuple[Swap, ...]:
    found: dict[tuple[int, str], Swap] = {}
    runs = dict.fromkeys(traders, "c")
    for at in sorted(draw.below(ticks) for _ in range(draw.below(6))):
        name = draw.pick((*traders, *traders, *panes))
        if (at, name) in found:
            continue
        if name in panes:
            found[at, name] = Swap(name, PANE, at, draw.pick(("restart", "keep_image")))
            continue
        language = draw.pick(tuple(MARKET))
        modes = ("migrate", "restart", "keep_image") if language == runs[name] else ("migrate", "migrate", "restart")
        found[at, name] = Swap(name, MARKET[language], at, draw.pick(modes))
        runs[name] = language
    return tuple(found.values())


def _window(draw: Draw, name: str, writer: str, names: tuple[str, ...]) -> WindowSpec:
    readers = tuple(reader for reader in draw.some(names, 70) if reader != writer)
    size, opens, closes = draw.pick((300, 2000, 6000)), draw.pick((0, 0, 4)), draw.pick((0, 0, 9))
    return WindowSpec(name, draw.pick(KINDS), size, writer, readers, opens, closes)


def draw_mixed(draw: Draw) -> World:
    """Return a drawn world with traders and panes among its actors, and swaps of them."""
    drawn = draw_world(draw)
    draw = draw.branch(2)
    ticks = max(8, drawn.header.ticks)
    traders, panes = ("t0", "t1", "t2")[: draw.between(1, 3)], ("p0", "p1", "p2")
    extended = tuple(
        msgspec.structs.replace(
            spec,
            subscribe=(*spec.subscribe, *draw.some((*TOPICS, "seen"), 30)),
            windows=(*spec.windows, *draw.some(WINDOWS, 40)),
            send=(*spec.send, *draw.some((*traders, *panes), 20)),
            regions=(),
        )
        for spec in drawn.header.agents
    )
    modules = [_trader(draw, name) for name in traders]
    modules += [_pane(draw, name, write) for name, write in zip(panes, (0, 1, -1), strict=True)]
    names = (*(spec.name for spec in extended), *panes)
    windows = tuple(_window(draw, name, writer, names) for name, writer in zip(WINDOWS, panes, strict=False))
    header = msgspec.structs.replace(
        drawn.header,
        ticks=ticks,
        allow_unsigned=True,
        agents=(*extended, *modules),
        topics=(*drawn.header.topics, *TOPICS, "seen"),
        windows=(*drawn.header.windows, *windows),
    )
    world = make_world(header, modules=[MARKET["c"], PANE], feeds=drawn.contents, natives=dict(drawn.natives))
    world = msgspec.structs.replace(world, inputs=draw_inputs(draw.branch(1), header) if draw.chance(60) else ())
    return with_swaps(world, _swaps(draw, ticks, traders, panes))
