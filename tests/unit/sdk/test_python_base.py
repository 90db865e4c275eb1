"""What the base module of agents in Python is: an interpreter that knows its turn and nothing else."""

import pytest

from tests.unit.sdk.python_base import LIMITS, NOTHING, bundle, program
from tickwork.codec import decode_frames, encode_frame
from tickwork.records import (
    DIRECT,
    OUTSIDE,
    FrameKind,
    Limits,
    Message,
    Operation,
    Outcome,
    Status,
    Turn,
    View,
)
from tickwork.sandbox.image import encode_image
from tickwork.sandbox.manifest import Capabilities
from tickwork.sandbox.pool import InlinePool

pytestmark = pytest.mark.slow

SOURCE = """
from dataclasses import dataclass
from tickwork import Context, FrameKind, Message, Outbox, read_config

@dataclass(frozen=True)
class State:
    turns: int = 0

class Tested:
    def init(self, config, context):
        return State(read_config(config).get("turns", 0)), context.outbox()

    def turn(self, state, inbox, context):
        out = context.outbox()
        for message in inbox:
            BODY
        out.metric("turns", state.turns)
        return State(state.turns + 1), out

    def shutdown(self, state, context):
        return state, context.outbox()
"""

PLACE = "agent.py:16"
"""Where BODY stands."""


class Bench:
    """One agent of a bundle in a real pool.

    Args:
        body: What it does with each message.
    """

    def __init__(self, body: str, limits: Limits = LIMITS, asks: Capabilities = NOTHING) -> None:
        self.content = bundle(SOURCE.replace("BODY", body), asks=asks)
        self.limits = limits
        self.pool = InlinePool()
        self.pool.place(program(0, self.content, limits))
        self.tick = 0

    def run(
        self, *frames: bytes, operation: Operation = Operation.STEP, views: tuple[View, ...] = (), wall_us: int = 0
    ) -> Outcome:
        content = b"".join(frames)
        turn = Turn(0, operation, self.tick, 11 + self.tick, self.limits.fuel, wall_us, len(frames), content, views)
        self.tick += 1
        [outcome] = self.pool.compute([turn])
        return outcome

    def begin(self, config: bytes = b"{}") -> Outcome:
        return self.run(frame(config, FrameKind.CONFIG), operation=Operation.INIT)

    def said(self, outcome: Outcome) -> list[Message]:
        assert outcome.status == Status.OK, outcome
        return list(decode_frames(outcome.outbox))


def frame(body: bytes = b"", kind: int = FrameKind.MESSAGE, destination: int = DIRECT) -> bytes:
    return encode_frame(kind, 0, OUTSIDE, destination, 0, 0, body)


def texts(messages: list[Message], kind: int = FrameKind.LOG) -> list[str]:
    return [message.body.decode() for message in messages if message.kind == kind]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero in Tested.turn"),
        ("import socket", "ModuleNotFoundError: No module named 'socket' inside the sandbox"),
        ("import os", "ModuleNotFoundError: No module named 'os' inside the sandbox"),
        ("import nowhere.at_all", "ModuleNotFoundError: No module named 'nowhere'"),
        ('open("/etc/passwd")', "PermissionError: open: a file system does not exist inside the sandbox"),
        ("import time as clock; clock.sleep(1)", "an agent sleeps by its outbox"),
        ("import uuid; uuid.uuid4()", "PermissionError: os.urandom"),
        ("import random; random.SystemRandom().random()", "PermissionError"),
        ("input()", "PermissionError: input: a terminal"),
        ("out.send('nobody', b'')", "KeyError"),
        ("(lambda f: f(f))(lambda f: f(f))", "RecursionError: maximum recursion depth exceeded"),
        ("bytearray(1 << 30)", "MemoryError"),
        ("exec('nonsense here')", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_what_an_agent_raises_is_a_trap_that_names_file_and_line(body: str, text: str) -> None:
    bench = Bench(body)
    assert bench.begin().status == Status.OK
    outcome = bench.run(frame())
    assert outcome.status == Status.TRAP
    assert text in outcome.detail
    assert PLACE in outcome.detail
    # The turn has not happened, and the agent goes on.
    assert texts(bench.said(bench.run()), FrameKind.METRIC) == ["turns=0"]


def test_an_error_tells_the_calls_that_led_to_it() -> None:
    bench = Bench("[int(word) for word in ['1', 'x']]")
    bench.begin()
    detail = bench.run(frame()).detail
    assert detail.startswith("abort: ValueError: invalid literal for int() with base 10: 'x' in Tested.turn")
    assert "(agent.py:16:" in detail


def test_a_source_that_cannot_be_loaded_is_told_with_its_line() -> None:
    bench = Bench("out.log(")
    outcome = bench.begin()
    assert outcome.status == Status.TRAP
    assert "SyntaxError: '(' was never closed" in outcome.detail
    assert PLACE in outcome.detail


def test_turns_that_do_not_end_run_out_of_fuel_and_deep_ones_of_depth() -> None:
    bench = Bench("exec(message.body)")
    bench.begin()
    assert bench.run(frame(b"while True: pass")).status == Status.OUT_OF_FUEL
    deep = bench.run(frame(b"x = []\nfor _ in range(4000): x = [x]\nrepr(x)"))
    assert deep.status in (Status.DEPTH_LIMIT, Status.TRAP)
    assert bench.run().status == Status.OK


def test_time_is_the_tick_and_the_sampled_clock() -> None:
    bench = Bench("import time, datetime; out.log(f'{time.monotonic()} {time.time()} {datetime.datetime.now()}')")
    bench.begin()
    assert texts(bench.said(bench.run(frame()))) == ["1.0 0.0 1970-01-01 00:00:00"]
    later = bench.run(frame(), wall_us=1_700_000_000_500_000)
    assert texts(bench.said(later)) == ["2.0 1700000000.5 2023-11-14 22:13:20.500000"]


def test_chance_follows_from_the_seed_alone() -> None:
    body = "import random; out.log(f'{random.random()} {context.random().next()} {hash(str(message.tick))}')"
    first, second = Bench(body), Bench(body)
    for bench in (first, second):
        bench.begin()
    said = [[texts(bench.said(bench.run(frame()))) for bench in (first, second)] for _ in range(3)]
    assert all(one == other for one, other in said)
    assert said[0] != said[1]


def test_equal_turns_use_equal_fuel() -> None:
    body = "out.log(repr(sorted({str(n): n for n in range(50)}.items())))"
    used = []
    for _ in range(2):
        bench = Bench(body)
        used.append([bench.begin().fuel, *(bench.run(frame()).fuel for _ in range(5))])
    assert used[0] == used[1]


def test_what_is_printed_becomes_a_log_line_at_the_end_of_the_turn() -> None:
    bench = Bench("print('first', 1); print('second'); out.log('own')")
    bench.begin()
    assert texts(bench.said(bench.run(frame()))) == ["own", "first 1", "second"]


def test_a_window_can_be_read_after_it_was_announced_and_written() -> None:
    body = "out.log(repr(context.windows.get('theirs'))); out.write('mine', b'written', offset=3)"
    bench = Bench(body, asks=Capabilities(windows=("mine", "theirs")))
    bench.begin()
    assert texts(bench.said(bench.run(frame()))) == ["None"]
    epoch = encode_frame(
        FrameKind.WINDOW_EPOCH, 0, OUTSIDE, 1, 0, 0, b"".join(n.to_bytes(8, "little") for n in (1, 5, 0, 5))
    )
    outcome = bench.run(epoch, frame(), views=(View(1, 0, 1, 5, 0, 5, b"hello"),))
    assert texts(bench.said(outcome))[-1] == "b'hello'"
    [(handle, _, content), *_] = [(it.handle, it.place, bytes(it.content)) for it in outcome.written]
    assert (handle, content) == (0, b"written")


def test_an_image_is_the_whole_agent() -> None:
    bench = Bench("out.log(f'{state.turns} {message.body.decode()}')")
    bench.begin(b'{"turns":40}')
    for text in (b"a", b"b"):
        bench.run(frame(text))
    [image] = bench.pool.images([0])
    other = InlinePool()
    other.place(program(0, bench.content))
    other.restore(0, image)
    turn = Turn(0, Operation.STEP, 9, 5, LIMITS.fuel, 0, 1, frame(b"c"))
    [here], [there] = bench.pool.compute([turn]), other.compute([turn])
    assert here == there
    assert texts(list(decode_frames(here.outbox))) == ["42 c"]
    assert encode_image(bench.pool.images([0])[0]) == encode_image(other.images([0])[0])


def test_sources_of_several_files_import_each_other() -> None:
    source = SOURCE.replace("BODY", "out.log(words.shout(message.body.decode()))").replace(
        "from dataclasses", "from parts import words\nfrom dataclasses", 1
    )
    content = bundle(
        source, more={"parts/__init__.py": "", "parts/words.py": "def shout(text):\n    return text.upper()\n"}
    )
    pool = InlinePool()
    pool.place(program(0, content))
    pool.compute([Turn(0, Operation.INIT, 0, 1, LIMITS.fuel, 0, 1, frame(b"{}", FrameKind.CONFIG))])
    [outcome] = pool.compute([Turn(0, Operation.STEP, 1, 1, LIMITS.fuel, 0, 1, frame(b"loud"))])
    assert texts(list(decode_frames(outcome.outbox))) == ["LOUD"]


def test_a_state_may_be_a_struct_and_messages_may_be_msgpack() -> None:
    source = """
import msgspec

class State(msgspec.Struct, frozen=True):
    seen: tuple = ()

class Tested:
    def init(self, config, context):
        return State(), context.outbox()

    def turn(self, state, inbox, context):
        out = context.outbox()
        for message in inbox:
            state = msgspec.structs.replace(state, seen=(*state.seen, msgspec.msgpack.decode(message.body)))
            out.log(repr(state))
            out.log(msgspec.msgpack.encode([1, -5, "text", b"raw", {"k": None}, 1.5, 300, 70000]).hex())
        return state, out

    def shutdown(self, state, context):
        return state, context.outbox()
"""
    import msgspec

    value = [1, -5, "text", b"raw", {"k": None}, 1.5, 300, 70000]
    pool = InlinePool()
    pool.place(program(0, bundle(source)))
    pool.compute([Turn(0, Operation.INIT, 0, 1, LIMITS.fuel, 0, 1, frame(b"{}", FrameKind.CONFIG))])
    given = frame(msgspec.msgpack.encode(value))
    [outcome] = pool.compute([Turn(0, Operation.STEP, 1, 1, LIMITS.fuel, 0, 1, given)])
    shown, packed = texts(list(decode_frames(outcome.outbox)))
    assert shown == f"State(seen=({value!r},))"
    assert bytes.fromhex(packed) == msgspec.msgpack.encode(value)
