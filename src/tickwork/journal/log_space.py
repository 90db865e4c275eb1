"""Room at the end of SQLite's write-ahead log, laid out before it is needed.

A commit that lengthens a file has to wait until the file system has noted its new length, twice as long as for the
bytes alone. Zeros past the end of a log that grows let the next commits write over what the file already has. SQLite
reads a log up to the first frame whose salts and checksum are not the log's; zeros are no frame.

Invariants:
    * Nothing is written before the end of the file, and only by who holds the right to write the database: all
      lengthening of the log is done by one process at a time.
    * A log that cannot be lengthened so is left as it is: it grows by its commits.

Source: the SQLite file format, section 4, "The Write-Ahead Log"; https://sqlite.org/walformat.html, section 2, by which
locks lie on the database and its index and none on the log, so that closing it here loses none.
"""

import os
import sys
from pathlib import Path
from typing import Final

from .seal import PAGE
from .wal import FRAME, HEADER

FRAME_BYTES: Final = FRAME.size + PAGE

FIRST_FRAMES: Final = 48
"""How long a log is before it is worth it: who commits a few times pays nothing. Units: frames, here and below."""

STEP_FRAMES: Final = 256

LEAST_FRAMES: Final = 24
"""Room that is left when more is laid out: a commit of a step writes two to twelve frames."""


class LogSpace:
    """The room that a log has. Ask ``wanting`` with each commit, and ``lay_out`` within the next transaction.

    Args:
        path: The log.
        most: Frames at which it is brought into the database, to begin again. It gets no room beyond.
    """

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
        self._used = 0
        self._enough = FIRST_FRAMES

    def note(self, frames: int) -> None:
        """Take notice of how many frames the log has now; it begins again with none when all are in the database."""
        self._used = frames

    @property
    def wanting(self) -> bool:
        """Whether the next commits need more room than is known to be there."""
        return self._enough < self._used < self._most

    def lay_out(self) -> None:
        """Lengthen the log: by what it holds already, up to a step, so that it costs at most what was written."""
        end = HEADER.size + (self._used + LEAST_FRAMES) * FRAME_BYTES
        try:
            with open(self._path, "r+b", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                # Another process may have laid it out, and a log that began again is as long as it ever was.
                if size < end:
                    file.seek(size)
                    further = min(self._used, STEP_FRAMES, self._most - self._used)
                    file.write(bytes(end + further * FRAME_BYTES - size))
                    size = os.fstat(file.fileno()).st_size
            self._enough = max(self._used, (size - HEADER.size) // FRAME_BYTES - LEAST_FRAMES)
        except OSError:
            # A disk without room for zeros may yet have it for a commit.
            self._enough = self._used + STEP_FRAMES


def log_space(path: Path, most: int) -> LogSpace | None:
    """Return what lays out a log; None where another process may refuse to share a file that we have open."""
    return LogSpace(path, most) if sys.platform != "win32" else None
