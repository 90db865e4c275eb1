"""Sizes as people write them."""

import pytest

from tickwork.cli.sizes import parse_size, shown_size
from tickwork.errors import UsageFault


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("17", 17), ("17B", 17), ("3KiB", 3072), ("512MiB", 512 << 20), (" 4 GiB ", 4 << 30), ("1TiB", 1 << 40)],
)
def test_a_size_is_a_number_and_a_unit(text: str, count: int) -> None:
    assert parse_size(text, "--model-budget") == count


@pytest.mark.parametrize("text", ["", "GiB", "-1", "1.5GiB", "4GB", "4gib", "1e9", "1" * 16, "\u0664"])
def test_anything_else_is_refused_with_a_way_to_write_it(text: str) -> None:
    with pytest.raises(UsageFault) as caught:
        parse_size(text, "--model-budget")
    assert "--model-budget" in caught.value.what
    assert "4GiB" in caught.value.fix


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 30, "3.0 GiB")])
def test_a_size_is_shown_in_its_largest_unit(count: int, text: str) -> None:
    assert shown_size(count) == text
