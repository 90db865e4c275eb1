"""The store: one database for the journals of runs and the tables of the plane, used by any number of processes.

Invariants:
    * One connection of this process writes, and a lock hands it from thread to thread. Readers have their own.
    * Rows written within ``begin`` and frames that runs have pending are kept by one commit, or none of them is.
"""

import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final

from ...clock import Clock
from ...errors import JournalBusy, JournalDamaged, JournalFormat, JournalNotFound, JournalWriteFailed, TickworkError
from ...journal import dbapi
from ...journal.dbapi import Database, Session
from ...journal.shared import SharedJournals
from ..errors import StoreFailed, StoreFormat
from . import schema
from .sql import Connection, Engine, OperationalError, StaticPool, create_engine

READERS: Final = 8
"""Connections that are kept for reading; more are opened when more threads read at once."""


class Store:
    """Rows of the plane and journals of runs. Make one with ``open``; may be used from several threads.

    Attributes:
        path: Its file.
        clock: Where its times and ids come from.
        journals: The journals of its runs.
    """

    def __init__(self, path: Path, clock: Clock, journals: SharedJournals, *, write: bool) -> None:
        self.path = path
        self.clock = clock
        self.journals = journals
        self._write = write
        self._writer: Connection | None = None
        self._idle: list[tuple[Database, Connection]] = []
        self._lock = Lock()

    @classmethod
    def open(cls, path: Path | str, clock: Clock, *, write: bool = True, create: bool = True) -> "Store":
        """Open a store, make it where there is none, and bring an older one up to date.

        Raises:
            StoreFormat: TW7019, another program's file, or a newer version's.
            StoreFailed: TW7018, it cannot be opened, or there is none and ``create`` is not said.
        """
        path = Path(path).resolve()
        with told_as_store(path):
            found = path.exists()
            journals = SharedJournals.open(path, write=write, create=create and write, prepare=schema.make)
            try:
                schema.check(journals, path, write=write)
            except BaseException:
                journals.close()
                raise
        if not found:
            _make_private(path)
        return cls(path, clock, journals, write=write)

    @contextmanager
    def begin(self, *, durable: bool = True) -> Generator[Connection]:
        """Write: the block is one transaction, undone where it raises. Within another block it is a part of that one.

        Args:
            durable: Return only once it survives a loss of power; otherwise it survives the end of this process, and
                the next durable flush or block makes it durable too.

        Raises:
            StoreFailed: TW7018, the disk refuses, or another process has been writing for too long.
        """
        with told_as_store(self.path), self.journals.transaction(durable=durable) as database:
            if self._writer is None:
                self._writer = _engine(database).connect()
            writer = self._writer
            if writer.in_transaction():
                yield writer
            else:
                with writer.begin():
                    yield writer

    def writing_quickly(self, *, durable: bool = True, single: bool = False) -> AbstractContextManager[Database]:
        """Write as in ``begin``, by statements that are text already.

        Args:
            single: At most one statement of the block writes, so that nothing has to be undone where it is the one
                that fails.
        """
        return _Writing(self.path, self.journals, durable, single)

    @contextmanager
    def reading_quickly(self) -> Generator[Database]:
        """Read as in ``reading``, by statements that are text already."""
        with told_as_store(self.path), self._borrowed() as (database, _):
            yield database

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """Read: all of the block sees the store as it is at its first statement.

        Raises:
            StoreFailed: TW7018.
        """
        with told_as_store(self.path), self._borrowed() as (_, connection), connection.begin():
            yield connection

    @contextmanager
    def _borrowed(self) -> Generator[tuple[Database, Connection]]:
        database, connection = self._borrow()
        try:
            database.begin_reading()
            yield database, connection
        finally:
            with suppress(TickworkError):
                database.rollback()
            self._give_back(database, connection)

    def _borrow(self) -> tuple[Database, Connection]:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        database = Database(self.path, write=False)
        return database, _engine(database).connect()

    def _give_back(self, database: Database, connection: Connection) -> None:
        with self._lock:
            if len(self._idle) < READERS:
                self._idle.append((database, connection))
                return
        connection.close()
        database.close()

    def new_id(self, prefix: str) -> str:
        """Return an id nobody else has, such as ``w_0195...``; ids of one process sort by their time."""
        return f"{prefix}_{self.clock.unique()}"

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        with self._lock:
            idle, self._idle = self._idle, []
        for database, connection in idle:
            connection.close()
            database.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self.journals.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _make_private(path: Path) -> None:
    """Make the files of a new store the user's alone; what SQLite lays beside it later gets the same mode."""
    for suffix in ("", "-wal", "-shm"):
        with suppress(OSError):
            os.chmod(f"{path}{suffix}", 0o600)


def _engine(database: Database) -> Engine:
    """Return what makes statements for a database; transactions are begun and ended by whoever lends it."""
    return create_engine("sqlite://", module=dbapi, creator=lambda: Session(database), poolclass=StaticPool)


@contextmanager
def told_as_store(path: Path) -> Generator[None]:
    """Turn what the database says into errors of the store."""
    try:
        yield
    except (TickworkError, OperationalError) as error:
        told = _of_store(error, path)
        if told is None:
            raise
        raise told from error


def _of_store(error: BaseException, path: Path) -> TickworkError | None:
    """Return what the store says to an error of the database; None where that is none."""
    if isinstance(error, JournalFormat):
        return StoreFormat(error.what, where=str(path), why=error.why, fix=error.fix)
    if isinstance(error, JournalNotFound):
        fix = "run a goal or a plan here first, or name the store's folder"
        return StoreFailed("there is no store here", where=str(path), fix=fix)
    if isinstance(error, JournalBusy | JournalDamaged | JournalWriteFailed):
        return StoreFailed(error.what, where=str(path), why=error.why, fix=error.fix)
    if isinstance(error, OperationalError):
        return StoreFailed(
            "the store cannot be read or written",
            where=str(path),
            why=str(error.orig),
            fix="make room or repair the disk; nothing acknowledged is lost",
        )
    return None


class _Writing(AbstractContextManager[Database]):
    """A transaction whose errors are the store's. It is no generator, for every step of a run pays for it."""

    __slots__ = ("_durable", "_journals", "_path", "_single")

    def __init__(self, path: Path, journals: SharedJournals, durable: bool, single: bool) -> None:
        self._path = path
        self._journals = journals
        self._durable = durable
        self._single = single

    def __enter__(self) -> Database:
        try:
            return self._journals.enter(durable=self._durable, single=self._single)
        except TickworkError as error:
            self._tell(error)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._journals.leave(durable=self._durable, single=self._single, failed=kind is not None)
        except TickworkError as failed:
            self._tell(failed)
            raise
        if error is not None:
            self._tell(error)

    def _tell(self, error: BaseException) -> None:
        told = _of_store(error, self._path)
        if told is not None:
            raise told from error
