"""Makes every call of the SDK once, one in each step, so that the SDKs of all languages can be compared by byte."""

import struct
from dataclasses import dataclass

from tickwork.native import Context, Outbox
from tickwork.records import Encoding, Message

CALLS = 17
USER_KIND = 0x8001
HEAD = struct.Struct("<HHI")
STATE = struct.Struct("<QQQ")
FNV_START, FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3
MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Toured:
    """Steps made, frames received, and their hash."""

    steps: int = 0
    count: int = 0
    hash: int = FNV_START

    def received(self, message: Message) -> "Toured":
        """Return the state after a frame."""
        mixed = self.hash
        for byte in HEAD.pack(message.kind, message.encoding, message.destination) + message.body:
            mixed = (mixed ^ byte) * FNV_PRIME & MASK
        return Toured(self.steps, self.count + 1, mixed)


class Tour:
    """The agent."""

    def init(self, config: bytes, context: Context) -> tuple[Toured, Outbox]:
        """Begin before the first call."""
        return Toured(), context.outbox()

    def turn(self, state: Toured, inbox: tuple[Message, ...], context: Context) -> tuple[Toured, Outbox]:
        """Hash what came, and make the next call."""
        for message in inbox:
            state = state.received(message)
        outbox = context.outbox()
        if state.steps < CALLS:
            call(state, context, outbox)
            outbox.sleep(0)
            state = Toured(state.steps + 1, state.count, state.hash)
        return state, outbox

    def shutdown(self, state: Toured, context: Context) -> tuple[Toured, Outbox]:
        """Say nothing."""
        return state, context.outbox()

    def save(self, state: Toured) -> bytes:
        """Return the fields."""
        return STATE.pack(state.steps, state.count, state.hash)

    def load(self, saved: bytes, context: Context) -> Toured:
        """Take the fields over."""
        return Toured(*STATE.unpack(saved))


def call(state: Toured, context: Context, outbox: Outbox) -> None:
    """Make one call."""
    calls = (
        lambda: outbox.send("peer", b"hello"),
        lambda: outbox.publish("news", b'{"n":1}', encoding=Encoding.JSON),
        lambda: outbox.publish("news", b"kept", retain=True),
        lambda: outbox.leave("news"),
        lambda: outbox.join("news"),
        lambda: outbox.timer(2, 7),
        lambda: outbox.task("peer", 1, b"one", priority=5),
        lambda: outbox.task("peer", 2, b"two", depends_on=[1]),
        lambda: outbox.call("work", b"\x93\x01\x02\x03"),
        lambda: outbox.infer("brain", b"ask", encoding=Encoding.BYTES),
        lambda: outbox.write("board", b"window 10"),
        lambda: outbox.log("tour 11"),
        lambda: outbox.metric("tour", 12),
        lambda: outbox.spawn("child", b'{"k":1}'),
        lambda: outbox.frame(USER_KIND, context.agent, b"user"),
        lambda: outbox.metric("random", context.random().below(1000)),
        lambda: measures(state, outbox),
    )
    calls[state.steps]()


def measures(state: Toured, outbox: Outbox) -> None:
    """Leave what was counted."""
    outbox.metric("count", state.count)
    outbox.metric("hash", state.hash - (1 << 64) if state.hash >> 63 else state.hash)
