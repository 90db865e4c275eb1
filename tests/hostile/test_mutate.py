"""Mutation: a sample of what the nightly run does at length."""

import pytest

from tests.hostile.mutate import explore, mutated, sources
from tests.support import python

SAMPLE = 2_000
PART = 500


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SAMPLE, PART))
def test_no_changed_byte_ends_the_process(first: int) -> None:
    report = explore(20, first, PART)
    assert report.failures == {}
    assert sum(report.counts.values()) == PART
    assert report.counts["OK"] > PART // 50


def test_a_number_names_the_same_input_again() -> None:
    known = sources()
    assert len(known) > 10
    assert [mutated(known, 1, number) for number in range(20)] == [mutated(known, 1, number) for number in range(20)]
    assert len({mutated(known, seed, number) for seed in (1, 2) for number in range(50)}) > 95


@pytest.mark.slow
def test_the_command_says_what_became_of_its_inputs() -> None:
    run = "runpy.run_module('tests.hostile.mutate', run_name='__main__')"
    done = python(f"import runpy, sys; sys.argv[1:] = ['--count', '3']; {run}")
    assert done.returncode == 0, done.stderr
    assert "seed 1, 3 inputs, 0 failed" in done.stdout
