"""The simulated disk: what it promises, and what a crash leaves of it."""

import pytest

from tickwork import codec
from tickwork.errors import JournalWriteFailed
from tickwork.records import Frame
from tickwork.sim import Fault
from tickwork.sim.disk import Disk
from tickwork.sim.faults import Fate, Struck

KILL = Fault("plan", 1)


def power(survives: int) -> Fault:
    return Fault("plan", 1, "power", survives)


def frame(tick: int) -> Frame:
    return Frame(tick, b"", b"", b"", b"", codec.digest(b"%d" % tick), codec.digest(b"f%d" % tick))


def disk(*faults: Fault) -> Disk:
    return Disk(b"header", b"environment", (b"module",), Fate(faults))


def filled(*faults: Fault) -> Disk:
    """Return a disk with 2 durable frames, two groups of 2 and 1 that are written, and 1 that is not."""
    found = disk(*faults)
    for tick, flush in enumerate(("", "durable", "", "written", "written", "")):
        found.append(frame(tick), (b"body %d" % tick,))
        if flush:
            found.flush(durable=flush == "durable")
    return found


def test_the_end_of_the_process_keeps_what_was_flushed() -> None:
    left = filled().after(KILL)
    assert (left.length(), left.durable) == (5, 5)
    assert left.content(codec.digest(b"body 4")) == b"body 4"
    assert left.content(codec.digest(b"module")) == b"module"


@pytest.mark.parametrize(("survives", "length"), [(0, 2), (50, 4), (100, 5)])
def test_a_loss_of_power_keeps_the_durable_frames_and_whole_groups_after_them(survives: int, length: int) -> None:
    assert filled().after(power(survives)).length() == length


def test_a_disk_counts_what_it_has_promised() -> None:
    found = filled()
    assert (found.promised_durable, found.promised, found.length()) == (2, 5, 6)


def test_a_crash_before_a_flush_loses_the_group_and_one_after_it_keeps_it_unpromised() -> None:
    for point, length in (("flush", 0), ("flushed", 1)):
        found = disk(Fault(point, 1))
        found.append(frame(0))
        with pytest.raises(Struck):
            found.flush(durable=True)
        assert found.promised == 0
        assert found.after(KILL).length() == length


def test_after_a_failed_write_every_write_fails() -> None:
    found = disk(Fault("flush", 1, "disk"))
    found.append(frame(0))
    for _ in range(2):
        with pytest.raises(JournalWriteFailed):
            found.flush()
    with pytest.raises(JournalWriteFailed):
        found.append(frame(1))
    assert found.after(KILL).length() == 0


def test_a_run_that_was_closed_stays_closed_after_a_crash() -> None:
    found = disk(Fault("closed", 1))
    found.append(frame(0))
    with pytest.raises(Struck):
        found.close_run("complete")
    left = found.after(KILL)
    assert (left.status().closed, left.status().text, left.length()) == (True, "complete", 1)
