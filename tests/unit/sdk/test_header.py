import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.records import OUTSIDE, RAW_AGENT, UNTIL_MESSAGE, Encoding, FrameKind, Refusal, Status

from .seat import MODULES, Seat, frame

OUTBOX_BYTES = 4096
NUMBER = struct.Struct("<iq")


@pytest.fixture(scope="module")
def probe() -> Iterator[Seat]:
    seat = Seat(MODULES / "probe.wasm", b'{"nested":{"start":5},"start":42,"text":"a,}\\"b"}', number=11)
    yield seat
    seat.close()


def ask(seat: Seat, body: bytes) -> bytes:
    [answer] = seat.turn(frame(body))
    assert (answer.kind, answer.destination) == (FrameKind.SEND, RAW_AGENT | 3)
    return answer.body


def number(seat: Seat, body: bytes) -> tuple[int, int]:
    code, value = NUMBER.unpack(ask(seat, body))
    return code, value


def splitmix(seed: int) -> Iterator[int]:
    mask = (1 << 64) - 1
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & mask
        yield mixed ^ (mixed >> 31)


@pytest.mark.parametrize(
    ("text", "decimals", "value"),
    [
        ("39.02", 3, 39020),
        ("-3.25", 3, -3250),
        ("+7", 0, 7),
        (".5", 2, 50),
        ("5.", 2, 500),
        ("1.23456", 3, 1234),
        ("0", 3, 0),
        ("-0.001", 3, -1),
        ("922337203685477579", 0, 922337203685477579),
    ],
)
def test_a_decimal_is_read_as_a_whole_number(probe: Seat, text: str, decimals: int, value: int) -> None:
    assert number(probe, b"p" + bytes([decimals]) + text.encode()) == (0, value)


@pytest.mark.parametrize("text", ["-", ".", "1e5", "1.2.3", "--1", " 1", "12a", "99999999999999999999", "NaN"])
def test_what_is_no_decimal_is_a_bad_message(probe: Seat, text: str) -> None:
    assert number(probe, b"p\x03" + text.encode()) == (Refusal.BAD_MESSAGE, 0)


def test_an_empty_field_is_not_found(probe: Seat) -> None:
    assert number(probe, b"p\x03") == (Refusal.NOT_FOUND, 0)


@given(value=st.integers(-(10**17), 10**17), decimals=st.integers(0, 6))
def test_a_number_that_is_written_is_read_back(probe: Seat, value: int, decimals: int) -> None:
    text = ask(probe, b"f" + bytes([decimals]) + struct.pack("<q", value) + bytes([32]))
    digits = f"{abs(value):0{decimals + 1}}"
    whole, part = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
    assert text.decode() == ("-" if value < 0 else "") + whole + ("." + part if part else "")
    if abs(value) < 9 * 10**16:
        assert number(probe, b"p" + bytes([decimals]) + text) == (0, value)


@pytest.mark.parametrize("value", [-(1 << 63), (1 << 63) - 1, 0, -1])
def test_the_ends_of_64_bits_are_written(probe: Seat, value: int) -> None:
    assert ask(probe, b"f\x00" + struct.pack("<q", value) + bytes([32])) == str(value).encode()


def test_a_text_that_does_not_fit_is_cut(probe: Seat) -> None:
    assert ask(probe, b"f\x00" + struct.pack("<q", 123456) + bytes([3])) == b"123"


@given(
    value=st.one_of(
        st.integers(0, (1 << 64) - 1), st.integers(0, 1 << 32).map(lambda root: min(root**2, (1 << 64) - 1))
    )
)
def test_a_root_is_the_largest_whole_number_not_above(probe: Seat, value: int) -> None:
    _, root = number(probe, b"r" + struct.pack("<Q", value))
    assert root**2 <= value < (root + 1) ** 2


@pytest.mark.parametrize(
    ("json", "key", "value"),
    [
        (b'{"a":1,"b":"x"}', b"b", b"x"),
        (b'{"a":1,"b":"x"}', b"a", b"1"),
        (b'{"a":{"b":2},"b":3}', b"b", b"3"),
        (b'{"a":[{"b":2},"]}"],"b":true}', b"b", b"true"),
        (b'{"a":"\\"b\\":9,","b":4}', b"b", b"4"),
        (b'{"a":"q\\\\","b":5}', b"b", b"5"),
        (b'{"ab":1}', b"a", b"?"),
        (b'{"b":""}', b"b", b""),
        (b"{}", b"b", b"?"),
        (b"", b"b", b"?"),
        (b'{"b"', b"b", b"?"),
        (b'{"b', b"b", b"?"),
        (b'{"b":', b"b", b""),
    ],
)
def test_a_key_of_the_outermost_object_is_found(probe: Seat, json: bytes, key: bytes, value: bytes) -> None:
    assert ask(probe, b"j" + key + b"\0" + json) == value


@given(json=st.text('{}[]":,\\ab1', max_size=24))
def test_no_text_leads_the_search_for_a_key_astray(probe: Seat, json: str) -> None:
    assert len(ask(probe, b"ja\0" + json.encode())) <= max(1, len(json))


def test_the_configuration_is_read_at_the_start(probe: Seat) -> None:
    assert number(probe, b"c") == (0, 42)


def test_random_is_splitmix64_over_the_turns_seed(probe: Seat) -> None:
    expected = splitmix(probe.seed + probe.tick)
    drawn = struct.unpack("<5Q", ask(probe, b"d" + struct.pack("<IB", 0, 5)))
    assert list(drawn) == [next(expected) for _ in range(5)]


def test_the_stream_goes_on_within_a_turn_and_starts_anew_with_the_next(probe: Seat) -> None:
    expected = splitmix(probe.seed + probe.tick)
    two = probe.turn(frame(b"d" + struct.pack("<IB", 0, 1)), frame(b"d" + struct.pack("<IB", 0, 1)))
    assert [struct.unpack("<Q", answer.body)[0] for answer in two] == [next(expected), next(expected)]


@given(bound=st.integers(1, (1 << 32) - 1))
def test_random_below_stays_below(probe: Seat, bound: int) -> None:
    assert all(value < bound for value in struct.unpack("<20Q", ask(probe, b"d" + struct.pack("<IB", bound, 20))))


@given(fields=st.lists(st.text("ab. ", max_size=5), min_size=1, max_size=20))
def test_a_line_is_split_at_its_separators(probe: Seat, fields: list[str]) -> None:
    assert ask(probe, b"l" + ",".join(fields).encode()) == bytes(len(field) for field in fields)


@given(
    data=st.binary(min_size=24, max_size=24), to=st.integers(0, 8), start=st.integers(0, 8), count=st.integers(0, 16)
)
def test_regions_that_overlap_are_moved_whole(probe: Seat, data: bytes, to: int, start: int, count: int) -> None:
    moved = bytearray(data)
    moved[to : to + count] = data[start : start + count]
    assert ask(probe, b"m" + bytes([to, start, count]) + data) == bytes(moved)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 64, 1000, 4064])
def test_an_outbox_is_filled_to_the_last_frame_that_fits_and_then_says_so(probe: Seat, length: int) -> None:
    size = 32 + length + (-length % 8)
    left = probe.turn(frame(b"w" + struct.pack("<I", length)))
    assert len(left) == OUTBOX_BYTES // size
    assert all(len(item.body) == length for item in left)
    assert number(probe, b"W") == (Refusal.OUTBOX_FULL, len(left))


def test_a_body_that_no_outbox_can_hold_is_too_big(probe: Seat) -> None:
    assert probe.turn(frame(b"w" + struct.pack("<I", OUTBOX_BYTES - 31))) == []
    assert number(probe, b"W") == (Refusal.TOO_BIG, 0)


def test_every_call_leaves_its_frame(probe: Seat) -> None:
    left = [(item.kind, item.encoding, item.destination, item.body) for item in probe.turn(frame(b"a"))]
    task = struct.pack("<iIII", -2, 9, 3, 0) + struct.pack("<III4x", 1, 2, 3) + b"task"
    assert left == [
        (FrameKind.SEND, Encoding.JSON, 4, b"{}"),
        (FrameKind.SEND, Encoding.BYTES, RAW_AGENT | 3, b"answer"),
        (FrameKind.PUBLISH, Encoding.MSGPACK, 1, b"p"),
        (FrameKind.PUBLISH_RETAINED, Encoding.BYTES, 2, b"retained"),
        (FrameKind.JOIN, Encoding.BYTES, 3, b""),
        (FrameKind.LEAVE, Encoding.BYTES, 4, b""),
        (FrameKind.TIMER, Encoding.BYTES, 77, struct.pack("<Q", 5)),
        (FrameKind.TASK, Encoding.BYTES, 1, task),
        (FrameKind.SKILL, Encoding.MSGPACK, 6, b"\x80"),
        (FrameKind.SPAWN, Encoding.JSON, 7, b"{}"),
        (FrameKind.LOG, Encoding.BYTES, 0, b"a line"),
        (FrameKind.METRIC, Encoding.BYTES, 0, b"depth=-12"),
        (FrameKind.EXIT, Encoding.BYTES, 0, b""),
    ]


def test_a_turn_knows_its_tick_and_its_agent(probe: Seat) -> None:
    tick = probe.tick
    assert number(probe, b"t") == (11, tick)


def test_a_refusal_is_read_from_an_error_frame(probe: Seat) -> None:
    body = struct.pack("<iIQ", Refusal.TOO_BIG, FrameKind.SEND, 9) + b"why"
    [left] = probe.turn(frame(body, kind=FrameKind.ERROR, source=OUTSIDE))
    assert left.body == b"refused=-6001"


def test_what_nobody_sent_cannot_be_answered(probe: Seat) -> None:
    outcome = probe.outcome(frame(b"c", source=OUTSIDE))
    assert (outcome.status, outcome.code) == (Status.FAILED, Refusal.NOT_FOUND)


def test_a_negative_code_ends_the_turn_at_once(probe: Seat) -> None:
    outcome = probe.outcome(frame(b"x" + struct.pack("<i", -2000)), frame(b"c"))
    assert (outcome.status, outcome.code, outcome.outbox) == (Status.FAILED, -2000, b"")


def test_after_a_full_outbox_the_other_messages_are_still_delivered(probe: Seat) -> None:
    outcome = probe.outcome(frame(b"x" + struct.pack("<i", Refusal.OUTBOX_FULL)), frame(b"c"))
    assert (outcome.status, outcome.code) == (Status.OK, Refusal.OUTBOX_FULL)
    assert len(outcome.outbox) == 48


def test_an_agent_that_waits_says_so(probe: Seat) -> None:
    assert probe.outcome().code == UNTIL_MESSAGE
