"""Packages, modules and source bundles alike: what one is, who signed it, and what it says of itself.

A model is judged as a package too; what is read of it is read elsewhere.
"""

import hashlib
from typing import Literal

import msgspec

from ..errors import ModuleManifestInvalid
from ..sandbox.gate import escape
from ..sandbox.manifest import SECTION, Manifest, decode_manifest
from . import bundle as _bundle
from . import signature as _signature
from .signature import Signed

Kind = Literal["module", "bundle", "model"]


class Package(msgspec.Struct, frozen=True):
    """What was read of a package.

    Attributes:
        digest: SHA-256 of the file; of a model's manifest, which names the digest of every file. Shape: 32 bytes.
        content: What a signature is over; the same whoever signs it. Shape: 32 bytes.
        signed: None where nobody signed it.
        manifest: None where it says nothing of itself.
    """

    kind: Kind
    digest: bytes
    content: bytes
    signed: Signed | None
    manifest: Manifest | None


def is_bundle(package: bytes) -> bool:
    """Return whether the bytes begin as a source bundle does; all others are taken for a module."""
    return package[:4] == _bundle.MAGIC


def read_package(package: bytes, *, name: str = "") -> Package:
    """Return what a package is, its signatures being over these very bytes.

    Args:
        name: How messages call it.

    Raises:
        SignatureInvalid: TW3201, it carries a signature that is malformed or of other bytes.
        ModuleManifestInvalid: TW3006.
        ModuleRefused: TW3001, the bytes are no module.
    """
    digest = hashlib.sha256(package).digest()
    if is_bundle(package):
        files = _bundle.unpack_bundle(package, name)
        signed, content = _bundle.read_bundle_signature(files, name), _bundle.bundle_digest(files)
        manifest = decode_manifest(files[_bundle.MANIFEST], name) if _bundle.MANIFEST in files else None
        return Package("bundle", digest, content, signed, manifest)
    signed = _signature.read_signature(package, name)
    content = signed.content if signed is not None else _signature.content_digest(package, name)
    return Package("module", digest, content, signed, _module_manifest(package, name))


def _module_manifest(module: bytes, name: str) -> Manifest | None:
    """Return a module's manifest without parsing the module, which is done once its signature is believed."""
    found = _signature.custom_sections(module, SECTION, name)
    if len(found) > 1:
        raise ModuleManifestInvalid(
            f"module {escape(name)!r} has {len(found)} manifests",
            where=f"custom section {SECTION}",
            why="a module has one, and nobody could tell which of several was meant",
            fix="let the SDK's build command append it",
        )
    return decode_manifest(module[found[0][1] : found[0][2]], name) if found else None


def sign_package(package: bytes, private_key: bytes, *, keep: bool = False, name: str = "") -> bytes:
    """Return the package with a signature.

    Args:
        keep: Add to the signatures it has; otherwise they are replaced.

    Raises:
        SignatureInvalid: TW3201, what it carries already is not whole.
        ModuleRefused: TW3001, the bytes are no module.
    """
    if is_bundle(package):
        return _bundle.sign_bundle(package, private_key, keep=keep, name=name)
    return _signature.sign_module(package, private_key, keep=keep, name=name)


def strip_package(package: bytes, *, name: str = "") -> bytes:
    """Return the package as its author built it, without signatures. Law: signing and stripping give it back.

    Raises:
        SignatureInvalid: TW3201, its signature is not where it must be.
        ModuleRefused: TW3001, the bytes are no module.
    """
    return _bundle.strip_bundle(package, name) if is_bundle(package) else _signature.strip_signature(package, name)
