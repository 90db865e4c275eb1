"""Damage in SQLite's write-ahead log, which SQLite itself passes over in silence.

SQLite reads a log up to the first frame whose checksum is wrong and takes that for the end: right after a crash,
where the tail may be torn, and wrong where whole frames follow, for then acknowledged records would be cut. This
module tells the two apart.

Source: the SQLite file format, section 4, "The Write-Ahead Log".
"""

import struct
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


def find_log_damage(read: ReadAt, size: int, good_frames: int) -> Damage | None:
    """Return the place where a write-ahead log is damaged and whole frames follow.

    A torn tail is no damage: nobody was told that it was written.

    Args:
        read: Reads the log.
        size: Length of the log. Units: bytes.
        good_frames: How many frames from the start SQLite accepts.
    """
    header = read(0, HEADER.size)
    if len(header) < HEADER.size:
        return None
    magic, _, page, _, _, _, *sums = HEADER.unpack(header)
    order = ">" if magic & _BIG_ENDIAN else "<"
    if magic & ~_BIG_ENDIAN != _MAGIC or checksum(header[:24], (0, 0), order) != tuple(sums):
        return Damage(f"the head of the write-ahead log is damaged, {_WHERE}", offset=0) if size > HEADER.size else None
    return _first_bad(read, size, good_frames, Log(FRAME.size + page, header[16:24], order, (sums[0], sums[1])))


def _first_bad(read: ReadAt, size: int, good_frames: int, log: Log) -> Damage | None:
    bad, sums = -1, log.sums
    for offset in range(HEADER.size, size - log.length + 1, log.length):
        if offset < HEADER.size + (good_frames - 1) * log.length:
            continue
        frame = read(offset, log.length)
        _, _, salts, *stored = FRAME.unpack_from(frame)
        kept: Sums = (stored[0], stored[1])
        if offset >= HEADER.size + good_frames * log.length:
            good = salts == log.salts and frame_sums(frame, sums, log.order) == kept
            if good and bad >= 0:
                return Damage(f"the write-ahead log is damaged and whole records follow, {_WHERE}", offset=bad)
            if not good and bad < 0:
                bad = offset
        sums = kept
    return None


def frame_sums(frame: bytes, start: Sums, order: str) -> Sums:
    """Return the running checksum after a frame: it covers the first 8 bytes of its header and the page."""
    return checksum(frame[FRAME.size :], checksum(frame[:8], start, order), order)
