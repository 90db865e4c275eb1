"""Draws from a seed."""

from hypothesis import given
from hypothesis import strategies as st

from tickwork.sim import Draw


def test_a_stream_is_that_of_its_published_source() -> None:
    # The first outputs of splitmix64 for seed 1234567, as its authors' reference code gives them.
    draw = Draw(1234567)
    assert [draw.bits() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(st.integers(min_value=0), st.integers(1, 1000))
def test_draws_stay_in_their_bounds(seed: int, bound: int) -> None:
    draw = Draw(seed)
    assert 0 <= draw.below(bound) < bound
    assert -bound <= draw.between(-bound, bound) <= bound
    assert draw.pick(range(bound)) in range(bound)


@given(st.integers(), st.lists(st.integers(), max_size=20))
def test_what_is_shuffled_is_all_there_and_what_is_chosen_keeps_its_order(seed: int, items: list[int]) -> None:
    draw = Draw(seed)
    assert sorted(draw.shuffled(items)) == sorted(items)
    assert draw.some(items, 100) == items
    assert draw.some(items, 0) == []
    chosen = iter(items)
    assert all(item in chosen for item in draw.some(items, 50))


def test_a_branch_does_not_shift_the_stream_it_leaves() -> None:
    one, other = Draw(7), Draw(7)
    branch = one.branch(1)
    other.branch(2)
    for _ in range(100):
        branch.bits()
    assert one.bits() == other.bits()


def test_chances_are_about_what_they_say() -> None:
    draw = Draw(1)
    assert 2800 < sum(draw.chance(30) for _ in range(10_000)) < 3200
