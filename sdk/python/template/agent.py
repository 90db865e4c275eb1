"""Counts the messages it gets, answers each with the count, and tells the total once in a day of ticks."""

from dataclasses import dataclass

from tickwork.native import Context, Outbox, read_config
from tickwork.records import FrameKind, Message

TIME_TO_TELL = 1


@dataclass(frozen=True)
class Counted:
    """Everything the agent remembers: a turn takes it and returns the next one."""

    every: int
    count: int = 0


class Counter:
    """The agent. It has no fields of its own."""

    def init(self, config: bytes, context: Context) -> tuple[Counted, Outbox]:
        """Begin: called once, with the ``config`` table of the world."""
        outbox = context.outbox()
        every = read_config(config).get("every", 24)
        outbox.timer(every, TIME_TO_TELL)
        return Counted(every), outbox

    def turn(self, state: Counted, inbox: tuple[Message, ...], context: Context) -> tuple[Counted, Outbox]:
        """Take the messages of one tick, and say what is to be done."""
        outbox, count = context.outbox(), state.count
        for message in inbox:
            if message.kind == FrameKind.TIMER_FIRED and message.destination == TIME_TO_TELL:
                outbox.publish("totals", str(count).encode())
                outbox.timer(state.every, TIME_TO_TELL)
            elif message.kind == FrameKind.MESSAGE:
                count += 1
                if not context.from_outside(message):
                    outbox.send(message.source, str(count).encode())
        return Counted(state.every, count), outbox

    def shutdown(self, state: Counted, context: Context) -> tuple[Counted, Outbox]:
        """End: the last turn, whose outbox still counts."""
        outbox = context.outbox()
        outbox.metric("total", state.count)
        return state, outbox

    def save(self, state: Counted) -> bytes:
        """Return the state for another version of this agent."""
        return state.every.to_bytes(8, "little") + state.count.to_bytes(8, "little")

    def load(self, saved: bytes, context: Context) -> Counted:
        """Take over what another version saved, in place of ``init``."""
        return Counted(int.from_bytes(saved[:8], "little"), int.from_bytes(saved[8:16], "little"))
