"""Inputs that are made up to warm a model up and to see its bits."""

import pytest

from tickwork.codec import digest
from tickwork.infer.manifest import Port
from tickwork.infer.probe import ELEMENTS_MOST, make_inputs, warm_shape
from tickwork.tensors import BITS, Tensor, check_tensor, encode_tensors

TYPES = sorted(set(BITS) - {14, 15})


def made(port: Port, **options: int) -> Tensor:
    inputs = make_inputs([port], {}, **options)  # type: ignore[arg-type]
    assert inputs is not None
    value = inputs[port.name]
    assert isinstance(value, Tensor)
    return value


@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_can_be_made_up(dtype: int) -> None:
    port = Port("x", dtype, ("rows", 3, 5))
    for tensor in (made(port), made(port, zeros=True), made(port, rows=4, seed=3)):
        check_tensor(tensor)
        assert tensor.shape[1:] == (3, 5)


def test_what_is_made_up_is_the_same_everywhere() -> None:
    ports = [Port(f"x{dtype}", dtype, (2, 3)) for dtype in TYPES]
    inputs = make_inputs(ports, {})
    assert inputs is not None
    body = encode_tensors(value for value in inputs.values() if isinstance(value, Tensor))
    assert digest(body).hex()[:16] == "ede1dab90f73897b"


def test_another_seed_gives_other_numbers() -> None:
    port = Port("x", 1, ("rows", 64))
    assert made(port, seed=1) != made(port, seed=2)


def test_dimensions_that_callers_choose_are_1_or_what_is_said() -> None:
    port = Port("x", 1, ("rows", "wide", 3))
    assert warm_shape(port, {}) == (1, 1, 3)
    assert warm_shape(port, {}, 8) == (1, 8, 3)
    assert warm_shape(port, {"x": (2, 4, 3)}) == (2, 4, 3)


def test_what_may_be_left_out_is() -> None:
    assert make_inputs([Port("x", 1, (1,), optional=True)], {}) == {}


def test_a_sequence_has_one_member() -> None:
    inputs = make_inputs([Port("s", 1, (2,), kind="sequence")], {})
    assert inputs is not None
    assert isinstance(inputs["s"], list)
    assert len(inputs["s"]) == 1


def test_maps_and_what_is_very_large_cannot_be_made_up() -> None:
    assert make_inputs([Port("m", 1, kind="map")], {}) is None
    assert make_inputs([Port("x", 1, (ELEMENTS_MOST + 1,))], {}) is None
