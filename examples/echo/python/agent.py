"""Gives back what it gets: to whoever sent it, or on the topic where nobody did. Counts what it gave back."""

from dataclasses import dataclass

from tickwork.native import Context, Outbox
from tickwork.records import FrameKind, Message


@dataclass(frozen=True)
class Echoed:
    """How many messages were given back."""

    count: int = 0


class Echo:
    """The agent."""

    def init(self, config: bytes, context: Context) -> tuple[Echoed, Outbox]:
        """Begin with nothing."""
        return Echoed(), context.outbox()

    def turn(self, state: Echoed, inbox: tuple[Message, ...], context: Context) -> tuple[Echoed, Outbox]:
        """Give every message back."""
        outbox, count = context.outbox(), state.count
        for message in inbox:
            if message.kind != FrameKind.MESSAGE:
                continue
            if context.from_outside(message):
                outbox.publish("echoes", message.body, encoding=message.encoding)
            else:
                outbox.send(message.source, message.body, encoding=message.encoding)
            count += 1
        return Echoed(count), outbox

    def shutdown(self, state: Echoed, context: Context) -> tuple[Echoed, Outbox]:
        """Say how many there were."""
        outbox = context.outbox()
        outbox.metric("echoed", state.count)
        return state, outbox

    def save(self, state: Echoed) -> bytes:
        """Return the count."""
        return state.count.to_bytes(8, "little")

    def load(self, saved: bytes, context: Context) -> Echoed:
        """Take a count over."""
        return Echoed(int.from_bytes(saved, "little"))
