"""Feeds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.driver.feeds import Feed, read_rows
from tickwork.errors import WorldSchemaError
from tickwork.records import FeedSpec, InputKind


def spec(column: str = "tick", *, topic: bool = False) -> FeedSpec:
    return FeedSpec("f", bytes(32), "target", topic, column)


def test_each_row_enters_at_its_tick_as_its_raw_line() -> None:
    feed = Feed(spec(), b'tick,name\n0,"a,b"\n2,c\n2,d\n')
    taken = []
    for tick in range(4):
        rows = feed.due(tick, 10)
        feed.taken += len(rows)
        taken.append([row.body for row in rows])
    assert taken == [[b'0,"a,b"'], [], [b"2,c", b"2,d"], []]
    assert feed.exhausted


def test_rows_go_to_an_agent_or_a_topic() -> None:
    body = b"tick\n0\n"
    for topic, kind in ((False, InputKind.MESSAGE), (True, InputKind.PUBLISH)):
        row = Feed(spec(topic=topic), body).due(0, 1)[0]
        assert (row.kind, row.target, row.source, row.size) == (kind, "target", "feed:f", 1)


def test_without_a_column_each_row_has_its_own_tick() -> None:
    assert read_rows(spec(""), b"name\na\nb\n") == [(0, b"a"), (1, b"b")]


def test_line_ends_of_every_system_and_a_byte_order_mark_are_no_part_of_a_row() -> None:
    assert read_rows(spec(), b"\xef\xbb\xbftick,n\r\n0,a\r\n1,b") == [(0, b"0,a"), (1, b"1,b")]


def test_no_character_but_a_line_feed_ends_a_row() -> None:
    line = "0,a\u2028b\x0cc\x85d"
    assert read_rows(spec(), f"tick,n\n{line}\n".encode()) == [(0, line.encode())]


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    assert read_rows(spec(), b"tick,n\n0,\xff\xfe\n") == [(0, b"0,\xff\xfe")]


def test_empty_lines_are_no_rows() -> None:
    assert read_rows(spec(), b"tick\n\n0\n\n1\n\n") == [(0, b"0"), (1, b"1")]


@pytest.mark.parametrize(
    ("body", "line"),
    [(b"tick\nx\n", 2), (b"tick\n-1\n", 2), (b"tick\n1\n0\n", 3), (b"tick\n\xc2\xb2\n", 2), (b"a,tick\n1\n", 2)],
)
def test_a_row_without_a_proper_tick_is_named(body: bytes, line: int) -> None:
    with pytest.raises(WorldSchemaError) as caught:
        read_rows(spec(), body)
    assert caught.value.where == f"feeds.f, line {line}"


def test_a_missing_column_is_named_with_those_there_are() -> None:
    with pytest.raises(WorldSchemaError, match="no column 'tick'") as caught:
        read_rows(spec(), b"a,b\n1,2\n")
    assert "a, b" in caught.value.why


@given(st.lists(st.integers(0, 9), max_size=30).map(sorted), st.integers(1, 5))
def test_a_bound_changes_when_rows_enter_and_not_their_order(ticks: list[int], bound: int) -> None:
    body = b"tick,n\n" + b"".join(b"%d,%d\n" % (tick, n) for n, tick in enumerate(ticks))
    feed = Feed(spec(), body)
    taken = []
    for tick in range(60):
        rows = feed.due(tick, bound)
        assert len(rows) <= bound
        feed.taken += len(rows)
        taken += [row.body for row in rows]
    assert taken == [b"%d,%d" % (tick, n) for n, tick in enumerate(ticks)]
