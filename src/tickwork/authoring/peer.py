"""The other agents of a test script: they say what the script has them say, when it says so, and nothing else.

This file is copied beside the script's world, as the source of its native agents.
"""

from tickwork.native import Context, Outbox, read_config
from tickwork.records import Message

State = int
"""How many of its lines it has said."""


class Peer:
    """Says the lines of its configuration: each a tick, a target or topic, a kind, an encoding and a body."""

    def init(self, config: bytes, context: Context) -> tuple[State, Outbox]:
        """Sleep until the first line is due."""
        outbox = context.outbox()
        outbox.sleep(0)
        return 0, outbox

    def turn(self, state: State, inbox: tuple[Message, ...], context: Context) -> tuple[State, Outbox]:
        """Say every line that is due."""
        outbox, lines = context.outbox(), read_config(context.spec.config).get("say", [])
        while state < len(lines) and lines[state]["tick"] <= context.tick:
            line = lines[state]
            body, encoding = bytes.fromhex(line["hex"]), line["encoding"]
            if line["topic"]:
                outbox.publish(line["topic"], body, retain=line["retain"], encoding=encoding)
            elif line["kind"]:
                outbox.frame(line["kind"], line["to"], body, encoding=encoding)
            else:
                outbox.send(line["to"], body, encoding=encoding)
            state += 1
        if state < len(lines):
            outbox.sleep(lines[state]["tick"] - context.tick - 1)
        return state, outbox

    def shutdown(self, state: State, context: Context) -> tuple[State, Outbox]:
        """Say nothing more."""
        return state, context.outbox()
