"""Diff: the first record in which two journals differ."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.driver.troupe import chat, empty, options, stop_after
from tickwork.driver.diff import diff
from tickwork.driver.fork import Edit, fork
from tickwork.driver.resolve import World
from tickwork.driver.run import run
from tickwork.journal.memory import MemoryJournal
from tickwork.records import Frame, Input, InputKind


def made(world: World, **fields: Any) -> MemoryJournal:
    journal = empty(world)
    run(world, journal=journal, options=options(**fields))
    return journal


def test_a_run_does_not_differ_from_itself() -> None:
    journal = made(chat(ticks=5))
    found = diff(journal, journal)
    assert (found.equal, found.divergence, found.common) == (True, None, journal.length())


def test_headers_are_compared_field_by_field() -> None:
    found = diff(made(chat(ticks=5)), made(chat(ticks=5, seed=9)))
    assert found.divergence is not None
    assert (found.divergence.record, found.divergence.field, found.divergence.actual) == ("header", "seed", 9)
    assert (found.common, found.divergence.tick) == (0, -1)


def test_a_shorter_run_differs_where_it_ends() -> None:
    world = chat(ticks=9)
    found = diff(made(world), made(world, stop=stop_after(4)))
    assert found.divergence is not None
    assert (found.equal, found.common, found.divergence.tick, found.divergence.actual) == (False, 4, 4, "absent")


@pytest.mark.slow
@given(st.integers(0, 9))
def test_the_first_different_tick_is_found_wherever_it_is(at: int) -> None:
    world = chat(ticks=10)
    journal, copy = made(world), empty(world)
    edit = Edit((Input(InputKind.RESEED, "operator", number=3),))
    fork(journal, at=at, to=copy, edit=edit, world=world, options=options())
    found = diff(journal, copy)
    assert (found.common, found.equal) == (at, False)
    assert diff(copy, journal).common == at


def test_few_frames_are_read_to_find_the_place() -> None:
    world = chat(ticks=200)
    journal, copy = made(world), empty(world)
    fork(journal, at=77, to=copy, edit=Edit((Input(InputKind.RESEED, "x", number=3),)), world=world, options=options())
    read: list[int] = []

    class Counting(MemoryJournal):
        def frame(self, tick: int) -> Frame | None:
            read.append(tick)
            return super().frame(tick)

    journal.__class__ = Counting
    assert diff(journal, copy).common == 77
    assert len(read) <= 10


def test_hints_make_no_difference() -> None:
    world = chat(ticks=3)
    one, other = made(world), made(world)
    other._frames[1] = msgspec.structs.replace(other._frames[1], hints=b"", f=bytes(32))
    assert diff(one, other).equal
