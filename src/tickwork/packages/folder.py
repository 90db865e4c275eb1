"""A registry in a folder: ``NAME/VERSION/DIGEST.wasm``, or ``.bundle``.

A version is a folder of one file, made beside its place and moved there whole: a reader finds it complete or not at
all, and of two writers at once one is told that it came second.
"""

import difflib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from ..errors import RegistryFailed
from .files import replace_file
from .package import Package
from .registry import NAME, PACKAGE_BYTES, VERSION, Pulled, absent, changed, check_name, named
from .rights import version_order

SUFFIXES: Final = {"module": ".wasm", "bundle": ".bundle"}
SHOWN: Final = 10
"""Versions that a message names, the newest of them."""


class FolderRegistry:
    """Packages in a folder of this machine, or of one it shares."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def push(self, package: bytes, found: Package) -> str:
        """Keep a package; return its path. One that is there already, byte for byte, is left alone.

        Raises:
            RegistryFailed: TW3211, the version is there with other bytes, or the folder cannot be written.
        """
        name, version = named(found)
        place = self._root / name / version
        file = f"{found.digest.hex()}{SUFFIXES[found.kind]}"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            fresh = Path(tempfile.mkdtemp(prefix=".", dir=place.parent))
            try:
                replace_file(fresh / file, package)
                fresh.chmod(0o755)
                self._put_in_place(fresh, place, file)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
        except OSError as error:
            raise _unreadable(place, error, "name a folder you may write to") from error
        return str(place / file)

    def _put_in_place(self, fresh: Path, place: Path, file: str) -> None:
        try:
            os.rename(fresh, place)
        except OSError:
            if not place.is_dir():
                raise
            if [path.name for path in place.iterdir()] != [file]:
                raise changed(place.parent.name, place.name, str(place)) from None

    def pull(self, name: str, version: str) -> Pulled:
        """Return a package.

        Args:
            version: Empty for the newest.

        Raises:
            RegistryFailed: TW3211, it is not there, or its bytes are not those of its digest.
        """
        check_name(name, version)
        version = version or self._newest(name)
        place = self._root / name / version
        try:
            files = [path for path in place.iterdir() if path.suffix in SUFFIXES.values()] if place.is_dir() else []
            if not files:
                raise absent(name, version, str(place), why=self._instead(name))
            package = _read(files[0])
        except OSError as error:
            raise _unreadable(place, error, "make it readable") from error
        if len(files) != 1 or hashlib.sha256(package).hexdigest() != files[0].stem:
            raise RegistryFailed(
                f"{name} {version} is damaged in its registry",
                where=str(files[0]),
                why="its bytes do not have the digest in the file's name, or there are several files",
                fix="remove that version and push it again",
            )
        return Pulled(package, version, str(files[0]))

    def _newest(self, name: str) -> str:
        found = self._versions(name)
        if not found:
            raise absent(name, "", str(self._root / name), why=self._instead(name))
        return found[-1]

    def _versions(self, name: str) -> list[str]:
        folder = self._root / name
        found = [path.name for path in folder.iterdir() if VERSION.fullmatch(path.name)] if folder.is_dir() else []
        return sorted(found, key=version_order)

    def _instead(self, name: str) -> str:
        """Return what there is in place of a package that is not there: other versions, or another name like it."""
        versions = self._versions(name)
        if versions:
            return f"its versions are {', '.join(versions[-SHOWN:])}"
        if not self._root.is_dir():
            return f"{self._root} is no folder"
        names = [path.name for path in self._root.iterdir() if NAME.fullmatch(path.name)]
        near = difflib.get_close_matches(name, names, 1)
        return f"there is {near[0]!r}" if near else "nothing there has a name like it"


def _read(path: Path) -> bytes:
    """Return a package's bytes, and no more of them than a package can have: a folder may be shared with anybody.

    Raises:
        RegistryFailed: TW3211, it is no file, or larger than any package.
    """
    # Opening a pipe would wait for whoever writes into it, and a device may never end.
    if path.is_file():
        with path.open("rb") as file:
            content = file.read(PACKAGE_BYTES + 1)
        if len(content) <= PACKAGE_BYTES:
            return content
    raise RegistryFailed(
        "what the registry keeps there is no package",
        where=str(path),
        why=f"it is no file, or has more than {PACKAGE_BYTES:,} bytes",
        fix="remove that version and push it again",
    )


def _unreadable(place: Path, error: OSError, fix: str) -> RegistryFailed:
    return RegistryFailed(
        "the registry's folder cannot be used", where=str(place), why=error.strerror or str(error), fix=fix
    )
