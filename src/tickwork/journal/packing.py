"""One run of a database as a file of its own, which any verb takes and any machine reads."""

from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from ..codec import digest, link, start_chain
from ..errors import JournalDamaged
from .check import Examined
from .faults import name_taken
from .files import beside, put_in_place, remove_database
from .sqlite import SqliteJournal, writing
from .store import Head

_AT_ONCE: Final = 256
"""Frames of one transaction."""


def pack(journal: Examined, path: Path | str) -> Head:
    """Write a run into a new file; return the head that the file ends with.

    Header, environment, frames, contents and signatures are copied as they are. The file of a run that has ended is
    sealed; that of an open one can be resumed where it lies. It gets its name when it is whole.

    Raises:
        JournalExists: TW2002. JournalWriteFailed: TW2006; nothing is left behind.
        JournalDamaged: TW2004, a record of the run is not what was written.
    """
    path = Path(path).resolve()
    _refuse_taken(path)
    fresh = beside(path, "-packed")
    with writing(path):
        remove_database(fresh)
    try:
        with closing(SqliteJournal.create(fresh, *journal.header())) as copy:
            head = _copy(journal, copy)
        _refuse_taken(path)
        with writing(path):
            put_in_place(fresh, path)
    except BaseException:
        with suppress(OSError):
            remove_database(fresh)
        raise
    return head


def _refuse_taken(path: Path) -> None:
    if path.exists():
        raise name_taken(path)


def _copy(journal: Examined, copy: SqliteJournal) -> Head:
    status = journal.status()
    for name, body in journal.tables().contents():
        if digest(body) != name:
            raise JournalDamaged(f"content {name.hex()} is not what its digest says", record=None, offset=None)
        copy.put_content(body)
        copy.flush()
    heads = start_chain(*journal.header())
    for frame in journal.frames():
        again = link(heads, frame.tick, frame.inputs, frame.turns, frame.derived, frame.hints)
        if again != frame:
            raise JournalDamaged(
                "the records of a tick are not those that were written", record=frame.tick, offset=None
            )
        heads = (frame.d, frame.f)
        copy.append(frame)
        if frame.tick % _AT_ONCE == _AT_ONCE - 1:
            copy.flush()
    signatures = journal.signatures()
    for signature in signatures:
        copy.sign(signature)
    if status.closed:
        copy.close_run(status.text)
    else:
        copy.flush(durable=True)
    return copy.head()
