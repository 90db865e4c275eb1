"""The program called in this process, and a small world for it to run."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

from tickwork.cli.app import run_command_line

CODE = '''
import msgspec

from tickwork.native import Context, Outbox
from tickwork.records import Message


class Counter(msgspec.Struct, frozen=True):
    count: int = 0


class Talker:
    """Publishes how often it was asked, and asks for the next tick."""

    def init(self, config: bytes, context: Context) -> tuple[Counter, Outbox]:
        outbox = context.outbox()
        outbox.sleep(0)
        return Counter(), outbox

    def turn(self, state: Counter, inbox: tuple[Message, ...], context: Context) -> tuple[Counter, Outbox]:
        outbox = context.outbox()
        outbox.publish("count", f"{state.count} {context.seed % 7}".encode(), retain=True)
        outbox.sleep(0)
        return Counter(state.count + 1), outbox

    def shutdown(self, state: Counter, context: Context) -> tuple[Counter, Outbox]:
        return state, context.outbox()


class Listener(Talker):
    """Takes in what is published."""

    def turn(self, state: Counter, inbox: tuple[Message, ...], context: Context) -> tuple[Counter, Outbox]:
        return Counter(state.count + len(inbox)), context.outbox()
'''

WORLD = """schema = 1
name = "counting"
ticks = 20
seed = 4
[topics.count]
[agents.talker]
native = "code:Talker"
publish = ["count"]
[agents.listener]
native = "code:Listener"
subscribe = ["count"]
[feeds.rows]
file = "rows.csv"
to = "listener"
tick = "tick"
"""


class Answer(NamedTuple):
    """What a command line came to."""

    status: int
    out: str
    err: str

    def document(self) -> dict[str, object]:
        """Return the one document that was printed."""
        found: dict[str, object] = json.loads(self.out)
        assert found["schema_version"] == 1
        return found

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of the one document that was printed."""
        found: list[dict[str, Any]] = json.loads(self.out)[name]
        return found


def call(*arguments: str | Path) -> Answer:
    """Return what a command line prints and its exit status; standard streams are no terminals."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = run_command_line([str(argument) for argument in arguments])
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else 1
    return Answer(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))


def make_world(folder: Path) -> Path:
    """Write a world of two native agents and a feed, and return its file."""
    (folder / "code.py").write_text(CODE, encoding="utf-8")
    (folder / "rows.csv").write_text("tick,value\n3,x\n9,y\n", encoding="utf-8")
    path = folder / "world.toml"
    path.write_text(WORLD, encoding="utf-8")
    return path
