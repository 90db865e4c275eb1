"""Clocks."""

from tickwork.clock import SteppedClock, SystemClock


def test_the_systems_clock_is_of_this_age_and_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.now_us() > 1_700_000_000_000_000
    assert clock.elapsed_ns() <= clock.elapsed_ns()


def test_unique_texts_are_unique_and_sort_by_time() -> None:
    clock = SystemClock()
    texts = [clock.unique() for _ in range(100)]
    assert len(set(texts)) == 100
    assert all(len(text) == 22 and text.isalnum() for text in texts)
    assert [text[:12] for text in texts] == sorted(text[:12] for text in texts)


def test_a_stepped_clock_moves_by_its_step_at_each_look() -> None:
    clock = SteppedClock(100, 7)
    assert (clock.now_us(), clock.elapsed_ns(), clock.now_us()) == (107, 114_000, 121)
    assert clock.unique() == f"{128:022x}"
