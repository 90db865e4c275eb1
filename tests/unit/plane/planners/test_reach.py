import sqlite3
from pathlib import Path

import pytest

from tests.unit.infer import kept, nets
from tickwork.clock import SystemClock
from tickwork.infer.client import Models
from tickwork.infer.store import ModelStore
from tickwork.plane.planners.reach import MOST_CHARACTERS, MOST_COLUMNS, look
from tickwork.plane.profile import GrantsTable

CLOCK = SystemClock()


def database(path: Path, *statements: str) -> Path:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


def test_a_planner_is_told_what_is_granted_and_nothing_else(tmp_path: Path) -> None:
    database(tmp_path / "own.db", "CREATE TABLE day (at TEXT, rain REAL)", "CREATE VIEW wet AS SELECT at FROM day")
    database(tmp_path / "other.db", "CREATE TABLE hidden (x)")
    grants = GrantsTable(hosts=("api.example.com",), read=("notes",), databases=("own.db",), secrets=("KEY",))
    found = look(grants, tmp_path, CLOCK)
    assert found.shown == {
        "hosts": ["api.example.com"],
        "read": ["notes"],
        "secrets": ["secret:KEY"],
        "databases": {
            "own.db": {"may be changed": False, "tables": {"day": ["at TEXT", "rain REAL"], "wet": ["at TEXT"]}}
        },
    }
    assert found.labels == ("database:own.db",)
    assert look(GrantsTable(), tmp_path, CLOCK).shown == {}


@pytest.mark.parametrize("content", [None, b"no database at all"])
def test_a_database_that_cannot_be_read_is_named_alone(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "own.db").write_bytes(content)
    found = look(GrantsTable(databases=("own.db", "secret:DSN"), writable=("own.db",)), tmp_path, CLOCK)
    assert found.shown["databases"] == {
        "own.db": {"may be changed": True, "tables": {}},
        "secret:DSN": {"may be changed": False, "tables": {}},
    }
    assert found.labels == ()
    assert (tmp_path / "own.db").exists() == (content is not None)


def test_names_are_cut_and_columns_are_counted(tmp_path: Path) -> None:
    long = "x" * (MOST_CHARACTERS + 1)
    tables = (f"CREATE TABLE t{number} ({', '.join(f'c{place}' for place in range(400))})" for number in range(3))
    database(tmp_path / "own.db", f'CREATE TABLE "{long}" (a)', *tables)
    tables_told = look(GrantsTable(databases=("own.db",)), tmp_path, CLOCK).shown["databases"]["own.db"]["tables"]
    assert sum(map(len, tables_told.values())) == MOST_COLUMNS
    database(tmp_path / "long.db", f'CREATE TABLE "{long}" (a)')
    [name] = look(GrantsTable(databases=("long.db",)), tmp_path, CLOCK).shown["databases"]["long.db"]["tables"]
    assert name == f"{long[:MOST_CHARACTERS]}..."


def test_models_are_told_with_their_inputs_by_whoever_may_ask_them(tmp_path: Path) -> None:
    kept.keep(ModelStore(tmp_path / "models"), "small", nets.mlp((16, 32, 4), 7))
    with Models(tmp_path / "models") as models:
        found = look(GrantsTable(), tmp_path, CLOCK, lambda: models)
    ports = {"inputs": {"x": "float32[rows, 16]"}, "outputs": {"y": "float32[rows, 4]"}}
    assert found.shown == {"models": {"small": ports}}
    assert found.labels == ()
