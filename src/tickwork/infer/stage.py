"""Files on their way into a store."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ..errors import ModelNotFound
from .manifest import (
    ARTIFACT_TYPE,
    CONFIG_TYPE,
    MANIFEST_TYPE,
    PATH_ANNOTATION,
    WEIGHT_TYPE,
    Descriptor,
    Manifest,
    ModelConfig,
    check_paths,
    descriptor_of,
    encode_config,
)
from .shelf import Told, copy_hashed, failing, nobody


class Stage:
    """Files on their way into a store: whole, hashed, and of no model yet.

    Attributes:
        folder: Where they lie under their paths, as they will for a worker.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layers: dict[str, Descriptor] = {}

    def take(self, source: Path, path: str, told: Told = nobody) -> Descriptor:
        """Copy a file in under a path of the model.

        Raises:
            ModelInvalid: TW6002, a model can have no such path.
            ModelNotFound: TW6001, the file cannot be read.
            ModelStoreFailed: TW6017.
        """
        check_paths([*self.layers, path])
        target = self.folder.joinpath(*PurePosixPath(path).parts)
        if not os.access(source, os.R_OK) or not source.is_file():
            raise ModelNotFound(f"{source} is no file that can be read", fix="name a file or folder that is there")
        with failing(self.folder):
            digest, size = copy_hashed(source, target, told)
        self.layers[path] = Descriptor(WEIGHT_TYPE, f"sha256:{digest}", size, {PATH_ANNOTATION: path})
        return self.layers[path]

    def receive(self, chunks: Iterable[bytes], path: str, told: Told = nobody) -> Descriptor:
        """Write what arrives under a path of the model.

        Raises:
            ModelInvalid: TW6002, a model can have no such path.
            ModelStoreFailed: TW6017.
        """
        check_paths([*self.layers, path])
        target = self.folder.joinpath(*PurePosixPath(path).parts)
        hashed, size = hashlib.sha256(), 0
        with failing(self.folder):
            target.parent.mkdir(parents=True, exist_ok=True)
            file = target.open("xb")
        with file:
            # What fails between two pieces is no failure of this disk.
            for chunk in chunks:
                hashed.update(chunk)
                size += len(chunk)
                with failing(self.folder):
                    file.write(chunk)
                told(len(chunk))
            with failing(self.folder):
                file.flush()
                os.fsync(file.fileno())
        self.layers[path] = Descriptor(WEIGHT_TYPE, f"sha256:{hashed.hexdigest()}", size, {PATH_ANNOTATION: path})
        return self.layers[path]

    def manifest(self, config: ModelConfig) -> Manifest:
        """Return the manifest of these files with a config."""
        layers = tuple(self.layers[path] for path in sorted(self.layers, key=str.encode))
        return Manifest(
            media_type=MANIFEST_TYPE,
            artifact_type=ARTIFACT_TYPE,
            config=descriptor_of(encode_config(config), CONFIG_TYPE),
            layers=layers,
        )
