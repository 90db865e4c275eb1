"""How the journals of many runs lie in one SQLite database: the rows of ``layout``, keyed by run.

Frames lie in the order in which they were flushed, and an index finds those of a run: what one commit of many runs
writes is then one piece of the file.
"""

from collections.abc import Mapping
from typing import Final

from . import layout

STORE_ID: Final = 0x54574B53
"""``TWKS``: what tells a store from a journal and from any other SQLite file."""

STORE_FORMAT: Final = 1

SCHEMA: Final = """
CREATE TABLE journal (
    no INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE, tenant_id TEXT NOT NULL DEFAULT 'default',
    header BLOB NOT NULL, environment BLOB NOT NULL, d BLOB NOT NULL, f BLOB NOT NULL,
    closed INTEGER NOT NULL DEFAULT 0, text TEXT NOT NULL DEFAULT '', fence INTEGER NOT NULL DEFAULT 1
) STRICT;
CREATE TABLE journal_frame (
    run INTEGER NOT NULL, tick INTEGER NOT NULL, d BLOB NOT NULL, f BLOB NOT NULL,
    inputs BLOB NOT NULL, turns BLOB NOT NULL, derived BLOB NOT NULL, hints BLOB NOT NULL,
    PRIMARY KEY (run, tick)
) STRICT;
CREATE TABLE journal_content (digest BLOB PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE journal_use (run INTEGER NOT NULL, digest BLOB NOT NULL, UNIQUE (run, digest)) STRICT;
CREATE TABLE journal_head (
    run INTEGER NOT NULL, tick INTEGER NOT NULL, d BLOB NOT NULL, f BLOB NOT NULL,
    key_id BLOB NOT NULL, public_key BLOB NOT NULL, signature BLOB NOT NULL
) STRICT;
CREATE INDEX journal_head_run ON journal_head (run);
CREATE TABLE journal_barrier (id INTEGER PRIMARY KEY CHECK (id = 1), barriers INTEGER NOT NULL) STRICT;
INSERT INTO journal_barrier (id, barriers) VALUES (1, 0);
"""

ADD_JOURNAL: Final = (
    "INSERT INTO journal (run, header, environment, d, f) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING no"
)
ADD_FRAME: Final = (
    "INSERT INTO journal_frame (run, tick, inputs, turns, derived, hints, d, f) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
ADD_CONTENT: Final = "INSERT OR IGNORE INTO journal_content (digest, bytes) VALUES (?, ?)"
ADD_USE: Final = "INSERT OR IGNORE INTO journal_use (run, digest) VALUES (?, ?)"
ADD_SIGNATURE: Final = (
    "INSERT INTO journal_head (run, tick, d, f, key_id, public_key, signature) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
CLOSE: Final = "UPDATE journal SET closed = 1, text = ? WHERE no = ?"
READ_FENCE: Final = "SELECT fence FROM journal WHERE no = ?"
TAKE_FENCE: Final = "UPDATE journal SET fence = fence + 1 WHERE run = ? RETURNING no, fence"
FIND: Final = "SELECT no FROM journal WHERE run = ?"
FIND_LIKE: Final = "SELECT run FROM journal WHERE run >= ? AND run < ? ORDER BY run LIMIT ?"
READ_RUNS: Final = "SELECT run FROM journal ORDER BY no"
RAISE_BARRIER: Final = "UPDATE journal_barrier SET barriers = barriers + 1"

KEYED: Final[Mapping[str, str]] = {
    layout.READ_HEADER: "SELECT header, environment, d, f FROM journal WHERE no = ?",
    layout.READ_STATUS: "SELECT closed, text FROM journal WHERE no = ?",
    layout.READ_LAST_HEAD: "SELECT tick, d, f FROM journal_frame WHERE run = ? ORDER BY tick DESC LIMIT 1",
    layout.READ_SIGNATURES: (
        "SELECT tick, d, f, key_id, public_key, signature FROM journal_head WHERE run = ? ORDER BY tick, rowid"
    ),
    layout.READ_FRAMES: (
        "SELECT tick, inputs, turns, derived, hints, d, f FROM journal_frame"
        " WHERE run = ? AND tick >= ? AND tick <= ? ORDER BY tick"
    ),
    layout.READ_CONTENT: (
        "SELECT c.digest, c.bytes FROM journal_use u JOIN journal_content c ON c.digest = u.digest"
        " WHERE u.run = ? AND u.digest = ?"
    ),
    layout.READ_CONTENTS: (
        "SELECT c.digest, c.bytes FROM journal_use u JOIN journal_content c ON c.digest = u.digest"
        " WHERE u.run = ? ORDER BY u.rowid"
    ),
    layout.COUNT_FRAMES: "SELECT count(*) FROM journal_frame WHERE run = ?",
}
"""What reads one journal's file, and what reads the same of one run here; the run comes first among its values."""
