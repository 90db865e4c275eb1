"""Source bundles: files in one zip archive that has exactly one spelling, with a signature as an entry of its own.

Invariants:
    * Equal files give equal bytes: entries in the order of their names, nothing compressed, no times, no modes.
    * What is read is packed again and compared, so two readers of one archive can never see different files in it,
      and nothing hides before, between or after the entries.
    * The signature is over all other entries: their names, sizes and bytes.

Source: PKWARE's APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
"""

import hashlib
import struct
import zlib
from collections.abc import Mapping
from typing import Final

from ..errors import SignatureInvalid
from .signature import Signed, decode_signed, encode_signed, extend, invalid

SIGNATURE: Final = "signature"
MANIFEST: Final = "manifest.json"
MAGIC: Final = b"PK\x03\x04"
BUNDLE_BYTES: Final = 16 << 20
ENTRY_COUNT: Final = 1000
NAME_BYTES: Final = 255

_LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<4sHHHHIIH")
_VERSION: Final = 20
_UTF8: Final = 0x800
_DAY: Final = 0x21
"""The first of January 1980, the earliest day the format has."""

_DOMAIN: Final = b"tickwork.bundle\0"
"""Begins what is hashed: no section of a module begins so, so no bundle's signature is one of a module."""


def pack_bundle(files: Mapping[str, bytes]) -> bytes:
    """Return the archive of these files.

    Args:
        files: Contents by name: relative, parts divided by ``/``.

    Raises:
        SignatureInvalid: TW3201, a name that may not stand in a bundle, or too many or too large files.
    """
    _check_files(files)
    local, central = bytearray(), bytearray()
    for name in sorted(files, key=str.encode):
        body, encoded, start = files[name], name.encode(), len(local)
        checksum, size = zlib.crc32(body), len(body)
        shape = (_UTF8, 0, 0, _DAY, checksum, size, size, len(encoded), 0)
        local += _LOCAL.pack(MAGIC, _VERSION, *shape) + encoded + body
        central += _CENTRAL.pack(b"PK\x01\x02", _VERSION, _VERSION, *shape, 0, 0, 0, 0, start) + encoded
    count = len(files)
    return bytes(local + central + _END.pack(b"PK\x05\x06", 0, 0, count, count, len(central), len(local), 0))


def unpack_bundle(bundle: bytes, name: str = "") -> dict[str, bytes]:
    """Return the files of an archive by name, the signature among them. Law: packed again they are these bytes.

    Raises:
        SignatureInvalid: TW3201, the bytes are not what ``pack_bundle`` writes.
    """
    if len(bundle) > BUNDLE_BYTES:
        raise invalid(name, f"a bundle may have {BUNDLE_BYTES:,} bytes, this one has {len(bundle):,}")
    files: dict[str, bytes] = {}
    at = 0
    while bundle[at : at + 4] == MAGIC and len(files) <= ENTRY_COUNT:
        if len(bundle) - at < _LOCAL.size:
            break
        header = _LOCAL.unpack_from(bundle, at)
        size, length = header[8], header[9]
        start = at + _LOCAL.size + length
        try:
            files[bundle[at + _LOCAL.size : start].decode()] = bundle[start : start + size]
        except UnicodeDecodeError as error:
            raise invalid(name, "the name of an entry is not UTF-8") from error
        at = start + size
    try:
        same = pack_bundle(files) == bundle
    except SignatureInvalid as error:
        raise invalid(name, error.why) from error
    if not same:
        raise invalid(name, "the archive is spelled in another way than the one that is allowed, or is cut off")
    return files


def bundle_digest(files: Mapping[str, bytes]) -> bytes:
    """Return what a signature of a bundle is over: SHA-256 of all entries but the signature. Shape: 32 bytes."""
    digest = hashlib.sha256(_DOMAIN)
    for name in sorted(files, key=str.encode):
        if name != SIGNATURE:
            encoded, body = name.encode(), files[name]
            digest.update(struct.pack("<IQ", len(encoded), len(body)) + encoded + body)
    return digest.digest()


def read_bundle_signature(files: Mapping[str, bytes], name: str = "") -> Signed | None:
    """Return the signatures of a bundle whose hash is that of these very files; None where it carries none.

    Raises:
        SignatureInvalid: TW3201, they are malformed, or a file has changed.
    """
    if SIGNATURE not in files:
        return None
    signed = decode_signed(files[SIGNATURE], name)
    if signed.content != bundle_digest(files):
        raise invalid(
            name, "the bundle is not the one that was signed: a file has changed, or one was added or removed"
        )
    return signed


def sign_bundle(bundle: bytes, private_key: bytes, *, keep: bool = False, name: str = "") -> bytes:
    """Return the bundle with a signature.

    Args:
        keep: Add to the signatures it has; otherwise they are replaced.

    Raises:
        SignatureInvalid: TW3201, the bytes are no bundle, or what it carries already is not whole.
    """
    files = unpack_bundle(bundle, name)
    signed = extend(read_bundle_signature(files, name) if keep else None, bundle_digest(files), private_key)
    return pack_bundle({**files, SIGNATURE: encode_signed(signed)})


def strip_bundle(bundle: bytes, name: str = "") -> bytes:
    """Return the bundle as its author packed it, without signatures.

    Raises:
        SignatureInvalid: TW3201, the bytes are no bundle.
    """
    return pack_bundle({entry: body for entry, body in unpack_bundle(bundle, name).items() if entry != SIGNATURE})


def _check_files(files: Mapping[str, bytes]) -> None:
    if len(files) > ENTRY_COUNT:
        raise invalid("", f"a bundle may have {ENTRY_COUNT:,} files")
    if sum(len(body) + 2 * len(name.encode()) + 128 for name, body in files.items()) > BUNDLE_BYTES:
        raise invalid("", f"a bundle may have {BUNDLE_BYTES:,} bytes")
    for name in files:
        parts = name.split("/")
        if not name.isprintable() or len(name.encode()) > NAME_BYTES or "\\" in name or ":" in name:
            raise invalid("", f"the name {name[:NAME_BYTES]!r} may not stand in a bundle")
        if any(part in ("", ".", "..") for part in parts):
            raise invalid("", f"the name {name!r} leads out of the bundle or nowhere")
