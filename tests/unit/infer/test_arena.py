"""Shared memory between an asker and a worker."""

import os
import sys

import pytest

from tickwork.infer.arena import ALIGNMENT, FIRST_BYTES, Arena, Board, make_arena

posix = pytest.mark.skipif(os.name != "posix", reason="Windows shares memory by name")


def other_side(arena: Arena) -> Arena:
    return Arena(os.dup(arena.number) if arena.number >= 0 else -1, arena.name, arena.size)


def test_what_one_side_writes_the_other_reads() -> None:
    mine = make_arena()
    mine.grow(100)
    theirs = other_side(mine)
    mine.request(5)[:] = b"hello"
    theirs.reply(5)[:] = b"world"
    assert bytes(theirs.request(5)) == b"hello"
    assert bytes(mine.reply(5)) == b"world"


@pytest.mark.skipif(sys.platform != "linux", reason="memory without a name is Linux's")
def test_nobody_who_is_given_it_makes_it_smaller() -> None:
    mine = make_arena()
    mine.grow(100)
    with pytest.raises(PermissionError):
        os.ftruncate(mine.number, 0)
    mine.grow(1_000_000)


def test_slots_do_not_overlap_and_begin_at_multiples_of_64() -> None:
    arena = make_arena()
    arena.grow(1)
    assert arena.size == FIRST_BYTES
    assert arena.room % ALIGNMENT == 0
    arena.request(arena.room)[:] = b"a" * arena.room
    arena.reply(arena.room)[:] = b"b" * arena.room
    assert set(bytes(arena.request(arena.room))) == {ord("a")}


@posix
def test_it_grows_and_the_other_side_follows() -> None:
    mine = make_arena()
    mine.grow(1)
    theirs = other_side(mine)
    before = mine.size
    mine.grow(before)
    assert mine.room >= before
    mine.grow(1)
    assert mine.room >= before, "it never shrinks"
    theirs.follow(mine.size)
    mine.request(before)[:] = b"x" * before
    assert bytes(theirs.request(before)) == b"x" * before


def test_a_view_that_is_still_held_does_not_keep_it_from_growing() -> None:
    arena = make_arena()
    arena.grow(8)
    arena.request(8)[:] = b"kept for"
    held = arena.request(8)
    arena.grow(arena.size)
    assert bytes(held) == b"kept for"
    arena.close()
    arena.close()


def test_a_slot_is_never_left() -> None:
    arena = make_arena()
    arena.grow(1)
    with pytest.raises(AssertionError):
        arena.request(arena.room + 1)
    with pytest.raises(AssertionError):
        arena.reply(arena.room + 1)


def test_a_board_shows_what_was_counted() -> None:
    arena = make_arena()
    arena.grow(4096)
    board, seen = Board(arena), Board(other_side(arena))
    board.numbers[Board.FIELDS.index("tick")] = 1 << 60
    assert seen["tick"] == 1 << 60
    assert not seen.busy
    board.numbers[0] = 1
    assert seen.busy
    assert seen.shown()["running"] == 1
