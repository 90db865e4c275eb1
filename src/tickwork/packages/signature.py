"""Signatures inside a package: Ed25519 over a SHA-256 of everything else in it.

Invariants:
    * The signature of a module is its first section and its only one of that name; every other byte of the file is
      under the hash, save the 8 of the header, which have one value.
    * What is read is written again and compared: a signature has one spelling, and nothing follows it.
    * No size in a file is believed before it is checked, and nothing in the file decides what is hashed.

Shape: a custom section ``signature``: 01 01 01 (version, kind of content, SHA-256), then sets of hashes, each with its
signatures (key id, 01 for Ed25519, 64 bytes), lengths as LEB128. One set of one hash is accepted. The signed text is
``wasmsig``, 01 01 01 and the hash.

Source: the layout of wasmsign2; RFC 8032.
"""

import hashlib
from typing import Final

import msgspec

from ..errors import SignatureInvalid
from ..keys import SIGNATURE_BYTES, key_id, public_half, sign_bytes, verify_bytes
from ..sandbox.gate import escape, malformed
from ..sandbox.wasm import CUSTOM, MAGIC, Malformed, Reader, encode_name, encode_section, leb

SECTION: Final = "signature"
COMPONENT_MAGIC: Final = b"\0asm\x0d\0\x01\0"
DOMAIN: Final = b"wasmsig"
FORM: Final = bytes((1, 1, 1))
ED25519: Final = 1
HASH_BYTES: Final = 32
KEY_ID_BYTES: Final = 32
SIGNATURE_COUNT: Final = 16
PAYLOAD_BYTES: Final = 4096
"""More than 16 signatures take."""


class Signature(msgspec.Struct, frozen=True):
    """One signature.

    Attributes:
        key: The id of the key as the signer wrote it; ours is the SHA-256 of the public half. Shape: 0 to 32 bytes.
        value: Shape: 64 bytes.
    """

    key: bytes
    value: bytes


class Signed(msgspec.Struct, frozen=True):
    """What is signed, and by whom.

    Attributes:
        content: SHA-256 over the package without its signatures. Shape: 32 bytes.
        signatures: Order: as in the file; at least one.
    """

    content: bytes
    signatures: tuple[Signature, ...]

    def holds(self, signature: Signature, public_key: bytes) -> bool:
        """Return whether the holder of ``public_key`` made ``signature`` over this content."""
        return verify_bytes(public_key, signed_text(self.content), signature.value)


def signed_text(content: bytes) -> bytes:
    """Return the bytes that a signature covers. Shape: 42 bytes."""
    return DOMAIN + FORM + content


def make_signature(content: bytes, private_key: bytes) -> Signature:
    """Return the signature of a package whose content hashes to ``content``."""
    return Signature(key_id(public_half(private_key)), sign_bytes(private_key, signed_text(content)))


def encode_signed(signed: Signed) -> bytes:
    """Return the payload of a signature section. Law: ``decode_signed(encode_signed(signed)) == signed``."""
    pieces = [
        leb(len(one.key)) + one.key + bytes((ED25519,)) + leb(len(one.value)) + one.value for one in signed.signatures
    ]
    entries = leb(len(pieces)) + b"".join(leb(len(piece)) + piece for piece in pieces)
    hashes = leb(1) + signed.content + entries
    return FORM + leb(1) + leb(len(hashes)) + hashes


def decode_signed(payload: bytes, name: str = "") -> Signed:
    """Return what the payload of a signature section says.

    Raises:
        SignatureInvalid: TW3201, it is not exactly what ``encode_signed`` writes.
    """
    if len(payload) > PAYLOAD_BYTES:
        raise invalid(name, f"its signature has {len(payload):,} bytes, {PAYLOAD_BYTES:,} are allowed")
    try:
        signed = _read_signed(Reader(payload, 0, len(payload)))
    except Malformed as error:
        raise invalid(name, f"its signature cannot be read: {escape(error.text)}") from error
    if encode_signed(signed) != payload:
        raise invalid(name, "its signature is spelled in another way than the one that is allowed")
    return signed


def _read_signed(reader: Reader) -> Signed:
    if reader.take(len(FORM)) != FORM:
        raise Malformed("it is of another version, for another content or with another hash than SHA-256", 0)
    _one(reader, "sets of hashes")
    hashes = _within(reader)
    _one(hashes, "hashes in a set")
    content, count = hashes.take(HASH_BYTES), hashes.number()
    if not 1 <= count <= SIGNATURE_COUNT:
        raise Malformed(f"it claims {count} signatures, 1 to {SIGNATURE_COUNT} are allowed", hashes.at)
    signatures = tuple([_read_signature(_within(hashes)) for _ in range(count)])
    hashes.done("signatures")
    reader.done("sets of hashes")
    return Signed(content, signatures)


def _one(reader: Reader, what: str) -> None:
    count = reader.number()
    if count != 1:
        raise Malformed(f"it claims {count} {what}, 1 is allowed", reader.at)


def _within(reader: Reader) -> Reader:
    piece = reader.take(reader.number())
    return Reader(piece, 0, len(piece))


def _read_signature(reader: Reader) -> Signature:
    length = reader.number()
    if length > KEY_ID_BYTES:
        raise Malformed(f"a key id has {length} bytes, {KEY_ID_BYTES} are allowed", reader.at)
    key, algorithm, size = reader.take(length), reader.byte(), reader.number()
    if algorithm != ED25519 or size != SIGNATURE_BYTES:
        raise Malformed("a signature is not one of Ed25519", reader.at)
    value = reader.take(size)
    reader.done("signature")
    return Signature(key, value)


def read_signature(module: bytes, name: str = "") -> Signed | None:
    """Return the signatures of a module whose hash is that of these very bytes; None where it carries none.

    Whether a trusted key made them is the caller's question.

    Args:
        name: How messages call it.

    Raises:
        SignatureInvalid: TW3201, the section is not alone, not first or malformed, or the module has changed.
        ModuleRefused: TW3001, the bytes are no module.
    """
    section, content = _split(module, name)
    if section is None:
        return None
    signed = decode_signed(section, name)
    if signed.content != hashlib.sha256(content).digest():
        raise invalid(name, "the module is not the one that was signed: a byte has changed, or a section was added")
    return signed


def strip_signature(module: bytes, name: str = "") -> bytes:
    """Return the module as its author built it, without signatures.

    Raises:
        SignatureInvalid: TW3201, the section is not alone or not first.
        ModuleRefused: TW3001, the bytes are no module.
    """
    return module[: len(MAGIC)] + _split(module, name)[1]


def content_digest(module: bytes, name: str = "") -> bytes:
    """Return what a signature of the module is over: SHA-256 of all its other sections. Shape: 32 bytes."""
    return hashlib.sha256(_split(module, name)[1]).digest()


def sign_module(module: bytes, private_key: bytes, *, keep: bool = False, name: str = "") -> bytes:
    """Return the module with a signature as its first section.

    Law: ``strip_signature(sign_module(module, key)) == strip_signature(module)``.

    Args:
        keep: Add to the signatures it has; otherwise they are replaced.

    Raises:
        SignatureInvalid: TW3201, what it carries already is not whole.
        ModuleRefused: TW3001, the bytes are no module.
    """
    content = _split(module, name)[1]
    signed = extend(read_signature(module, name) if keep else None, hashlib.sha256(content).digest(), private_key)
    return module[: len(MAGIC)] + encode_section(CUSTOM, encode_name(SECTION) + encode_signed(signed)) + content


def extend(signed: Signed | None, content: bytes, private_key: bytes) -> Signed:
    """Return the signatures that are there, without an older one of the same key, and a new one behind them."""
    made = make_signature(content, private_key)
    kept = tuple(one for one in signed.signatures if one.key != made.key) if signed is not None else ()
    return Signed(content, (*kept[: SIGNATURE_COUNT - 1], made))


def _split(module: bytes, name: str) -> tuple[bytes | None, bytes]:
    """Return the payload of the signature section, None if there is none, and all bytes that it covers."""
    if module[: len(MAGIC)] not in (MAGIC, COMPONENT_MAGIC):
        raise malformed(name, Malformed("the file does not begin with the magic bytes of WebAssembly", 0))
    places = custom_sections(module, SECTION, name)
    if not places:
        return None, module[len(MAGIC) :]
    if len(places) > 1 or places[0][0] != len(MAGIC):
        raise invalid(name, "a module has one signature section at most, and it is the first section")
    first, content, end = places[0]
    payload = module[content:end]
    if module[first:end] != encode_section(CUSTOM, encode_name(SECTION) + payload):
        raise invalid(name, "the header of its signature section is spelled in another way than the one allowed")
    return payload, module[end:]


def custom_sections(module: bytes, section: str, name: str = "") -> list[tuple[int, int, int]]:
    """Return where each custom section of a name begins, where its payload does, and where it ends.

    Only headers of sections are read: this is asked of bytes that nobody vouches for yet.

    Raises:
        ModuleRefused: TW3001, a section runs past the end.
    """
    try:
        return _places(module, section.encode())
    except Malformed as error:
        raise malformed(name, error) from error


def _places(module: bytes, section: bytes) -> list[tuple[int, int, int]]:
    places: list[tuple[int, int, int]] = []
    reader = Reader(module, len(MAGIC), len(module))
    while reader.at < reader.end:
        first = reader.at
        kind, length = reader.byte(), reader.number()
        end = reader.at + length
        if end > reader.end:
            raise Malformed(f"a section of {length} bytes runs past the end of the file", first)
        if kind == CUSTOM:
            inner = Reader(module, reader.at, end)
            if inner.take(inner.number()) == section:
                places.append((first, inner.at, end))
        reader.at = end
    return places


def invalid(name: str, why: str) -> SignatureInvalid:
    """Return the refusal of a package whose signature does not hold."""
    return SignatureInvalid(
        f"the signature of {escape(name)!r} does not hold" if name else "a signature does not hold",
        why=why,
        fix="get the package again from whoever signed it; if you built it, build and sign it anew",
    )
