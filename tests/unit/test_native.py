"""Native agents: the outbox and the context they work with."""

import struct

import pytest

from tickwork.codec import decode_frames
from tickwork.errors import ModelInputInvalid
from tickwork.native import Context, Outbox, Random, Write, read_config
from tickwork.records import AGAIN, DIRECT, OUTSIDE, UNTIL_MESSAGE, AgentSpec, Encoding, FrameKind, Message
from tickwork.tensors import Tensor, decode_tensors, make_tensor

SPEC = AgentSpec(
    "a",
    "native",
    "x:Y",
    bytes(32),
    publish=("t", "u"),
    subscribe=("v", "w"),
    send=("b", "c"),
    skills=("s",),
    spawn=("p",),
)


def left(outbox: Outbox) -> list[Message]:
    return list(decode_frames(outbox.encode()))


def only(outbox: Outbox) -> tuple[int, int, int, bytes]:
    (frame,) = left(outbox)
    return frame.kind, frame.destination, frame.encoding, frame.body


def test_names_become_the_handles_of_the_agents_own_lists() -> None:
    outbox = Outbox(SPEC)
    outbox.send("c", b"1", encoding=Encoding.JSON)
    outbox.publish("u", b"2")
    outbox.publish("t", b"3", retain=True)
    outbox.join("w")
    outbox.leave("v")
    outbox.call("s", b"4")
    outbox.spawn("p", b"{}")
    assert [(frame.kind, frame.destination, frame.encoding, frame.body) for frame in left(outbox)] == [
        (FrameKind.SEND, 1, Encoding.JSON, b"1"),
        (FrameKind.PUBLISH, 1, 0, b"2"),
        (FrameKind.PUBLISH_RETAINED, 0, 0, b"3"),
        (FrameKind.JOIN, 1, 0, b""),
        (FrameKind.LEAVE, 0, 0, b""),
        (FrameKind.SKILL, 0, Encoding.MSGPACK, b"4"),
        (FrameKind.SPAWN, 0, Encoding.JSON, b"{}"),
    ]


@pytest.mark.parametrize(
    ("act", "what"),
    [
        (lambda outbox: outbox.send("x", b""), "send target 'x'"),
        (lambda outbox: outbox.publish("v", b""), "topic to publish 'v'"),
        (lambda outbox: outbox.join("t"), "topic to subscribe 't'"),
        (lambda outbox: outbox.call("x", b""), "skill 'x'"),
        (lambda outbox: outbox.spawn("x"), "template 'x'"),
        (lambda outbox: outbox.task("x", 1, b""), "send target 'x'"),
    ],
)
def test_a_name_the_agent_has_not_declared_is_named_with_those_it_has(act: object, what: str) -> None:
    outbox = Outbox(SPEC)
    assert callable(act)
    with pytest.raises(KeyError, match=what):
        act(outbox)
    assert outbox.encode() == b""


def test_a_source_is_answered_by_its_number() -> None:
    outbox = Outbox(SPEC)
    outbox.send(7, b"answer")
    assert only(outbox) == (FrameKind.SEND, 0x80000007, 0, b"answer")


def test_nobody_outside_can_be_answered() -> None:
    with pytest.raises(ValueError, match="nobody to answer"):
        Outbox(SPEC).send(OUTSIDE, b"")


def test_a_timer_is_a_tag_and_a_delay() -> None:
    outbox = Outbox(SPEC)
    outbox.timer(5, tag=9)
    assert only(outbox) == (FrameKind.TIMER, 9, 0, struct.pack("<Q", 5))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_task_has_its_head_its_dependencies_and_its_body_on_an_even_place(count: int) -> None:
    outbox = Outbox(SPEC)
    outbox.task("b", 4, b"work", priority=-2, depends_on=range(count))
    kind, destination, _, body = only(outbox)
    assert (kind, destination) == (FrameKind.TASK, 0)
    assert struct.unpack_from("<iIII", body) == (-2, 4, count, 0)
    start = 16 + (count * 4 + 7) // 8 * 8
    assert struct.unpack_from(f"<{count}I", body, 16) == tuple(range(count))
    assert body[start:] == b"work"


def test_logs_and_metrics_are_text() -> None:
    outbox = Outbox(SPEC)
    outbox.log("héllo")
    outbox.metric("rows", 12)
    assert [(frame.kind, frame.body.decode()) for frame in left(outbox)] == [
        (FrameKind.LOG, "héllo"),
        (FrameKind.METRIC, "rows=12"),
    ]


def test_the_code_says_when_the_agent_wants_to_run_again() -> None:
    outbox = Outbox(SPEC)
    assert outbox.code == UNTIL_MESSAGE
    outbox.sleep(3)
    assert outbox.code == 3
    outbox.again()
    assert outbox.code == AGAIN
    outbox.wait()
    assert outbox.code == UNTIL_MESSAGE


@pytest.mark.parametrize("ticks", [-1, AGAIN, 1 << 40])
def test_a_sleep_that_would_mean_something_else_is_refused(ticks: int) -> None:
    with pytest.raises(ValueError, match="sleeps 0 to"):
        Outbox(SPEC).sleep(ticks)


def test_exit_is_a_frame_without_a_body() -> None:
    outbox = Outbox(SPEC)
    outbox.exit()
    assert only(outbox) == (FrameKind.EXIT, 0, 0, b"")


def test_a_context_knows_by_which_topic_a_message_came() -> None:
    context = Context(3, 9, 0, 0, SPEC)
    direct = Message(FrameKind.MESSAGE, 0, 1, DIRECT, 0, 0, b"")
    topical = Message(FrameKind.RETAINED, 0, OUTSIDE, 1, 0, 0, b"")
    timer = Message(FrameKind.TIMER_FIRED, 0, OUTSIDE, 0, 0, 0, b"")
    assert [context.topic(item) for item in (direct, topical, timer)] == ["", "w", ""]
    assert [context.from_outside(item) for item in (direct, topical)] == [False, True]
    assert context.name == "a"
    assert context.outbox().encode() == b""


def test_random_numbers_are_those_of_the_sdk_in_c() -> None:
    # Source: splitmix64's reference implementation, seed 1234567.
    random = Random(1234567)
    assert [random.next() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert Random(7).below(0) == 0
    drawn = [Context(3, 9, 0, 0, SPEC).random().below(bound) for bound in (1, 2, 1000)]
    assert drawn == [Context(3, 9, 0, 0, SPEC).random().below(bound) for bound in (1, 2, 1000)]
    assert all(0 <= number < bound for number, bound in zip(drawn, (1, 2, 1000), strict=True))


def test_a_model_is_asked_and_a_window_is_written_by_name() -> None:
    outbox = Outbox(AgentSpec("a", "native", "a:A", b"", models=("small", "brain"), windows=("board",)), 3, 9)
    outbox.infer("brain", b"ask")
    outbox.write("board", b"hello", offset=4)
    asked, written = decode_frames(outbox.encode())
    assert (asked.kind, asked.destination, asked.body, asked.source, asked.tick) == (FrameKind.INFER, 1, b"ask", 3, 9)
    assert (written.kind, written.seq) == (FrameKind.WINDOW_WRITE, 1)
    assert written.body == (4).to_bytes(8, "little") + (5).to_bytes(8, "little") + bytes(32)
    assert outbox.writes == [Write(0, 4, b"hello")]
    assert len(outbox) == 2
    with pytest.raises(KeyError, match="declares no model 'other'"):
        outbox.infer("other", b"")


def test_a_model_is_asked_for_what_lies_in_a_window() -> None:
    spec = AgentSpec("a", "native", "a:A", b"", models=("small", "brain"), windows=("board", "sky"))
    outbox = Outbox(spec)
    outbox.infer_window("brain", "sky", 8, 1 << 40)
    (asked,) = decode_frames(outbox.encode())
    assert (asked.kind, asked.destination, asked.encoding) == (FrameKind.INFER, 1, Encoding.IN_WINDOW)
    assert asked.body == struct.pack("<IIQQ", 1, 0, 8, 1 << 40)
    with pytest.raises(KeyError, match="declares no window 'sea'"):
        outbox.infer_window("brain", "sea", 0, 1)
    with pytest.raises(KeyError, match="declares no model 'other'"):
        outbox.infer_window("other", "sky", 0, 1)


def test_a_model_is_asked_with_tensors_that_hold_what_they_say() -> None:
    outbox, row = Outbox(AgentSpec("a", "native", "a:A", b"", models=("brain",))), make_tensor(1, (1, 2), (0.5, -1))
    outbox.infer_tensors("brain", iter([row]))
    (asked,) = decode_frames(outbox.encode())
    assert (asked.kind, asked.destination, asked.encoding) == (FrameKind.INFER, 0, Encoding.TENSOR)
    assert decode_tensors(asked.body) == [row]
    with pytest.raises(ModelInputInvalid):
        outbox.infer_tensors("brain", [Tensor("x", 1, (3,), bytes(8))])
    assert len(outbox) == 1


def test_a_kind_of_ones_own_begins_at_0x8000() -> None:
    outbox = Outbox(AgentSpec("a", "native", "a:A", b""))
    outbox.frame(0x8001, 5, b"own")
    [sent] = decode_frames(outbox.encode())
    assert (sent.kind, sent.destination & 0xFF, sent.body) == (0x8001, 5, b"own")
    with pytest.raises(ValueError, match="kinds from 0x8000 on"):
        outbox.frame(1, 5, b"")


def test_only_a_step_says_when_the_next_one_is() -> None:
    outbox = Outbox(AgentSpec("a", "native", "a:A", b""))
    assert (outbox.settled(stepping=True), outbox.settled(stepping=False)) == (UNTIL_MESSAGE, 0)
    outbox.refuse(-2)
    assert outbox.settled(stepping=False) == -2
    with pytest.raises(ValueError, match="negative code"):
        outbox.refuse(1)


def test_a_configuration_is_a_dictionary() -> None:
    assert read_config(b'{"every":4}') == {"every": 4}
    assert read_config(b"") == {}
