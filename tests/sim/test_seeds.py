"""Seeds: the simulation over all of its drawn worlds, and what it reaches."""

from collections import Counter
from pathlib import Path

import pytest

from tests.sim.mixed import draw_mixed
from tests.support import python
from tickwork.driver.options import Options
from tickwork.sim import shrink, simulate
from tickwork.sim.faults import HOWS, POINTS

SEEDS = 2000
BATCH = 250
MIXED = 150

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_every_seed_is_well(first: int) -> None:
    for seed in range(first, first + BATCH):
        report = simulate(seed)
        if not report.ok:
            pytest.fail(f"{report}\nsmallest case found:\n{shrink(report)}")


def test_every_seed_of_worlds_with_modules_and_swaps_is_well(tmp_path: Path) -> None:
    options = Options(cache=tmp_path)
    for seed in range(MIXED):
        report = simulate(seed, world=draw_mixed, options=options)
        if not report.ok:
            pytest.fail(f"{report}\nsmallest case found:\n{shrink(report, world=draw_mixed, options=options)}")


def test_the_faults_that_strike_are_all_there_are() -> None:
    struck = Counter((fault.point, fault.how) for seed in range(300) for fault in simulate(seed).struck)
    assert {(point, how) for point in POINTS for how in HOWS.get(point, ("kill", "power"))} == set(struck)


def test_a_seed_gives_the_same_report_under_every_hash_seed() -> None:
    code = "from tickwork.sim import simulate\nfor seed in range(40): print(simulate(seed))"
    printed = {python(code, PYTHONHASHSEED=seed).stdout for seed in ("0", "1", "77")}
    assert len(printed) == 1
    assert len(printed.pop().splitlines()) == 40


def test_the_command_line_repeats_a_case_and_refuses_nonsense() -> None:
    start = "import runpy, sys; sys.argv[1:] = {}; runpy.run_module('tickwork.sim', run_name='__main__')"
    well = python(start.format(["--seed", "7", "--faults", "none"]))
    assert (well.returncode, well.stderr.splitlines()[0][:8]) == (0, "seed 7: ")
    assert python(start.format(["--seeds", "0..3"])).returncode == 0
    for nonsense in (["--seed"], ["--seed", "x"], ["--seed", "1", "--faults", "a"], []):
        refused = python(start.format(nonsense))
        assert refused.returncode == 2
        assert "usage:" in refused.stderr
