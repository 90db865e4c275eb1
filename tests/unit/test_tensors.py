"""Tensors: the layout agents write, and what is refused."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.errors import ModelInputInvalid
from tickwork.tensors import (
    BITS,
    FLOAT32,
    FORMATS,
    INT32,
    NAMES,
    RANK_MOST,
    STRING,
    TENSORS_MOST,
    Tensor,
    bytes_needed,
    check_tensor,
    decode_tensors,
    encode_tensors,
    join_text,
    make_tensor,
    read_numbers,
    split_text,
)

names = st.text(max_size=12)
shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    dtype, shape = draw(st.sampled_from(sorted(NAMES))), draw(shapes)
    if dtype == STRING:
        count = 1
        for dimension in shape:
            count *= dimension
        return Tensor(draw(names), dtype, shape, join_text(draw(st.lists(names, min_size=count, max_size=count))))
    size = bytes_needed(dtype, shape)
    return Tensor(draw(names), dtype, shape, draw(st.binary(min_size=size, max_size=size)))


@given(st.lists(tensors(), max_size=4))
def test_tensors_come_back_as_they_were(given_: list[Tensor]) -> None:
    body = encode_tensors(given_)
    assert len(body) % 8 == 0
    assert [Tensor(t.name, t.dtype, t.shape, bytes(t.data)) for t in decode_tensors(body)] == given_


def test_the_layout_is_the_documented_one() -> None:
    body = encode_tensors([Tensor("x", INT32, (1, 3), struct.pack("<3i", 1, 2, 3))])
    head = struct.pack("<HHIQ", 6, 2, 1, 12) + struct.pack("<2q", 1, 3) + b"x" + bytes(7)
    assert body == head + struct.pack("<3i", 1, 2, 3) + bytes(4)


def test_nothing_is_copied_when_a_body_is_read() -> None:
    body = encode_tensors([Tensor("x", FLOAT32, (4,), bytes(16))])
    (tensor,) = decode_tensors(body)
    assert isinstance(tensor.data, memoryview)
    assert tensor.data.obj is body


@given(st.lists(tensors(), min_size=1, max_size=2), st.data())
def test_a_body_that_is_cut_off_is_refused(given_: list[Tensor], data: st.DataObject) -> None:
    body = encode_tensors(given_)
    last = len(encode_tensors(given_[:-1]))
    cut = data.draw(st.integers(last + 1, len(body) - 1))
    rest = -len(given_[-1].data) & 7
    if cut < len(body) - rest:
        with pytest.raises(ModelInputInvalid):
            decode_tensors(body[:cut])


@given(st.binary(max_size=200))
def test_whatever_the_bytes_they_are_tensors_or_refused(body: bytes) -> None:
    try:
        found = decode_tensors(body)
    except ModelInputInvalid:
        return
    for tensor in found:
        check_tensor(tensor)


@pytest.mark.parametrize(
    ("tensor", "what"),
    [
        (Tensor("x", 99, (1,), b"\0"), "'x' has type code 99"),
        (Tensor("x", FLOAT32, (2, 2), bytes(12)), "'x' has 12 bytes of data"),
        (Tensor("", FLOAT32, (2, -1), b""), "a tensor has shape [2, -1]"),
        (Tensor("x", FLOAT32, (1 << 40, 1 << 40), b""), "'x' has 0 bytes of data"),
        (Tensor("x", FLOAT32, (1,) * (RANK_MOST + 1), bytes(4)), "'x' has rank 33"),
        (Tensor("x", STRING, (2,), join_text(["one"])), "'x' holds other texts than its shape [2] says"),
        (Tensor("x", STRING, (1,), b"\xff\0\0\0"), "a tensor of text is cut off"),
        (Tensor("x", STRING, (1,), b"\1\0\0\0\xff"), "a tensor of text is no UTF-8"),
    ],
)
def test_a_tensor_that_lies_is_refused_in_words(tensor: Tensor, what: str) -> None:
    with pytest.raises(ModelInputInvalid) as caught:
        check_tensor(tensor)
    assert caught.value.what == what


def test_a_body_with_too_many_tensors_is_refused() -> None:
    body = encode_tensors([Tensor("", FLOAT32, (0,), b"")] * (TENSORS_MOST + 1))
    with pytest.raises(ModelInputInvalid, match="too many"):
        decode_tensors(body)


@given(st.lists(st.text(max_size=9), max_size=5))
def test_texts_come_back_as_they_were(texts: list[str]) -> None:
    assert split_text(join_text(texts)) == texts


def test_small_types_are_packed() -> None:
    assert [bytes_needed(code, (3,)) for code in (21, 22, 25)] == [2, 2, 1]
    assert set(BITS) == set(NAMES) - {STRING}


@given(dtype=st.sampled_from(sorted(FORMATS)), shape=shapes, name=names, data=st.data())
def test_numbers_become_a_tensor_and_come_back(
    dtype: int, shape: tuple[int, ...], name: str, data: st.DataObject
) -> None:
    size = bytes_needed(dtype, shape)
    drawn = Tensor(name, dtype, shape, data.draw(st.binary(min_size=size, max_size=size)))
    numbers = read_numbers(drawn)
    again = make_tensor(dtype, shape, numbers, name)
    assert (again.name, again.dtype, again.shape) == (name, dtype, shape)
    assert list(map(repr, read_numbers(again))) == list(map(repr, numbers))


@pytest.mark.parametrize(
    ("dtype", "shape", "numbers"),
    [
        (FLOAT32, (2,), (1.0,)),
        (FLOAT32, (1,), ("text",)),
        (INT32, (1,), (1 << 31,)),
        (INT32, (1,), (0.5,)),
        (FLOAT32, (1,), (1e300,)),
        (FLOAT32, (-1,), ()),
        (STRING, (0,), ()),
        (22, (2,), (1, 2)),
        (99, (), (1,)),
    ],
)
def test_numbers_that_fit_no_type_or_shape_are_refused(dtype: int, shape: tuple[int, ...], numbers: Any) -> None:
    with pytest.raises(ModelInputInvalid):
        make_tensor(dtype, shape, numbers)


def test_types_without_numbers_and_data_of_another_length_are_refused() -> None:
    for tensor in (Tensor("x", STRING, (0,), b""), Tensor("x", FLOAT32, (2,), bytes(4))):
        with pytest.raises(ModelInputInvalid):
            read_numbers(tensor)
