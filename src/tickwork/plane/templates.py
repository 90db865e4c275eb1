"""Expressions inside of JSON: ``${...}`` in a text stands for what the expression comes to.

A text that is one expression and nothing else becomes its value, whatever kind that is. In any other text the value is
written where the expression stands: a text as it is, anything else as JSON. ``$${`` is ``${`` itself. Keys of objects
are never templates.

Invariants:
    * What comes out is inserted and never read again: a value that looks like a template stays as it is.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from ..driver.places import Path
from ..driver.shape import is_array, is_table
from . import cel
from .cel_bounds import MAX_WEIGHT
from .errors import ExpressionFailed, ExpressionInvalid
from .json_text import read_json, write_json

_OPEN: Final = "${"
_ESCAPED: Final = "$${"
_MARK: Final = re.compile(r"""\"\"\"|'''|["'{}]""")
_KEPT: Final = 8192


Filled = Callable[[Mapping[str, object]], Any]
"""A value with templates, as it comes out with some variables."""


class Part(msgspec.Struct, frozen=True):
    """A piece of a text: an expression's source, or text as it is."""

    text: str
    is_expression: bool = False


def render(raw: bytes, variables: Mapping[str, object]) -> bytes:
    """Return JSON with templates as JSON without, canonical.

    Raises:
        ExpressionInvalid: TW7022.
        ExpressionFailed: TW7023, an expression comes to no value, or all of them to too much.
    """
    value = resolve(read_json(raw), variables)
    try:
        rendered = write_json(value)
    except ValueError as error:
        raise ExpressionFailed("what the expressions come to cannot be written", why=str(error)) from None
    if len(rendered) > MAX_WEIGHT:
        raise ExpressionFailed(
            f"what the expressions come to has {len(rendered):,} bytes",
            why=f"at most {MAX_WEIGHT:,} are allowed",
            fix="hand on an artifact in place of its content",
        )
    return rendered


def resolve(value: Any, variables: Mapping[str, object]) -> Any:
    """Return a value with its templates replaced by what they come to. The value itself is not changed.

    Raises:
        ExpressionInvalid: TW7022.
        ExpressionFailed: TW7023.

    Law: a value without templates comes back equal.
    """
    if isinstance(value, str):
        return _resolved(value, variables) if "$" in value else value
    if is_array(value):
        return [resolve(item, variables) for item in value]
    if is_table(value):
        return {key: resolve(item, variables) for key, item in value.items()}
    return value


def prepare(value: Any) -> Filled:
    """Return a value that is to be resolved often, ready for the variables of each time.

    Law: ``prepare(value)(variables)`` comes to what ``resolve(value, variables)`` does, errors among it.
    """
    if isinstance(value, str):
        return _prepared(value)
    if is_array(value):
        items = [prepare(item) for item in value]
        return lambda variables: [item(variables) for item in items]
    if is_table(value):
        members = [(key, prepare(item)) for key, item in value.items()]
        return lambda variables: {key: item(variables) for key, item in members}
    return lambda _: value


def _prepared(text: str) -> Filled:
    if "$" not in text:
        return lambda _: text
    try:
        source = single(text)
        compiled = cel.compile_expression(source) if source is not None else None
    except ExpressionInvalid:
        compiled = None  # It says so each time, in the place where it stands.
    if compiled is None:
        return lambda variables: _resolved(text, variables)
    return lambda variables: cel.value_of(compiled, variables)


def reads(value: Any) -> frozenset[tuple[str, str]]:
    """Return which members of which variables the expressions of a value read, such as ``("steps", "load")``.

    Raises:
        ExpressionInvalid: TW7022.
    """
    return frozenset(read for source, _ in expressions(value) for read in cel.reads(source))


def steps_read(raw: bytes) -> frozenset[str]:
    """Return the steps that the templates of JSON read."""
    return _steps(reads(read_json(raw))) if _OPEN.encode() in raw else frozenset()


def steps_in_text(text: str) -> frozenset[str]:
    """Return the steps that the templates of a text read."""
    return _steps(reads(text))


def steps_in_expression(source: str) -> frozenset[str]:
    """Return the steps that an expression reads."""
    return _steps(cel.reads(source))


def _steps(found: frozenset[tuple[str, str]]) -> frozenset[str]:
    return frozenset(member for root, member in found if root == "steps")


def is_static(value: Any) -> bool:
    """Return whether a value holds no expression. An escaped ``$${`` is one: it has to be resolved."""
    if isinstance(value, str):
        return _OPEN not in value
    if is_array(value):
        return all(is_static(item) for item in value)
    return all(is_static(item) for item in value.values()) if is_table(value) else True


def expressions(value: Any, path: Path = ()) -> Iterator[tuple[str, Path]]:
    """Yield every expression of a value with the path to the text that it stands in. Order: as they are written.

    Raises:
        ExpressionInvalid: TW7022, a text with an expression that does not end.
    """
    if isinstance(value, str):
        if _OPEN in value:
            yield from ((part.text, path) for part in split(value) if part.is_expression)
    elif is_array(value):
        for index, item in enumerate(value):
            yield from expressions(item, (*path, index))
    elif is_table(value):
        for key, item in value.items():
            yield from expressions(item, (*path, key))


def texts(value: Any, path: Path = ()) -> Iterator[tuple[str, Path]]:
    """Yield every text of a value that holds a template, with the path to it."""
    if isinstance(value, str):
        if _OPEN in value:
            yield value, path
    elif is_array(value):
        for index, item in enumerate(value):
            yield from texts(item, (*path, index))
    elif is_table(value):
        for key, item in value.items():
            yield from texts(item, (*path, key))


def single(text: str) -> str | None:
    """Return the expression that a text is and nothing else, so that its value keeps its kind; else None."""
    parts = split(text)
    return parts[0].text if len(parts) == 1 and parts[0].is_expression else None


@lru_cache(maxsize=_KEPT)
def split(text: str) -> tuple[Part, ...]:
    """Return the pieces of a text, expressions and what stands between them.

    Raises:
        ExpressionInvalid: TW7022, an expression does not end, or there is none between the braces.
    """
    parts: list[Part] = []
    plain, at = "", 0
    while True:
        found = text.find(_OPEN, at)
        if found < 0:
            break
        if found > at and text[found - 1] == "$":
            plain += text[at : found - 1] + _OPEN
            at = found + len(_OPEN)
            continue
        plain += text[at:found]
        end = _end(text, found + len(_OPEN))
        source = text[found + len(_OPEN) : end].strip()
        if not source:
            fix = "write an expression between the braces, or $${ for the characters themselves"
            raise ExpressionInvalid("a template without an expression", where=_shown(text, found), fix=fix)
        parts += [Part(plain), Part(source, True)] if plain else [Part(source, True)]
        plain, at = "", end + 1
    plain += text[at:]
    return tuple([*parts, Part(plain)] if plain else parts)


def _end(text: str, at: int) -> int:
    """Return where the brace stands that closes an expression; braces of its own, and in texts, are stepped over."""
    start, depth = at, 1
    while (found := _MARK.search(text, at)) is not None:
        mark, at = found[0], found.start()
        if mark == "}":
            depth -= 1
            if depth == 0:
                return at
        elif mark == "{":
            depth += 1
        else:
            at = _after_text(text, at + len(mark), mark, raw=at > start and text[at - 1] in "rR")
            continue
        at += 1
    fix = "close it with }, or write $${ for the characters themselves"
    raise ExpressionInvalid("an expression that does not end", where=_shown(text, start - len(_OPEN)), fix=fix)


def _after_text(text: str, at: int, quote: str, *, raw: bool) -> int:
    while at < len(text) and not text.startswith(quote, at):
        at += 2 if text[at] == "\\" and not raw else 1
    return at + len(quote)


def _shown(text: str, at: int) -> str:
    return " ".join(text[at : at + 80].split())


def _resolved(text: str, variables: Mapping[str, object]) -> Any:
    parts = split(text)
    if len(parts) == 1 and parts[0].is_expression:
        return cel.evaluate(parts[0].text, variables)
    pieces: list[str] = []
    size = 0
    for part in parts:
        piece = _written(cel.evaluate(part.text, variables)) if part.is_expression else part.text
        size += len(piece)
        if size > MAX_WEIGHT:
            why = f"at most {MAX_WEIGHT:,} characters are allowed"
            raise ExpressionFailed("a text that becomes too long", where=_shown(text, 0), why=why)
        pieces.append(piece)
    return "".join(pieces)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else write_json(value).decode()
