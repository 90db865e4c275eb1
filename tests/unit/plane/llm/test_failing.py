import pytest

from tickwork.clock import SteppedClock
from tickwork.plane.llm.failing import LONGEST_WAIT_MS, of_status, retry_after_ms, shown

# 2026-01-02 03:04:05 UTC.
CLOCK_US = 1767323045_000_000


def clock() -> SteppedClock:
    return SteppedClock(CLOCK_US, 0)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, 0),
        ({"retry-after": "3"}, 3000),
        ({"retry-after": "0.25"}, 250),
        ({"retry-after": "Fri, 02 Jan 2026 03:04:15 GMT"}, 10_000),
        ({"retry-after": "Fri, 02 Jan 2026 03:04:00 GMT"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "nan"}, 0),
        ({"retry-after": "inf"}, LONGEST_WAIT_MS),
        ({"retry-after": "99999999999999"}, LONGEST_WAIT_MS),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "3", "retry-after-ms": "120"}, 120),
        ({"retry-after": "3", "retry-after-ms": "many"}, 3000),
    ],
)
def test_how_long_to_wait_is_read_from_either_header(headers: dict[str, str], wait: int) -> None:
    assert retry_after_ms(headers, clock()) == wait


@pytest.mark.parametrize(
    ("status", "again"), [(429, True), (500, True), (503, True), (529, True), (400, False), (401, False), (404, False)]
)
def test_a_status_says_whether_to_try_again(status: int, again: bool) -> None:
    error = of_status(status, {"retry-after": "2"}, b'{"error":{"type":"x","message":"words"}}', clock())
    assert error.retryable is again
    assert error.retry_after_ms == (2000 if again else 0)
    assert error.why == "x: words"
    assert error.fix


def test_a_status_nobody_knows_is_told_as_it_is() -> None:
    error = of_status(599, {}, b"<html>\n<b>down</b>", clock())
    assert "599 (no known status)" in error.what
    assert error.why == "<html> <b>down</b>"


def test_words_are_cut_and_made_printable() -> None:
    assert shown("a\x1b[31m\n\tb") == "a [31m b"
    assert len(shown("x" * 10_000)) == 300
