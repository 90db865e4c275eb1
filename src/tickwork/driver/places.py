"""Where each key of a TOML document stands, so that an error can name a line.

``tomllib`` gives no positions for a document that parses. This scanner reads a document that ``tomllib`` has accepted,
so it may be lenient: it only has to find keys, and to step over strings and arrays without taking text for keys.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

Path = tuple[str | int, ...]
"""Keys and array indices from the document's root."""

_SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_PLAIN_VALUE: Final = re.compile(r"[^,\]}\n#]*")
_ESCAPE: Final = re.compile(r"\\(?:([btnfre\"\\])|x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))")
_ESCAPED: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}


class _Scanner:
    """Walks the text once and notes the line of every key, table header and array element."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}
        self.starts = [0] + [found.end() for found in re.finditer("\n", text)]

    def document(self) -> None:
        table: Path = ()
        while self.skip_space():
            if self.text[self.at] == "[":
                table = self.header()
            else:
                self.pair(table)

    def skip_space(self) -> bool:
        """Step over blanks, newlines and comments; return whether anything is left."""
        found = _SPACE.match(self.text, self.at)
        assert found is not None, "the pattern matches the empty string"
        self.at = found.end()
        return self.at < len(self.text)

    def take(self, token: str) -> bool:
        """Step over ``token`` if it comes next."""
        if not self.text.startswith(token, self.at):
            return False
        self.at += len(token)
        return True

    def note(self, path: Path, at: int) -> None:
        """Keep the first line on which a path is named, and that of its parents where a dotted key makes them."""
        line = bisect_right(self.starts, at)
        for length in range(1, len(path) + 1):
            self.places.setdefault(path[:length], line)

    def header(self) -> Path:
        """Read ``[table]`` or ``[[array]]`` and return the path that following keys belong to."""
        start = self.at
        array = self.take("[[") or not self.take("[")
        path = self.into(self.keys())
        self.skip_space()
        self.take("]]" if array else "]")
        if array:
            index = self.counts.get(path, 0)
            self.counts[path] = index + 1
            path = (*path, index)
        self.note(path, start)
        return path

    def into(self, keys: Sequence[str]) -> Path:
        """Return the path of a header, each array of tables on the way standing for its latest element."""
        path: Path = ()
        for position, key in enumerate(keys):
            path = (*path, key)
            if path in self.counts and position < len(keys) - 1:
                path = (*path, self.counts[path] - 1)
        return path

    def pair(self, table: Path) -> None:
        start = self.at
        path = (*table, *self.keys())
        self.note(path, start)
        self.skip_space()
        self.take("=")
        self.value(path)

    def keys(self) -> list[str]:
        """Read a key, dotted or not."""
        found: list[str] = []
        while True:
            self.skip_space()
            found.append(self.key())
            self.skip_space()
            if not self.take("."):
                return found

    def key(self) -> str:
        if self.text[self.at] in "\"'":
            return self.string()
        found = _BARE_KEY.match(self.text, self.at)
        assert found is not None, "tomllib accepted this document"
        self.at = found.end()
        return found.group()

    def value(self, path: Path) -> None:
        self.skip_space()
        if self.text[self.at] in "\"'":
            self.string()
        elif self.take("["):
            self.array(path)
        elif self.take("{"):
            self.inline_table(path)
        else:
            found = _PLAIN_VALUE.match(self.text, self.at)
            assert found is not None, "the pattern matches the empty string"
            self.at = found.end()

    def array(self, path: Path) -> None:
        index = 0
        while self.skip_space() and not self.take("]"):
            self.note((*path, index), self.at)
            self.value((*path, index))
            self.skip_space()
            self.take(",")
            index += 1

    def inline_table(self, path: Path) -> None:
        while self.skip_space() and not self.take("}"):
            self.pair(path)
            self.skip_space()
            self.take(",")

    def string(self) -> str:
        """Step over any of the four kinds of string and return its text; a multi-line one is never a key."""
        quote = self.text[self.at]
        if self.take(quote * 3):
            self.multi_line(quote)
            return ""
        self.at += 1
        start = self.at
        while self.text[self.at] != quote:
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        self.at += 1
        text = self.text[start : self.at - 1]
        return _ESCAPE.sub(_unescape, text) if quote == '"' else text

    def multi_line(self, quote: str) -> None:
        while not self.take(quote * 3):
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        while self.take(quote):  # Up to two quotes may stand before the closing three.
            pass


def _unescape(found: re.Match[str]) -> str:
    letter, *numbers = found.groups()
    return _ESCAPED[letter] if letter else chr(int(next(number for number in numbers if number), 16))


def find_places(text: str) -> Mapping[Path, int]:
    """Return the line of every key, table header and array element of a valid TOML document.

    Units: lines count from 1.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.places


def line_of(places: Mapping[Path, int], path: Path) -> int:
    """Return the line of ``path``, or of the nearest parent that the document names; 1 where there is none."""
    for length in range(len(path), 0, -1):
        line = places.get(path[:length])
        if line is not None:
            return line
    return 1
