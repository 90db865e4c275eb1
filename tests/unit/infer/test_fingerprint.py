"""Fingerprints: what the bits of an answer follow from."""

import msgspec
import pytest

from tickwork.infer.fingerprint import Fingerprint, decode_fingerprint, differences

HERE = Fingerprint(
    bytes(32), "exact-1", "onnxruntime 1", b"\1" * 32, "cpu", ("a=1", "b=2"), "linux x86_64", "avx2", b""
)


def test_a_fingerprint_comes_back_as_it_was() -> None:
    assert decode_fingerprint(HERE.encode()) == HERE


@pytest.mark.parametrize("field", Fingerprint.__struct_fields__)
def test_each_field_is_part_of_the_digest_and_told_when_it_differs(field: str) -> None:
    other = {"bytes": b"\7" * 32, "str": "other", "tuple": ("c=3",)}[type(getattr(HERE, field)).__name__]
    changed = msgspec.structs.replace(HERE, **{field: other})
    assert changed.digest != HERE.digest
    (told,) = differences(HERE, changed)
    assert told.startswith(field)


def test_equal_fingerprints_have_no_differences() -> None:
    assert differences(HERE, msgspec.structs.replace(HERE)) == []


def test_a_differing_value_is_told_with_both_sides() -> None:
    changed = msgspec.structs.replace(HERE, processor="amx", options=("a=1",), probe=b"\xab" * 32)
    assert differences(HERE, changed) == [
        "options a=1, recorded is a=1 b=2",
        "processor amx, recorded is avx2",
        "probe abababababababab, recorded is none",
    ]
