"""The manifest: what a module says of itself, in its custom section ``tickwork.manifest``.

The section holds canonical JSON: keys sorted, no spaces, no floats, so that equal manifests are equal bytes.

Source: RFC 8785, without its rules for floats.
"""

import json
from typing import Annotated, Final, Literal

import msgspec

from ..errors import ModuleManifestInvalid
from . import wasm
from .gate import malformed
from .wasm import CUSTOM, MAGIC, Malformed, Module, encode_name, encode_section

SECTION: Final = "tickwork.manifest"
MANIFEST_BYTES: Final = 64 << 10


class Capabilities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent wants to use. Order of names: the handles of the module follow it."""

    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    send: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    spawn: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    clock: bool = False


Quota = Annotated[int, msgspec.Meta(ge=0)]


class ManifestLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the author says the agent needs; 0 where it says nothing. Units as in ``records.Limits``."""

    fuel: Quota = 0
    memory_pages: Quota = 0
    depth: Quota = 0
    outbox_bytes: Quota = 0


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A module's manifest.

    Attributes:
        abi: ``major.minor`` of the agent ABI.
        language, sdk: What it was built from; for people.
        source: SHA-256 of the source in hexadecimal, or empty.
        base: SHA-256 of the base module that runs a source bundle, in hexadecimal; empty for a module.
        wasi: ``virtual`` for a module that imports the virtual WASI subset, else empty.
    """

    name: str
    version: str
    abi: str = "1.0"
    language: str = ""
    sdk: str = ""
    capabilities: Capabilities = Capabilities()
    limits: ManifestLimits = ManifestLimits()
    source: str = ""
    base: str = ""
    wasi: Literal["", "virtual"] = ""

    def version_pair(self) -> tuple[int, int]:
        """Return the ABI version as numbers."""
        major, _, minor = self.abi.partition(".")
        return int(major), int(minor)


_decoder = msgspec.json.Decoder(Manifest, strict=True)


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the canonical JSON."""
    document = json.dumps(
        msgspec.to_builtins(manifest), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return document.encode()


def append_manifest(data: bytes, manifest: Manifest) -> bytes:
    """Return the module with this manifest as its last section, in place of one it had.

    Raises:
        ModuleManifestInvalid: TW3006, the manifest is too long, or what it says is malformed.
        ModuleRefused: TW3001, ``data`` is no module.
    """
    encoded = encode_manifest(manifest)
    decode_manifest(encoded, manifest.name)
    module = _parse(data, manifest.name)
    pieces, at = [MAGIC], len(MAGIC)
    for section in module.sections:
        if section.kind != CUSTOM or section.name != SECTION:
            pieces.append(data[at : section.end])
        at = section.end
    return b"".join(pieces) + encode_section(CUSTOM, encode_name(SECTION) + encoded)


def read_manifest(data: bytes, name: str = "") -> Manifest | None:
    """Return the manifest of a module, or None if it has none.

    Raises:
        ModuleManifestInvalid: TW3006, the section is not what it must be.
        ModuleRefused: TW3001, ``data`` is no module.
    """
    return manifest_of(_parse(data, name), name)


def _parse(data: bytes, name: str) -> Module:
    try:
        return wasm.parse(data)
    except Malformed as error:
        raise malformed(name, error) from error


def manifest_of(module: Module, name: str) -> Manifest | None:
    """Return the manifest of a parsed module, or None if it has none."""
    found = [section for section in module.sections if section.kind == CUSTOM and section.name == SECTION]
    if len(found) > 1:
        raise _invalid(name, f"there are {len(found)} of them")
    return decode_manifest(module.data[found[0].content : found[0].end], name) if found else None


def decode_manifest(encoded: bytes, name: str) -> Manifest:
    """Return the manifest that the section's content says.

    Raises:
        ModuleManifestInvalid: TW3006.
    """
    if len(encoded) > MANIFEST_BYTES:
        raise _invalid(name, f"it has {len(encoded):,} bytes, {MANIFEST_BYTES:,} are allowed")
    try:
        manifest = _decoder.decode(encoded)
        major, minor = manifest.version_pair()
        canonical = encode_manifest(manifest)
    except (msgspec.DecodeError, ValueError) as error:
        raise _invalid(name, str(error)) from error
    if manifest.abi != f"{major}.{minor}" or major < 0 or minor < 0:
        raise _invalid(name, f"abi is {manifest.abi!r}, it has the form major.minor")
    if not manifest.name or not manifest.version:
        raise _invalid(name, "name and version may not be empty")
    for listed in msgspec.structs.astuple(manifest.capabilities)[:7]:
        if len(set(listed)) != len(listed) or "" in listed:
            raise _invalid(name, f"a capability lists a name twice or an empty one: {', '.join(listed)}")
    if canonical != encoded:
        raise _invalid(name, "it is not canonical: keys sorted, every field present, no spaces")
    return manifest


def _invalid(name: str, why: str) -> ModuleManifestInvalid:
    return ModuleManifestInvalid(
        f"the manifest of module {name!r} is invalid",
        where=f"custom section {SECTION}",
        why=why.encode("unicode_escape").decode()[:4096],
        fix="let the SDK's build command append it",
    )
