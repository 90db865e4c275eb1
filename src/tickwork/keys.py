"""Ed25519 keys: made, named, used to sign bytes and to check what others signed.

Keys and signatures are raw bytes: 32 for either half of a key, 64 for a signature. What a signature means is the
caller's: the signed bytes begin with a domain of their own. Source: RFC 8032.
"""

import hashlib
from typing import Final

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


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


def sign_bytes(private_key: bytes, message: bytes) -> bytes:
    """Return the signature of ``message``. Shape: 64 bytes.

    Law: ``verify_bytes(public_half(key), message, sign_bytes(key, message))`` is true.

    Raises:
        ValueError: The key has not 32 bytes.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(private_key).sign(message)


def verify_bytes(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether the holder of ``public_key`` signed ``message``; malformed keys and signatures are not."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
