import json
import struct
from pathlib import Path
from typing import Any

import pytest

from tickwork import tensors
from tickwork.errors import ModelInvalid, ModelNotFound
from tickwork.infer.safetensors import read_safetensors, split_safetensors

GOOD: dict[str, Any] = {
    "b": {"dtype": "I64", "shape": [], "data_offsets": [8, 16]},
    "a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
    "__metadata__": {"format": "pt"},
}


def written(header: Any, data: bytes = bytes(range(16))) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_tensors_are_read_in_the_order_they_lie_in() -> None:
    found = split_safetensors(written(GOOD))
    assert list(found) == ["a", "b"]
    assert (found["a"].dtype, found["a"].shape, bytes(found["a"].data)) == (tensors.FLOAT32, (2, 1), bytes(range(8)))
    assert (found["b"].dtype, found["b"].shape, bytes(found["b"].data)) == (tensors.INT64, (), bytes(range(8, 16)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dtype": "F33"}, "of type 'F33'"),
        ({"shape": [3, 1]}, "not those of its shape"),
        ({"shape": [-2, -1]}, "has shape"),
        ({"shape": [1] * 40}, "has shape"),
        ({"shape": [2.5]}, "Expected"),
        ({"data_offsets": [0, 4]}, "not those of its shape"),
        ({"data_offsets": [4, 12]}, "does not begin where"),
        ({"data_offsets": [0, 1 << 60]}, "runs past the end"),
        ({"data_offsets": [0, 1 << 70]}, "runs past the end"),
        ({"data_offsets": [8, 0]}, "does not begin where"),
        ({"data_offsets": [-8, 0]}, "does not begin where"),
    ],
)
def test_a_tensor_that_does_not_lie_where_it_says_is_refused(change: dict[str, Any], why: str) -> None:
    header = GOOD | {"a": GOOD["a"] | change}
    with pytest.raises(ModelInvalid) as caught:
        split_safetensors(written(header), where="here")
    assert why in caught.value.why
    assert caught.value.where == "here"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 1 << 63),
        struct.pack("<Q", 100) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{]",
        struct.pack("<Q", 2) + b"\xff\xfe",
        struct.pack("<Q", 8) + b'{"a":[]}',
        struct.pack("<Q", 20_000) + b"[" * 20_000,
        written(GOOD, bytes(17)),
        written(GOOD, bytes(15)),
    ],
)
def test_what_is_no_such_file_is_refused(content: bytes) -> None:
    with pytest.raises(ModelInvalid):
        split_safetensors(content)


def test_a_file_cut_anywhere_is_refused() -> None:
    whole = written(GOOD)
    for length in range(len(whole)):
        with pytest.raises(ModelInvalid):
            split_safetensors(whole[:length])


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        read_safetensors(tmp_path / "absent.safetensors")
