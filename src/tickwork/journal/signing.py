"""Ed25519 signatures of heads: somebody's word that a run came to this.

The signed bytes are ``TWH1``, the tick as a signed 64-bit little-endian number, D and F. Source: RFC 8032.
"""

import hashlib
import struct
from typing import Final

from .store import Head, Signature

HEAD: Final = struct.Struct("<4sq32s32s")
"""Domain, tick, D, F."""

_DOMAIN: Final = b"TWH1"


def head_message(head: Head) -> bytes:
    """Return the bytes that a signature of ``head`` covers. Shape: 76 bytes."""
    return HEAD.pack(_DOMAIN, head.tick, head.d, head.f)


def key_id(public_key: bytes) -> bytes:
    """Return the name of a key: the SHA-256 of its raw public half."""
    return hashlib.sha256(public_key).digest()


def generate_key() -> bytes:
    """Return a new private key. Shape: 32 bytes. The caller keeps it secret."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_half(private_key: bytes) -> bytes:
    """Return the public key of a private one. Shape: 32 bytes.

    Raises:
        ValueError: The key has not 32 bytes.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def sign(private_key: bytes, head: Head) -> Signature:
    """Return the signature of ``head``.

    Law: ``verify(sign(key, head))`` is true for every key and head.

    Raises:
        ValueError: The key has not 32 bytes.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(private_key)
    public = key.public_key().public_bytes_raw()
    return Signature(head, key_id(public), public, key.sign(head_message(head)))


def verify(signature: Signature) -> bool:
    """Return whether the holder of the signature's own public key signed its head.

    Whether that key is to be trusted is the caller's question.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if signature.key_id != key_id(signature.public_key):
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(signature.public_key)
        key.verify(signature.signature, head_message(signature.head))
    except (InvalidSignature, ValueError):
        return False
    return True
