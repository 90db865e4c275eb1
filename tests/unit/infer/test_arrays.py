"""Tensors as arrays and values of the runtime, and back."""

import struct

import numpy as np
import pytest

from tickwork.errors import ModelInputInvalid
from tickwork.infer import arrays
from tickwork.tensors import BITS, NAMES, STRING, Tensor, bytes_needed, join_text

PLAIN = [dtype for dtype in BITS if arrays.is_plain(dtype) and dtype not in {8, 9, 14, 15}]
STRANGE = [dtype for dtype in BITS if not arrays.is_plain(dtype)]


def filled(dtype: int, shape: tuple[int, ...]) -> Tensor:
    """A tensor of bytes from 1 up, which are NaN in no type."""
    size = bytes_needed(dtype, shape)
    data = bytes(1 + at % 99 for at in range(size))
    used = int(np.prod(shape)) * BITS[dtype] % 8
    return Tensor("x", dtype, shape, data[:-1] + bytes([data[-1] & (1 << used) - 1]) if used else data)


@pytest.mark.parametrize("shape", [(3, 5), (0, 2), ()])
@pytest.mark.parametrize("dtype", PLAIN)
def test_a_type_numpy_knows_comes_back(dtype: int, shape: tuple[int, ...]) -> None:
    there = filled(dtype, shape)
    assert arrays.from_array("x", arrays.to_array(there)) == (there, 0)


@pytest.mark.parametrize("shape", [(3, 5), (0, 2), ()])
@pytest.mark.parametrize("dtype", STRANGE)
def test_a_type_numpy_does_not_know_comes_back_through_the_runtime(dtype: int, shape: tuple[int, ...]) -> None:
    there = filled(dtype, shape)
    value = arrays.to_value(there, arrays.Room())
    assert NAMES[dtype] in value.data_type()
    assert arrays.from_value("x", value) == (there, 0)


def test_a_plain_type_passes_as_a_value_of_the_runtime_too() -> None:
    there = filled(1, (3, 5))
    assert arrays.from_value("x", arrays.to_value(there, arrays.Room())) == (there, 0)


def test_text_comes_back() -> None:
    there = Tensor("x", STRING, (2, 1), join_text(["", "é"]))
    assert arrays.from_array("x", arrays.to_array(there)) == (there, 0)


def test_an_array_views_the_bytes_of_its_tensor() -> None:
    data = bytearray(16)
    array = arrays.to_array(Tensor("x", 1, (4,), memoryview(data)))
    data[:4] = struct.pack("<f", 2.5)
    assert array[0] == 2.5


def address(array: object) -> int:
    return int(array.__array_interface__["data"][0])  # type: ignore[attr-defined]


@pytest.mark.parametrize("shift", [0, 1, 8, 16, 63])
@pytest.mark.parametrize("count", [1, 7, 100_000])
def test_what_the_runtime_reads_begins_at_a_multiple_of_64(shift: int, count: int) -> None:
    data = memoryview(bytes(shift) + struct.pack(f"<{count}f", *range(count)))[shift:]
    room = arrays.Room()
    one, other = (arrays.to_feed(Tensor("x", 1, (count,), data), room) for _ in range(2))
    assert address(one) % 64 == address(other) % 64 == 0
    assert one.tolist() == other.tolist() == list(range(count))


NUMBERS = [0.0, -0.0, 1.5, -1e-45, 3e38, -3e38, np.inf, -np.inf]


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i4", "u1", "i8"])
@pytest.mark.parametrize("shape", [(1,), (3, 5), (7, 512)])
def test_an_answer_in_kept_memory_is_the_body_of_its_array(kind: str, shape: tuple[int, ...]) -> None:
    answer = arrays.Answer("y", np.ones(shape, kind))
    with np.errstate(invalid="ignore", over="ignore"):
        answer.array[...] = np.resize(np.array(NUMBERS if kind[0] == "f" else [0, 1, 127, 255]), shape).astype(kind)
    assert answer.body() == arrays.encode_plain(["y"], [answer.array]) is not None


@pytest.mark.parametrize(("kind", "bits"), [("f2", 16), ("f4", 32), ("f8", 64)])
@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("shape", [(1,), (3, 5), (7, 512)])
def test_an_answer_in_kept_memory_with_a_nan_anywhere_is_made_in_another_way(
    kind: str, bits: int, negative: bool, shape: tuple[int, ...]
) -> None:
    answer = arrays.Answer("y", np.ones(shape, kind))
    exponent = {16: 0x7C00, 32: 0x7F800000, 64: 0x7FF0000000000000}[bits]
    for place in {0, answer.array.size - 1}:
        for payload in (1, (exponent & -exponent) >> 1):
            answer.array[...] = 1
            word = exponent | payload | (1 << bits - 1 if negative else 0)
            answer.array.reshape(-1).view(f"u{bits // 8}")[place] = word
            assert np.isnan(answer.array.reshape(-1)[place])
            assert answer.body() is None


def test_joined_rows_begin_at_a_multiple_of_64() -> None:
    joined = arrays.join_rows([filled(1, (1, 3)), filled(1, (2, 3))], arrays.Room())
    assert address(joined) % 64 == 0
    assert joined.tobytes() == bytes(filled(1, (1, 3)).data) + bytes(filled(1, (2, 3)).data)


def test_rows_of_text_can_be_joined() -> None:
    part = Tensor("x", STRING, (1,), join_text(["a"]))
    assert arrays.join_rows([part, part], arrays.Room()).tolist() == ["a", "a"]


def test_a_bool_that_is_neither_is_refused() -> None:
    assert arrays.to_array(Tensor("x", 9, (2,), b"\1\0")).tolist() == [True, False]
    with pytest.raises(ModelInputInvalid, match="bool"):
        arrays.to_array(Tensor("x", 9, (2,), b"\1\2"))


@pytest.mark.parametrize(
    ("dtype", "form", "kept"),
    [(1, "I", 0x7FC00000), (10, "H", 0x7E00), (11, "Q", 0x7FF8000000000000)],
)
def test_every_nan_leaves_in_one_form_and_is_counted(dtype: int, form: str, kept: int) -> None:
    top = {"I": 0xFFC00001, "H": 0xFE01, "Q": 0xFFF8000000000001}[form]
    low = {"I": 0x7F800001, "H": 0x7C01, "Q": 0x7FF0000000000001}[form]
    there = Tensor("x", dtype, (3,), struct.pack(f"<3{form}", top, 1, low))
    back, nans = arrays.from_array("x", arrays.to_array(there))
    assert nans == 2
    assert struct.unpack(f"<3{form}", back.data) == (kept, 1, kept)


@pytest.mark.parametrize(
    ("dtype", "data", "wanted", "nans"),
    [
        (16, struct.pack("<3H", 0xFFC1, 0x7F81, 0x7F80), struct.pack("<3H", 0x7FC0, 0x7FC0, 0x7F80), 2),
        (17, b"\xff\x7f\x7e", b"\x7f\x7f\x7e", 2),
        (18, b"\x80\xff", b"\x80\xff", 1),
        (19, b"\xfd\x7c\x7f", b"\x7e\x7c\x7e", 2),
        (20, b"\x80\x7f", b"\x80\x7f", 1),
        (24, b"\xff\x00", b"\xff\x00", 1),
        (22, b"\xff\xff", b"\xff\xff", 0),
    ],
)
def test_small_floats_have_one_nan_too(dtype: int, data: bytes, wanted: bytes, nans: int) -> None:
    assert arrays.canonical_bytes(dtype, data) == (wanted, nans)


def test_sequences_and_absent_optionals_pass() -> None:
    members = [filled(1, (2,)), filled(1, (1, 3))]
    room = arrays.Room()
    assert arrays.from_feed("x", arrays.to_feed(members, room)) == (members, 0)
    assert arrays.from_feed("x", arrays.to_feed(None, room)) == (None, 0)
