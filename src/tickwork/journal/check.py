"""Whether a journal is what was written, and where it is not.

A closed journal is first compared with its seal, without SQLite: that finds any changed byte and its page. Then,
whatever came of that, the chain is recomputed record by record: that finds the tick. An open journal has no seal;
there the chain, the digests of contents, the write-ahead log and SQLite's own examination speak.
"""

from pathlib import Path
from typing import Protocol

import msgspec

from ..codec import digest, link_d, link_f, start_chain
from ..errors import JournalDamaged, JournalFormat
from ..records import Frame
from .layout import begins_as_closed
from .seal import Damage, find_damage, has_footer
from .shared import SharedJournal
from .signing import verify
from .sqlite import SqliteJournal, raw_file, reader_of
from .store import HEADER_TICK, Head, JournalReader, RunStatus, Signature
from .tables import Tables


class ChainReport(msgspec.Struct, frozen=True):
    """What a check found.

    Attributes:
        ticks: Frames whose chain holds, counted from tick 0.
        head: The head after those frames; None where the header cannot be read.
        sealed: The run is finished and its file ends with a seal.
        status: As the journal has it; None where it cannot be read.
        key_id: Name of the key that signed the last signed head; empty for none.
        signed_tick: Tick of that head; -1 may be the header's, see ``key_id``.
        signature_ok: Whether every signature holds and is of a head of this chain; None where there is none.
        damage: The first place found damaged; None for a journal that is whole.
    """

    ticks: int
    head: Head | None
    sealed: bool
    status: RunStatus | None
    key_id: bytes = b""
    signed_tick: int = HEADER_TICK
    signature_ok: bool | None = None
    damage: Damage | None = None


class Examined(JournalReader, Protocol):
    """A journal whose rows can be looked at."""

    def tables(self) -> Tables:
        """Return the rows that were flushed."""
        ...


class _Chain:
    """The heads of a journal, recomputed frame by frame."""

    def __init__(self, header: bytes, environment: bytes) -> None:
        self.d, self.f = start_chain(header, environment)
        self.ticks = 0

    def head(self) -> Head:
        return Head(self.ticks - 1, self.d, self.f)

    def follow(self, frame: Frame) -> Damage | None:
        """Take the next frame; return the damage if it is not the next."""
        if frame.tick != self.ticks:
            return Damage(f"tick {self.ticks} is missing, tick {frame.tick} comes next", record=self.ticks)
        d = link_d(self.d, frame.inputs, frame.turns, frame.derived)
        if d != frame.d:
            return Damage("the records of a tick are not those that were written", record=frame.tick)
        f = link_f(self.f, d, frame.hints)
        if f != frame.f:
            return Damage("the hints of a tick are not those that were written", record=frame.tick)
        self.d, self.f = d, f
        self.ticks += 1
        return None


def check(path: Path | str) -> ChainReport:
    """Examine a journal's every byte if it is closed, every record in any case.

    Nothing is changed, and a damaged journal is a report, not an exception.

    Raises:
        JournalNotFound: TW2001.
        JournalFormat: TW2005, the file is no journal, or of a newer format.
    """
    path = Path(path).resolve()
    sealed, damage = _check_file(path)
    try:
        journal = SqliteJournal.open(path)
    except JournalDamaged as error:
        return ChainReport(0, None, sealed, None, damage=damage or _as_damage(error, None))
    except JournalFormat:
        if damage is None:
            raise
        return ChainReport(0, None, sealed, None, damage=damage)
    with journal:
        return _check_records(journal, sealed, damage)


def check_shared(journal: SharedJournal) -> ChainReport:
    """Examine every record and content of one run in a database of many.

    Nothing is changed, and a damaged run is a report, not an exception.
    """
    return _check_records(journal, False, None)


def _check_file(path: Path) -> tuple[bool, Damage | None]:
    """Return whether the file is a closed journal, and the first damaged place of its bytes."""
    with raw_file(path) as file:
        read, size = reader_of(file), file.xFileSize()
        if has_footer(read, size) or begins_as_closed(read):
            return True, find_damage(read, size)
    return False, None


def _check_records(journal: Examined, sealed: bool, damage: Damage | None) -> ChainReport:
    chain: _Chain | None = None
    found: Damage | None = None
    signatures: tuple[Signature, ...] = ()
    signed_ok: bool | None = None
    try:
        chain = _Chain(*journal.header())
        signatures = journal.signatures()
        found, signed_ok = _check_chain(journal, chain, signatures)
        found = found or _check_rest(journal, sealed, chain.ticks)
    except JournalDamaged as error:
        found = found or _as_damage(error, chain)
    last = signatures[-1] if signatures else None
    return ChainReport(
        chain.ticks if chain else 0,
        chain.head() if chain else None,
        sealed,
        journal.status(),
        last.key_id if last else b"",
        last.head.tick if last else HEADER_TICK,
        signed_ok,
        _both(damage, found),
    )


def _check_chain(
    journal: Examined, chain: _Chain, signatures: tuple[Signature, ...]
) -> tuple[Damage | None, bool | None]:
    """Follow the chain to its end or first fault; judge the signatures by the heads that it passes."""
    signed = {one.head.tick: one.head for one in signatures}
    passed = {HEADER_TICK: chain.head()}
    for frame in journal.frames():
        damage = chain.follow(frame)
        if damage is not None:
            return damage, False if signatures else None
        if frame.tick in signed:
            passed[frame.tick] = chain.head()
    if not signatures:
        return None, None
    good = all(passed.get(one.head.tick) == one.head and verify(one) for one in signatures)
    return None, good


def _check_rest(journal: Examined, sealed: bool, ticks: int) -> Damage | None:
    """Examine what the chain does not cover: contents, and the structure of a file without a seal."""
    for name, body in journal.tables().contents():
        if digest(body) != name:
            return Damage(f"content {name.hex()} is not what its digest says")
    if sealed or not isinstance(journal, SqliteJournal):
        # The seal has covered the file; and a database of many runs is examined as a whole or not at all.
        return None
    if journal.status().closed:
        return Damage("the run is finished and its file has no seal: another program has written it")
    faults = journal.tables().structure_faults()
    if faults:
        return Damage(f"the structure of the file is damaged: {faults}")
    cut = journal.log_damage()
    return msgspec.structs.replace(cut, record=ticks) if cut else None


def _as_damage(error: JournalDamaged, chain: _Chain | None) -> Damage:
    """Return SQLite's complaint as damage: it ended the walk in the record after the last one that was good."""
    record = error.record if error.record is not None else chain.ticks if chain else HEADER_TICK
    return Damage(error.what, record=record, offset=error.offset)


def _both(bytes_differ: Damage | None, record_differs: Damage | None) -> Damage | None:
    """Join what the seal knows (the offset) with what the chain knows (the record)."""
    if bytes_differ is None or record_differs is None:
        return bytes_differ or record_differs
    return Damage(
        f"{bytes_differ.what}; {record_differs.what}", record=record_differs.record, offset=bytes_differ.offset
    )
