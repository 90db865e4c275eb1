"""The index of a store: which models it has, what they are called, and which of them are kept.

Invariants:
    * All that can change in a store is in this one file, which is replaced in one step: whoever reads it finds a
      state that was, and never parts of two.
    * A version is there once, and its name and version are those in its config.

Source: OCI image index specification 1.1.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from ..errors import ModelDamaged
from ..packages.rights import version_order
from .manifest import ALIAS, DIGEST, NAME, VERSION

INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"

REFERENCE: Final = "org.opencontainers.image.ref.name"
ALIAS_OF: Final = "dev.tickwork.alias"
PINNED: Final = "dev.tickwork.pinned"
MEMORY: Final = "dev.tickwork.memory"
SIZE: Final = "dev.tickwork.size"
SIGNS: Final = "dev.tickwork.signs"
"""Annotations of a line: what it is called, the version it is an alias of, whether it is pinned, what a worker with it
was measured to take here, how many bytes its files have, and the digest that it is a signature of."""

LATEST: Final = "latest"


class Line(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One line of the index: a version, an alias, or a signature."""

    media_type: str
    digest: str
    size: int
    artifact_type: str = ""
    annotations: dict[str, str] = {}

    @property
    def hex(self) -> str:
        """The digest without its algorithm."""
        return self.digest.removeprefix("sha256:")

    @property
    def name(self) -> str:
        """The model's name; empty for a signature."""
        return self.annotations.get(REFERENCE, "").partition(":")[0]

    @property
    def tag(self) -> str:
        """The version or alias."""
        return self.annotations.get(REFERENCE, "").partition(":")[2]

    @property
    def is_version(self) -> bool:
        """Whether it is a model, and no alias or signature."""
        return bool(self.tag) and ALIAS_OF not in self.annotations

    @property
    def is_alias(self) -> bool:
        """Whether it is another name of a version."""
        return ALIAS_OF in self.annotations

    @property
    def signs(self) -> str:
        """The digest of which it is a signature, in hexadecimal; empty for what is none."""
        return self.annotations.get(SIGNS, "")

    @property
    def pinned(self) -> bool:
        """Whether it is kept until somebody unpins it."""
        return PINNED in self.annotations

    def count(self, annotation: str) -> int:
        """Return an annotation that is a number, 0 where it is none."""
        text = self.annotations.get(annotation, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0

    def noted(self, annotation: str, value: str | None) -> "Line":
        """Return the line with an annotation, or without it where ``value`` is None."""
        notes = {name: text for name, text in self.annotations.items() if name != annotation}
        if value is not None:
            notes[annotation] = value
        changed: Line = msgspec.structs.replace(self, annotations=notes)
        return changed


class Index(msgspec.Struct, frozen=True, rename="camel"):
    """What is in ``index.json``. Order of lines: by name and version, signatures last."""

    schema_version: int = 2
    media_type: str = INDEX_TYPE
    manifests: tuple[Line, ...] = ()

    def versions(self, name: str = "") -> list[Line]:
        """Return the versions of a model, or of all. Order: by name, then oldest first."""
        found = [line for line in self.manifests if line.is_version and name in ("", line.name)]
        return sorted(found, key=lambda line: (line.name, version_order(line.tag), line.tag))

    def aliases(self, name: str, version: str) -> list[str]:
        """Return the aliases of a version that somebody set. Order: by name."""
        lines = (line for line in self.manifests if line.is_alias and line.name == name)
        return sorted(line.tag for line in lines if line.annotations[ALIAS_OF] == version)

    def tagged(self, name: str, tag: str) -> Line | None:
        """Return the version that a tag names: itself, an alias, or the newest one for ``latest``; None for none."""
        if not name:
            return None
        versions = self.versions(name)
        alias = next((line for line in self.manifests if line.is_alias and (line.name, line.tag) == (name, tag)), None)
        if alias is not None:
            tag = alias.annotations[ALIAS_OF]
        elif tag == LATEST:
            return versions[-1] if versions else None
        return next((line for line in versions if line.tag == tag), None)

    def signature(self, digest: str) -> Line | None:
        """Return the line of a model's signature, None where nobody signed it."""
        return next((line for line in self.manifests if line.signs == digest), None)

    def without(self, *gone: Line) -> "Index":
        """Return the index without some lines, and without the signatures of versions that are in it no more."""
        left = [line for line in self.manifests if line not in gone]
        versions = {line.hex for line in left if line.is_version}
        return self.having(line for line in left if not line.signs or line.signs in versions)

    def replaced(self, old: Line | None, new: Line) -> "Index":
        """Return the index with a line in place of another, or added."""
        return self.having([*(line for line in self.manifests if line != old), new])

    def having(self, lines: Iterable[Line]) -> "Index":
        """Return the index with these lines, in order."""
        ordered = sorted(lines, key=lambda line: (line.signs, line.name, version_order(line.tag), line.tag))
        changed: Index = msgspec.structs.replace(self, manifests=tuple(ordered))
        return changed


def decode_index(data: bytes) -> Index:
    """Return the index encoded in ``data``.

    Raises:
        ModelDamaged: TW6003, it is none.
    """
    try:
        index = msgspec.json.decode(data, type=Index)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _unreadable(str(error)) from error
    for line in index.manifests:
        if line.digest != f"sha256:{line.hex}" or DIGEST.fullmatch(line.hex) is None:
            raise _unreadable(f"{_shown(line.digest)} is no digest")
        reference = line.annotations.get(REFERENCE, "")
        tagged = VERSION.fullmatch(line.tag) or (line.is_alias and ALIAS.fullmatch(line.tag))
        if reference and not (NAME.fullmatch(line.name) and tagged):
            raise _unreadable(f"{_shown(reference)} is no name and version")
    return index


def _shown(text: str) -> str:
    return repr(text.encode("unicode_escape").decode()[:80])


def _unreadable(why: str) -> ModelDamaged:
    return ModelDamaged(
        "the index of a store of models cannot be read",
        where="index.json",
        why=why,
        fix="put it back from a copy, or move the store away and add its models again",
    )
