"""JSON as records hold it: one text for one value, and nothing that two readers would take differently.

Invariants:
    * ``write_json`` gives equal bytes for equal values: keys in order, no blanks, every character as it is.
    * ``read_json`` refuses what JSON leaves open: a key twice, numbers that are none, integers beyond 64 bits, and a
      nesting that only serves to exhaust a reader.
"""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any, Final

MAX_DEPTH: Final = 64
MAX_INTEGER: Final = (1 << 64) - 1

_encoder: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _make_writer() -> Callable[[Any], str]:
    """Return ``_encoder.encode``, which makes its encoder in C anew for each value, with one that is made once."""
    make: Any = vars(json.encoder)["c_make_encoder"]
    if make is None:
        return _encoder.encode
    chunks = make(None, _encoder.default, json.encoder.encode_basestring, None, ":", ",", True, False, False)
    return lambda value: "".join(chunks(value, 0))


_write: Final = _make_writer()


def write_json(value: Any) -> bytes:
    """Return a value as JSON, canonical.

    Raises:
        ValueError: It holds a number that is none, half a character, or what JSON has no form for.
    """
    try:
        text = _write(value)
    except (TypeError, RecursionError) as error:
        raise ValueError("a value that JSON has no form for") from error
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("half of a character, which has no form in UTF-8: a surrogate without its other") from error


def read_json(raw: bytes | str, *, most_bytes: int = 0) -> Any:
    """Return the value of a JSON text from outside.

    Args:
        most_bytes: 0 for no bound.

    Raises:
        ValueError: It is no JSON, or JSON that readers take differently. Text that is no JSON is told with the line and
            the column, both from 1, and with what was expected there.
    """
    if most_bytes and len(raw) > most_bytes:
        raise ValueError(f"{len(raw):,} bytes, and {most_bytes:,} are allowed")
    try:
        value = json.loads(
            raw, object_pairs_hook=_table, parse_constant=_refuse, parse_float=_float, parse_int=_integer
        )
    except json.JSONDecodeError as error:
        raise ValueError(_fault(error)) from None
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8: byte {error.start}") from None
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    opened = (raw.count(b"[") + raw.count(b"{")) if isinstance(raw, bytes) else (raw.count("[") + raw.count("{"))
    if opened > MAX_DEPTH:
        _check_depth(value)
    whole = raw if isinstance(raw, bytes) else raw.encode()
    if b"\\ud" in whole or b"\\uD" in whole:
        write_json(value)  # Half a character has no bytes, and would fail whoever writes it down.
    return value


_EXPECTED: Final = (
    (
        "Expecting value",
        "a value is expected: an object, a list, a text in double quotes, a number, true, false or null",
    ),
    ("Expecting property name", "a key in double quotes is expected"),
    ("Expecting ':'", "a colon is expected after the key"),
    ("Expecting ','", "a comma is expected, or the end of the object or list"),
    ("Illegal trailing comma", "another element is expected after the comma, or no comma"),
    ("Extra data", "the end is expected, since the value before is whole"),
    ("Unterminated string", "the quote is expected that ends the text which begins here"),
    ("Invalid control character", "a text holds no line break and no control character: write \\n or \\u000a"),
    ("Invalid \\uXXXX", "four hexadecimal digits are expected after \\u"),
    (
        "Invalid \\escape",
        'one of \\" \\\\ \\/ \\b \\f \\n \\r \\t \\u is expected: a backslash itself is written twice',
    ),
    ("Unexpected UTF-8 BOM", "a value is expected, and a byte order mark stands there: save it without"),
)
"""How the reader's messages begin, and what is said in their place."""


def _fault(error: json.JSONDecodeError) -> str:
    said = next((words for begin, words in _EXPECTED if error.msg.startswith(begin)), "JSON is expected")
    found = error.doc[error.pos : error.pos + 1]
    # Where a text is at fault, the place is that of the text and not what stands in the way.
    shown = "" if error.msg.startswith(("Unterminated", "Invalid", "Unexpected")) else f"; {found!r} stands there"
    shown = shown if found else "; the text ends there"
    return f"line {error.lineno}, column {error.colno}: {said}{shown}"


def _table(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = sorted(key for key, _ in pairs)
        twice = next(key for key, after in pairwise(keys) if key == after)
        raise ValueError(f"the key {twice[:64]!r} stands twice in one object")
    return table


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _float(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _refuse(text[:32])


def _integer(text: str) -> int:
    # Python itself would take quadratic time over a number of a million digits.
    if len(text) > len(str(-MAX_INTEGER)) or abs(int(text)) > MAX_INTEGER:
        raise ValueError("an integer beyond 64 bits")
    return int(text)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)  # pyright: ignore[reportUnknownVariableType]
        ]
        if not level:
            return
    raise ValueError(f"nested more than {MAX_DEPTH} deep")
