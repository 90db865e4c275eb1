"""Source bundles: an agent in an interpreted language, its sources in one file, run by a base module.

Invariants:
    * A base is found by the digest that the bundle's manifest names, and by nothing else: its name and place say
      nothing, so whoever signs the bundle has signed for the base too.
    * A journal holds both, so that a run is verified where nobody has that base.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from .. import codec
from ..errors import AgentCodeMissing, ModuleManifestInvalid
from ..packages.package import is_bundle, read_package
from ..sandbox.gate import malformed
from ..sandbox.manifest import Manifest
from ..sandbox.wasm import Malformed, parse

__all__ = ["Bundle", "find_interpreter", "first_pages", "is_bundle", "read_bundle"]

DEPTH: Final = 5_000
"""Nested calls of a bundle's agent where its world says nothing: an interpreter nests several for each call."""

HEXADECIMAL: Final = 64
"""Digits of a SHA-256."""


class Bundle(NamedTuple):
    """A source bundle and what it says of itself."""

    content: bytes
    manifest: Manifest

    @property
    def interpreter(self) -> bytes:
        """Digest of the base module that runs it."""
        return bytes.fromhex(self.manifest.base)


def read_bundle(content: bytes, name: str) -> Bundle:
    """Return a bundle whose form is right and whose signature, if it has one, is of these very files.

    Raises:
        SignatureInvalid: TW3201. ModuleManifestInvalid: TW3006, it has no manifest, or one that names no base.
    """
    manifest = read_package(content, name=name).manifest
    if manifest is None or not _is_digest(manifest.base):
        raise ModuleManifestInvalid(
            f"the source bundle {name!r} cannot be run",
            why="its manifest.json is absent" if manifest is None else "its manifest names no base module",
            fix="build it with `tickwork agent build`",
        )
    return Bundle(content, manifest)


def _is_digest(text: str) -> bool:
    return len(text) == HEXADECIMAL and set(text) <= set("0123456789abcdef")


def find_interpreter(digest: bytes, name: str, folders: Sequence[Path]) -> bytes:
    """Return the base module of a bundle.

    Args:
        name: The bundle's file, for messages.
        folders: Where bases lie, each as ``DIGEST.wasm``. Order: the first that has it counts.

    Raises:
        AgentCodeMissing: TW4002, no folder has it, or what lies there is something else.
    """
    for folder in folders:
        path = folder / f"{digest.hex()}.wasm"
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if codec.digest(content) == digest:
            return content
        raise AgentCodeMissing(
            f"the base module of {name} is damaged", where=str(path), fix="remove the file, and install the base again"
        )
    raise AgentCodeMissing(
        f"the base module of {name} is not on this machine",
        where=", ".join(map(str, folders)) or "no folder of base modules is known",
        why=f"the bundle was built for the base {digest.hex()}",
        fix="copy DIGEST.wasm there from where the bundle was built, or build the bundle again with the base that is"
        " here (tickwork agent build)",
    )


def first_pages(base: bytes, name: str) -> int:
    """Return what the memory of a base module begins with. Units: 64 KiB.

    Raises:
        ModuleRefused: TW3001, it is no module.
    """
    try:
        memories = parse(base).memories
    except Malformed as error:
        raise malformed(name, error) from error
    return memories[0].minimum if memories else 0
