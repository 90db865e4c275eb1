"""packages/signature.py: a signature inside a module, in the layout of wasmsign2, spelled in one way."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.packages.parcel import PRIVATE, PUBLIC, module
from tickwork.errors import ModuleRefused, SignatureInvalid, TickworkError
from tickwork.keys import generate_key, key_id, public_half
from tickwork.packages.signature import (
    FORM,
    SIGNATURE_COUNT,
    Signature,
    Signed,
    content_digest,
    decode_signed,
    encode_signed,
    read_signature,
    sign_module,
    signed_text,
    strip_signature,
)
from tickwork.sandbox.wasm import MAGIC, encode_name, encode_section, leb

PLAIN = module()
SIGNED = sign_module(PLAIN, PRIVATE)


def section(payload: bytes) -> bytes:
    return encode_section(0, encode_name("signature") + payload)


def test_a_signature_is_the_first_section_and_covers_all_others() -> None:
    signed = read_signature(SIGNED)
    assert signed is not None
    assert signed.content == hashlib.sha256(PLAIN[8:]).digest() == content_digest(PLAIN) == content_digest(SIGNED)
    (one,) = signed.signatures
    assert one.key == key_id(PUBLIC)
    assert signed.holds(one, PUBLIC)
    assert not signed.holds(one, public_half(generate_key()))
    assert MAGIC + section(encode_signed(signed)) + PLAIN[8:] == SIGNED


def test_the_layout_is_the_one_that_others_read() -> None:
    signed = Signed(b"h" * 32, (Signature(b"k" * 32, b"s" * 64),))
    one = b"\x20" + b"k" * 32 + b"\x01\x40" + b"s" * 64
    hashes = b"\x01" + b"h" * 32 + b"\x01" + bytes((len(one),)) + one
    assert encode_signed(signed) == b"\x01\x01\x01" + b"\x01" + leb(len(hashes)) + hashes
    assert signed_text(b"h" * 32) == b"wasmsig\x01\x01\x01" + b"h" * 32


def test_signing_and_stripping_give_the_module_back() -> None:
    assert strip_signature(SIGNED) == strip_signature(PLAIN) == PLAIN
    assert sign_module(SIGNED, PRIVATE) == SIGNED


def test_a_module_without_a_signature_has_none() -> None:
    assert read_signature(PLAIN) is None
    assert read_signature(MAGIC) is None


def test_several_keys_may_sign_one_module() -> None:
    other = generate_key()
    both = sign_module(SIGNED, other, keep=True)
    signed = read_signature(both)
    assert signed is not None
    assert [one.key for one in signed.signatures] == [key_id(PUBLIC), key_id(public_half(other))]
    assert all(signed.holds(one, key) for one, key in zip(signed.signatures, (PUBLIC, public_half(other)), strict=True))
    assert sign_module(both, PRIVATE, keep=True).count(key_id(PUBLIC)) == 1
    assert sign_module(both, PRIVATE) == SIGNED


def test_signatures_have_a_cap() -> None:
    many = PLAIN
    for _ in range(SIGNATURE_COUNT + 1):
        many = sign_module(many, generate_key(), keep=True)
    signed = read_signature(many)
    assert signed is not None
    assert len(signed.signatures) == SIGNATURE_COUNT


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_no_byte_can_change_unnoticed(flip: int) -> None:
    for place in range(len(SIGNED)):
        changed = bytearray(SIGNED)
        changed[place] ^= flip
        try:
            signed = read_signature(bytes(changed))
        except (SignatureInvalid, ModuleRefused):
            continue
        # What is left: no signature at all any more, one of another key, or one that its key did not make.
        held = signed is not None and any(
            one.key == key_id(PUBLIC) and signed.holds(one, PUBLIC) for one in signed.signatures
        )
        assert not held, place


def test_a_module_cut_off_anywhere_is_refused_or_unsigned() -> None:
    for length in range(len(SIGNED)):
        try:
            assert read_signature(SIGNED[:length]) is None
        except (SignatureInvalid, ModuleRefused):
            continue


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (SIGNED + section(b""), "one signature section at most"),
        (MAGIC + SIGNED[8:] + SIGNED[8 : len(SIGNED) - len(PLAIN) + 8], "one signature section at most"),
        (PLAIN + SIGNED[8 : len(SIGNED) - len(PLAIN) + 8], "it is the first section"),
        (SIGNED + encode_section(0, encode_name("late") + b"x"), "a section was added"),
        (SIGNED[: len(SIGNED) - len(PLAIN) + 8], "a byte has changed"),
        (MAGIC + section(b"") + PLAIN[8:], "cannot be read"),
        (MAGIC + section(bytes(5000)) + PLAIN[8:], "4,096 are allowed"),
    ],
)
def test_a_module_that_is_not_what_was_signed_is_refused(changed: bytes, why: str) -> None:
    with pytest.raises(SignatureInvalid, match="TW3201") as caught:
        read_signature(changed, "m.wasm")
    assert why in caught.value.why
    assert "m.wasm" in caught.value.what


def test_a_longer_spelling_of_the_same_signature_is_refused() -> None:
    signed = read_signature(SIGNED)
    assert signed is not None
    payload = encode_signed(signed)
    longer = payload[:3] + b"\x81\x00" + payload[4:]
    with pytest.raises(SignatureInvalid) as caught:
        decode_signed(longer)
    assert "another way" in caught.value.why
    inner = encode_name("signature") + payload
    padded = bytes((len(inner) & 0x7F | 0x80, len(inner) >> 7 | 0x80, 0))
    with pytest.raises(SignatureInvalid) as caught:
        read_signature(MAGIC + b"\0" + padded + inner + PLAIN[8:])
    assert "header" in caught.value.why


@pytest.mark.parametrize(
    "payload",
    [
        b"\x02\x01\x01" + encode_signed(Signed(bytes(32), (Signature(b"", bytes(64)),)))[3:],
        FORM + b"\x00",
        FORM + b"\x02\x00",
        FORM + b"\x01\x22\x01" + bytes(32) + b"\x00",
        FORM + b"\x01\x22\x01" + bytes(32) + b"\x11",
        FORM + b"\x01\x01\x02",
        encode_signed(Signed(bytes(32), (Signature(b"k" * 33, bytes(64)),))),
        encode_signed(Signed(bytes(32), (Signature(b"", bytes(63)),))),
        encode_signed(Signed(bytes(32), (Signature(b"", bytes(64)),))) + b"\0",
    ],
)
def test_a_payload_of_another_form_is_refused(payload: bytes) -> None:
    with pytest.raises(SignatureInvalid):
        decode_signed(payload)


def test_what_is_no_module_is_told_so() -> None:
    for wrong in (b"", b"PK\3\4", b"\0asm\2\0\0\0", MAGIC + b"\1", MAGIC + b"\1\x05\0", MAGIC + b"\0\2\7a"):
        with pytest.raises(ModuleRefused, match="TW3001"):
            read_signature(wrong, "m.wasm")


@pytest.mark.slow
@given(st.binary(max_size=400))
def test_no_bytes_lead_to_anything_but_a_refusal(payload: bytes) -> None:
    for data in (payload, MAGIC + payload, MAGIC + section(payload), MAGIC + section(FORM + payload)):
        try:
            signed = read_signature(data)
        except TickworkError:
            continue
        assert signed is None or read_signature(data) == signed


@pytest.mark.slow
@given(st.data())
def test_no_mutation_of_a_signed_module_holds(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(SIGNED)))
    cut = data.draw(st.integers(0, 8))
    changed = SIGNED[:at] + data.draw(st.binary(max_size=8)) + SIGNED[at + cut :]
    if changed == SIGNED:
        return
    try:
        signed = read_signature(changed)
    except TickworkError:
        return
    assert signed is None or not any(
        one.key == key_id(PUBLIC) and signed.holds(one, PUBLIC) for one in signed.signatures
    )


@pytest.mark.slow
@given(st.binary(max_size=32), st.binary(min_size=64, max_size=64), st.integers(1, SIGNATURE_COUNT))
def test_what_is_written_is_read_again(key: bytes, value: bytes, count: int) -> None:
    signed = Signed(bytes(range(32)), (Signature(key, value),) * count)
    assert decode_signed(encode_signed(signed)) == signed
