"""The operator of a drawn world: what somebody at the console does while the run goes on."""

from collections.abc import Callable
from typing import Final

import msgspec

from ..driver.loop import OPERATOR
from ..kernel.grants import declared
from ..kernel.windows import KINDS
from ..records import AgentSpec, Header, Input, InputKind, WindowSpec
from .draw import Draw

MAX_INPUTS: Final = 8

_Deed = Callable[[Draw, Header, AgentSpec], Input]


def _order(kind: InputKind, target: str = "", body: bytes = b"", number: int = 0) -> Input:
    return Input(kind, OPERATOR, target, number=number, body=body, size=len(body))


def _grant(draw: Draw, header: Header, spec: AgentSpec) -> Input:
    kind = draw.pick((InputKind.GRANT, InputKind.REVOKE, InputKind.REVOKE))
    return _order(kind, spec.name, draw.pick([*declared(spec), "clock"]).encode())


def _window(draw: Draw, header: Header, spec: AgentSpec) -> Input:
    """Open or close a window, as it was or with another writer and kind; now and then one that nobody knew of."""
    names = [known.name for known in header.agents]
    name = draw.pick([*(known.name for known in header.windows), "w0", "other"])
    what = draw.below(3)
    if what == 0:
        return _order(InputKind.CLOSE_WINDOW, name)
    if what == 1:
        return _order(InputKind.OPEN_WINDOW, name)
    readers = tuple(reader for reader in draw.some(names, 60) if reader != spec.name)
    window = WindowSpec(name, draw.pick(KINDS), draw.pick((0, 8, 90)), spec.name, readers)
    return _order(InputKind.OPEN_WINDOW, name, msgspec.msgpack.encode(window))


def _agent(draw: Draw, header: Header, spec: AgentSpec) -> Input:
    kinds = (InputKind.STOP_AGENT, InputKind.SUSPEND_AGENT, InputKind.RESUME_AGENT, InputKind.RESUME_AGENT)
    return _order(draw.pick(kinds), draw.pick((spec.name, f"child-{len(header.agents)}")))


def _configure(draw: Draw, header: Header, spec: AgentSpec) -> Input:
    return _order(InputKind.CONFIGURE_AGENT, spec.name, b"priority", draw.between(-1, 3))


def _say(draw: Draw, header: Header, spec: AgentSpec) -> Input:
    body = bytes(draw.below(40))
    if header.topics and draw.chance(60):
        kind = draw.pick((InputKind.PUBLISH, InputKind.PUBLISH_RETAINED))
        return _order(kind, draw.pick(header.topics), body)
    return _order(InputKind.MESSAGE, spec.name, body)


def _reseed(draw: Draw, header: Header, spec: AgentSpec) -> Input:
    return _order(InputKind.RESEED, number=draw.bits())


_DEEDS: Final[tuple[_Deed, ...]] = (_grant, _grant, _grant, _window, _window, _agent, _configure, _say, _say, _reseed)


def draw_inputs(draw: Draw, header: Header) -> tuple[tuple[int, Input], ...]:
    """Return what enters a run of a world, each with its tick. Order: as drawn."""
    deeds = draw.some(_DEEDS, 50) or [_grant]
    ticks = max(1, header.ticks)
    return tuple(
        (draw.below(ticks), draw.pick(deeds)(draw, header, draw.pick(header.agents)))
        for _ in range(draw.between(1, MAX_INPUTS))
    )
