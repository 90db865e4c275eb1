"""What Python programs hand to models and get back."""

import math
import struct
from typing import Any

import msgspec
import numpy as np
import pytest

from tickwork.errors import ModelInputInvalid
from tickwork.infer.manifest import Port
from tickwork.infer.values import Array, arrays_of, tensors_of
from tickwork.tensors import BFLOAT16, FLOAT32, INT8, INT64, STRING, Tensor, join_text

X = Port("x", FLOAT32, ("rows", 2))


def test_lists_arrays_and_tensors_give_the_same_tensor() -> None:
    numbers = [[1.0, 2.0], [3.0, 4.0]]
    array = np.array(numbers, dtype=np.float32)
    tensor = Tensor("", FLOAT32, (2, 2), array.tobytes())
    [from_list], [from_array], [from_tensor] = (tensors_of({"x": one}, [X]) for one in (numbers, array, tensor))
    assert from_list == from_array == from_tensor == Tensor("x", FLOAT32, (2, 2), array.tobytes())


def test_an_array_with_gaps_is_given_without() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]
    [tensor] = tensors_of({"x": array}, [X])
    assert bytes(tensor.data) == np.ascontiguousarray(array).tobytes()


def test_an_array_of_the_wrong_byte_order_or_type_is_refused() -> None:
    with pytest.raises(ModelInputInvalid, match="big-endian"):
        tensors_of({"x": np.zeros(2, dtype=">f4")}, [X])
    with pytest.raises(ModelInputInvalid, match="has elements"):
        tensors_of({"x": np.zeros(2, dtype="datetime64[s]")}, [X])


def test_a_list_for_an_input_that_is_not_there_is_refused() -> None:
    with pytest.raises(ModelInputInvalid, match="no input 'z'"):
        tensors_of({"z": [1.0]}, [X])


def test_an_output_of_one_model_is_an_input_of_another() -> None:
    tensor = Tensor("x", FLOAT32, (1, 2), struct.pack("<2f", 1.5, -2.0))
    assert tensors_of({"x": arrays_of([tensor])["x"]}, [X]) == [tensor]
    wide = Tensor("x", BFLOAT16, (1,), b"\x80\x3f")
    assert tensors_of({"x": arrays_of([wide])["x"]}, [Port("x", BFLOAT16, (1,))]) == [wide]
    assert tensors_of({"x": [np.float32(1.5), np.array(2.0)]}, [Port("x", FLOAT32, (2,))])[0].data == struct.pack(
        "<2f", 1.5, 2.0
    )


class Pretending:
    """An array, as it says."""

    def __init__(self, interface: object) -> None:
        self.__array_interface__ = interface

    def tobytes(self) -> bytes:
        return bytes(4)


@pytest.mark.parametrize(
    "inputs",
    [
        5, None, "x", [1.0], {5: np.zeros(1)}, {5: [1.0]}, {"x": object()}, {"x": [object()]}, {"x": "\ud800"},
        *({"x": Pretending(one)} for one in (5, {}, {"typestr": 5}, {"typestr": "<f4", "shape": 5})),
        {"x": Pretending({"typestr": "<f4", "shape": ("a",)})},
    ],
)  # fmt: skip
def test_what_is_no_input_is_refused_by_name(inputs: Any) -> None:
    with pytest.raises(ModelInputInvalid):
        tensors_of(inputs, [X])


def test_a_tensor_that_does_not_hold_what_it_says_is_refused() -> None:
    with pytest.raises(ModelInputInvalid):
        tensors_of({"x": Tensor("", FLOAT32, (2, 2), b"")}, [X])


@pytest.mark.parametrize("kind", ["f4", "f8", "f2", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?", "c8", "c16"])
def test_every_type_that_array_libraries_know_goes_there_and_back(kind: str) -> None:
    array = np.arange(6).astype(kind).reshape(2, 3)
    [tensor] = tensors_of({"x": array}, [X])
    found = np.asarray(arrays_of([tensor])["x"])
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()
    assert found.shape == (2, 3)


def test_an_output_gives_lists_without_any_library() -> None:
    assert Array("y", "int64", (2,), (5).to_bytes(8, "little") * 2, INT64).tolist() == [5, 5]
    assert Array("y", "string", (1,), join_text(["ä"]), STRING).tolist() == ["ä"]
    assert Array("y", "int64", (), (7).to_bytes(8, "little"), INT64).tolist() == 7


def test_what_is_no_number_is_a_float_in_lists_too() -> None:
    [[nan, infinite]] = Array("y", "float32", (1, 2), struct.pack("<2f", math.nan, -math.inf), FLOAT32).tolist()
    assert math.isnan(nan)
    assert infinite == -math.inf


def test_an_output_shows_its_elements_while_they_are_few() -> None:
    assert (
        repr(Array("y", "float32", (1,), struct.pack("<f", 1.5), FLOAT32)) == "Array([1.5], shape=(1,), dtype=float32)"
    )
    assert repr(Array("y", "int8", (999,), bytes(999), INT8)) == "Array(..., shape=(999,), dtype=int8)"


def test_a_type_without_a_word_in_array_libraries_says_so() -> None:
    output = Array("y", "bfloat16", (1,), b"\x80\x3f", BFLOAT16)
    assert not hasattr(output, "__array_interface__")
    assert output.tolist() == [1.0]
    assert msgspec.structs.asdict(output)["dtype"] == "bfloat16"
