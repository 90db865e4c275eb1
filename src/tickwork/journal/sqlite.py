"""A journal in one SQLite file. The only module that knows SQLite.

Invariants:
    * A journal's name is absent, an open run in WAL mode, or a closed run with its seal: creation and closing each
      end in one rename.
    * One process writes, and it alone checkpoints. The right to write is an OS lock on a file beside the journal.
    * A group of frames is one transaction. After a failed or interrupted write this object writes no more: what
      reached the disk is known only to who opens the file again.
    * The file is opened by no other means than SQLite's: on POSIX, closing any descriptor of it would drop SQLite's
      locks.
"""

# The stubs of apsw name a type that exists only from Python 3.12 on, which leaves every method partly unknown.
# pyright: reportUnknownMemberType=false

import ctypes
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import apsw

from ..codec import digest as digest_of
from ..codec import start_chain
from ..errors import InternalError, JournalFormat
from ..records import FORMAT_VERSION, Frame
from .faults import (
    cut_refused,
    name_taken,
    not_found,
    not_readable_here,
    run_finished,
    unreadable,
    write_failed,
    written_by_another,
)
from .files import beside, put_in_place, remove_database, remove_log
from .layout import (
    ADD_CONTENT,
    ADD_FRAME,
    ADD_HEADER,
    ADD_SIGNATURE,
    ADD_STATUS,
    APPLICATION_ID,
    MAGIC,
    SCHEMA,
    begins_as_closed,
    check_format,
)
from .pending import Pending
from .seal import PAGE, Damage, build_seal, has_footer, page_digests
from .store import Head, RunStatus, Signature
from .tables import Query, Tables
from .wal import find_log_damage

OLDEST_SQLITE: Final = 3_051_003
"""Older versions can corrupt a WAL that is reset while another connection writes (fixed in 3.51.3)."""

_CHECKPOINT_PAGES: Final = 4000


def sqlite_version() -> tuple[str, bool]:
    """Return the version of SQLite and whether it is new enough to be trusted with a journal."""
    return apsw.sqlite_lib_version(), apsw.SQLITE_VERSION_NUMBER >= OLDEST_SQLITE


class WriteLock:
    """The right of one process to write a journal.

    It is an exclusive SQLite lock on an empty file beside the journal: the same code on every platform, and gone when
    the process is.
    """

    def __init__(self, path: Path, *, wait_ms: int = 0) -> None:
        self._path = beside(path, "-lock")
        self._wait_ms = wait_ms
        while True:
            connection = self._take(path)
            if not _has_moved(connection):
                self._connection = connection
                return
            connection.close()

    def _take(self, path: Path) -> apsw.Connection:
        connection = apsw.Connection(str(self._path))
        try:
            connection.set_busy_timeout(self._wait_ms)
            connection.pragma("journal_mode", "memory")
            connection.execute("BEGIN EXCLUSIVE")
        except apsw.BusyError:
            connection.close()
            raise written_by_another(path) from None
        return connection

    def release(self) -> None:
        """Let the next writer in.

        The file is removed while still locked: who opened it before sees that it has moved, and tries again.
        """
        held = True
        with suppress(PermissionError):
            self._path.unlink(missing_ok=True)
            held = False
        self._connection.close()
        if held:
            # Windows removes no open file; where the next writer has it open already, it stays and is his to remove.
            with suppress(PermissionError):
                self._path.unlink(missing_ok=True)


def _has_moved(connection: apsw.Connection) -> bool:
    moved = ctypes.c_int(0)
    known = connection.file_control("main", apsw.SQLITE_FCNTL_HAS_MOVED, ctypes.addressof(moved))
    return known and bool(moved.value)


@contextmanager
def raw_file(path: Path, *, write: bool = False, vfs: str = "") -> Generator[apsw.VFSFile]:
    """Open a file through SQLite's own file layer, which knows of the locks this process holds on it."""
    access = apsw.SQLITE_OPEN_READWRITE if write else apsw.SQLITE_OPEN_READONLY
    if not path.is_file():
        raise not_found(path)
    try:
        file = apsw.VFSFile(vfs, str(path), [apsw.SQLITE_OPEN_MAIN_DB | access, 0])
    except apsw.CantOpenError:
        raise not_found(path) from None
    try:
        yield file
    finally:
        file.xClose()


_TRANSFER_BYTES: Final = 64 * 1024
"""SQLite's own file methods take only the low 17 bits of a length: a longer transfer is silently cut."""


def reader_of(file: apsw.VFSFile) -> Callable[[int, int], bytes]:
    """Return a function that reads up to so many bytes (second) from an offset (first)."""

    def read(offset: int, count: int) -> bytes:
        ends = range(offset, offset + count, _TRANSFER_BYTES)
        return b"".join(file.xRead(min(_TRANSFER_BYTES, offset + count - start), start) for start in ends)

    return read


def _write_at(file: apsw.VFSFile, offset: int, body: bytes) -> None:
    """Write all of ``body`` at an offset."""
    for start in range(0, len(body), _TRANSFER_BYTES):
        file.xWrite(body[start : start + _TRANSFER_BYTES], offset + start)


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Turn SQLite's word for damage into ours. A text that is none is damage too: the tables hold blobs."""
    try:
        yield
    except apsw.ConnectionClosedError:
        raise
    except apsw.BusyError:
        raise written_by_another(path) from None
    except apsw.CantOpenError as error:
        raise not_readable_here(path) from error
    except (apsw.Error, UnicodeDecodeError) as error:
        raise unreadable(path, str(error)) from error


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Turn SQLite's word for a write that failed into ours."""
    try:
        yield
    except (apsw.Error, OSError) as error:
        raise write_failed(path, str(error)) from error


def connect(path: Path, *, vfs: str | None = None, options: str, flags: int) -> apsw.Connection:
    """Open a database, and make it suspicious of its own file."""
    version, trusted = sqlite_version()
    assert trusted, f"SQLite {version} can corrupt a write-ahead log"
    connection = apsw.Connection(f"{path.absolute().as_uri()}?{options}", flags | apsw.SQLITE_OPEN_URI, vfs)
    connection.set_busy_timeout(2000)
    connection.pragma("trusted_schema", 0)
    connection.pragma("cell_size_check", 1)
    connection.pragma("mmap_size", 0)
    if sys.platform == "darwin":
        # Elsewhere fsync reaches the platter; macOS has to be told.
        connection.pragma("fullfsync", 1)
        connection.pragma("checkpoint_fullfsync", 1)
    return connection


def _connect_to_write(path: Path, vfs: str | None) -> apsw.Connection:
    connection = connect(path, vfs=vfs, options="mode=rw", flags=apsw.SQLITE_OPEN_READWRITE)
    if connection.pragma("journal_mode", "wal") != "wal":
        connection.close()
        raise write_failed(path, "a running journal needs shared memory, and this file system (a network's?) has none")
    connection.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES)
    connection.pragma("synchronous", "normal")
    return connection


def _connect_to_read(path: Path, sealed: bool, vfs: str | None) -> apsw.Connection:
    # A sealed file is finished: a write-ahead log that lies beside it is a crashed closing's and must not be read.
    # The same holds where nobody can write; there, an open run's log could not even be looked for.
    alone = not os.access(path.parent, os.W_OK) and not beside(path, "-wal").exists()
    options = "mode=ro&immutable=1" if sealed or alone else "mode=ro"
    connection = connect(path, vfs=vfs, options=options, flags=apsw.SQLITE_OPEN_READONLY)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def is_sealed(path: Path, vfs: str = "") -> bool:
    """Return whether the file is a finished run's; its seal is not compared.

    Raises:
        JournalNotFound: TW2001.
        JournalFormat: TW2005, the file is no SQLite database.
    """
    with raw_file(path, vfs=vfs) as file, reading(path):
        read = reader_of(file)
        sealed = has_footer(read, file.xFileSize()) or begins_as_closed(read)
        if not sealed and read(0, len(MAGIC)) != MAGIC:
            raise JournalFormat("this file is no journal", where=str(path), why="it does not begin as one")
        return sealed


def _write_new(path: Path, header: bytes, environment: bytes, contents: Sequence[bytes], vfs: str | None) -> None:
    """Write a journal without frames. It gets its name at the end, so a crash leaves none or a whole one."""
    fresh = beside(path, "-new")
    remove_database(fresh)
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        connection = connect(fresh, vfs=vfs, options="mode=rwc", flags=flags)
        try:
            _fill_new(connection, header, environment, contents)
        finally:
            connection.close()
        put_in_place(fresh, path)
    except BaseException:
        remove_database(fresh)
        raise


def _fill_new(connection: apsw.Connection, header: bytes, environment: bytes, contents: Sequence[bytes]) -> None:
    connection.pragma("page_size", PAGE)
    connection.pragma("journal_mode", "memory")
    connection.pragma("synchronous", "full")
    with connection:
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", FORMAT_VERSION)
        connection.execute(SCHEMA)
        connection.execute(ADD_HEADER, (header, environment, *start_chain(header, environment)))
        connection.execute(ADD_STATUS)
        connection.executemany(ADD_CONTENT, ((digest_of(body), body) for body in contents))
    # Now, so that a crash cannot leave a run whose first page says that it is closed.
    connection.pragma("journal_mode", "wal")


def _query_of(connection: apsw.Connection, path: Path) -> Query:
    def query(statement: str, bindings: Sequence[int | bytes] = ()) -> Iterator[tuple[object, ...]]:
        with reading(path):
            yield from connection.execute(statement, bindings)

    return query


def _refuse_to_write(journal: "SqliteJournal") -> None:
    """Refuse a finished run, and one whose log SQLite would cut before durable records as soon as it is written."""
    if journal.status().closed:
        raise run_finished(journal.status())
    damage = journal.log_damage(promised=True)
    if damage is not None:
        raise cut_refused(journal.path, journal.length(), damage)


class SqliteJournal:
    """A journal in one file. Make one with ``create`` or ``open``.

    Law: what ``flush`` returned from is read back by the next process, gap-free from tick 0; with ``durable`` also
    after a loss of power.
    """

    def __init__(self, path: Path, connection: apsw.Connection, lock: WriteLock | None, vfs: str | None) -> None:
        self.path = path
        self._connection = connection
        self._tables = Tables(_query_of(connection, path))
        self._lock = lock
        self._vfs = vfs
        self._failure = ""
        self._synchronous = "normal"
        self._at_risk = False
        self._status = self._tables.status()
        self._pending = Pending(self._tables.last_head())

    @classmethod
    def create(
        cls,
        path: Path | str,
        header: bytes,
        environment: bytes,
        contents: Sequence[bytes] = (),
        *,
        vfs: str | None = None,
    ) -> "SqliteJournal":
        """Make a new journal and hold it for writing.

        Args:
            header: Record 0, encoded.
            contents: Bodies it names by digest: modules, feeds.
            vfs: A registered SQLite file layer; tests inject faults by it.

        Raises:
            JournalExists: TW2002.
            JournalBusy: TW2003.
            JournalWriteFailed: TW2006; nothing is left behind.
        """
        path = Path(path).resolve()
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = WriteLock(path)
        try:
            if path.exists():
                raise name_taken(path)
            with writing(path):
                _write_new(path, header, environment, contents, vfs)
                return cls._open_new(path, lock, vfs)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _open_new(cls, path: Path, lock: WriteLock, vfs: str | None) -> "SqliteJournal":
        try:
            return cls(path, _connect_to_write(path, vfs), lock, vfs)
        except BaseException:
            remove_database(path)
            raise

    @classmethod
    def open(cls, path: Path | str, write: bool = False, *, vfs: str | None = None) -> "SqliteJournal":
        """Open a journal, to read it or to go on with its run.

        What a loss of power took after the last durable flush is cut, by whoever goes on; ``check`` tells of it before.

        Raises:
            JournalNotFound: TW2001.
            JournalFormat: TW2005, no journal or a newer format.
            JournalDamaged: TW2004.
            JournalBusy: TW2003, ``write`` and another process writes it.
            JournalClosed: TW2007, ``write`` and the run is finished.
        """
        path = Path(path).resolve()
        sealed = is_sealed(path, vfs or "")
        return cls._open_to_write(path, vfs) if write else cls._open_to_read(path, sealed, vfs)

    @classmethod
    def _open_to_read(cls, path: Path, sealed: bool, vfs: str | None) -> "SqliteJournal":
        with reading(path):
            connection = _connect_to_read(path, sealed, vfs)
            try:
                check_format(connection.pragma("application_id"), connection.pragma("user_version"), path)
                return cls(path, connection, None, vfs)
            except BaseException:
                connection.close()
                raise

    @classmethod
    def _open_to_write(cls, path: Path, vfs: str | None) -> "SqliteJournal":
        with writing(path):
            lock = WriteLock(path)
        try:
            # Asked again, for the other writer may have finished the run while we came for the lock.
            with cls._open_to_read(path, is_sealed(path, vfs or ""), vfs) as found:
                _refuse_to_write(found)
            with reading(path):
                return cls._recover(path, lock, vfs)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _recover(cls, path: Path, lock: WriteLock, vfs: str | None) -> "SqliteJournal":
        """Open for writing what a crash may have left. SQLite brings back each whole group."""
        remove_database(beside(path, "-new"))
        connection = _connect_to_write(path, vfs)
        try:
            journal = cls(path, connection, lock, vfs)
            # What a killed process flushed may still be on its way to the disk.
            journal._at_risk = True
            journal.tables().check_end()
        except BaseException:
            connection.close()
            raise
        return journal

    def __enter__(self) -> "SqliteJournal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading.

    def header(self) -> tuple[bytes, bytes]:
        return self._tables.header()

    def length(self) -> int:
        return self.head().tick + 1

    def head(self) -> Head:
        # A reader follows the writer; who writes knows.
        return self._tables.last_head() if self._lock is None else self._pending.head()

    def signatures(self) -> tuple[Signature, ...]:
        return self._tables.signatures() + self._pending.signatures()

    def status(self) -> RunStatus:
        return self._status

    def frame(self, tick: int) -> Frame | None:
        return next(self.frames(tick, tick), None)

    def frames(self, first: int = 0, last: int | None = None) -> Iterator[Frame]:
        yield from self._tables.frames(first, last)
        yield from self._pending.frames(first, last)

    def content(self, digest: bytes) -> bytes:
        body = self._pending.content(digest)
        if body is not None:
            return body
        return self._tables.content(digest)

    def tables(self) -> Tables:
        """Return the rows that were flushed, for an examination."""
        return self._tables

    def log_damage(self, *, promised: bool = False) -> Damage | None:
        """Return where the log is damaged before whole records, which SQLite would cut in silence.

        Args:
            promised: Tell only of records of which a durable flush had returned: no loss of power explains that.
        """
        log = beside(self.path, "-wal")
        with reading(self.path):
            # Asks how many frames of the log SQLite accepts; does nothing else.
            good, _ = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        if good < 0 or not log.exists():
            return None
        page = self._tables.status_page() if promised else 0
        with raw_file(log, vfs=self._vfs or "") as file:
            return find_log_damage(reader_of(file), file.xFileSize(), good, page)

    # Writing.

    def append(self, frame: Frame, content: Sequence[bytes] = ()) -> None:
        self._writable()
        self._pending.append(frame, content)

    def put_content(self, body: bytes) -> bytes:
        self._writable()
        return self._pending.put(body)

    def sign(self, signature: Signature) -> None:
        self._writable()
        self._pending.sign(signature)

    def flush(self, durable: bool = False) -> None:
        self._writable()
        if not self._pending and not (durable and self._at_risk):
            return
        # Set first: an exception of any kind, also a signal's, leaves the outcome of the transaction unknown.
        self._failure = "a write was interrupted"
        try:
            self._commit(durable)
        except apsw.Error as error:
            self._fail(str(error))
            raise write_failed(self.path, self._failure) from error
        self._pending.written()
        self._at_risk = not durable
        self._failure = ""

    def _commit(self, durable: bool) -> None:
        connection = self._connection
        wanted = "full" if durable else "normal"
        if wanted != self._synchronous:
            connection.pragma("synchronous", wanted)
            self._synchronous = wanted
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(ADD_CONTENT, self._pending.content_rows())
        connection.executemany(ADD_SIGNATURE, self._pending.signature_rows())
        connection.executemany(ADD_FRAME, self._pending.frame_rows())
        if durable:
            # A transaction without a write syncs nothing, and this one can be told from others in the log.
            connection.execute("UPDATE status SET barriers = barriers + 1")
        connection.execute("COMMIT")

    def close_run(self, status: str, signature: Signature | None = None) -> None:
        """Finish the run: its file becomes one sealed, self-contained copy of all rows, put in place by one rename.

        Until the rename the file is an open run, whose closing can be done again. For a moment it needs its own size
        in free space.

        Raises:
            JournalWriteFailed: TW2006; the run is still open on disk.
        """
        if signature is not None:
            self.sign(signature)
        self.flush(durable=True)
        self._failure = "the closing was interrupted"
        finished = beside(self.path, "-new")
        try:
            self._write_finished(finished, status)
            self._connection.close()
            put_in_place(finished, self.path)
            # A reader in another process kept the log alive; it has its own hold on the files and reads on.
            remove_log(self.path)
            self._connection = _connect_to_read(self.path, True, self._vfs)
            self._tables = Tables(_query_of(self._connection, self.path))
        except (apsw.Error, OSError) as error:
            self._fail(str(error))
            with suppress(OSError):
                remove_database(finished)
            raise write_failed(self.path, self._failure) from error
        self._status = RunStatus(closed=True, text=status)
        self._failure = ""
        self._release()

    def _write_finished(self, path: Path, status: str) -> None:
        remove_database(path)
        self._connection.execute("VACUUM INTO ?", (str(path),))
        copy = connect(path, vfs=self._vfs, options="mode=rw", flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            copy.pragma("journal_mode", "memory")
            copy.pragma("synchronous", "off")
            copy.execute("UPDATE status SET closed = 1, text = ?", (status,))
        finally:
            copy.close()
        with raw_file(path, write=True, vfs=self._vfs or "") as file:
            size = file.xFileSize()
            _write_at(file, size, build_seal(page_digests(reader_of(file), size // PAGE)))
            file.xSync(apsw.SQLITE_SYNC_FULL)

    def close(self) -> None:
        self._pending.drop()
        self._connection.close()
        self._release()

    # Within.

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _fail(self, reason: str) -> None:
        """Write no more, not even a checkpoint at the close: after a failed sync, pages may be gone from memory too."""
        self._failure = reason
        self._pending.drop()
        with suppress(apsw.Error):
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)

    def _writable(self) -> None:
        if self._failure:
            raise write_failed(self.path, self._failure)
        if self._status.closed:
            raise run_finished(self._status)
        if self._lock is None:
            raise InternalError(f"{self.path} was opened for reading")
