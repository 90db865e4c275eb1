"""Faults and the points they strike at."""

import pytest

from tickwork.errors import JournalWriteFailed, WorkerLost
from tickwork.sim import Draw, Fault
from tickwork.sim.faults import HOWS, POINTS, Fate, Struck, draw_faults


def test_a_fault_strikes_the_time_it_names_and_once() -> None:
    fate = Fate([Fault("seal", 2)])
    fate.reach("seal")
    fate.reach("plan")
    with pytest.raises(Struck, match="seal:2:kill:0"):
        fate.reach("seal")
    fate.reach("seal")
    assert (fate.census["seal"], fate.struck, fate.last) == (3, [Fault("seal", 2)], Fault("seal", 2))


def test_faults_of_workers_and_disks_are_the_errors_the_driver_would_see() -> None:
    fate = Fate([Fault("compute", 1, "worker"), Fault("flush", 1, "disk")])
    with pytest.raises(WorkerLost):
        fate.reach("compute")
    with pytest.raises(JournalWriteFailed):
        fate.reach("flush")


def test_an_operator_stops_where_it_was_decided() -> None:
    fate = Fate([Fault("stop", 3, "stop")])
    assert [fate.stops() for _ in range(4)] == [False, False, True, False]


def test_drawn_faults_strike_at_points_the_run_comes_by() -> None:
    census = {"plan": 5, "flush": 2, "stop": 1}
    for seed in range(200):
        faults = draw_faults(Draw(seed), census)
        assert faults
        for fault in faults:
            assert 1 <= fault.nth <= census[fault.point]
            assert fault.how in HOWS.get(fault.point, ("kill", "power"))


@pytest.mark.parametrize("point", POINTS)
def test_a_fault_is_what_its_text_says(point: str) -> None:
    fault = Fault(point, 7, HOWS.get(point, ("kill",))[0], 50)
    assert Fault.parse(str(fault)) == fault


@pytest.mark.parametrize("text", ["", "plan", "plan:1:disk:0", "nowhere:1:kill:0", "plan:x:kill:0"])
def test_a_text_that_names_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Fault.parse(text)
