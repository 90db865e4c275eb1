import mmap
import sys

import pytest

from tickwork.infer.footprint import footprint, read_rollup


def test_a_process_knows_roughly_what_it_takes() -> None:
    assert 1 << 20 < footprint() < 1 << 40


def test_shared_pages_count_in_part() -> None:
    assert read_rollup("00400000-7ffd ---p 0 [rollup]\nRss:  9000 kB\nPss:  5120 kB\nPss_Dirty: 1 kB\n") == 5120 << 10
    assert read_rollup("") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is shared")
def test_what_is_taken_shows() -> None:
    before = footprint()
    # Fresh pages: what Python frees it may keep, and take again unseen.
    with mmap.mmap(-1, 32 << 20) as taken:
        taken.write(b"x" * len(taken))
        assert footprint() - before > 24 << 20
