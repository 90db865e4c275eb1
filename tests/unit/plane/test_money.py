"""Dollars as text and as whole millionths."""

import pytest

from tickwork.plane.money import parse_usd, usd_text


@pytest.mark.parametrize(
    ("text", "micros"), [("0", 0), ("0.25", 250_000), ("1", 1_000_000), ("0.000001", 1), ("12.5", 12_500_000)]
)
def test_dollars_are_counted_in_millionths(text: str, micros: int) -> None:
    assert parse_usd(text) == micros


@pytest.mark.parametrize("micros", [0, 1, 10, 250_000, 1_000_000, 999_999_999_999_999])
def test_what_is_written_is_read_back(micros: int) -> None:
    assert parse_usd(usd_text(micros)) == micros


def test_two_decimals_are_always_shown() -> None:
    assert [usd_text(n) for n in (0, 1_500_000, 1, -2_000_000)] == ["0.00", "1.50", "0.000001", "-2.00"]


@pytest.mark.parametrize("text", ["", "-1", "1.", ".5", "1.1234567", "1e3", "ten", "1,5"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no amount"):
        parse_usd(text)
