"""Which tables a store has: made at once in a new one, migrated in an older one.

``migrations/versions`` holds one file for each change; a new store is made from ``tables`` directly and is marked as
having them all. A test compares the two ways.
"""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ...journal import dbapi
from ...journal.dbapi import Database, Session
from ...journal.shared import SharedJournals
from ..errors import StoreFormat
from .sql import Connection, StaticPool, create_engine
from .tables import METADATA, WORDS

LATEST: Final = "0001"
"""The last of ``migrations/versions``."""

VERSIONS: Final = ("", "0001")
"""All of them, from a store without tables on. Order: as they follow each other."""

HAS_VERSION: Final = "SELECT count(*) FROM sqlite_schema WHERE name = 'alembic_version'"
READ_VERSION: Final = "SELECT version_num FROM alembic_version"


def make(database: Database) -> None:
    """Make all tables, in the transaction that is open, and mark them as the latest."""
    with connected(database) as connection:
        METADATA.create_all(connection, checkfirst=False)
    for statement in WORDS:
        database.query(statement)
    database.query("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    database.query("INSERT INTO alembic_version (version_num) VALUES (?)", (LATEST,))


@contextmanager
def connected(database: Database) -> Generator[Connection]:
    """Yield what makes statements in the transaction that is open."""
    engine = create_engine("sqlite://", module=dbapi, creator=lambda: Session(database), poolclass=StaticPool)
    with engine.connect() as connection:
        yield connection


def check(journals: SharedJournals, path: Path, *, write: bool) -> None:
    """Bring an older store up to date.

    Raises:
        StoreFormat: TW7019, it is newer than this version, or older and opened for reading.
    """
    if not journals.query(HAS_VERSION)[0][0]:
        raise StoreFormat("this store has no tables of goals", where=str(path), why="only journals were ever put in it")
    found = version_of(journals)
    if found == LATEST:
        return
    if found not in VERSIONS:
        raise StoreFormat(
            f"the store has tables of version {found}, this version knows those up to {LATEST}",
            where=str(path),
            fix="install a newer Tickwork",
        )
    if not write:
        raise StoreFormat(
            f"the store has tables of version {found} and is read as {LATEST}",
            where=str(path),
            fix="open it once to write, with any command that runs something",
        )
    from .migrating import upgrade  # Loads Alembic, which takes longer than all else.

    with journals.transaction(durable=True) as database, connected(database) as connection:
        # Asked again: another process may have come first.
        if version_of(journals, database) != LATEST:
            upgrade(connection)


def version_of(journals: SharedJournals, database: Database | None = None) -> str:
    """Return the version of a store's tables."""
    rows = journals.query(READ_VERSION) if database is None else database.query(READ_VERSION)
    return str(rows[0][0]) if rows else ""
