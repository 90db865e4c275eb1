"""Ed25519 signatures of heads: somebody's word that a run came to this.

The signed bytes are ``TWH1``, the tick as a signed 64-bit little-endian number, D and F. Source: RFC 8032.
"""

import struct
from typing import Final

from ..keys import key_id, public_half, sign_bytes, verify_bytes
from .store import Head, Signature

HEAD: Final = struct.Struct("<4sq32s32s")
"""Domain, tick, D, F."""

_DOMAIN: Final = b"TWH1"


def head_message(head: Head) -> bytes:
    """Return the bytes that a signature of ``head`` covers. Shape: 76 bytes."""
    return HEAD.pack(_DOMAIN, head.tick, head.d, head.f)


def sign(private_key: bytes, head: Head) -> Signature:
    """Return the signature of ``head``.

    Law: ``verify(sign(key, head))`` is true for every key and head.

    Raises:
        ValueError: The key has not 32 bytes.
    """
    public = public_half(private_key)
    return Signature(head, key_id(public), public, sign_bytes(private_key, head_message(head)))


def verify(signature: Signature) -> bool:
    """Return whether the holder of the signature's own public key signed its head.

    Whether that key is to be trusted is the caller's question.
    """
    return signature.key_id == key_id(signature.public_key) and verify_bytes(
        signature.public_key, head_message(signature.head), signature.signature
    )
