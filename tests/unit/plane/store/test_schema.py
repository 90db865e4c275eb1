"""plane/store/schema.py, migrating.py: a new store and a migrated one are the same, and no store is guessed at."""

from pathlib import Path

import pytest

from tickwork.clock import SteppedClock
from tickwork.journal.dbapi import Database
from tickwork.journal.shared import SharedJournals
from tickwork.plane.errors import StoreFormat
from tickwork.plane.store.migrating import upgrade, versions
from tickwork.plane.store.schema import LATEST, VERSIONS, connected, make
from tickwork.plane.store.store import Store


def without_tables(database: Database) -> None:
    """Leave a store to which no migration was applied."""
    database.query("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")


def shape(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return all tables and indices with their columns, as SQLite has them."""
    with SharedJournals.open(path, write=False) as journals:
        found: dict[str, list[tuple[object, ...]]] = {}
        for name, kind in journals.query("SELECT name, type FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"):
            info = f"pragma_{'index_xinfo' if kind == 'index' else 'table_xinfo'}"
            found[name] = list(journals.query(f"SELECT * FROM {info}(?)", (name,)))
        found["of all"] = sorted(journals.query("SELECT name, type, wr, strict FROM pragma_table_list"))
        return found


@pytest.fixture
def older(tmp_path: Path) -> Path:
    path = tmp_path / "older.db"
    SharedJournals.open(path, create=True, prepare=without_tables).close()
    return path


def test_a_migrated_store_has_the_tables_of_a_new_one(tmp_path: Path, older: Path) -> None:
    Store.open(tmp_path / "new.db", SteppedClock()).close()
    Store.open(older, SteppedClock()).close()
    assert shape(older) == shape(tmp_path / "new.db")
    Store.open(older, SteppedClock(), write=False).close()


def test_all_migrations_are_known_without_loading_them() -> None:
    assert tuple(versions()) == VERSIONS[1:]
    assert VERSIONS[-1] == LATEST


def test_an_older_store_is_not_migrated_by_who_only_reads(older: Path) -> None:
    before = shape(older)
    with pytest.raises(StoreFormat, match="is read as"):
        Store.open(older, SteppedClock(), write=False)
    assert shape(older) == before


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    with Store.open(path, SteppedClock()) as store, store.writing_quickly() as database:
        database.query("UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    for write in (True, False):
        with pytest.raises(StoreFormat, match="9999"):
            Store.open(path, SteppedClock(), write=write)
    assert path.read_bytes() == before


def test_a_migration_that_fails_leaves_the_store_as_it_was(older: Path) -> None:
    before = shape(older)
    with SharedJournals.open(older) as journals:
        with pytest.raises(ZeroDivisionError):
            migrate_and_fail(journals)
        with journals.transaction() as database:
            make_twice = database.query("SELECT count(*) FROM sqlite_schema WHERE name = 'run'")
    assert make_twice == [(0,)]
    assert shape(older) == before


def migrate_and_fail(journals: SharedJournals) -> None:
    """Run all migrations in a transaction that ends with an error."""
    with journals.transaction() as database:
        with connected(database) as connection:
            upgrade(connection)
        assert 1 / 0


def test_a_new_store_is_made_at_once(tmp_path: Path) -> None:
    with SharedJournals.open(tmp_path / "made.db", create=True, prepare=make) as journals:
        assert journals.query("SELECT version_num FROM alembic_version") == [(LATEST,)]
