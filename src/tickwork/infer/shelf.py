"""Files by their SHA-256, in one folder that several processes share.

Invariants:
    * What stands under ``blobs/sha256`` is whole: a file is written and synchronized elsewhere in the folder and then
      moved there, and no process changes it afterwards.
    * Whoever writes holds the lock, which the system takes from a process that ends, however it ends.
    * What a writer has not moved into place is in a folder of its own, which it holds locked; one that nobody holds is
      what a crash has left, and is removed by the next collection.
    * No links by name are followed: what is not a plain file is damage.

Shape: of a folder, an OCI image layout.

Source: OCI image layout specification 1.1.
"""

import contextlib
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Final

from ..errors import ModelDamaged, ModelStoreFailed
from .manifest import DIGEST

CHUNK_BYTES: Final = 1 << 20
READ_ONLY: Final = 0o444
LOCK_FILE: Final = "lock"
STAGING: Final = "staging"

Told = Callable[[int], object]
"""Is told how many bytes more were read."""


def nobody(_count: int) -> None:
    """Be told how many bytes were read, and make nothing of it."""


class Shelf:
    """The files of a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "blobs" / "sha256"

    def path(self, digest: str) -> Path:
        """Return where a file of this digest lies.

        Args:
            digest: 64 small hexadecimal digits.
        """
        # Digests come from files that anybody may have written, and become parts of paths.
        if DIGEST.fullmatch(digest) is None:
            raise damaged(digest[:80], "that is no digest")
        return self.root / digest

    def read(self, digest: str, most: int) -> bytes:
        """Return the bytes of a digest.

        Args:
            most: That may come. Units: bytes.

        Raises:
            ModelDamaged: TW6003, they are not there, or are others.
            ModelStoreFailed: TW6017.
        """
        with self._opened(digest) as file:
            content = file.read(most + 1)
        if len(content) > most or hashlib.sha256(content).hexdigest() != digest:
            raise damaged(digest, "its bytes are others")
        return content

    def check(self, digest: str, size: int, told: Told = nobody) -> None:
        """Read a file to its end and refuse it unless its bytes are those of its digest.

        Raises:
            ModelDamaged: TW6003.
            ModelStoreFailed: TW6017.
        """
        with self._opened(digest) as file:
            check_file(file, digest, size, told)

    @contextlib.contextmanager
    def _opened(self, digest: str) -> Generator[BufferedReader]:
        path = self.path(digest)
        with failing(self.folder), open_plain(path, digest) as file:
            yield file

    def keep(self, source: Path, digest: str) -> None:
        """Move a file that is whole and synchronized to its place. The caller holds the lock.

        One that is there with other bytes is replaced: a damaged file is mended by adding its model again.
        """
        place = self.path(digest)
        self.root.mkdir(parents=True, exist_ok=True)
        if place.exists():
            with contextlib.suppress(ModelDamaged, OSError):
                self.check(digest, source.stat().st_size)
                source.unlink()
                return
            remove_file(place)
        source.chmod(READ_ONLY)
        source.replace(place)

    def put(self, data: bytes) -> str:
        """Write some bytes to their place; return their digest. The caller holds the lock."""
        digest = hashlib.sha256(data).hexdigest()
        self.root.mkdir(parents=True, exist_ok=True)
        fresh = self.root / ".new"
        remove_file(fresh)
        with fresh.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self.keep(fresh, digest)
        return digest

    def all(self) -> Iterator[Path]:
        """Yield every file. Order: by digest."""
        if self.root.is_dir():
            yield from sorted(self.root.iterdir())

    def synchronize(self) -> None:
        """Make what was moved into place outlast a loss of power, before anything names it."""
        if sys.platform == "win32" or not self.root.is_dir():
            return
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Hold the lock of all who write; others wait until it is free.

        Raises:
            ModelStoreFailed: TW6017, the folder cannot be written, or the disk is full.
        """
        with failing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / LOCK_FILE).open("ab") as file:
                _take(file.fileno(), wait=True)
                yield

    @contextlib.contextmanager
    def staged(self) -> Generator[Path]:
        """Yield an empty folder in which a writer prepares files; it is gone afterwards, with what is left in it.

        Raises:
            ModelStoreFailed: TW6017.
        """
        with contextlib.ExitStack() as held, failing(self.folder):
            with self.locked():
                # Made and locked under the lock of all, so that no collection sees it before it is held.
                (self.folder / STAGING).mkdir(parents=True, exist_ok=True)
                own = Path(tempfile.mkdtemp(dir=self.folder / STAGING))
                held.callback(remove_tree, own)
                file = held.enter_context((own / LOCK_FILE).open("ab"))
                _take(file.fileno(), wait=True)
            inner = own / "files"
            inner.mkdir()
            yield inner

    def clear_stages(self) -> int:
        """Remove what crashed writers have left; return how many there were. The caller holds the lock."""
        folder, count = self.folder / STAGING, 0
        for own in sorted(folder.iterdir()) if folder.is_dir() else ():
            with contextlib.suppress(OSError), (own / LOCK_FILE).open("ab") as file:
                if not _take(file.fileno(), wait=False):
                    continue
            remove_tree(own)
            count += 1
        return count


def _take(descriptor: int, *, wait: bool) -> bool:
    """Lock a file for this opening of it; return whether it was got."""
    if sys.platform == "win32":
        import msvcrt

        while True:
            try:
                os.lseek(descriptor, 0, os.SEEK_SET)
                # With LK_LOCK the system tries for ten seconds and then gives up.
                msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            except OSError:
                if not wait:
                    return False
            else:
                return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def open_plain(path: Path, digest: str) -> BufferedReader:
    """Return a file opened for reading, which is one and no link.

    Raises:
        ModelDamaged: TW6003, it is absent or no plain file.
    """
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise damaged(digest, "what lies in its place is no plain file")
        descriptor = os.open(path, flags)
    except FileNotFoundError as error:
        raise damaged(digest, "it is missing") from error
    return open(descriptor, "rb")


def check_file(file: BufferedReader, digest: str, size: int, told: Told = nobody) -> None:
    """Refuse an open file whose bytes are not those of a digest.

    Raises:
        ModelDamaged: TW6003.
    """
    found = os.fstat(file.fileno()).st_size
    if found != size:
        raise damaged(digest, f"it has {found:,} bytes, not {size:,}")
    hashed = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while count := file.readinto(buffer):
        hashed.update(buffer[:count])
        told(count)
    if hashed.hexdigest() != digest:
        raise damaged(digest, "its bytes are others")


def copy_hashed(source: Path, target: Path, told: Told = nobody) -> tuple[str, int]:
    """Copy a file, synchronized; return the SHA-256 in hexadecimal of what was written, and how many bytes that were.

    Raises:
        OSError: The one cannot be read, or the other not be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    hashed, size = hashlib.sha256(), 0
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            hashed.update(chunk)
            writer.write(chunk)
            size += len(chunk)
            told(len(chunk))
        writer.flush()
        os.fsync(writer.fileno())
    return hashed.hexdigest(), size


def remove_file(path: Path) -> None:
    """Remove a file that is read-only, if there is one.

    Raises:
        OSError: It stays, as on Windows where somebody has it open.
    """
    if sys.platform == "win32":
        with contextlib.suppress(OSError):
            path.chmod(0o666)
    path.unlink(missing_ok=True)


def remove_tree(folder: Path) -> None:
    """Remove a folder with read-only files in it, as far as the system lets it go."""
    if folder.is_symlink():
        with contextlib.suppress(OSError):
            folder.unlink()
    if sys.platform == "win32":
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                path.chmod(0o666)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def failing(folder: Path) -> Generator[None]:
    """Turn a refusal of the disk into an error that says what to do.

    Raises:
        ModelStoreFailed: TW6017.
    """
    try:
        yield
    except OSError as error:
        raise ModelStoreFailed(
            "the store of models cannot be read or written",
            where=str(folder),
            why=error.strerror or str(error),
            fix="make room, or name a folder you may write to: --store FOLDER",
        ) from error


def damaged(digest: str, why: str) -> ModelDamaged:
    """Return the refusal of a file that is not the one of its digest."""
    return ModelDamaged(
        "a file of a model is damaged",
        where=f"sha256:{digest}",
        why=why,
        fix="remove the model and add it again: tickwork model rm, tickwork model add",
    )
