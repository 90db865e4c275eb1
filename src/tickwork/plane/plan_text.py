"""Reads plans as they are written, in TOML or JSON, and finds every key's line.

Invariants:
    * Only text is judged here. Whether a plan can be run is up to ``compiling.py``.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path as File
from typing import Any, Final

import msgspec
from msgspec import inspect as shapes

from ..driver.places import Path, find_places
from ..driver.shape import is_array, is_table, shape_faults
from .errors import PlanInvalid, PlanNotFound
from .json_text import read_json, write_json
from .plan_faults import PlanFault, as_error
from .tables import MAX_STEPS, PlanTable

MAX_BYTES: Final = 16 << 20

_TOKEN: Final = re.compile(r'("(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+)')
_TOML_WORDS: Final = (("an array", "a list"), ("a table", "an object"))


class PlanFile(msgspec.Struct, frozen=True):
    """A plan and where it was written.

    Attributes:
        file: As the user named it.
        lines: Line of every key.
    """

    table: PlanTable
    file: File
    lines: Mapping[Path, int]


def read_plan(file: File) -> PlanFile:
    """Return the plan in a file, JSON where its name ends with ``.json`` and else TOML.

    Raises:
        PlanNotFound: TW7002, no file can be read there.
        PlanInvalid: TW7001, it is no plan; every fault of its form is named.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        fix = "name a plan of TOML or JSON; `tickwork plan schema` says what is in one"
        raise PlanNotFound(
            f"no plan can be read at {file}", where=str(file), why=error.strerror or str(error), fix=fix
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        where = f"{file}:{line}, byte {error.start}"
        raise PlanInvalid("the plan is not UTF-8", where=where, why=error.reason, fix="save it as UTF-8") from error
    return parse_plan(text, file)


def parse_plan(text: str, file: File) -> PlanFile:
    """Return the plan written in ``text``.

    Args:
        file: Named in errors; its ending says whether it is JSON.

    Raises:
        PlanInvalid: TW7001, it is no plan; every fault of its form is named.
    """
    document, lines = _document(text, file)
    table, faults = table_of(document)
    if table is None:
        raise as_error(faults if file.suffix != ".json" else _in_json(faults), file, lines)
    return PlanFile(table, file, lines)


def parse_json_plan(raw: bytes | str) -> tuple[PlanTable | None, list[PlanFault]]:
    """Return the plan that a JSON text holds, or None and what is wrong with its form."""
    try:
        document = read_json(raw, most_bytes=MAX_BYTES)
    except ValueError as error:
        return None, [PlanFault((), "the plan is no JSON", str(error), "answer with one JSON object and nothing else")]
    table, faults = table_of(document)
    return table, _in_json(faults)


def table_of(document: object) -> tuple[PlanTable | None, list[PlanFault]]:
    """Return a document as a plan, or None and every fault of its form."""
    unwritable = list(_unwritable(document, ()))
    if unwritable:
        return None, unwritable
    try:
        table = msgspec.convert(document, PlanTable)
    except (msgspec.ValidationError, RecursionError) as error:
        found = [
            PlanFault(fault.path, fault.what, fault.why, fault.fix) for fault in shape_faults(document, _shape(), ())
        ]
        # The schema knows more than the search for several faults: the number of steps, and depth.
        return None, found or [PlanFault((), str(error).partition(" - ")[0], fix=f"at most {MAX_STEPS:,} steps")]
    return table, []


def plan_schema() -> bytes:
    """Return the JSON Schema of a plan, as it is published."""
    schema = msgspec.json.schema(PlanTable)
    named: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tickwork plan",
        **schema,
    }
    return msgspec.json.format(msgspec.json.encode(named, order="deterministic"), indent=2) + b"\n"


def plan_document(table: PlanTable) -> dict[str, Any]:
    """Return a plan as plain values, what it leaves to defaults left out."""
    document: dict[str, Any] = msgspec.to_builtins(table)
    return document


def plan_bytes(table: PlanTable) -> bytes:
    """Return a plan as JSON, canonical."""
    return write_json(plan_document(table))


@cache
def _shape() -> shapes.Type:
    return shapes.type_info(PlanTable)


def _document(text: str, file: File) -> tuple[object, Mapping[Path, int]]:
    if len(text) > MAX_BYTES:
        why = f"at most {MAX_BYTES:,} are read"
        raise PlanInvalid(f"a plan of {len(text):,} characters", where=str(file), why=why, fix="split it into plans")
    if file.suffix == ".json":
        try:
            return read_json(text), find_json_places(text)
        except ValueError as error:
            raise PlanInvalid("the plan is no JSON", where=str(file), why=str(error), fix="mend it there") from error
    try:
        return tomllib.loads(text), find_places(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PlanInvalid("the plan is no TOML", where=str(file), why=str(error), fix="mend it there") from error


def _in_json(faults: list[PlanFault]) -> list[PlanFault]:
    """Return faults in the words of JSON."""
    said: list[PlanFault] = []
    for fault in faults:
        what, why, fix = (_in_json_words(text) for text in (fault.what, fault.why, fault.fix))
        said.append(PlanFault(fault.path, what, why, fix, fault.step))
    return said


def _in_json_words(text: str) -> str:
    for toml, json in _TOML_WORDS:
        text = text.replace(toml, json)
    return text


def _unwritable(value: object, path: Path) -> Iterator[PlanFault]:
    """Yield what TOML can say and JSON cannot: dates, times, and numbers that are none."""
    if is_table(value):
        for key, item in value.items():
            yield from _unwritable(item, (*path, key))
    elif is_array(value):
        for index, item in enumerate(value):
            yield from _unwritable(item, (*path, index))
    elif isinstance(value, float):
        if value - value != 0:
            yield PlanFault(path, f"{value} is no number that a plan can hold", "JSON has none", "write another number")
    elif value is not None and not isinstance(value, str | int):
        yield PlanFault(path, f"a {type(value).__name__} stands here", "a plan holds JSON", f'write it as "{value}"')
    elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
        yield PlanFault(path, "a number beyond 64 bits", "no reader agrees on larger ones", "write it as a text")


def find_json_places(text: str) -> Mapping[Path, int]:
    """Return the line of every key and array element of a valid JSON document. Units: lines count from 1."""
    scanner = _JsonScanner(text)
    scanner.value(())
    return scanner.places


class _JsonScanner:
    """Walks a document that has been read before, and notes the line of everything in it."""

    def __init__(self, text: str) -> None:
        self.places: dict[Path, int] = {}
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._tokens = ((found[1], found.start(1)) for found in _TOKEN.finditer(text))

    def value(self, path: Path) -> None:
        token, at = next(self._tokens)
        self._rest(path, token, at)

    def _rest(self, path: Path, token: str, at: int) -> None:
        """Note a value whose first token has been read, and step over it."""
        self.places.setdefault(path, bisect_right(self._starts, at))
        if token == "{":
            self._members(path)
        elif token == "[":
            self._elements(path)

    def _members(self, path: Path) -> None:
        for token, at in self._tokens:
            if token == "}":
                return
            if token == ",":
                continue
            key = (*path, msgspec.json.decode(token, type=str))
            self.places[key] = bisect_right(self._starts, at)
            next(self._tokens)
            self.value(key)

    def _elements(self, path: Path) -> None:
        index = 0
        for token, at in self._tokens:
            if token == "]":
                return
            if token != ",":
                self._rest((*path, index), token, at)
                index += 1
