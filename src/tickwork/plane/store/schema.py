"""Which tables a store has: made at once in a new one, migrated in an older one.

``migrations/versions`` holds one file for each change; a new store is made from ``tables`` directly and is marked as
having them all. A test compares the two ways.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from ...journal import dbapi
from ...journal.dbapi import Database, Session
from ...journal.shared import SharedJournals
from ..errors import StoreFormat
from .tables import METADATA, WORDS

LATEST: Final = "0001"
"""The last of ``migrations/versions``."""

VERSIONS: Final = ("0001",)
"""All of them. Order: as they follow each other."""

READ_VERSION: Final = "SELECT version_num FROM alembic_version"


def make(database: Database) -> None:
    """Make all tables, in the transaction that is open, and mark them as the latest."""
    engine = create_engine("sqlite://", module=dbapi, creator=lambda: Session(database), poolclass=StaticPool)
    with engine.connect() as connection:
        METADATA.create_all(connection, checkfirst=False)
    for statement in WORDS:
        database.query(statement)
    database.query("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    database.query("INSERT INTO alembic_version (version_num) VALUES (?)", (LATEST,))


def check(journals: SharedJournals, path: Path, *, write: bool) -> None:
    """Bring an older store up to date.

    Raises:
        StoreFormat: TW7019, it is newer than this version, or older and opened for reading.
    """
    found = str(journals.query(READ_VERSION)[0][0])
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
    raise NotImplementedError
