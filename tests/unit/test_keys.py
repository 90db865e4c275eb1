"""keys.py: Ed25519 keys, against the vectors of RFC 8032 and for what is no key."""

import hashlib

import pytest

from tickwork.keys import KEY_BYTES, SIGNATURE_BYTES, generate_key, key_id, public_half, sign_bytes, verify_bytes

VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
]
"""Private half, public half, message, signature. Source: RFC 8032, section 7.1, tests 1 and 2."""


@pytest.mark.parametrize(("private", "public", "message", "signature"), VECTORS, ids=["empty", "one byte"])
def test_signatures_are_those_of_the_specification(private: str, public: str, message: str, signature: str) -> None:
    assert public_half(bytes.fromhex(private)).hex() == public
    assert sign_bytes(bytes.fromhex(private), bytes.fromhex(message)).hex() == signature
    assert verify_bytes(bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature))


def test_a_signature_is_of_one_key_and_one_message() -> None:
    key = generate_key()
    assert len(key) == len(public_half(key)) == KEY_BYTES
    signature = sign_bytes(key, b"message")
    assert len(signature) == SIGNATURE_BYTES
    assert verify_bytes(public_half(key), b"message", signature)
    assert not verify_bytes(public_half(key), b"massage", signature)
    assert not verify_bytes(public_half(generate_key()), b"message", signature)
    assert not verify_bytes(public_half(key), b"message", signature[:-1] + bytes((signature[-1] ^ 1,)))


def test_a_key_is_named_by_the_digest_of_its_public_half() -> None:
    public = public_half(generate_key())
    assert key_id(public) == hashlib.sha256(public).digest()


def test_what_is_no_key_or_signature_verifies_nothing_and_signs_nothing() -> None:
    public = public_half(generate_key())
    assert not verify_bytes(b"", b"", b"")
    assert not verify_bytes(public, b"", b"")
    assert not verify_bytes(b"\xff" * KEY_BYTES, b"", bytes(SIGNATURE_BYTES))
    for wrong in (b"", b"x" * 31, b"x" * 33):
        with pytest.raises(ValueError, match="32"):
            sign_bytes(wrong, b"")
