"""Damage in SQLite's write-ahead log, which SQLite itself passes over in silence.

SQLite reads a log up to the first frame whose checksum is wrong and takes that for the end: right after a crash,
where the tail may be torn, and wrong where whole frames follow, for then acknowledged records would be cut. This
module tells the two apart.

Source: the SQLite file format, section 4, "The Write-Ahead Log".
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from .seal import Damage, ReadAt

HEADER: Final = struct.Struct(">IIIIIIII")
"""Magic, format, page size, checkpoint sequence, salt 1, salt 2, checksum 1, checksum 2."""

FRAME: Final = struct.Struct(">II8sII")
"""Page number, size of the database after a commit (0 within a transaction), salts, checksum 1, checksum 2."""

_MAGIC: Final = 0x377F0682
_BIG_ENDIAN: Final = 1
_MASK: Final = 0xFFFFFFFF

_WHERE: Final = "the offset is that within NAME-wal"

Sums = tuple[int, int]


class Log(NamedTuple):
    """What a log's header says: length of a frame with its page, salts, byte order of the checksum, where it starts."""

    length: int
    salts: bytes
    order: str
    sums: Sums


def checksum(data: bytes, start: Sums, order: str) -> Sums:
    """Return SQLite's running checksum after ``data``. Shape: a multiple of 8 bytes."""
    first, second = start
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for word in words:
        first = (first + word + second) & _MASK
        second = (second + next(words) + first) & _MASK
    return first, second


def find_log_damage(read: ReadAt, size: int, good_frames: int, barrier_page: int = 0) -> Damage | None:
    """Return the place where a write-ahead log is damaged and whole frames follow.

    A torn tail is no damage: nobody was told that it was written. A hole before whole frames is what a flipped byte
    leaves, and also what a loss of power leaves among writes that were never synced.

    Args:
        read: Reads the log.
        size: Length of the log. Units: bytes.
        good_frames: How many frames from the start SQLite accepts.
        barrier_page: A page that only a synced transaction writes. Where given, only a hole counts that such a
            transaction follows, with something after it to show that its sync returned: that is damage for certain.
    """
    header = read(0, HEADER.size)
    if len(header) < HEADER.size:
        return None
    magic, _, page, _, _, _, *sums = HEADER.unpack(header)
    order = ">" if magic & _BIG_ENDIAN else "<"
    if magic & ~_BIG_ENDIAN != _MAGIC or checksum(header[:24], (0, 0), order) != tuple(sums):
        # SQLite syncs the head before it writes a frame.
        return Damage(f"the head of the write-ahead log is damaged, {_WHERE}", offset=0) if size > HEADER.size else None
    log = Log(FRAME.size + page, header[16:24], order, (sums[0], sums[1]))
    return _find_hole(_frames(read, size, good_frames, log), barrier_page)


class LogFrame(NamedTuple):
    """A frame of the log: where it begins, the page it holds, whether it ends a transaction, whether it is whole."""

    offset: int
    page: int
    commits: bool
    whole: bool


def _frames(read: ReadAt, size: int, good_frames: int, log: Log) -> Iterator[LogFrame]:
    """Yield the frames after those that SQLite accepts. Each is judged by the sum that the one before it states."""
    sums = log.sums
    if good_frames > 0:
        *_, first, second = FRAME.unpack(read(HEADER.size + (good_frames - 1) * log.length, FRAME.size))
        sums = (first, second)
    for offset in range(HEADER.size + good_frames * log.length, size - log.length + 1, log.length):
        frame = read(offset, log.length)
        page, committed, salts, *stated = FRAME.unpack_from(frame)
        kept: Sums = (stated[0], stated[1])
        whole = salts == log.salts and frame_sums(frame, sums, log.order) == kept
        yield LogFrame(offset, page, committed != 0, whole)
        sums = kept


def _find_hole(frames: Iterator[LogFrame], barrier_page: int) -> Damage | None:
    hole = -1
    barrier = promised = False
    for frame in frames:
        if not frame.whole:
            hole = frame.offset if hole < 0 else hole
        elif hole >= 0:
            if promised or not barrier_page:
                return Damage(f"the write-ahead log is damaged and whole records follow, {_WHERE}", offset=hole)
            barrier = barrier or frame.page == barrier_page
            promised = barrier and frame.commits
    return None


def frame_sums(frame: bytes, start: Sums, order: str) -> Sums:
    """Return the running checksum after a frame: it covers the first 8 bytes of its header and the page."""
    return checksum(frame[FRAME.size :], checksum(frame[:8], start, order), order)
