"""What the tables of a journal hold, read and checked for type: a damaged page can turn a number into a text."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

import msgspec

from ..codec import digest as digest_of
from ..codec import link, start_chain
from ..errors import JournalDamaged
from ..records import Frame
from .faults import content_damaged, content_missing
from .layout import (
    COUNT_FRAMES,
    LAST_TICK,
    READ_CONTENT,
    READ_CONTENTS,
    READ_FRAMES,
    READ_HEADER,
    READ_LAST_HEAD,
    READ_SIGNATURES,
    READ_STATUS,
    READ_STATUS_PAGE,
    ContentRow,
    FrameRow,
    HeaderRow,
    HeadRow,
    NumberRow,
    SignatureRow,
    StatusRow,
)
from .store import HEADER_TICK, Head, RunStatus, Signature

Row = TypeVar("Row")


class Query(Protocol):
    """Runs one statement."""

    def __call__(self, statement: str, bindings: Sequence[int | bytes] = ()) -> Iterator[tuple[object, ...]]:
        """Yield the rows.

        Raises:
            JournalDamaged: TW2004, the file's structure does not hold.
        """
        ...


class Tables:
    """The rows of one journal as records."""

    def __init__(self, query: Query) -> None:
        self._query = query

    def header(self) -> tuple[bytes, bytes]:
        """Return the encoded header and environment."""
        row = self._one(READ_HEADER, HeaderRow, "header", HEADER_TICK)
        if start_chain(row.header, row.environment) != (row.d, row.f):
            raise JournalDamaged("the header is not what was written", record=HEADER_TICK, offset=None)
        return row.header, row.environment

    def status(self) -> RunStatus:
        """Return whether the run is open."""
        closed, text = self._one(READ_STATUS, StatusRow, "status", None)
        return RunStatus(bool(closed), text)

    def last_head(self) -> Head:
        """Return the end of the chains."""
        for row in self._query(READ_LAST_HEAD):
            return Head(*_typed(row, HeadRow, None))
        return Head(HEADER_TICK, *start_chain(*self.header()))

    def signatures(self) -> tuple[Signature, ...]:
        """Return the signed heads. Order: tick."""
        rows = [_typed(row, SignatureRow, None) for row in self._query(READ_SIGNATURES)]
        return tuple(Signature(Head(row.tick, row.d, row.f), row.key_id, row.public_key, row.signature) for row in rows)

    def frames(self, first: int = 0, last: int | None = None) -> Iterator[Frame]:
        """Yield the frames of ticks ``first`` to ``last``, both included. Order: tick."""
        expected = max(0, first)
        for row in self._query(READ_FRAMES, (first, LAST_TICK if last is None else last)):
            frame = Frame(*_typed(row, FrameRow, expected))
            expected = frame.tick + 1
            yield frame

    def content(self, digest: bytes) -> bytes:
        """Return the bytes of that digest.

        Raises:
            JournalIncomplete: TW2008, they are not here.
            JournalDamaged: TW2004, they are others by now.
        """
        for row in self._query(READ_CONTENT, (digest,)):
            body = _typed(row, ContentRow, None).body
            if digest_of(body) != digest:
                # A run that went on with such bytes would end in another head, and say that all is well.
                raise content_damaged(digest)
            return body
        raise content_missing(digest)

    def contents(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield digest and bytes of all content. Order: as it was put."""
        for row in self._query(READ_CONTENTS):
            yield _typed(row, ContentRow, None)

    def status_page(self) -> int:
        """Return the number of the page that only a durable flush writes."""
        return self._one(READ_STATUS_PAGE, NumberRow, "status", None).number

    def structure_faults(self) -> str:
        """Return what SQLite's own examination of the file finds wrong; empty for nothing."""
        found = [str(row[0]) for row in self._query("PRAGMA integrity_check(3)")]
        return "" if found == ["ok"] else "; ".join(" ".join(line.split()) for line in found)

    def check_end(self) -> None:
        """Check what a recovery could have spoilt: no tick is missing, and the last frame continues the one before.

        Raises:
            JournalDamaged: TW2004.
        """
        last = self.last_head().tick
        count = self._one(COUNT_FRAMES, NumberRow, "frames", None).number
        if count != last + 1:
            what = f"the journal has {count} frames and its last tick is {last}"
            raise JournalDamaged(what, record=last, offset=None)
        heads = start_chain(*self.header())
        for frame in self.frames(last - 1):
            relinked = link(heads, frame.tick, frame.inputs, frame.turns, frame.derived, frame.hints)
            if frame.tick == last and relinked != frame:
                raise JournalDamaged("the last frame does not continue the chain", record=last, offset=None)
            heads = (frame.d, frame.f)

    def _one(self, statement: str, shape: type[Row], name: str, record: int | None) -> Row:
        for row in self._query(statement):
            return _typed(row, shape, record)
        raise JournalDamaged(f"the journal has no {name}", record=record, offset=None)


def _typed(row: tuple[object, ...], shape: type[Row], record: int | None) -> Row:
    try:
        return msgspec.convert(row, shape)
    except msgspec.ValidationError as error:
        raise JournalDamaged(f"a row is not as it was written: {error}", record=record, offset=None) from error
