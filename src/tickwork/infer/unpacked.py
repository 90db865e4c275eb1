"""Models as their files, each in a folder of its own, for what loads them by path.

Invariants:
    * A file laid out is the very file in ``blobs``, or a copy whose bytes were compared in this call.
    * A folder appears whole; what lies in it and belongs to no model makes it be laid out anew.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import ModelDamaged
from .manifest import Descriptor
from .shelf import (
    READ_ONLY,
    Shelf,
    Told,
    check_file,
    copy_hashed,
    failing,
    nobody,
    open_plain,
    remove_file,
    remove_tree,
)

FOLDER = "unpacked"


class Unpacked:
    """The models of a store as files."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self.root = shelf.folder / FOLDER

    def folder(self, digest: bytes) -> Path:
        """Return where a model is laid out."""
        return self.root / digest.hex()

    def lay_out(self, digest: bytes, layers: Sequence[Descriptor], told: Told = nobody) -> dict[str, Path]:
        """Return a model's files by their paths in it, each read to the end and compared.

        Raises:
            ModelDamaged: TW6003.
            ModelStoreFailed: TW6017.
        """
        folder = self.folder(digest)
        for layer in layers:
            self._shelf.check(layer.sha256.hex(), layer.size, told)
        with failing(self._shelf.folder):
            if folder.is_symlink() or listed(folder) != {layer.path for layer in layers}:
                self._unpack(folder, layers)
            for layer in layers:
                self._compare(folder, layer)
        return {layer.path: folder.joinpath(*layer.path.split("/")) for layer in layers}

    def clear(self, models: set[str]) -> None:
        """Remove all but these models. The caller holds the lock."""
        for path in sorted(self.root.iterdir()) if self.root.is_dir() else ():
            if path.name not in models:
                remove_tree(path)

    def _unpack(self, folder: Path, layers: Sequence[Descriptor]) -> None:
        """Lay a model out anew, in one step for whoever looks."""
        with self._shelf.staged() as stage:
            for layer in layers:
                self._link(layer, stage.joinpath(*layer.path.split("/")))
            folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                stage.rename(folder)
            except OSError:
                # Somebody else was quicker, or what is there is not the model; each file is compared in a moment.
                if listed(folder) != {layer.path for layer in layers}:
                    remove_tree(folder)
                    stage.rename(folder)

    def _link(self, layer: Descriptor, place: Path) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        blob = self._shelf.path(layer.sha256.hex())
        try:
            os.link(blob, place)
        except OSError:
            # A file system without links, or with too many of this file.
            copy_hashed(blob, place)
            place.chmod(READ_ONLY)

    def _compare(self, folder: Path, layer: Descriptor) -> None:
        """Refuse or mend a file that was laid out and is not the one in ``blobs``, which was compared already."""
        place, blob = folder.joinpath(*layer.path.split("/")), self._shelf.path(layer.sha256.hex())
        with contextlib.suppress(ModelDamaged), open_plain(place, layer.sha256.hex()) as file:
            if os.path.samestat(os.fstat(file.fileno()), blob.stat()):
                return
            check_file(file, layer.sha256.hex(), layer.size)
            return
        with self._shelf.staged() as stage:
            fresh = stage / "fresh"
            self._link(layer, fresh)
            remove_file(place)
            fresh.replace(place)
        with open_plain(place, layer.sha256.hex()) as file:
            check_file(file, layer.sha256.hex(), layer.size)


def listed(folder: Path) -> set[str]:
    """Return the paths of all files under a folder, parts divided by ``/``; links are not followed."""
    found = set[str]()
    for path, _, names in os.walk(folder):
        inner = Path(path).relative_to(folder).as_posix()
        found.update(name if inner == "." else f"{inner}/{name}" for name in names)
    return found
