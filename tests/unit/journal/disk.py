"""A disk that fails on request: SQLite's file layer with one fault at a chosen write or sync."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import apsw


class Fault(Enum):
    """What goes wrong."""

    FULL = "the disk is full"
    BROKEN_WRITE = "a write fails"
    TORN_WRITE = "half of a write reaches the disk, then it fails"
    BROKEN_SYNC = "a sync fails"


class FaultyDisk(apsw.VFS):
    """Passes everything on to the default file layer, and fails once at the ``at``-th point; -1 for never.

    A point is a write, or a sync for ``Fault.BROKEN_SYNC``.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.fault = Fault.FULL
        self.at = -1
        self.points = 0
        self.failed = False

    def arm(self, fault: Fault, at: int) -> None:
        """Begin to count anew."""
        self.fault, self.at, self.points, self.failed = fault, at, 0, False

    def due(self, sync: bool) -> bool:
        """Count one point; return whether it is the one to fail at."""
        if sync != (self.fault is Fault.BROKEN_SYNC):
            return False
        self.points += 1
        self.failed = self.failed or self.points - 1 == self.at
        return self.points - 1 == self.at

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "FaultyFile":
        return FaultyFile(self, name, flags)


class FaultyFile(apsw.VFSFile):
    """A file of that disk."""

    def __init__(self, disk: FaultyDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self.disk = disk

    def xWrite(self, data: bytes, offset: int) -> None:
        if self.disk.due(sync=False):
            if self.disk.fault is Fault.FULL:
                raise apsw.FullError(self.disk.fault.value)
            if self.disk.fault is Fault.TORN_WRITE:
                super().xWrite(bytes(data)[: len(data) // 2], offset)
            raise apsw.IOError(self.disk.fault.value)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        if self.disk.due(sync=True):
            raise apsw.IOError(self.disk.fault.value)
        super().xSync(flags)


@contextmanager
def faulty_disk(name: str = "faulty") -> Iterator[FaultyDisk]:
    """Register a disk for the time of a test."""
    disk = FaultyDisk(name)
    try:
        yield disk
    finally:
        disk.unregister()
