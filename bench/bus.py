"""Messages through agents, against buses that journal nothing."""

from collections.abc import Iterator
from pathlib import Path

import tickwork as tw

from . import ours
from .measure import Effort, Line, Stand
from .ours import AGENTS, MESSAGE_BYTES
from .peers.autogen_bus import AutogenBus
from .peers.nats_bus import NatsBus
from .peers.plain import DequeBus

COUNT = 20
OURS, AUTOGEN, NATS, DEQUE = "messages", "autogen-core publish", "NATS core", "deque hand-over"


def messages(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure messages per second where each of 50 agents sends 20 of 64 bytes in each tick."""
    with Stand(folder) as stand:
        live = stand.hold(ours.Ticking(ours.talking(COUNT), folder / "bus.twk", tw.Options(cache=folder)))
        stand.case(OURS, live.tick, AGENTS * COUNT)
        stand.peer(AUTOGEN, lambda: AutogenBus(AGENTS, MESSAGE_BYTES), lambda peer: peer.run)
        stand.peer(NATS, lambda: NatsBus(AGENTS, MESSAGE_BYTES), lambda peer: peer.run)
        stand.case(DEQUE, DequeBus(AGENTS, MESSAGE_BYTES).run)
        found = stand.measure(effort)
    note = f"journaled to SQLite; a deque, with nothing else, takes 1/{found.ratio(OURS, DEQUE):.0f} of the time"
    yield found.compared("messages-autogen", OURS, AUTOGEN, "messages/s", ">= 40", note=note)
    yield found.compared(
        "messages-nats", OURS, NATS, "messages/s", ">= 1.5", note="theirs cross a process, unjournaled"
    )
