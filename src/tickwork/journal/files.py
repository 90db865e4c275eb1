"""The files of a journal: ``NAME``, and beside it while it is written ``-wal``, ``-shm``, ``-lock`` and ``-new``."""

import os
import sys
from pathlib import Path


def beside(path: Path, suffix: str) -> Path:
    """Return the path of the companion with that suffix."""
    return path.with_name(path.name + suffix)


def remove_log(path: Path) -> None:
    """Remove a database's write-ahead log."""
    for suffix in ("-wal", "-shm"):
        beside(path, suffix).unlink(missing_ok=True)


def remove_database(path: Path) -> None:
    """Remove a database and its log."""
    path.unlink(missing_ok=True)
    remove_log(path)


def put_in_place(fresh: Path, path: Path) -> None:
    """Give ``fresh`` the name ``path``, durably: after a crash the name stands for the old file or for the new one."""
    fresh.replace(path)
    # Windows has no call for a folder and needs none.
    if sys.platform != "win32":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
