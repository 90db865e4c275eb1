import subprocess
import sys
import threading

import pytest

from tickwork.plane import deadlines
from tickwork.plane.deadlines import Crowded, Lanes, Overdue, Threads


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


def test_lanes_do_what_they_are_given_but_for_what_is_called_off() -> None:
    lanes, gate, begun = Lanes(2), threading.Event(), list[int]()

    def hold(number: int) -> int:
        begun.append(number)
        assert gate.wait(30)
        return number

    given = [lanes.submit(hold, number) for number in range(5)]
    assert given[4].cancel()
    gate.set()
    assert [future.result(30) for future in given[:4]] == [0, 1, 2, 3]
    assert sorted(begun) == [0, 1, 2, 3]
    failed = lanes.submit(int, "x")
    assert isinstance(failed.exception(30), ValueError)
    lanes.shutdown()


def test_no_lane_keeps_a_process_from_ending() -> None:
    program = "import threading; from tickwork.plane.deadlines import Lanes; begun = threading.Event()\n"
    program += "def hang():\n    begun.set(); threading.Event().wait()\n"
    program += "lanes = Lanes(1); lanes.submit(hang); begun.wait(); lanes.shutdown()"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
