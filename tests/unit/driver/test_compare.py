"""Comparing journals record by record."""

import msgspec
import pytest

from tests.unit.driver.troupe import chat, empty, options
from tickwork import codec
from tickwork.driver.compare import Divergence, compare_frames, compare_headers, kind_name, name_of, shown, shown_as
from tickwork.driver.run import run
from tickwork.records import Encoding, Frame, Outcome, Status
from tickwork.tensors import FLOAT32, INT64, STRING, Tensor, encode_tensors, join_text, make_tensor

HEADER = chat().header


def frame() -> Frame:
    journal = empty(chat(ticks=6))
    run(chat(ticks=6), journal=journal, options=options())
    found = journal.frame(3)
    assert found is not None
    return found


FRAME = frame()


def turns(*items: tuple[int, int, Outcome]) -> bytes:
    parts: list[bytes] = []
    for agent, operation, outcome in items:
        codec.encode_turn(agent, operation, outcome, 0, parts)
    return b"".join(parts)


def found(expected: bytes, actual: bytes) -> Divergence:
    one, other = (msgspec.structs.replace(FRAME, turns=part) for part in (expected, actual))
    divergence = compare_frames(HEADER, one, other)
    assert divergence is not None
    return divergence


OK = Outcome(Status.OK, 0, 0, codec.encode_frame(1, 0, 0, 0, 0, 0, b"one"))


def test_equal_frames_do_not_differ() -> None:
    assert compare_frames(HEADER, FRAME, msgspec.structs.replace(FRAME)) is None


@pytest.mark.parametrize(
    ("other", "field", "expected", "actual"),
    [
        ((1, 1, OK), "agent", "a", "b"),
        ((0, 2, OK), "operation", "step", "shutdown"),
        ((0, 1, Outcome(Status.TRAP, 0, 0, OK.outbox)), "status", "ok", "trap"),
        ((0, 1, Outcome(Status.OK, 5, 0, OK.outbox)), "code", 0, 5),
    ],
)
def test_the_first_field_in_which_turns_differ_is_named(
    other: tuple[int, int, Outcome], field: str, expected: object, actual: object
) -> None:
    divergence = found(turns((0, 1, OK)), turns(other))
    assert divergence.record == "turns[0]"
    assert divergence.field == field
    assert (divergence.expected, divergence.actual) == (expected, actual)
    assert field in divergence.sentence()


def test_the_first_frame_in_which_outboxes_differ_is_named() -> None:
    outbox = OK.outbox + codec.encode_frame(1, 0, 0, 0, 0, 0, b"two")
    other = OK.outbox + codec.encode_frame(1, 0, 0, 0, 0, 0, b"three")
    divergence = found(turns((0, 1, Outcome(0, 0, 0, outbox))), turns((0, 1, Outcome(0, 0, 0, other))))
    assert (divergence.record, divergence.kind, divergence.field) == ("turns[0].outbox[1]", "send", "body")
    assert (divergence.expected, divergence.actual) == ("two", "three")


def test_a_frame_more_is_named() -> None:
    divergence = found(turns((0, 1, OK)), turns((0, 1, Outcome(0, 0, 0, OK.outbox * 2))))
    assert (divergence.record, divergence.expected, divergence.actual) == ("turns[0].outbox[1]", "absent", "present")


def test_outboxes_that_are_no_frames_are_shown_as_they_are() -> None:
    divergence = found(turns((0, 1, Outcome(0, 0, 0, b"x"))), turns((0, 1, Outcome(0, 0, 0, b"y"))))
    assert (divergence.field, divergence.expected, divergence.actual) == ("outbox", "x", "y")


def test_a_turn_less_is_named() -> None:
    divergence = found(turns((0, 1, OK), (1, 1, OK)), turns((0, 1, OK)))
    assert (divergence.record, divergence.expected, divergence.actual) == ("turns[1]", "present", "absent")


def test_large_outboxes_are_compared_by_digest() -> None:
    large = [Outcome(0, 0, 0, bytes([n]) * 40_000) for n in range(2)]
    assert found(turns((0, 1, large[0])), turns((0, 1, large[1]))).field == "digest"


def test_inputs_and_derived_records_are_compared() -> None:
    other = msgspec.structs.replace(FRAME, derived=codec.encode_derived(()))
    divergence = compare_frames(HEADER, FRAME, other)
    assert divergence is not None
    assert divergence.record.startswith("derived[0]")
    changed = compare_frames(
        HEADER,
        msgspec.structs.replace(FRAME, inputs=b"\x91\x9a\x01\xa1a\xa1b\x00\x00\x00\xc4\x00\xc4\x00\x00\x00"),
        FRAME,
    )
    assert changed is not None
    assert changed.record.startswith("inputs[0]")


def test_headers_are_compared_down_to_an_agents_field() -> None:
    agents = (msgspec.structs.replace(HEADER.agents[0], priority=4), HEADER.agents[1])
    divergence = compare_headers(HEADER, msgspec.structs.replace(HEADER, agents=agents))
    assert divergence is not None
    assert (divergence.field, divergence.expected, divergence.actual) == ("agents[0].priority", 0, 4)
    longer = compare_headers(HEADER, msgspec.structs.replace(HEADER, agents=(*HEADER.agents, HEADER.agents[0])))
    assert longer is not None
    assert longer.field == "agents.length"
    topics = compare_headers(HEADER, msgspec.structs.replace(HEADER, topics=("u",)))
    assert topics is not None
    assert topics.field == "topics[0]"
    assert compare_headers(HEADER, msgspec.structs.replace(HEADER)) is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"hello", "hello"),
        (b"x" * 49, "x" * 48 + "…"),
        (b"\0\1", "0001"),
        (b"\xff", "ff"),
        (b"", ""),
    ],
)
def test_a_body_is_shown_as_text_or_hexadecimal(body: bytes, text: str) -> None:
    assert shown(body) == text


def test_kinds_and_agents_have_names() -> None:
    assert (kind_name(1), kind_name(0x8001)) == ("send", "user 0x8001")
    assert (name_of(HEADER, 1), name_of(HEADER, 7)) == ("b", "7")
    assert "in the header" in Divergence(-1, "header", "header", "seed", 1, 2).sentence()


def test_tensors_are_shown_by_name_type_shape_and_first_elements() -> None:
    tensors = [
        make_tensor(FLOAT32, (1, 2), [0.1, -2.0], "speed"),
        make_tensor(INT64, (9,), range(1_000_000, 1_000_009)),
        Tensor("words", STRING, (1,), join_text(["snow"])),
    ]
    assert shown_as(encode_tensors(tensors), Encoding.TENSOR) == (
        "speed float32 [1, 2]: 0.1 -2; int64 [9]: 1000000 1000001 1000002 1000003 1000004 1000005 …; words string [1]"
    )
    assert shown_as(encode_tensors(tensors[:1] * 5), Encoding.TENSOR).endswith("; …")
    assert shown_as(b"snow", Encoding.BYTES) == shown_as(b"snow", Encoding.TENSOR) == "snow"
