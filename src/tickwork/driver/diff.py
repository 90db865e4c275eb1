"""Diff: the first record in which two journals differ, found by bisecting their chains."""

from pathlib import Path

import msgspec

from ..journal.store import JournalReader
from ..records import Frame
from .compare import Divergence, compare_frames, compare_headers
from .opening import read_header, reading


class Difference(msgspec.Struct, frozen=True):
    """What a diff found.

    Attributes:
        ticks: Frames of the first and of the second journal.
        common: Ticks that are equal from the start.
    """

    equal: bool
    ticks: tuple[int, int]
    common: int
    divergence: Divergence | None = None


def diff(one: Path | str | JournalReader, other: Path | str | JournalReader) -> Difference:
    """Return the first difference between two journals. Hints are left out; the first journal is the expected one.

    Since each D covers all before it, equal digests mean equal prefixes: at most ``log2(ticks) + 1`` frames of each
    are read.
    """
    with reading(one) as first, reading(other) as second:
        ticks = first.length(), second.length()
        header, _ = read_header(first)
        other_header, _ = read_header(second)
        found = compare_headers(header, other_header)
        if found is not None:
            return Difference(equal=False, ticks=ticks, common=0, divergence=found)
        common = _common_ticks(first, second, min(ticks))
        if common == min(ticks):
            return _compare_lengths(ticks)
        expected, actual = _frame(first, common), _frame(second, common)
        divergence = compare_frames(header, expected, actual)
        assert divergence is not None, "frames with different digests differ in a record"
        return Difference(equal=False, ticks=ticks, common=common, divergence=divergence)


def _frame(journal: JournalReader, tick: int) -> Frame:
    frame = journal.frame(tick)
    assert frame is not None, "ticks below the length have frames"
    return frame


def _common_ticks(first: JournalReader, second: JournalReader, bound: int) -> int:
    """Return how many ticks are equal from the start."""
    low, high = 0, bound
    while low < high:
        middle = (low + high) // 2
        if _frame(first, middle).d == _frame(second, middle).d:
            low = middle + 1
        else:
            high = middle
    return low


def _compare_lengths(ticks: tuple[int, int]) -> Difference:
    if ticks[0] == ticks[1]:
        return Difference(equal=True, ticks=ticks, common=ticks[0])
    tick = min(ticks)
    values = ("present", "absent") if ticks[0] > ticks[1] else ("absent", "present")
    found = Divergence(tick, "frame", "frame", "record", *values)
    return Difference(equal=False, ticks=ticks, common=tick, divergence=found)
