"""Errors: what a person is told."""

import inspect
import re

import pytest

from tickwork import errors
from tickwork.errors import JournalDamaged, TickworkError

CLASSES = [item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, TickworkError)]
LEAVES = [item for item in CLASSES if "code" in vars(item) and item is not TickworkError]


def test_every_code_belongs_to_one_class_and_has_its_form() -> None:
    codes = [item.code for item in LEAVES]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"TW\d{4}", code) for code in codes)


def test_the_tree_in_the_docstring_names_every_class_with_its_code() -> None:
    tree = errors.__doc__ or ""
    for item in CLASSES:
        assert item.__name__ in tree
    for item in LEAVES:
        line = next(line for line in tree.splitlines() if f" {item.__name__} " in line)
        assert item.code in line


def test_the_tree_in_the_docstring_states_the_exit_statuses() -> None:
    status = None
    for line in (errors.__doc__ or "").splitlines():
        name = re.search(r"── (\w+)", line)
        stated = re.search(r"exit (\d+)", line)
        if not name:
            continue
        if re.match(r"    [├└]", line):
            status = int(stated.group(1)) if stated else None
        found = getattr(errors, name.group(1)).exit_status
        if stated or status is not None:
            assert found == (int(stated.group(1)) if stated else status), name.group(1)


def test_an_error_says_what_where_why_and_how_to_fix_it() -> None:
    error = errors.WorldSchemaError("bad key", where="world.toml:3", why="it is unknown", fix="remove it")
    assert str(error).splitlines() == [
        "TW1102: bad key",
        "  where: world.toml:3",
        "  why:   it is unknown",
        "  fix:   remove it",
    ]
    assert error.problem() == {
        "schema_version": 1,
        "code": "TW1102",
        "what": "bad key",
        "where": "world.toml:3",
        "why": "it is unknown",
        "fix": "remove it",
        "exit_status": 78,
    }


def test_what_is_not_known_is_left_out() -> None:
    error = errors.RunFailed("it failed")
    assert str(error) == "TW4004: it failed"
    assert set(error.problem()) == {"schema_version", "code", "what", "exit_status"}


@pytest.mark.parametrize(
    ("record", "offset", "where"),
    [
        (3, None, "tick 3"),
        (-1, 8192, "header, byte 8192"),
        (None, 4096, "byte 4096"),
        (None, None, ""),
        (0, 0, "tick 0, byte 0"),
    ],
)
def test_damage_is_located(record: int | None, offset: int | None, where: str) -> None:
    error = JournalDamaged("changed", record=record, offset=offset)
    assert (error.record, error.offset, error.where) == (record, offset, where)


@pytest.mark.parametrize("item", LEAVES)
def test_every_class_has_a_docstring_and_an_exit_status(item: type[TickworkError]) -> None:
    assert item.__doc__
    assert item.exit_status in {1, 2, 3, 4, 5, 6, 7, 8, 69, 70, 78}
