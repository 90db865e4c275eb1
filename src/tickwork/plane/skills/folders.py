"""Files below folders that were granted, and no others, whatever a path says and whatever links lie in the way.

A path is read as text first: it names no parent, no drive and no device. Then it is walked one folder at a time from
the granted one, each opened within the one before and none through a link, so that nothing can be put in the way
between a look and the opening.

Invariants:
    * What is opened lies below the folder that was granted, on the disk and not in the spelling of its path.
    * A file is written whole or not at all.
    * ``.tickwork`` is never read nor written: journals, settings and answers lie there.
"""

import os
import re
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

import msgspec

from ..errors import OutputTooLarge, PathRefused, SkillFailed
from ..file_names import is_of_a_file

MAX_PATH: Final = 1024
MAX_PART: Final = 255
MAX_DEPTH: Final = 32
MAX_LISTED: Final = 10_000
OWN: Final = ".tickwork"

WITHIN: Final = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
"""Whether this system opens a name within an open folder. Windows does not; there each part is looked at instead."""

_FOLDER: Final = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FILE: Final = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)
_SHORT: Final = re.compile(r"[^.~]{1,6}~[0-9]{1,6}(\.[^.]{0,3})?")
"""A second name that Windows gives a file: `TICKWO~1` is one for the folder of the runs."""

_REPARSE: Final = 0x400
"""Attribute of what leads elsewhere on Windows. Source: FILE_ATTRIBUTE_REPARSE_POINT."""


class Entry(msgspec.Struct, frozen=True):
    """A file of a folder. ``path`` begins as the path of the folder that was listed."""

    path: str
    size: int


class Folders:
    """The files of one agent.

    Args:
        project: Folder that relative grants count from.
        read: Folders whose files may be read; those of ``write`` may be read too.
        write: Folders in which files may be written.
    """

    def __init__(self, project: Path, read: tuple[str, ...] = (), write: tuple[str, ...] = ()) -> None:
        self._project = project.absolute()
        self._read = (*read, *write)
        self._write = write

    def read(self, path: str, most_bytes: int) -> bytes:
        """Return what a file holds.

        Raises:
            PathRefused: TW7025, it lies nowhere that may be read, or is no plain file.
            SkillFailed: TW7008, it is not there. OutputTooLarge: TW7029.
        """
        root, parts, grant = self._place(path, self._read, "read")
        with _told(path, root, grant), _opened(root, parts) as file:
            raw = file.read(most_bytes + 1)
        if len(raw) > most_bytes:
            raise OutputTooLarge(f"{path} has more than {most_bytes:,} bytes")
        return raw

    def list(self, path: str, pattern: str = "**") -> list[Entry]:
        """Return the plain files below a folder. Order: by path. Links are left out, and so is what begins with a dot.

        Args:
            pattern: Such as ``*.md`` for files of the folder itself, ``**/*.md`` for those below it too.

        Raises:
            PathRefused: TW7025. SkillFailed: TW7008. OutputTooLarge: TW7029, there are more than can be listed.
        """
        root, parts, grant = self._place(path, self._read, "read")
        found = list[Entry]()
        with _told(path, root, grant):
            for inner, size in _walk(root, parts):
                if fits(inner, pattern):
                    found.append(Entry(f"{path.rstrip('/')}/{inner}" if path not in ("", ".") else inner, size))
                if len(found) > MAX_LISTED:
                    raise OutputTooLarge(f"{path} holds more than {MAX_LISTED:,} files", fix="narrow the pattern")
        return sorted(found, key=lambda entry: entry.path)

    def write(self, path: str, body: bytes, *, mark: str) -> None:
        """Write a file whole, in place of what was there; folders on the way are made.

        Args:
            mark: Names what is not yet whole; a repetition has the same.

        Raises:
            PathRefused: TW7025. SkillFailed: TW7008, the disk takes it not.
        """
        root, parts, grant = self._place(path, self._write, "written")
        if not parts:
            raise PathRefused(f"{path} is a folder")
        with _told(path, root, grant):
            (_write_within if WITHIN else _write_by_path)(root, parts, body, f".{mark[:16]}.partial")

    def _place(self, path: str, granted: tuple[str, ...], verb: str) -> tuple[Path, tuple[str, ...], str]:
        """Return the granted folder that a path lies in, its parts below that, and how the profile spells the folder.

        The narrowest grant is taken.
        """
        wanted = _parts(path)
        best: tuple[int, Path, tuple[str, ...], str] | None = None
        for grant in granted:
            above = _parts(grant, own=True)
            if wanted[: len(above)] == above and path.startswith("/") == grant.startswith("/"):
                below = wanted[len(above) :]
                best = max(best or (-1, self._project, (), ""), (len(above), self._project / grant, below, grant))
        if best is None:
            raise PathRefused(
                f"{path} may not be {verb}",
                why="the agent's files are those in the folders that its profile grants",
                fix=f"add a folder to `{'read' if verb == 'read' else 'write'}` in the grants of the profile",
            )
        return best[1:]


def fits(path: str, pattern: str) -> bool:
    """Return whether a path is of a pattern: ``*`` and ``?`` within a name, ``**`` for any folders.

    Law: the time it takes grows with the product of both lengths and no faster.
    """
    return _fits(path.split("/"), pattern.split("/"))


def _fits(parts: list[str], pattern: list[str]) -> bool:
    """Return whether parts are of a pattern of parts; ``**`` stands for any number of them."""
    reached = {0}
    for index, wanted in enumerate(pattern):
        if wanted == "**":
            last = index == len(pattern) - 1
            reached = set(range(min(reached), len(parts) + 1)) if reached else set[int]()
            if last:
                return bool(reached)
        else:
            reached = {at + 1 for at in reached if at < len(parts) and _name_fits(parts[at], wanted)}
    return len(parts) in reached


def _name_fits(name: str, pattern: str) -> bool:
    reached = {0}
    for wanted in pattern:
        if wanted == "*":
            reached = set(range(min(reached), len(name) + 1)) if reached else set[int]()
        else:
            reached = {at + 1 for at in reached if at < len(name) and wanted in ("?", name[at])}
    return len(name) in reached


def _parts(path: str, *, own: bool = False) -> tuple[str, ...]:
    """Return the parts of a path.

    Args:
        own: Whether the operator wrote it, who may name a parent or a drive.

    Raises:
        PathRefused: TW7025.
    """
    if own:
        return tuple(part for part in PurePosixPath(path.replace("\\", "/")).parts if part not in ("/", "."))
    if len(path) > MAX_PATH or any(not character.isprintable() for character in path):
        raise PathRefused("a path is too long or holds what cannot be printed")
    parts = tuple(part for part in path.split("/") if part not in ("", "."))
    if len(parts) > MAX_DEPTH:
        raise PathRefused(f"{path[:100]} is too deep")
    for part in parts:
        _check_part(path, part)
    return parts


def _check_part(path: str, part: str) -> None:
    if part == ".." or any(character in part for character in '\\:*?"<>|'):
        raise PathRefused(f"{path} leads out of its folder, or holds what no name of a file may hold")
    if not is_of_a_file(part) or _SHORT.fullmatch(part) or len(part.encode(errors="surrogatepass")) > MAX_PART:
        raise PathRefused(f"{path} is no name of a file on every system")
    if part.lower() == OWN:
        raise PathRefused(f"{path} lies in the folder of the runs")


@contextmanager
def _told(path: str, root: Path, grant: str) -> Generator[None]:
    """Turn what the system says into errors that name the path as it was given, or the grant as the profile spells it.

    No other place is named: what lies elsewhere on this machine is nobody's business.
    """
    try:
        yield
    except FileNotFoundError:
        if not root.exists():
            text = f"the folder {grant} is not there, which the profile grants: make it, such as with `mkdir {grant}`"
            raise _failed(text) from None
        raise _failed(f"{path} is not there") from None
    except (NotADirectoryError, IsADirectoryError):
        raise _failed(f"{path} is not what it is taken for: a file, or a folder") from None
    except OSError as error:
        # A link that was not followed is told as too many of them.
        if error.errno in (getattr(os, "ELOOP", 40), 40, 62):
            raise PathRefused(f"{path} leads through a link") from None
        raise _failed(f"{path}: {os.strerror(error.errno) if error.errno else 'the disk refuses'}") from None


def _failed(text: str) -> SkillFailed:
    error = SkillFailed(text)
    error.retryable = False
    return error


@contextmanager
def _inside(root: Path, parts: tuple[str, ...], *, make: bool = False) -> Generator[int]:
    """Yield the handle of a folder below ``root``, reached through folders alone."""
    handle = os.open(root, os.O_RDONLY | (_FOLDER & ~getattr(os, "O_NOFOLLOW", 0)))
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=handle)
            inner = _open_folder(part, handle)
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


def _open_folder(part: str, handle: int) -> int:
    try:
        return os.open(part, os.O_RDONLY | _FOLDER, dir_fd=handle)
    except NotADirectoryError:
        # A link to a folder is told as something that is no folder.
        if stat.S_ISLNK(os.stat(part, dir_fd=handle, follow_symlinks=False).st_mode):
            raise PathRefused(f"{part} is a link") from None
        raise


@contextmanager
def _opened(root: Path, parts: tuple[str, ...]) -> Generator[BinaryIO]:
    """Yield a plain file below ``root``."""
    if not parts:
        raise IsADirectoryError
    if WITHIN:
        with _inside(root, parts[:-1]) as folder:
            handle = os.open(parts[-1], os.O_RDONLY | _FILE, dir_fd=folder)
    else:
        place = _looked_at(root, parts)
        handle = os.open(place, os.O_RDONLY | _FILE)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError
        if not stat.S_ISREG(found.st_mode):
            raise PathRefused(f"{parts[-1]} is no plain file")
        if not WITHIN and not os.path.samestat(found, os.lstat(_looked_at(root, parts))):
            raise PathRefused(f"{parts[-1]} was put in another's place")
        yield file


def _looked_at(root: Path, parts: tuple[str, ...]) -> Path:
    """Return a path below ``root`` of which no part is a link, for systems that cannot open within a folder."""
    place = root
    for part in parts:
        place = place / part
        try:
            found = os.lstat(place)
        except FileNotFoundError:
            break
        if stat.S_ISLNK(found.st_mode) or getattr(found, "st_file_attributes", 0) & _REPARSE:
            raise PathRefused(f"{part} is a link")
    whole = root.joinpath(*parts)
    if not Path(os.path.realpath(whole)).is_relative_to(os.path.realpath(root)):
        raise PathRefused(f"{parts[-1]} leads out of its folder")
    return whole


def _walk(root: Path, parts: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Yield the plain files below a folder, with their sizes."""
    if WITHIN:
        with _inside(root, parts) as handle:
            yield from _walk_handle(handle, "", 0)
    else:
        yield from _walk_path(_looked_at(root, parts) if parts else root, "", 0)


def _walk_handle(handle: int, above: str, depth: int) -> Iterator[tuple[str, int]]:
    for name in sorted(os.listdir(handle)):
        if name.startswith("."):
            continue
        found = os.stat(name, dir_fd=handle, follow_symlinks=False)
        if stat.S_ISREG(found.st_mode):
            yield above + name, found.st_size
        elif stat.S_ISDIR(found.st_mode) and depth < MAX_DEPTH:
            inner = _open_folder(name, handle)
            try:
                yield from _walk_handle(inner, f"{above}{name}/", depth + 1)
            finally:
                os.close(inner)


def _walk_path(folder: Path, above: str, depth: int) -> Iterator[tuple[str, int]]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        found = entry.stat(follow_symlinks=False)
        linked = entry.is_symlink() or getattr(found, "st_file_attributes", 0) & _REPARSE
        if entry.name.startswith(".") or linked:
            continue
        if stat.S_ISREG(found.st_mode):
            yield above + entry.name, found.st_size
        elif stat.S_ISDIR(found.st_mode) and depth < MAX_DEPTH:
            yield from _walk_path(Path(entry.path), f"{above}{entry.name}/", depth + 1)


def _write_within(root: Path, parts: tuple[str, ...], body: bytes, partial: str) -> None:
    with _inside(root, parts[:-1], make=True) as folder:
        with suppress(FileNotFoundError):
            os.unlink(partial, dir_fd=folder)
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o644, dir_fd=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, parts[-1], src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def _write_by_path(root: Path, parts: tuple[str, ...], body: bytes, partial: str) -> None:
    os.stat(root)  # A granted folder is a person's to make.
    whole = _looked_at(root, parts)
    whole.parent.mkdir(parents=True, exist_ok=True)
    whole = _looked_at(root, parts)
    temporary = whole.with_name(partial)
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o644), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, whole)
