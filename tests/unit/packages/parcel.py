"""Small packages for tests: modules and bundles that hold little but a manifest, and keys to sign them."""

from pathlib import Path

import msgspec

from tickwork.keys import key_id, public_half
from tickwork.packages.bundle import pack_bundle
from tickwork.packages.package import sign_package
from tickwork.packages.rights import EVERYTHING
from tickwork.packages.trust import Key, Trust
from tickwork.sandbox.manifest import Capabilities, Manifest, append_manifest, encode_manifest
from tickwork.sandbox.wasm import MAGIC, encode_name, encode_section

PRIVATE = bytes(range(32))
"""The same in every process, so that tests that show bytes are called the same in each."""
PUBLIC = public_half(PRIVATE)
NOW = 1_800_000_000_000_000
CAPABILITIES = Capabilities(publish=("orders",), skills=("quote",))
MANIFEST = Manifest("acme-trader", "1.2.0", capabilities=CAPABILITIES)


def module(manifest: Manifest | None = MANIFEST) -> bytes:
    """Return a module that has a manifest and nothing that runs."""
    plain = MAGIC + encode_section(0, encode_name("note") + b"hello")
    return plain if manifest is None else append_manifest(plain, manifest)


def bundle(manifest: Manifest | None = MANIFEST) -> bytes:
    """Return a source bundle of one file."""
    files = {"agent.py": b"class Trader: ...\n"}
    if manifest is not None:
        files["manifest.json"] = encode_manifest(manifest)
    return pack_bundle(files)


def version(number: str, capabilities: Capabilities = CAPABILITIES) -> bytes:
    """Return a signed module of another version."""
    manifest: Manifest = msgspec.structs.replace(MANIFEST, version=number, capabilities=capabilities)
    return sign_package(module(manifest), PRIVATE)


def key(**changes: object) -> Key:
    """Return a key that may sign everything, but for what is changed."""
    made = Key("Acme", PUBLIC, key_id(PUBLIC), ("*",), EVERYTHING)
    changed: Key = msgspec.structs.replace(made, **changes)
    return changed


def trust(*keys: Key, folder: Path | None = None, revoked: dict[bytes, str] | None = None) -> Trust:
    """Return the trust in some keys; without any, in one that may sign everything."""
    return Trust(folder, 1, keys or (key(),), revoked or {})
