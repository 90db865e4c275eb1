"""Which tensor belongs to which input, and what is refused."""

import struct
from typing import Any

import msgspec
import pytest

from tickwork.errors import ModelInputInvalid
from tickwork.infer.manifest import Port
from tickwork.infer.ports import match_inputs, shown_shape, spread_outputs
from tickwork.tensors import FLOAT32, INT32, INT64, Tensor

X = Port("x", FLOAT32, ("rows", 4))
B = Port("b", INT32, ())


def rows(count: int = 1, name: str = "x") -> Tensor:
    return Tensor(name, FLOAT32, (count, 4), bytes(16 * count))


def number(name: str = "b") -> Tensor:
    return Tensor(name, INT32, (), bytes(4))


def head(count: int, name: str = "s") -> Tensor:
    return Tensor(name, INT64, (1,), struct.pack("<q", count))


def test_tensors_find_their_inputs_by_name_in_any_order() -> None:
    assert match_inputs([number(), rows()], [X, B]) == {"x": rows(), "b": number()}


def test_tensors_without_names_take_their_places() -> None:
    given = match_inputs([rows(name=""), number(name="")], [X, B])
    assert list(given) == ["x", "b"]


def test_a_dimension_with_a_name_takes_any_number_even_none() -> None:
    assert match_inputs([rows(0)], [X])
    assert match_inputs([rows(7)], [X])


def test_an_input_that_may_be_left_out_may() -> None:
    assert match_inputs([rows()], [X, msgspec.structs.replace(B, optional=True)]) == {"x": rows()}


@pytest.mark.parametrize(
    "tensors",
    [
        [],
        [number()],
        [rows()],
        [rows(), rows(), number()],
        [rows(), number(), rows(name="z")],
        [rows(), number(), number(name="")],
        [rows(), Tensor("b", INT64, (), bytes(8))],
        [rows(), Tensor("b", INT32, (1,), bytes(4))],
        [Tensor("x", FLOAT32, (1, 5), bytes(20)), number()],
        [Tensor("x", FLOAT32, (4,), bytes(16)), number()],
        [Tensor("x", FLOAT32, (1 << 41, 0), b""), number()],
    ],
)
def test_what_does_not_fit_is_refused(tensors: list[Tensor]) -> None:
    with pytest.raises(ModelInputInvalid) as caught:
        match_inputs(tensors, [X, B])
    assert caught.value.why


def test_an_input_of_any_rank_takes_any() -> None:
    free = Port("x", FLOAT32, ranked=False)
    assert match_inputs([rows()], [free])
    assert match_inputs([Tensor("x", FLOAT32, (), bytes(4))], [free])


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("sequence", [rows(1, "s"), rows(2, "s")]),
        ("sequence", []),
        ("optional", None),
        ("optional", rows(1, "s")),
        ("optional sequence", None),
        ("optional sequence", []),
        ("optional sequence", [rows(1, "s")]),
    ],
)
def test_sequences_and_optionals_come_back_beside_tensors(kind: str, value: Any) -> None:
    port = Port("s", FLOAT32, ranked=False, kind=kind)
    sent = spread_outputs([(X, rows()), (port, value), (B, number())])
    assert match_inputs(sent, [X, port, B]) == {"x": rows(), "s": value, "b": number()}


@pytest.mark.parametrize(
    "tensors",
    [
        [rows(1, "s")],
        [head(1)],
        [head(-2)],
        [head(-1)],
        [head(1), number()],
        [head(1), Tensor("s", INT32, (), bytes(4))],
    ],
)
def test_a_sequence_whose_head_does_not_say_what_follows_is_refused(tensors: list[Tensor]) -> None:
    with pytest.raises(ModelInputInvalid):
        match_inputs(tensors, [Port("s", FLOAT32, ranked=False, kind="sequence")])


def test_a_map_is_refused() -> None:
    with pytest.raises(ModelInputInvalid, match="map"):
        match_inputs([head(0)], [Port("s", FLOAT32, kind="map")])


def test_a_shape_is_shown_as_people_read_it() -> None:
    assert shown_shape(Port("x", 1, ("rows", 4, ""))) == "[rows, 4, ?]"
    assert shown_shape(Port("x", 1, ranked=False)) == "any shape"
