"""Files that are written whole or not at all: keys, trust, locks, packages."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644


def replace_file(path: Path, content: bytes, *, mode: int = PUBLIC) -> None:
    """Write a file in one step: whoever reads it finds the old content or the new, also after a crash.

    Raises:
        OSError: The folder cannot be made or written; what was there before is there still.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with suppress(OSError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise


def create_file(path: Path, content: bytes, *, mode: int = PRIVATE) -> bool:
    """Write a file whole unless there is one; return whether it was written. Of two at once, the first one stays.

    Raises:
        OSError: The folder cannot be made or written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    replace_file(fresh, content, mode=mode)
    try:
        os.link(fresh, path)
    except FileExistsError:
        return False
    except OSError:
        # A file system without links: the last one stays.
        if path.exists():
            return False
        fresh.replace(path)
        return True
    finally:
        with suppress(OSError):
            fresh.unlink()
    return True
