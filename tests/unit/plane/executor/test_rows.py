"""Long rows of values of which few change."""

from hypothesis import given
from hypothesis import strategies as st

from tickwork.plane.executor.rows import BLOCK, Draft, each, make_rows, row

VALUES = st.lists(st.integers(), max_size=3 * BLOCK)


@given(VALUES)
def test_rows_hold_what_they_are_made_of(values: list[int]) -> None:
    rows = make_rows(values)
    assert list(each(rows)) == values
    assert [row(rows, place) for place in range(len(values))] == values
    assert all(len(block) == BLOCK for block in rows[:-1])


@given(VALUES, st.lists(st.tuples(st.integers(0, 3 * BLOCK), st.integers())))
def test_a_draft_changes_what_it_is_told_to_and_not_what_it_is_made_of(
    values: list[int], changes: list[tuple[int, int]]
) -> None:
    rows = make_rows(values)
    draft = Draft(rows)
    expected = list(values)
    for place, value in changes:
        if place < len(values):
            draft[place] = expected[place] = value
            assert draft[place] == value
    assert list(each(draft.rows())) == expected
    assert list(each(rows)) == values


def test_a_draft_that_changes_nothing_is_the_rows_themselves() -> None:
    rows = make_rows(range(100))
    draft = Draft(rows)
    assert draft[99] == 99
    assert draft.rows() is rows
