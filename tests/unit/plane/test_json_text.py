import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickwork.plane.json_text import MAX_DEPTH, read_json, write_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner),
    max_leaves=12,
)


@settings(max_examples=50)
@given(VALUES)
def test_what_is_written_is_read_again(value: object) -> None:
    assert read_json(write_json(value)) == value
    assert write_json(read_json(write_json(value))) == write_json(value)


@settings(max_examples=50)
@given(VALUES)
def test_what_is_written_is_what_the_standard_library_writes(value: object) -> None:
    written = json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))
    assert write_json(value) == written.encode()


def test_equal_values_have_one_text() -> None:
    assert (
        write_json({"b": 1, "a": [1.5, "é"]})
        == write_json({"a": [1.5, "é"], "b": 1})
        == '{"a":[1.5,"é"],"b":1}'.encode()
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {1, 2}, b"raw"])
def test_what_json_has_no_form_for_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        write_json(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(ValueError):
        write_json(loop)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b'{"a":1,"a":2}', "stands twice"),
        (b"[NaN]", "no number"),
        (b"-Infinity", "no number"),
        (b"[1e999]", "no number"),
        (b'{"a":"\\ud800"}', "half of a character"),
        (b'{"\\uDfff":1}', "half of a character"),
        (b"1" * 30, "beyond 64 bits"),
        (b"[" * 5000, "nested"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "deep"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "deep"),
        (b"{", "line 1, column 2: a key in double quotes is expected; the text ends there"),
        (b'["\xff', "not UTF-8: byte 2"),
        (b"", "line 1, column 1: a value is expected"),
        (b"{'a': 1}", 'column 2: a key in double quotes is expected; "\'" stands there'),
        (b'{"a":\n 1 "b": 2}', "line 2, column 4: a comma is expected"),
        (b'{"a" 1}', "column 6: a colon is expected"),
        (b"[1, ]", "column 5: a value is expected.*']' stands there"),
        (b"[True]", "column 2: a value is expected.*'T' stands there"),
        (b"1 2", "column 3: the end is expected"),
        (b'["abc', "column 2: the quote is expected"),
        (b'"a\nb"', "column 3: a text holds no line break"),
        (b'"\\x"', "a backslash itself is written twice"),
        (b'"\\u12"', "four hexadecimal digits"),
        ("\ufeff1", "a byte order mark stands there"),
    ],
)  # fmt: skip
def test_what_readers_take_differently_is_refused(raw: bytes | str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read_json(raw)


def test_a_text_of_many_brackets_that_is_not_deep_is_read() -> None:
    assert len(read_json(b"[" + b"[]," * 500 + b"[]]")) == 501
    assert read_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)


def test_a_text_is_bounded() -> None:
    with pytest.raises(ValueError, match="allowed"):
        read_json(b'"' + b"x" * 100 + b'"', most_bytes=50)
