"""Questions to the full-text index."""

from tickwork.plane.words import MOST_WORDS, match_any


def test_words_are_asked_for_as_they_are_and_once() -> None:
    assert match_any('Snow "snow" delays* NEAR(flights) -rain ^x col:y') == (
        '"snow" OR "delays" OR "near" OR "flights" OR "rain" OR "x" OR "col" OR "y"'
    )
    assert match_any("snow rain", joined=" AND ") == '"snow" AND "rain"'


def test_words_that_say_nothing_are_left_out_where_others_are() -> None:
    assert match_any("When is the pass open?") == '"pass" OR "open"'
    assert match_any("to be or not to be") == '"to" OR "be" OR "or" OR "not"'


def test_a_text_without_words_asks_nothing() -> None:
    assert [match_any(text) for text in ("", "  ", "?!", "___", "\0")] == [""] * 5


def test_of_a_long_text_the_first_words_are_asked() -> None:
    assert match_any(" ".join(f"w{n}" for n in range(500))).count(" OR ") == MOST_WORDS - 1
