"""Registries: places that keep packages by name and version, and what all of them agree on.

Invariants:
    * A version never changes: what is there under it stays, and other bytes are refused.
    * What comes out is checked against the digest under which it was kept; whether it is believed is the verdict's.
"""

import re
from typing import Final, Protocol

import msgspec

from ..errors import RegistryFailed
from ..sandbox.gate import escape
from .package import Package

NAME: Final = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", re.ASCII)
VERSION: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}", re.ASCII)
NAME_CHARACTERS: Final = 128
PACKAGE_BYTES: Final = 64 << 20
"""More than any package has; a registry that offers more is not read to the end."""


class Pulled(msgspec.Struct, frozen=True):
    """A package that came out of a registry.

    Attributes:
        package: Its bytes; their SHA-256 is the digest under which the registry keeps it.
        where: The place in the registry, for people.
    """

    package: bytes
    version: str
    where: str


class Registry(Protocol):
    """A place that keeps packages."""

    def push(self, package: bytes, found: Package) -> str:
        """Keep a package under the name and version of its manifest; return the place, for people.

        Raises:
            RegistryFailed: TW3211.
        """
        ...

    def pull(self, name: str, version: str) -> Pulled:
        """Return a package.

        Args:
            version: Empty for the newest.

        Raises:
            RegistryFailed: TW3211.
        """
        ...


def named(found: Package) -> tuple[str, str]:
    """Return the name and version under which a package is kept.

    Raises:
        RegistryFailed: TW3211, it has none, or none that every registry can keep.
    """
    if found.manifest is None:
        raise RegistryFailed(
            "the package has no manifest",
            why="a registry keeps packages by the name and version in it",
            fix="build it with `tickwork agent build`",
        )
    check_name(found.manifest.name, found.manifest.version)
    return found.manifest.name, found.manifest.version


def check_name(name: str, version: str) -> None:
    """Refuse a name or version that could mean another place; an empty version stands for the newest.

    Raises:
        RegistryFailed: TW3211.
    """
    if NAME.fullmatch(name) is None or len(name) > NAME_CHARACTERS:
        raise RegistryFailed(
            f"{escape(name)!r} is no name that a registry keeps",
            why=f"it has small letters and digits, with single . _ - between them, {NAME_CHARACTERS} in all",
            fix="name the agent so in agent.toml and build it again",
        )
    if version and VERSION.fullmatch(version) is None:
        raise RegistryFailed(
            f"{escape(version)!r} is no version that a registry keeps",
            why="it has letters, digits and . _ + - and begins with a letter or digit",
            fix="write one like 1.0.0",
        )


def absent(name: str, version: str, where: str, *, why: str = "") -> RegistryFailed:
    """Return the error of a package that is not there.

    Args:
        why: What there is instead, as far as the registry says.
    """
    shown = f"{name} {version}" if version else name
    return RegistryFailed(
        f"there is no package {shown}", where=where, why=why, fix="look at the name, the version and the place"
    )


def changed(name: str, version: str, where: str) -> RegistryFailed:
    """Return the refusal of other bytes under a version that is there."""
    return RegistryFailed(
        f"{name} {version} is there already, with other bytes",
        where=where,
        why="a version never changes, so that what was locked stays what it was",
        fix="give the package a new version in agent.toml and build it again",
    )
