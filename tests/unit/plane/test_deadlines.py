import threading

import pytest

from tickwork.plane import deadlines
from tickwork.plane.deadlines import Crowded, Overdue, Threads


def test_a_call_returns_what_its_function_returns() -> None:
    threads = Threads()
    assert threads.call(lambda: 5, 5000) == 5
    assert threads.call(lambda: 6, 0) == 6


def test_what_is_raised_is_raised_to_whoever_asked() -> None:
    def fail() -> None:
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        Threads().call(fail, 5000)


def test_a_thread_is_used_again() -> None:
    threads = Threads()
    first = threads.call(threading.current_thread, 5000)
    for _ in range(20):
        threads.call(threading.current_thread, 5000)
    seen = {threads.call(threading.current_thread, 5000).ident for _ in range(20)}
    assert len(seen) <= 3
    assert first.daemon


def test_a_call_that_hangs_is_left_alone_and_its_thread_comes_back() -> None:
    threads, gate, done = Threads(), threading.Event(), threading.Event()

    def hang() -> None:
        gate.wait()
        done.set()

    with pytest.raises(Overdue):
        threads.call(hang, 10)
    assert threads.left == 1
    assert threads.call(lambda: 1, 5000) == 1
    gate.set()
    assert done.wait(5)
    while threads.left:
        threads.call(lambda: None, 5000)
    assert threads.left == 0


def test_too_many_calls_that_hang_refuse_further_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "MOST_LEFT", 3)
    threads, gate = Threads(), threading.Event()
    for _ in range(3):
        with pytest.raises(Overdue):
            threads.call(gate.wait, 1)
    with pytest.raises(Crowded):
        threads.call(lambda: None, 1000)
    gate.set()
