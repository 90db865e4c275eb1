"""packages/times.py: days and moments as trust files write them."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.packages.times import format_time, parse_time


@given(st.integers(0, 253_402_300_799))
def test_a_moment_is_written_and_read_as_everybody_does(second: int) -> None:
    moment = datetime.datetime.fromtimestamp(second, datetime.UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert format_time(second * 1_000_000 + 5) == text
    assert parse_time(text) == second * 1_000_000


def test_a_day_is_its_beginning() -> None:
    assert parse_time("2024-02-29") == parse_time("2024-02-29T00:00:00Z")
    assert parse_time("1970-01-01") == 0


@pytest.mark.parametrize(
    "wrong",
    ["", "2026", "2026-1-1", "2026-13-01", "2026-00-01", "2025-02-29", "1900-02-29", "2026-04-31", "1969-12-31",
     "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00", "٢٠٢٦-01-01"],
)  # fmt: skip
def test_what_names_no_moment_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"time|moment|day"):
        parse_time(wrong)
