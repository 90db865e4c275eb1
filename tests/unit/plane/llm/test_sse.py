from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.plane.llm.sse import MAX_LINE_BYTES, Sent, StreamReader

STREAM = (
    b'\xef\xbb\xbf: a comment\r\nevent: message_start\r\ndata: {"a":1}\r\n\r\n'
    b"data: one\rdata: two\r\rid: 7\nretry: 10\ndata\ndata: \xc3\xa9\xe2\x82\xac\n\n"
    b"event: empty\n\ndata:  two blanks\n\nbogus line\n\ndata: never closed"
)
SENT = [Sent("message_start", '{"a":1}'), Sent("", "one\ntwo"), Sent("", "\né€"), Sent("", " two blanks")]


def read(chunks: list[bytes]) -> list[Sent]:
    reader = StreamReader()
    return [sent for chunk in chunks for sent in reader.feed(chunk)] + reader.end()


def test_what_is_sent_comes_out_whatever_ends_its_lines() -> None:
    assert read([STREAM]) == SENT


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_where_the_bytes_were_cut_makes_no_difference(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert read([STREAM[one:other] for one, other in pairwise(places)]) == SENT


def test_one_byte_at_a_time_is_the_same() -> None:
    assert read([STREAM[at : at + 1] for at in range(len(STREAM))]) == SENT


def test_a_last_line_that_ends_with_half_an_end_counts() -> None:
    assert read([b"data: x\r", b"\r"]) == [Sent("", "x")]


def feed_all(chunk: bytes) -> None:
    reader = StreamReader()
    for _ in range(20):
        reader.feed(chunk)


def test_a_line_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="a line"):
        feed_all(b"x" * (MAX_LINE_BYTES // 10))


def test_a_message_of_endless_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="a message"):
        feed_all(b"data: " + b"x" * (MAX_LINE_BYTES // 10) + b"\n")
