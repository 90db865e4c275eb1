"""Vectors as bytes, and their likeness in whole numbers."""

import pytest

from tickwork.infer.embeddings import HashedNgrams
from tickwork.plane.memory.vectors import LIKENESS, likeness, pack, unpack


def test_hashed_vectors_are_kept_whole() -> None:
    vector = HashedNgrams().embed(["snow delays flights"])[0]
    assert unpack(pack(vector)) == vector


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [((1.0, 0.0), (1.0, 0.0), LIKENESS), ((1.0, 0.0), (0.0, 1.0), 0), ((1.0, 0.0), (-1.0, 0.0), -LIKENESS)],
)
def test_likeness_is_a_whole_number(one: tuple[float, ...], other: tuple[float, ...], alike: int) -> None:
    assert likeness(one, pack(other)) == alike


def test_a_text_is_most_like_itself() -> None:
    texts = ["snow delays flights", "flights delayed by snow", "the cat sleeps"]
    first, second, third = HashedNgrams().embed(texts)
    assert abs(likeness(first, pack(first)) - LIKENESS) < 50
    assert likeness(first, pack(second)) > 2 * abs(likeness(first, pack(third)))
