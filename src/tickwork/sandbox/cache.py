"""Compiled modules kept on disk: a folder of our own making, each file authenticated.

Loading native code does not check it: a tampered file would run. So every file carries an HMAC under a key that lies
beside it with mode 0600, and a file that does not authenticate is ignored and made again. Whoever may write into the
folder could bring a key of their own, so on POSIX a folder that is not its user's alone to write is not used at all.
"""

import hmac
import os
import secrets  # noqa: TID251  (A key must be unpredictable, and no run depends on it.)
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

KEY_FILE: Final = "key"
KEY_BYTES: Final = 32
SUFFIX: Final = ".twc"
_TAG_BYTES: Final = 32


class Cache:
    """Compiled modules under names derived from what made them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> bytes | None:
        """Return what was stored under a name, or None: absent, damaged, unreadable and untrusted are the same."""
        try:
            if not self._is_ours():
                return None
            stored = (self._folder / (name + SUFFIX)).read_bytes()
            key = (self._folder / KEY_FILE).read_bytes()
        except OSError:
            return None
        tag, content = stored[:_TAG_BYTES], stored[_TAG_BYTES:]
        whole = len(key) == KEY_BYTES and hmac.compare_digest(tag, _tag(key, name, content))
        return content if whole else None

    def put(self, name: str, content: bytes) -> None:
        """Store under a name. A folder that cannot be written is no failure: the module is compiled again next time."""
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._is_ours():
                return
            key = self._key()
            _replace(self._folder / (name + SUFFIX), _tag(key, name, content) + content)

    def _is_ours(self) -> bool:
        """Return whether nobody else may put files into the folder, as far as the system tells."""
        if sys.platform == "win32":
            return True
        found = self._folder.stat()
        return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)

    def _key(self) -> bytes:
        path = self._folder / KEY_FILE
        with suppress(OSError):
            key = path.read_bytes()
            if len(key) == KEY_BYTES:
                return key
        key = secrets.token_bytes(KEY_BYTES)
        _replace(path, key)
        return key


def _tag(key: bytes, name: str, content: bytes) -> bytes:
    return hmac.digest(key, name.encode() + b"\0" + content, "sha256")


def _replace(path: Path, content: bytes) -> None:
    """Write a file in one step, readable by its owner alone."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        fresh.replace(path)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
        raise
