"""Floats of few bits against the types of the package ml_dtypes, which onnx brings along."""

import math

import ml_dtypes
import numpy as np
import pytest

from tickwork.infer import minifloats
from tickwork.tensors import BITS

PEERS = {
    16: ml_dtypes.bfloat16, 17: ml_dtypes.float8_e4m3fn, 18: ml_dtypes.float8_e4m3fnuz, 19: ml_dtypes.float8_e5m2,
    20: ml_dtypes.float8_e5m2fnuz, 23: ml_dtypes.float4_e2m1fn, 24: ml_dtypes.float8_e8m0fnu,
}  # fmt: skip


def peer(dtype: int, word: int) -> float:
    kind = np.uint16 if dtype == 16 else np.uint8
    return float(np.array([word], kind).view(PEERS[dtype])[0])


@pytest.mark.parametrize("dtype", sorted(PEERS))
def test_every_word_of_a_type_means_what_its_peer_says(dtype: int) -> None:
    for word in range(0, 1 << BITS[dtype], 7 if dtype == 16 else 1):
        ours, theirs = minifloats.decode(dtype, word), peer(dtype, word)
        assert (math.isnan(ours) and math.isnan(theirs)) or ours == theirs


@pytest.mark.parametrize("dtype", sorted(PEERS))
def test_a_number_of_the_type_is_written_as_the_word_it_came_from(dtype: int) -> None:
    for word in range(0, 1 << BITS[dtype], 7 if dtype == 16 else 1):
        number = minifloats.decode(dtype, word)
        if not math.isnan(number):
            assert minifloats.encode(dtype, number) == word


@pytest.mark.parametrize("dtype", sorted(set(PEERS) - {24}))
def test_a_number_between_two_words_becomes_the_nearest_and_of_two_the_even_one(dtype: int) -> None:
    greatest = max(n for w in range(1 << BITS[dtype]) if math.isfinite(n := peer(dtype, w)))
    draw = np.random.default_rng(dtype)
    numbers = [*(draw.standard_normal(200) * min(greatest, 100) / 4), *(draw.integers(-64, 64, 200) / 32)]
    for number in map(float, numbers):
        if abs(number) <= greatest:
            wanted = float(np.array([number], np.float32).astype(PEERS[dtype])[0])
            assert minifloats.decode(dtype, minifloats.encode(dtype, float(np.float32(number)))) == wanted


@pytest.mark.parametrize("dtype", [17, 18, 20, 23])
def test_a_type_without_infinity_refuses_it(dtype: int) -> None:
    with pytest.raises(OverflowError):
        minifloats.encode(dtype, math.inf)


@pytest.mark.parametrize("dtype", sorted(PEERS))
def test_a_number_beyond_the_greatest_is_refused(dtype: int) -> None:
    with pytest.raises(OverflowError):
        minifloats.encode(dtype, 1.7014e38 * 2.0001 if dtype in {16, 24} else 1e6)


@pytest.mark.parametrize("dtype", [16, 17, 18, 19, 20, 24])
def test_nan_has_one_form(dtype: int) -> None:
    assert math.isnan(minifloats.decode(dtype, minifloats.encode(dtype, math.nan)))
