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


def test_a_block_that_has_not_changed_is_the_one_that_the_draft_is_made_of() -> None:
    rows = make_rows(range(2 * BLOCK))
    draft = Draft(rows)
    draft[BLOCK] = -1
    first, second = draft.rows()
    assert first is rows[0]
    assert second[0] == -1
