"""A disk that forgets: when the power goes, any part of what was not synced may be missing."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw

SECTOR: Final = 512


class LossyDisk(apsw.VFS):
    """Passes everything on, and remembers for each write since its file's last sync what was there before."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.unsynced: dict[str, list[tuple[int, bytes, bytes]]] = {}

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "LossyFile":
        return LossyFile(self, name, flags)

    def lose_power(self, source: random.Random, folder: Path, to: Path) -> None:
        """Copy to ``to`` what would be left in ``folder``: of each unsynced write, all, none or some sectors."""
        to.mkdir()
        for path in folder.iterdir():
            if path.name.endswith(("-shm", "-lock")):
                continue
            content = bytearray(path.read_bytes())
            writes = self.unsynced.get(str(path), [])
            for offset, before, after in reversed(writes):
                content[offset : offset + len(after)] = before.ljust(len(after), b"\0")
            for offset, _, after in writes:
                for start in range(0, len(after), SECTOR):
                    if source.random() < 0.8:
                        content[offset + start : offset + min(start + SECTOR, len(after))] = after[
                            start : start + SECTOR
                        ]
            (to / path.name).write_bytes(content)


class LossyFile(apsw.VFSFile):
    """A file of that disk."""

    def __init__(self, disk: LossyDisk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self.disk = disk
        self.path = name.filename() if isinstance(name, apsw.URIFilename) else name or ""

    def xWrite(self, data: bytes, offset: int) -> None:
        size = self.xFileSize()
        before = self.xRead(min(len(data), size - offset), offset) if offset < size else b""
        self.disk.unsynced.setdefault(self.path, []).append((offset, before, bytes(data)))
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self.disk.unsynced.pop(self.path, None)

    def xDeviceCharacteristics(self) -> int:
        # Nothing is promised: no safe append, no atomic sector, no power-safe overwrite.
        return 0


@contextmanager
def lossy_disk(name: str = "lossy") -> Iterator[LossyDisk]:
    """Register a disk for the time of a test."""
    disk = LossyDisk(name)
    try:
        yield disk
    finally:
        disk.unregister()
