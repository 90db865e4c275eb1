"""How a journal of format 1 lies in an SQLite file: marks, tables, statements.

A reader in another language needs this page, ``codec`` and nothing else.
"""

from pathlib import Path
from typing import Final, NamedTuple

from ..errors import JournalFormat
from ..records import FORMAT_VERSION
from .seal import ReadAt

APPLICATION_ID: Final = 0x54574B4A
"""``TWKJ``: what tells a journal from any other SQLite file."""

MAGIC: Final = b"SQLite format 3\0"

# The digests stand before the bodies in a frame's row: a head is read without following the row's overflow pages.
SCHEMA: Final = """
CREATE TABLE header (
    id INTEGER PRIMARY KEY CHECK (id = 1), header BLOB NOT NULL, environment BLOB NOT NULL,
    d BLOB NOT NULL, f BLOB NOT NULL
) STRICT;
CREATE TABLE frames (
    tick INTEGER PRIMARY KEY, d BLOB NOT NULL, f BLOB NOT NULL,
    inputs BLOB NOT NULL, turns BLOB NOT NULL, derived BLOB NOT NULL, hints BLOB NOT NULL
) STRICT;
CREATE TABLE content (digest BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE heads (
    tick INTEGER NOT NULL, d BLOB NOT NULL, f BLOB NOT NULL,
    key_id BLOB NOT NULL, public_key BLOB NOT NULL, signature BLOB NOT NULL
) STRICT;
CREATE TABLE status (
    id INTEGER PRIMARY KEY CHECK (id = 1), closed INTEGER NOT NULL, text TEXT NOT NULL, barriers INTEGER NOT NULL
) STRICT;
"""

ADD_HEADER: Final = "INSERT INTO header (id, header, environment, d, f) VALUES (1, ?, ?, ?, ?)"
ADD_STATUS: Final = "INSERT INTO status (id, closed, text, barriers) VALUES (1, 0, '', 0)"
ADD_FRAME: Final = "INSERT INTO frames (tick, inputs, turns, derived, hints, d, f) VALUES (?, ?, ?, ?, ?, ?, ?)"
ADD_CONTENT: Final = "INSERT OR IGNORE INTO content (digest, bytes) VALUES (?, ?)"
ADD_SIGNATURE: Final = "INSERT INTO heads (tick, d, f, key_id, public_key, signature) VALUES (?, ?, ?, ?, ?, ?)"
READ_FRAMES: Final = (
    "SELECT tick, inputs, turns, derived, hints, d, f FROM frames WHERE tick >= ? AND tick <= ? ORDER BY tick"
)
READ_HEADER: Final = "SELECT header, environment, d, f FROM header"
READ_STATUS: Final = "SELECT closed, text FROM status"
READ_STATUS_PAGE: Final = "SELECT rootpage FROM sqlite_schema WHERE name = 'status'"
READ_LAST_HEAD: Final = "SELECT tick, d, f FROM frames ORDER BY tick DESC LIMIT 1"
READ_CONTENT: Final = "SELECT digest, bytes FROM content WHERE digest = ?"
COUNT_FRAMES: Final = "SELECT count(*) FROM frames"
READ_CONTENTS: Final = "SELECT digest, bytes FROM content ORDER BY rowid"
READ_SIGNATURES: Final = "SELECT tick, d, f, key_id, public_key, signature FROM heads ORDER BY tick, rowid"
LAST_TICK: Final = 2**63 - 1


class ContentRow(NamedTuple):
    """A row of ``content``."""

    digest: bytes
    body: bytes


class HeaderRow(NamedTuple):
    """The row of ``header``."""

    header: bytes
    environment: bytes
    d: bytes
    f: bytes


class StatusRow(NamedTuple):
    """The row of ``status``."""

    closed: int
    text: str


class HeadRow(NamedTuple):
    """The chain of a row of ``frames``."""

    tick: int
    d: bytes
    f: bytes


class FrameRow(NamedTuple):
    """A row of ``frames``. Order: that of a ``Frame``."""

    tick: int
    inputs: bytes
    turns: bytes
    derived: bytes
    hints: bytes
    d: bytes
    f: bytes


class SignatureRow(NamedTuple):
    """A row of ``heads``."""

    tick: int
    d: bytes
    f: bytes
    key_id: bytes
    public_key: bytes
    signature: bytes


class NumberRow(NamedTuple):
    """A number."""

    number: int


def begins_as_closed(read: ReadAt) -> bool:
    """Return whether the first page is that of a finished run: an open one is in WAL mode, and its header says so."""
    ours = read(68, 4) == APPLICATION_ID.to_bytes(4, "big")
    return ours and read(0, len(MAGIC)) == MAGIC and read(18, 2) == b"\x01\x01"


def check_format(application: int, version: int, path: Path) -> None:
    """Refuse another program's database and a newer format.

    Raises:
        JournalFormat: TW2005.
    """
    if application != APPLICATION_ID:
        raise JournalFormat("this file is no journal", where=str(path), why="it is another program's SQLite database")
    if not 1 <= version <= FORMAT_VERSION:
        raise JournalFormat(
            f"the journal has format {version}, this version reads formats 1 to {FORMAT_VERSION}",
            where=str(path),
            fix="install a newer Tickwork",
        )
