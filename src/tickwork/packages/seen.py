"""What this machine has seen of a package: the newest version, the capabilities approved, and what an update asks for.

One file for each name, in the trust folder, so that two runs that start at once do not undo each other's notes.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from ..errors import TrustFileInvalid
from ..sandbox.manifest import Capabilities
from .files import replace_file
from .trust import OTHER_FOLDER, unusable

SEEN: Final = "seen"
SEEN_BYTES: Final = 1 << 18


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a refused update asks for: an older version, or more capabilities."""

    version: str
    capabilities: Capabilities


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of the packages of one name.

    Attributes:
        version: The newest that ran here.
        capabilities: What the versions that ran here declared, together.
        asked: What the last refused update asked for; None where nothing waits for approval.
    """

    name: str
    version: str
    capabilities: Capabilities
    asked: Asked | None = None


def read_seen(folder: Path | None, name: str) -> Seen | None:
    """Return what is known of a name, None where nothing is.

    Raises:
        TrustFileInvalid: TW3210, the note is there and cannot be read.
    """
    path = _path(folder, name) if folder is not None else None
    return _read(path) if path is not None and path.exists() else None


def write_seen(folder: Path, seen: Seen) -> None:
    """Note what is known of a name, in one step.

    Raises:
        TrustFileInvalid: TW3210, the folder cannot be written.
    """
    path = _path(folder, seen.name)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, msgspec.json.format(msgspec.json.encode(seen), indent=2) + b"\n")
    except OSError as error:
        raise unusable(path, error.strerror or str(error), OTHER_FOLDER) from error


def all_seen(folder: Path) -> Iterator[Seen]:
    """Yield every note. Order: by name.

    Raises:
        TrustFileInvalid: TW3210.
    """
    yield from sorted((_read(path) for path in (folder / SEEN).glob("*.json")), key=lambda seen: seen.name)


def _path(folder: Path, name: str) -> Path:
    """Return the file of a name: names are anybody's text, so the file has their digest."""
    return folder / SEEN / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"


def _read(path: Path) -> Seen:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(SEEN_BYTES), type=Seen)
    except OSError as error:
        raise unusable(path, error.strerror or str(error), "make it readable") from error
    except msgspec.DecodeError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> TrustFileInvalid:
    fix = "put it back from a copy; removing it forgets which version and capabilities were approved"
    return unusable(path, str(error), fix)
