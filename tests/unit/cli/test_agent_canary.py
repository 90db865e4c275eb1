"""cli/agent_canary.py: a new version tried on a run's last ticks."""

from pathlib import Path

import pytest

from tests.unit.cli.program import call
from tests.unit.cli.test_swaps import counting  # noqa: F401 - A fixture.
from tests.unit.driver.successors import version

pytestmark = pytest.mark.slow


@pytest.fixture
def recorded(counting: Path) -> Path:  # noqa: F811 - A fixture takes a fixture by its name.
    """Return the journal of a run of counters."""
    Path("same.wasm").write_bytes(version("1.0.1", subscribe=("counts",)))
    Path("broken.wasm").write_bytes(version("2", subscribe=("counts",), load="(i32.const -9)"))
    assert call("run", counting, "--allow-unsigned", "--journal", "a.twk").status == 0
    return Path("a.twk")


def test_a_version_that_does_the_same_ends_with_status_0(recorded: Path) -> None:
    asked = ("agent", "canary", recorded, "--allow-unsigned", "--agent", "c-0", "--module", "same.wasm", "--ticks", "8")
    answer = call(*asked)
    assert answer.status == 0
    assert "equal: every record came out again" in answer.out
    assert "12 to" in answer.out
    document = call(*asked, "-o", "json").document()
    assert (document["equal"], document["first_tick"], document["differing_ticks"]) == (True, 12, 0)


def test_a_version_that_differs_ends_with_status_3_and_says_where(recorded: Path) -> None:
    answer = call(
        "agent", "canary", recorded, "--allow-unsigned", "--agent", "c-0", "--module", "two.wasm", "--at", "8"
    )
    assert answer.status == 3
    assert "of the agent: first difference at tick 8" in answer.out
    assert "of the run: first difference at tick 8" in answer.out


def test_apply_forks_the_run_with_the_new_version(recorded: Path) -> None:
    asked = (
        "agent",
        "canary",
        recorded,
        "--allow-unsigned",
        "--agent",
        "c-0",
        "--module",
        "two.wasm",
        "--at",
        "8",
        "--apply",
        "b.twk",
    )
    document = call(*asked, "-o", "json").document()
    applied = document["applied"]
    assert isinstance(applied, dict)
    assert applied["status"] == "complete"
    assert "swapped c-0" in call("show", "b.twk", "frame", "--tick", "8").out
    assert call("verify", "b.twk").status == 0


def test_a_swap_that_fails_is_told_and_not_applied(recorded: Path) -> None:
    asked = ("agent", "canary", recorded, "--allow-unsigned", "--agent", "c-0", "--module", "broken.wasm", "--at", "8")
    answer = call(*asked, "--apply", "b.twk")
    assert answer.status == 3
    assert "agent_load returned -9" in answer.out
    assert not Path("b.twk").exists()


def test_no_such_tick_agent_or_file_is_told(recorded: Path) -> None:
    asked = ("agent", "canary", recorded, "--allow-unsigned", "--agent", "c-0", "--module", "same.wasm")
    assert call(*asked, "--at", "-1").status == 2
    assert call(*asked, "--at", "900").status == 8
    assert call("agent", "canary", recorded, "--allow-unsigned", "--agent", "x", "--module", "same.wasm").status == 8
    assert call("agent", "canary", recorded, "--allow-unsigned", "--agent", "c-0", "--module", "gone.wasm").status == 4
