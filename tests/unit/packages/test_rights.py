"""packages/rights.py: patterns of names, capabilities within capabilities, and the order of versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.packages.rights import (
    EVERYTHING,
    MESSAGES,
    allowed,
    beyond,
    joined,
    listed,
    matches,
    parse_capability,
    version_order,
)
from tickwork.sandbox.manifest import Capabilities

TEXT = st.text("ab*", max_size=6)
LISTS = st.lists(st.text("ab*", min_size=1, max_size=3), max_size=3, unique=True).map(tuple)
CAPABILITIES = st.builds(Capabilities, publish=LISTS, send=LISTS, skills=LISTS, windows=LISTS, clock=st.booleans())


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("a", "a", True), ("a", "ab", False), ("*", "", True), ("*", "anything", True), ("a*", "a", True),
        ("a*b", "ab", True), ("a*b", "acb", True), ("a*b", "a", False), ("a*a", "a", False), ("*a*b*", "xaxbx", True),
        ("*a*b*", "xbxa", False), ("a*b*c", "abbc", True), ("?", "*", False), ("[ab]", "a", False), ("", "", True),
        ("", "a", False), ("A*", "a", False),
    ],
)  # fmt: skip
def test_a_star_stands_for_any_text_and_nothing_else_is_special(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text) == fits


@given(TEXT, TEXT, TEXT)
def test_a_pattern_within_a_pattern_matches_no_more(wide: str, narrow: str, text: str) -> None:
    if matches(wide, narrow) and matches(narrow, text):
        assert matches(wide, text)


def test_a_pattern_of_many_stars_is_not_slow() -> None:
    assert not matches("*a" * 200 + "b", "a" * 5000)


def test_no_pattern_allows_nothing() -> None:
    assert not allowed((), "a")
    assert allowed(("b", "a*"), "abc")


@pytest.mark.slow
@given(CAPABILITIES)
def test_everything_gives_all_and_nothing_gives_none(asked: Capabilities) -> None:
    assert beyond(asked, EVERYTHING) == ()
    assert beyond(asked, asked) == ()
    assert beyond(asked, Capabilities()) == listed(asked)
    assert beyond(joined(asked, MESSAGES), asked) == beyond(MESSAGES, asked)


def test_what_is_missing_is_named_with_its_kind() -> None:
    asked = Capabilities(publish=("a",), skills=("quote", "order"), clock=True)
    assert beyond(asked, Capabilities(publish=("*",), skills=("quote",))) == ("skills order", "clock")


def test_a_capability_is_written_as_kind_and_pattern() -> None:
    assert parse_capability("skills=artifact.*") == Capabilities(skills=("artifact.*",))
    assert parse_capability("clock") == Capabilities(clock=True)
    for wrong in ("", "skill=a", "skills", "skills=", "clock=1"):
        with pytest.raises(ValueError, match="is no capability"):
            parse_capability(wrong)


def test_versions_are_ordered_by_their_numbers() -> None:
    rising = [
        "0.9",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0",
        "1.2",
        "1.10.0",
        "2",
        "x",
    ]
    assert sorted(set(rising), key=version_order) == rising
    assert version_order("1.0") == version_order("1.0.0") == version_order("1.0.0+build7")
    assert version_order("9" * 5000) > version_order("1.0")
