"""Journals of many runs in one SQLite database, where one commit serves all runs of a process.

Invariants:
    * Any number of processes write the database, each in transactions of its own; one of them at a time writes a run.
      Whoever opens a run to write it takes its fence, and a writer without the fence writes nothing more.
    * A transaction takes along what every run of this process has pending, so that rows and frames which belong
      together are kept together.
    * After a failed commit this object writes no more: what reached the disk is known only to who opens it again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Lock, RLock
from types import TracebackType
from typing import Final

import apsw

from ..codec import start_chain
from ..errors import InternalError, JournalError, JournalFormat
from ..records import Frame
from .dbapi import BUSY_MS, Database, Row, Value
from .faults import (
    run_exists,
    run_finished,
    run_taken_over,
    run_unknown,
    write_failed,
)
from .files import beside, put_in_place, remove_database
from .layout import MAGIC
from .pending import Pending
from .shared_layout import (
    ADD_CONTENT,
    ADD_FRAME,
    ADD_JOURNAL,
    ADD_SIGNATURE,
    ADD_USE,
    CLOSE,
    FIND,
    FIND_LIKE,
    KEYED,
    RAISE_BARRIER,
    READ_FENCE,
    READ_RUNS,
    SCHEMA,
    STORE_FORMAT,
    STORE_ID,
    TAKE_FENCE,
)
from .sqlite import WriteLock, raw_file, reader_of, reading, writing
from .store import HEADER_TICK, Head, RunStatus, Signature
from .tables import Query, Tables

_AT_ONCE: Final = 64
"""Frames that are read in one go: a reader keeps no statement open, which would hold the write-ahead log."""

Prepare = Callable[[Database], None]


class SharedJournals:
    """The journals of a database. Make one with ``open``. May be used from several threads."""

    def __init__(self, path: Path, writer: Database | None, reader: Database) -> None:
        self.path = path
        self._writer = writer
        self._reader = reader
        self._writing = RLock()
        self._reading = Lock()
        self._buffers = Lock()
        self._waiting: dict[SharedJournal, None] = {}
        self._depth = 0
        self._failure = ""
        # What a killed process flushed may still be on its way to the disk.
        self._at_risk = True
        self._sync = False

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        write: bool = True,
        create: bool = False,
        prepare: Prepare | None = None,
        vfs: str | None = None,
    ) -> "SharedJournals":
        """Open a database of journals.

        Args:
            create: Make it where there is none.
            prepare: Makes further tables, in the transaction that makes the journals'.
            vfs: A registered SQLite file layer; tests inject faults by it.

        Raises:
            JournalNotFound: TW2001.
            JournalFormat: TW2005, another program's database, or one of a newer format.
            JournalWriteFailed: TW2006.
        """
        path = Path(path).resolve()
        if create and not path.exists():
            _create(path, prepare, vfs)
        with ExitStack() as opened:
            _check_kind(path, vfs)
            writer = opened.enter_context(closing(Database(path, vfs=vfs))) if write else None
            reader = opened.enter_context(closing(Database(path, write=False, vfs=vfs)))
            with reading(path):
                _check_format(reader, path)
            opened.pop_all()
            return cls(path, writer, reader)

    # Transactions.

    @property
    def database(self) -> Database:
        """The connection that writes; use it within ``transaction`` alone."""
        if self._writer is None:
            raise InternalError(f"{self.path} was opened for reading")
        return self._writer

    def transaction(self, *, durable: bool = True, single: bool = False) -> "Transaction":
        """Write rows, and with them all frames that are pending, in one transaction.

        Within a transaction of the same thread it is a part of that one, which can fail on its own.

        Args:
            single: At most one statement in it writes. What fails of such a part is undone by SQLite itself.

        Raises:
            JournalBusy: TW2003, another process has been writing for too long; it may be tried again.
            JournalWriteFailed: TW2006; nothing was written, and nothing more will be.
        """
        return Transaction(self, durable=durable, single=single)

    def enter(self, *, durable: bool, single: bool) -> Database:
        """Begin a transaction, or a part of the one that this thread is in; ``leave`` has to follow."""
        database = self.database
        self._writing.acquire()
        try:
            if not self._depth:
                self._begin(database, durable)
                return database
            self._sync = self._sync or durable
            if not single:
                database.script(f"SAVEPOINT part_{self._depth}")
            self._depth += 1
            return database
        except BaseException:
            self._writing.release()
            raise

    def leave(self, *, durable: bool, single: bool, failed: bool) -> None:
        """End what ``enter`` began, and undo it if it has failed."""
        database = self.database
        try:
            if self._depth > 1:
                self._depth -= 1
                if not single:
                    name = f"part_{self._depth}"
                    database.script(f"ROLLBACK TO {name}; RELEASE {name}" if failed else f"RELEASE {name}")
            elif failed:
                self._depth = 0
                with suppress(apsw.Error):
                    database.rollback()
            else:
                self._end(database, durable)
        finally:
            self._writing.release()

    def _begin(self, database: Database, durable: bool) -> None:
        if self._failure:
            raise write_failed(self.path, self._failure)
        try:
            database.begin(durable=durable)
        except (apsw.Error, OSError) as error:
            raise write_failed(self.path, str(error)) from error
        self._depth = 1
        self._sync = durable

    def _end(self, database: Database, durable: bool) -> None:
        self._depth = 0
        try:
            with self._buffers:
                flights = [(journal, journal.take_off()) for journal in self._waiting]
                self._waiting.clear()
            written = [(journal, _write(database, journal, groups)) for journal, groups in flights]
            database.commit()
            with self._buffers:
                for journal, no in written:
                    journal.land(no)
        except BaseException as error:
            # Of any kind, also a signal's: it leaves the outcome of the transaction unknown.
            self._failure = str(error) if isinstance(error, apsw.Error) else "a write was interrupted"
            with suppress(apsw.Error):
                database.rollback()
            if isinstance(error, apsw.Error):
                raise write_failed(self.path, self._failure) from error
            raise
        self._at_risk = not durable
        if self._sync and not durable:
            self.flush(durable=True)

    def flush(self, durable: bool = False) -> None:
        """Write what all runs have pending, in one transaction, which raises what ``transaction`` does."""
        with self._writing:
            if self._depth:
                self._sync = self._sync or durable
                return
            if self._failure:
                raise write_failed(self.path, self._failure)
            if not self._waiting and not (durable and self._at_risk):
                return
            bare = not self._waiting
            with self.transaction(durable=durable) as database:
                if bare:
                    # A transaction without a write syncs nothing.
                    database.query(RAISE_BARRIER)

    def close(self) -> None:
        """Let go of the database; what is pending is dropped."""
        with self._writing, self._reading:
            # The writer last: who is the last to leave takes the log along, and a reader must not.
            self._reader.close()
            if self._writer is not None:
                self._writer.close()

    def __enter__(self) -> "SharedJournals":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Journals.

    def create(
        self, run: str, header: bytes, environment: bytes, contents: Sequence[bytes] = (), *, fresh: bool = False
    ) -> "SharedJournal":
        """Return a new journal, held for writing. The next flush, of whatever run, keeps it.

        Args:
            fresh: The id was made just now, so that nobody else can have it.

        Raises:
            JournalExists: TW2002; where two processes make it at once, the later one's flush raises it.
        """
        if not fresh and self._find(run) is not None:
            raise run_exists(run, self.path)
        journal = SharedJournal(self, run, None, 1, (header, environment))
        for body in contents:
            journal.put_content(body)
        self.wake(journal)
        return journal

    def open_run(self, run: str, *, write: bool = False) -> "SharedJournal":
        """Return the journal of a run, to read it or to go on with it.

        Whoever opens it to write is its writer from then on, and who was it before can write no more. That nobody is
        at work on the run is the caller's to know.

        Raises:
            JournalNotFound: TW2001. JournalClosed: TW2007, ``write`` and the run is finished.
            JournalDamaged: TW2004.
        """
        if not write:
            no = self._find(run)
            if no is None:
                raise run_unknown(run, self.path)
            return SharedJournal(self, run, no, None)
        with self.transaction(durable=False) as database:
            rows = database.query(TAKE_FENCE, (run,))
        if not rows:
            raise run_unknown(run, self.path)
        journal = SharedJournal(self, run, rows[0][0], rows[0][1])
        journal.tables().check_end()
        return journal

    def runs(self) -> list[str]:
        """Return all runs. Order: age."""
        return [row[0] for row in self.query(READ_RUNS)]

    def find(self, prefix: str, most: int = 10) -> list[str]:
        """Return the runs whose id begins so."""
        if self._find(prefix) is not None:
            return [prefix]
        return [row[0] for row in self.query(FIND_LIKE, (prefix, prefix + "\U0010ffff", most))]

    def _find(self, run: str) -> int | None:
        rows = self.query(FIND, (run,))
        return rows[0][0] if rows else None

    def query(self, statement: str, bindings: Sequence[Value] = ()) -> list[Row]:
        """Run one statement that reads, on what was committed."""
        with self._reading, reading(self.path):
            return self._reader.query(statement, bindings)

    def wake(self, journal: "SharedJournal") -> None:
        """Take a journal along with the next transaction."""
        self._waiting[journal] = None

    def forget(self, journal: "SharedJournal") -> None:
        """Drop what a journal has pending."""
        with self._buffers:
            self._waiting.pop(journal, None)

    @property
    def buffers(self) -> Lock:
        """Held while what is pending changes hands."""
        return self._buffers

    def check_writable(self) -> None:
        """Refuse a write after one that failed."""
        if self._failure:
            raise write_failed(self.path, self._failure)


def _create(path: Path, prepare: Prepare | None, vfs: str | None) -> None:
    """Make a database. It gets its name at the end, so a crash leaves none or a whole one."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = WriteLock(path, wait_ms=BUSY_MS)
    try:
        if path.exists():
            return
        fresh = beside(path, "-new")
        remove_database(fresh)
        with writing(path):
            with closing(Database(fresh, create=True, vfs=vfs)) as database:
                database.pragma("journal_mode", "memory")
                database.begin(durable=True)
                database.pragma("application_id", STORE_ID)
                database.pragma("user_version", STORE_FORMAT)
                database.script(SCHEMA)
                if prepare is not None:
                    prepare(database)
                database.commit()
                if not database.to_wal():
                    raise write_failed(path, "it needs shared memory, and this file system (a network's?) has none")
            put_in_place(fresh, path)
    finally:
        lock.release()


def _check_kind(path: Path, vfs: str | None) -> None:
    """Refuse a file that is no database at all."""
    with raw_file(path, vfs=vfs or "") as file, reading(path):
        if reader_of(file)(0, len(MAGIC)) != MAGIC:
            raise JournalFormat("this file is no store of runs", where=str(path), why="it does not begin as one")


def _check_format(database: Database, path: Path) -> None:
    """Refuse another program's database and a newer format."""
    if database.pragma("application_id") != STORE_ID:
        raise JournalFormat("this file is no store of runs", where=str(path), why="another program has written it")
    version = database.pragma("user_version")
    if not 1 <= version <= STORE_FORMAT:
        raise JournalFormat(
            f"the store has format {version}, this version reads formats 1 to {STORE_FORMAT}",
            where=str(path),
            fix="install a newer Tickwork",
        )


class Transaction:
    """A transaction to be entered once. It is no generator: that would take longer than what SQLite does."""

    __slots__ = ("_durable", "_journals", "_single")

    def __init__(self, journals: SharedJournals, *, durable: bool, single: bool) -> None:
        self._journals, self._durable, self._single = journals, durable, single

    def __enter__(self) -> Database:
        return self._journals.enter(durable=self._durable, single=self._single)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._journals.leave(durable=self._durable, single=self._single, failed=kind is not None)


class Group:
    """What one journal adds in one transaction."""

    def __init__(self, last: Head) -> None:
        self.pending = Pending(last)
        self.closing: str | None = None


def _write(database: Database, journal: "SharedJournal", groups: Sequence[Group]) -> int | None:
    """Write what a journal has pending; return its number, or None where it is no longer its writer's."""
    no = journal.no
    if no is None:
        header, environment = journal.header()
        start = groups[0].pending.head_before()
        rows = database.query(ADD_JOURNAL, (journal.run, header, environment, start.d, start.f))
        if not rows:
            return None
        no = int(rows[0][0])
    elif database.query(READ_FENCE, (no,)) != [(journal.fence,)]:
        return None
    for group in groups:
        contents = group.pending.content_rows()
        if contents:
            database.run_many(ADD_CONTENT, contents)
            database.run_many(ADD_USE, [(no, row.digest) for row in contents])
        for signature in group.pending.signature_rows():
            database.query(ADD_SIGNATURE, (no, *signature))
        for frame in group.pending.frame_rows():
            database.query(ADD_FRAME, (no, *frame))
        if group.closing is not None:
            database.query(CLOSE, (group.closing, no))
    return no


class SharedJournal:
    """The journal of one run in a database of many. Make one with ``SharedJournals``.

    Law: what ``flush`` returned from is read back by the next process, gap-free from tick 0; with ``durable`` also
    after a loss of power.
    """

    def __init__(
        self,
        journals: SharedJournals,
        run: str,
        no: int | None,
        fence: int | None,
        header: tuple[bytes, bytes] | None = None,
    ) -> None:
        self.run = run
        self.no = no
        self.fence = fence
        self.journals = journals
        self._tables = Tables(self._query())
        self._header = header
        self._lost: JournalError | None = None
        self._closed = False
        status = RunStatus(closed=False) if no is None else self._tables.status()
        if status.closed and fence is not None:
            raise run_finished(status)
        self._status = status
        last = self._tables.last_head() if header is None else Head(HEADER_TICK, *start_chain(*header))
        self._group = Group(last)
        self._flying: list[Group] = []

    def _query(self) -> Query:
        def query(statement: str, bindings: Sequence[int | bytes] = ()) -> Iterator[Row]:
            if self.no is None:
                return iter(())
            return iter(self.journals.query(KEYED[statement], (self.no, *bindings)))

        return query

    def __enter__(self) -> "SharedJournal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Reading.

    def header(self) -> tuple[bytes, bytes]:
        if self._header is None:
            self._header = self._tables.header()
        return self._header

    def length(self) -> int:
        return self.head().tick + 1

    def head(self) -> Head:
        # A reader follows the writer; who writes knows.
        return self._tables.last_head() if self.fence is None else self._group.pending.head()

    def signatures(self) -> tuple[Signature, ...]:
        with self.journals.buffers:
            own = [one for group in (*self._flying, self._group) for one in group.pending.signatures()]
        found = self._tables.signatures()
        return (*found, *(one for one in own if one not in found))

    def status(self) -> RunStatus:
        return self._tables.status() if self.fence is None else self._status

    def frame(self, tick: int) -> Frame | None:
        return next(self.frames(tick, tick), None)

    def frames(self, first: int = 0, last: int | None = None) -> Iterator[Frame]:
        with self.journals.buffers:
            own = [one for group in (*self._flying, self._group) for one in group.pending.frames(first, last)]
            flushed = (self._flying[0] if self._flying else self._group).pending.before()
        end = last if self.fence is None else flushed if last is None else min(last, flushed)
        tick = max(0, first)
        while end is None or tick <= end:
            stop = tick + _AT_ONCE - 1
            count = 0
            for frame in self._tables.frames(tick, stop if end is None else min(stop, end)):
                count += 1
                yield frame
            tick += count
            if count < _AT_ONCE:
                break
        yield from own

    def content(self, digest: bytes) -> bytes:
        with self.journals.buffers:
            for group in (*self._flying, self._group):
                body = group.pending.content(digest)
                if body is not None:
                    return body
        return self._tables.content(digest)

    def tables(self) -> Tables:
        """Return the rows that were flushed, for an examination."""
        return self._tables

    # Writing.

    def append(self, frame: Frame, content: Sequence[bytes] = ()) -> None:
        self._writable()
        with self.journals.buffers:
            self._group.pending.append(frame, content)
            self.journals.wake(self)

    def put_content(self, body: bytes) -> bytes:
        self._writable()
        with self.journals.buffers:
            self.journals.wake(self)
            return self._group.pending.put(body)

    def sign(self, signature: Signature) -> None:
        self._writable()
        with self.journals.buffers:
            self.journals.wake(self)
            self._group.pending.sign(signature)

    def flush(self, durable: bool = False) -> None:
        self._writable()
        self.journals.flush(durable)
        self._keep()

    def close_run(self, status: str, signature: Signature | None = None) -> None:
        self.end_run(status, signature)
        self.journals.flush(durable=True)
        self._keep()

    def end_run(self, status: str, signature: Signature | None = None) -> None:
        """Finish the run with the next flush, of whatever run; nothing more can be appended."""
        if signature is not None:
            self.sign(signature)
        self._writable()
        with self.journals.buffers:
            self._group.closing = status
            self.journals.wake(self)
        self._status = RunStatus(closed=True, text=status)

    def close(self) -> None:
        """Let go of the run; what is pending and in no transaction yet is dropped."""
        if not self._closed:
            self._closed = True
            self.journals.forget(self)

    # Within; called by the journals alone, with the buffers held.

    def take_off(self) -> list[Group]:
        """Return what is to be written now, and begin the next group."""
        self._flying.append(self._group)
        self._group = Group(self._group.pending.head())
        return self._flying

    def land(self, no: int | None) -> None:
        """Take notice that what flew was written, or that this is the run's writer no more."""
        self._flying = []
        if no is None:
            path = self.journals.path
            self._lost = run_exists(self.run, path) if self.no is None else run_taken_over(self.run, path)
        else:
            self.no = no

    @property
    def lost(self) -> bool:
        """Whether another process is its writer by now, so that what was last appended was not kept."""
        return self._lost is not None

    def lose(self) -> None:
        """Take notice that another process is its writer, or is about to be."""
        self._lost = run_taken_over(self.run, self.journals.path)

    def _keep(self) -> None:
        if self._lost is not None:
            raise self._lost

    def _writable(self) -> None:
        self._keep()
        self.journals.check_writable()
        if self._status.closed:
            raise run_finished(self._status)
        if self.fence is None:
            raise InternalError(f"run {self.run} was opened for reading")
