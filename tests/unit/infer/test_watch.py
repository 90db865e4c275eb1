"""Waiting for the first of several, and not on the processor of the one that is waited for."""

import os
import socket
import sys

import pytest

from tickwork.clock import SteppedClock, SystemClock
from tickwork.infer import watch
from tickwork.infer.watch import MOVE_NS, Mover, Watch


def test_all_that_can_be_read_are_found_and_no_others() -> None:
    one, two = socket.socketpair()
    three, four = socket.socketpair()
    with one, two, three, four:
        looking = Watch(two.fileno(), four.fileno())
        assert looking.spin(SteppedClock(), 1, 0) == []
        one.send(b"x")
        assert looking.spin(SystemClock(), 1, 0) == [two.fileno()]
        three.send(b"x")
        assert sorted(looking.spin(SystemClock(), 1, 0)) == sorted([two.fileno(), four.fileno()])
        looking.remove(two.fileno())
        assert looking.wait(0) == [four.fileno()]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """What a thread is told that it may use, on a system with three processors where it runs on the second."""
    told = list[set[int]]()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: {0, 1, 2}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda thread, processors: told.append(processors), raising=False)
    monkeypatch.setattr(watch, "_processor", lambda: 1)
    return told


def test_a_thread_moves_and_is_left_free_and_then_stays_for_a_time(asked: list[set[int]]) -> None:
    mover = Mover()
    mover.move(MOVE_NS)
    assert asked == [{0, 2}, {0, 1, 2}]
    mover.move(2 * MOVE_NS - 1)
    assert mover.moves == 1
    mover.move(2 * MOVE_NS)
    assert mover.moves == 2


def test_a_thread_with_one_processor_stays(asked: list[set[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda thread: {1}, raising=False)
    mover = Mover()
    mover.move(MOVE_NS)
    assert (asked, mover.moves) == ([], 0)


def test_a_thread_goes_on_where_it_may_not_move(asked: list[set[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise PermissionError

    monkeypatch.setattr(watch, "_processor", refused)
    mover = Mover()
    mover.move(MOVE_NS)
    assert (asked, mover.moves) == ([], 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says in a file on which processor a thread runs")
def test_a_thread_is_on_one_of_the_processors_that_it_may_use() -> None:
    assert watch._processor() in os.sched_getaffinity(0)
