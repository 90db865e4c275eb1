"""A shared SQLite database, and Python's Database API 2.0 on top of it, which is what SQLAlchemy speaks.

Python's own ``sqlite3`` is not used: the library it is linked with is the system's, and older ones can corrupt a
write-ahead log. A connection is used by one thread at a time; whoever hands it out holds the lock.

Source: PEP 249.
"""

# The stubs of apsw name a type that exists only from Python 3.12 on, which leaves every method partly unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import apsw

from .faults import store_busy
from .files import beside
from .log_space import log_space
from .sqlite import connect as open_connection
from .sqlite import reading

apilevel: Final = "2.0"
threadsafety: Final = 1
paramstyle: Final = "qmark"
Binary: Final = bytes
sqlite_version: Final = apsw.sqlite_lib_version()
sqlite_version_info: Final = tuple(map(int, sqlite_version.split(".")))

BUSY_MS: Final = 10_000
"""How long a writer waits for another process's transaction, which takes milliseconds."""

_CHECKPOINT_PAGES: Final = 4000

_MARK_EVERY: Final = 4
"""Tries, of a millisecond each, after which whoever waits for the right to write says so again."""

_YIELD_MS: Final = 3
"""How long whoever reads that pauses: long enough for one more try."""

Value = None | int | float | str | bytes
Row = tuple[Any, ...]


class Error(Exception):
    """What went wrong in the database."""


class Warning(Exception):  # The standard's name.
    """Not raised; the standard asks for it."""


class InterfaceError(Error):
    """A wrong use of this interface."""


class DatabaseError(Error):
    """An error of the database itself."""


class DataError(DatabaseError):
    """A value that fits nowhere."""


class OperationalError(DatabaseError):
    """The disk, a lock, or a statement that names what is not there."""


class IntegrityError(DatabaseError):
    """A row that a constraint forbids."""


class InternalError(DatabaseError):
    """SQLite found itself in a state that must not be."""


class ProgrammingError(DatabaseError):
    """A statement with the wrong number of values."""


class NotSupportedError(DatabaseError):
    """Something this interface does not do."""


_KINDS: Final[tuple[tuple[type[apsw.Error], type[Error]], ...]] = (
    (apsw.ConstraintError, IntegrityError),
    (apsw.BindingsError, ProgrammingError),
    (apsw.MisuseError, InterfaceError),
    (apsw.TooBigError, DataError),
    (apsw.MismatchError, DataError),
    (apsw.InternalError, InternalError),
)


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except apsw.Error as error:
        raise next((ours for theirs, ours in _KINDS if isinstance(error, theirs)), OperationalError)(
            str(error)
        ) from error


class Database:
    """A connection to a database that several processes use.

    Law: a transaction is durable once ``commit`` returned from it, if it was begun so; otherwise it survives the end of
    this process, and any later durable one makes it durable too.
    """

    def __init__(self, path: Path, *, write: bool = True, create: bool = False, vfs: str | None = None) -> None:
        self.path = path
        self._wanted = str(beside(path, "-wanted"))
        self._marked = False
        # Another layer than the system's may keep the log anywhere.
        self._space = log_space(beside(path, "-wal"), _CHECKPOINT_PAGES) if write and vfs is None else None
        flags = apsw.SQLITE_OPEN_READWRITE if write else apsw.SQLITE_OPEN_READONLY
        mode = "rwc" if create else "rw" if write else "ro"
        if not write and not os.access(path.parent, os.W_OK) and not beside(path, "-wal").exists():
            # Where nobody can write, nobody is about to; the log's index could not be made here.
            mode += "&immutable=1"
        with reading(path):
            self._connection = open_connection(
                path, vfs=vfs, options=f"mode={mode}", flags=flags | (apsw.SQLITE_OPEN_CREATE if create else 0)
            )
            self._connection.set_busy_handler(self._wait)
            self._connection.pragma("foreign_keys", 1)
            if write:
                self._connection.set_wal_hook(self._logged)
                self._connection.pragma("synchronous", "full")
            else:
                self._connection.pragma("query_only", 1)
                self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        # One for all statements, for none stays open: their rows are fetched at once.
        self._cursor = self._connection.cursor()
        self._durable = write

    def _wait(self, times: int) -> bool:
        """Wait for another process's transaction; return whether to try again.

        SQLite's own way waits ever longer, and so hardly ever meets the moment between two commits of a process that
        does nothing else. Here whoever waits leaves a mark, and whoever comes upon it lets others go first.
        """
        if times >= BUSY_MS:
            return False
        if times % _MARK_EVERY == 1:
            self._marked = True
            with suppress(OSError):
                os.close(os.open(self._wanted, os.O_CREAT | os.O_WRONLY, 0o666))
        apsw.sleep(1)
        return True

    def _logged(self, connection: apsw.Connection, name: str, frames: int) -> int:
        """Take notice of a commit to the log, and bring a long one into the database, as SQLite does by itself."""
        if self._space is not None:
            self._space.note(frames)
        if frames >= _CHECKPOINT_PAGES:
            with suppress(apsw.Error):  # The commit stands; the next one tries again.
                connection.wal_checkpoint(name, apsw.SQLITE_CHECKPOINT_PASSIVE)
        return apsw.SQLITE_OK

    def _let_others_go(self) -> None:
        with suppress(OSError):
            os.unlink(self._wanted)
            apsw.sleep(_YIELD_MS)

    def to_wal(self) -> bool:
        """Let readers and a writer work beside each other from now on; return whether this file system can."""
        with reading(self.path):
            return str(self._connection.pragma("journal_mode", "wal")) == "wal"

    def begin(self, *, durable: bool) -> None:
        """Begin a transaction that writes.

        Raises:
            JournalBusy: TW2003, another process has been writing for too long.
        """
        if os.access(self._wanted, os.F_OK):  # Of all ways to ask, the quickest: every transaction does.
            self._let_others_go()
        if durable != self._durable:
            self._connection.pragma("synchronous", "full" if durable else "normal")
            self._durable = durable
        try:
            self._cursor.execute("BEGIN IMMEDIATE")
        except apsw.BusyError:
            raise store_busy(self.path) from None
        finally:
            self._remove_mark()
        if self._space is not None and self._space.wanting:
            self._space.lay_out()

    def _remove_mark(self) -> None:
        if self._marked:
            self._marked = False
            with suppress(OSError):
                os.unlink(self._wanted)

    def begin_reading(self) -> None:
        """Begin a transaction that reads: all of it sees the database as it is at its first statement."""
        self._cursor.execute("BEGIN")

    def commit(self) -> None:
        """End the transaction, if there is one, and keep what it wrote."""
        if self._connection.in_transaction:
            self._cursor.execute("COMMIT")

    def rollback(self) -> None:
        """End the transaction, if there is one, and undo what it wrote."""
        if self._connection.in_transaction:
            self._cursor.execute("ROLLBACK")

    def query(self, statement: str, bindings: Sequence[Value] = ()) -> list[Row]:
        """Run one statement and return its rows."""
        return self._cursor.execute(statement, bindings).fetchall()

    def run_many(self, statement: str, rows: Iterable[Sequence[Value]]) -> None:
        """Run one statement for each of some rows."""
        self._cursor.executemany(statement, rows)

    def script(self, statements: str) -> None:
        """Run several statements."""
        self._connection.execute(statements)

    def pragma(self, name: str, value: int | str | None = None) -> Any:
        """Return or set one of SQLite's own settings."""
        return self._connection.pragma(name) if value is None else self._connection.pragma(name, value)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    @property
    def connection(self) -> apsw.Connection:
        """SQLite's own object."""
        return self._connection


class Cursor:
    """What one statement came to. All its rows are fetched at once, so that no statement stays open."""

    arraysize = 1

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._cursor.exec_trace = self._describe
        self._rows: Iterator[Row] = iter(())
        self.description: tuple[tuple[Any, ...], ...] | None = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    def _describe(self, cursor: apsw.Cursor, _statement: str, _bindings: object) -> bool:
        # Asked before the first step: of a statement without rows nothing can be asked afterwards.
        columns = cursor.get_description()
        self.description = tuple((name, kind, None, None, None, None, None) for name, kind in columns) or None
        return True

    def execute(self, statement: str, parameters: Sequence[Value] = ()) -> "Cursor":
        """Run a statement."""
        with _translated():
            self._rows = iter(self._cursor.execute(statement, parameters).fetchall())
        self._count()
        return self

    def executemany(self, statement: str, rows: Iterable[Sequence[Value]]) -> "Cursor":
        """Run a statement for each of some rows."""
        before = self._connection.total_changes()
        with _translated():
            self._rows = iter(self._cursor.executemany(statement, rows).fetchall())
        self._count()
        self.rowcount = self._connection.total_changes() - before
        return self

    def _count(self) -> None:
        self.rowcount = self._connection.changes()
        self.lastrowid = self._connection.last_insert_rowid()

    def fetchone(self) -> Row | None:
        """Return the next row."""
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """Return some more rows."""
        return [row for _, row in zip(range(size or self.arraysize), self._rows, strict=False)]

    def fetchall(self) -> list[Row]:
        """Return all further rows."""
        return list(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    def setinputsizes(self, *_: object) -> None:
        """Do nothing, as the standard allows."""

    def setoutputsize(self, *_: object) -> None:
        """Do nothing, as the standard allows."""

    def close(self) -> None:
        """Let go of the statement."""
        self._rows = iter(())
        self._cursor.close(True)


class Session:
    """A database as the standard has connections.

    Its ``commit`` and ``rollback`` do nothing where somebody else begins and ends the transactions.
    """

    isolation_level: str | None = ""

    def __init__(self, database: Database, *, ends: bool = False) -> None:
        self._database = database
        self._ends = ends

    def cursor(self) -> Cursor:
        """Return a place for a statement."""
        return Cursor(self._database.connection)

    def commit(self) -> None:
        """Keep what was written."""
        if self._ends:
            with _translated():
                self._database.commit()

    def rollback(self) -> None:
        """Undo what was written."""
        if self._ends:
            with _translated():
                self._database.rollback()

    def create_function(self, name: str, count: int, call: Callable[..., Any], *, deterministic: bool = False) -> None:
        """Let statements call a function of Python."""
        self._database.connection.create_scalar_function(name, call, count, deterministic=deterministic)

    def close(self) -> None:
        """Do nothing: whoever opened the database closes it."""
