"""A signature vouches for one head, and for nothing else."""

import msgspec
import pytest

from tests.unit.journal.samples import KEY
from tickwork.journal.signing import head_message, sign, verify
from tickwork.journal.store import HEADER_TICK, Head
from tickwork.keys import generate_key, key_id, public_half

HEAD = Head(41, b"d" * 32, b"f" * 32)


def test_the_signer_of_a_head_is_known_by_his_key() -> None:
    signature = sign(KEY, HEAD)
    assert verify(signature)
    assert signature.public_key == public_half(KEY)
    assert signature.key_id == key_id(public_half(KEY))
    assert signature.head == HEAD


def test_the_signature_of_another_head_does_not_hold() -> None:
    signature = sign(KEY, HEAD)
    for other in (Head(42, HEAD.d, HEAD.f), Head(41, b"e" * 32, HEAD.f), Head(41, HEAD.d, b"e" * 32)):
        assert not verify(msgspec.structs.replace(signature, head=other))


def test_a_signature_of_another_key_does_not_hold() -> None:
    signature, other = sign(KEY, HEAD), sign(generate_key(), HEAD)
    assert not verify(msgspec.structs.replace(signature, public_key=other.public_key, key_id=other.key_id))
    assert not verify(msgspec.structs.replace(signature, key_id=other.key_id))
    assert not verify(msgspec.structs.replace(signature, signature=other.signature))
    assert not verify(msgspec.structs.replace(signature, public_key=b"short", key_id=key_id(b"short")))


def test_the_signed_bytes_are_these() -> None:
    assert head_message(HEAD) == b"TWH1" + (41).to_bytes(8, "little") + HEAD.d + HEAD.f
    assert head_message(Head(HEADER_TICK, HEAD.d, HEAD.f))[4:12] == b"\xff" * 8


def test_two_new_keys_differ_and_a_key_has_32_bytes() -> None:
    assert generate_key() != generate_key()
    assert len(generate_key()) == 32
    with pytest.raises(ValueError):
        sign(b"short", HEAD)
