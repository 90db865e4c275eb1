"""Tensors as JSON and back."""

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.errors import ModelInputInvalid
from tickwork.infer.manifest import Port
from tickwork.infer.nested import read_json, write_json
from tickwork.infer.ports import Value
from tickwork.tensors import FLOAT16, FLOAT32, FLOAT64, INT64, Tensor, join_text


def read(dtype: int, document: Any, shape: tuple[int | str, ...] | None = None, kind: str = "tensor") -> Value:
    port = Port("x", dtype, shape or (), ranked=shape is not None, kind=kind)
    [(_, value)] = read_json(json.dumps({"x": document}).encode(), [port])
    return value


def written(tensor: Value, dtype: int = FLOAT32, kind: str = "tensor") -> str:
    return write_json([(Port("x", dtype, kind=kind), tensor)]).decode()


def floats(*numbers: float) -> Tensor:
    return Tensor("x", FLOAT32, (len(numbers),), struct.pack(f"<{len(numbers)}f", *numbers))


def test_nested_lists_become_a_tensor_in_row_major_order() -> None:
    assert read(FLOAT32, [[1, 2], [3, 4.5]]) == Tensor("x", FLOAT32, (2, 2), struct.pack("<4f", 1, 2, 3, 4.5))


def test_a_number_alone_is_a_scalar() -> None:
    assert read(INT64, -7) == Tensor("x", INT64, (), struct.pack("<q", -7))


def test_a_float32_is_written_with_the_fewest_digits_that_read_back() -> None:
    assert written(floats(0.1, 1 / 3, 16777216.0, 3.4028235e38, 1e-45)) == (
        '{"x":[0.1,0.33333334,16777216.0,3.4028235e+38,1e-45]}'
    )


@given(st.lists(st.floats(width=32), max_size=8))
def test_every_float32_but_the_bits_of_nan_comes_back(numbers: list[float]) -> None:
    there = floats(*numbers)
    back = read(FLOAT32, json.loads(written(there))["x"], ("n",))
    assert isinstance(back, Tensor)
    for one, other in zip(numbers, struct.unpack(f"<{len(numbers)}f", back.data), strict=True):
        assert (math.isnan(one) and math.isnan(other)) or struct.pack("<f", one) == struct.pack("<f", other)


@given(st.integers(0, 0xFFFF))
def test_every_float16_comes_back(word: int) -> None:
    data = struct.pack("<H", word)
    back = read(FLOAT16, json.loads(written(Tensor("x", FLOAT16, (1,), data)))["x"])
    assert isinstance(back, Tensor)
    assert back.data == data or math.isnan(struct.unpack("<e", data)[0])


@pytest.mark.parametrize(("dtype", "bits"), [(21, 4), (22, 4), (25, 2), (26, 2), (23, 4)])
def test_elements_of_less_than_a_byte_come_back(dtype: int, bits: int) -> None:
    data = bytes(range(0, 256, 17))
    there = Tensor("x", dtype, (len(data) * 8 // bits,), data)
    assert read(dtype, json.loads(written(there, dtype))["x"]) == there


def test_bfloat16_comes_back() -> None:
    there = Tensor("x", 16, (3,), struct.pack("<3H", 0x3F80, 0x4049, 0xFF80))
    assert written(there, 16) == '{"x":[1.0,3.140625,"-Infinity"]}'
    assert read(16, json.loads(written(there, 16))["x"]) == there


def test_what_is_no_number_has_a_word() -> None:
    assert written(floats(math.nan, math.inf, -math.inf)) == '{"x":["NaN","Infinity","-Infinity"]}'


def test_text_and_bools_come_back() -> None:
    assert read(8, ["a", "é"]) == Tensor("x", 8, (2,), join_text(["a", "é"]))
    assert written(Tensor("x", 8, (2,), join_text(["a", "é"])), 8) == '{"x":["a","é"]}'
    assert read(9, [True, False]) == Tensor("x", 9, (2,), b"\1\0")
    assert written(Tensor("x", 9, (2,), b"\1\0"), 9) == '{"x":[true,false]}'


def test_rows_of_no_length_keep_the_dimensions_the_model_has() -> None:
    assert read(FLOAT32, [], ("rows", 4)) == Tensor("x", FLOAT32, (0, 4), b"")
    assert written(Tensor("x", FLOAT32, (2, 0, 3), b"")) == '{"x":[[],[]]}'


def test_sequences_are_lists_of_tensors_and_absence_is_null() -> None:
    members = read(FLOAT32, [[1.0], [2.0, 3.0]], kind="sequence")
    assert members == [floats(1), floats(2, 3)]
    assert written(members, kind="sequence") == '{"x":[[1.0],[2.0,3.0]]}'
    assert read(FLOAT32, None, kind="optional") is None
    assert written(None, kind="optional") == '{"x":null}'


@pytest.mark.parametrize(
    ("dtype", "document"),
    [
        (FLOAT32, [[1, 2], [3]]),
        (FLOAT32, [1, [2]]),
        (FLOAT32, [[1], 2]),
        (FLOAT32, ["one"]),
        (FLOAT32, [True]),
        (FLOAT32, [1e39]),
        (FLOAT64, [None]),
        (INT64, [1.5]),
        (INT64, [1 << 63]),
        (3, [200]),
        (22, [8]),
        (9, [1]),
        (8, [1]),
        (14, [1]),
        (17, ["Infinity"]),
        (FLOAT32, {"a": 1}),
        (FLOAT32, json.loads("[" * 40 + "]" * 40)),
    ],
)
def test_what_is_not_of_the_type_is_refused(dtype: int, document: Any) -> None:
    with pytest.raises(ModelInputInvalid):
        read(dtype, document)


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"y": 1}', b"\xff", b'{"x": NaN}', b"[" * 100_000])
def test_what_is_no_object_of_inputs_is_refused(body: bytes) -> None:
    with pytest.raises(ModelInputInvalid):
        read_json(body, [Port("x", FLOAT32)])


def test_an_input_that_is_left_out_is_not_given() -> None:
    assert read_json(b"{}", [Port("x", FLOAT32)]) == []
