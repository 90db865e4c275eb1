"""Rules that hold for every test: no skip without the gate, nothing left behind, time told by part."""

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support import IN_CI, ROOT

settings.register_profile("tickwork", deadline=None, derandomize=IN_CI, print_blob=True)
settings.load_profile("tickwork")

UNMARKED_SECONDS = 1.0
"""A longer test without the mark is named at the end. The rule says 0.25; a busy machine adds to that."""

PERSON = Path.home()
"""Whose machine this is; tests have a home of their own."""

_seconds: dict[str, float] = defaultdict(float)
_tests: dict[str, int] = defaultdict(int)
_unmarked: dict[str, float] = {}
_skipped: list[str] = []


def _children() -> set[int]:
    """Return the process ids of this process's living children; empty where the system has no /proc."""
    found: set[int] = set()
    tasks = Path(f"/proc/{os.getpid()}/task")
    if not tasks.is_dir():
        return found
    for task in tasks.iterdir():
        with contextlib.suppress(OSError):
            found.update(int(pid) for pid in (task / "children").read_text().split())
    return {pid for pid in found if _alive(pid)}


def _alive(pid: int) -> bool:
    """Return whether a process runs; one that ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Fail a test that leaves a process running."""
    before = _children()
    yield
    left = _children() - before
    assert not left, f"the test left processes running: {sorted(left)}"


@pytest.fixture(autouse=True)
def nothing_is_written_beside_the_test(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Give the programs under test a home of their own, so that no test reads or writes a person's settings."""
    home = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(exist_ok=True)
    for name in (
        "HOME",
        "USERPROFILE",
        "LOCALAPPDATA",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_STATE_HOME",
    ):
        monkeypatch.setenv(name, str(home))
    # The compilers' own folders stay: filling them again takes longer than all tests that need them.
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(ROOT / ".cache" / "zig"))
    for name, folder in (("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")):
        if name not in os.environ and (PERSON / folder).is_dir():
            monkeypatch.setenv(name, str(PERSON / folder))
    _keep_toolchains(home / "tickwork")
    for name in list(os.environ):
        if name.startswith("TICKWORK_") and name != "TICKWORK_CI":
            monkeypatch.delenv(name)


def _keep_toolchains(cache: Path) -> None:
    """Let the programs under test use what `./ci toolchains` has made."""
    made, seen = ROOT / ".cache" / "toolchains", cache / "toolchains"
    if os.name == "posix" and not seen.exists():
        made.mkdir(parents=True, exist_ok=True)
        cache.mkdir(exist_ok=True)
        seen.symlink_to(made, target_is_directory=True)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Add a test's time to its part: the folder under tests/."""
    part = "/".join(report.nodeid.split("::")[0].split("/")[1:2]) or "."
    _seconds[part] += report.duration
    if report.skipped:
        _skipped.append(report.nodeid)
    if report.when == "call":
        _tests[part] += 1
        if report.duration > UNMARKED_SECONDS and "slow" not in report.keywords:
            _unmarked[report.nodeid] = report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in CI that left a test out."""
    if IN_CI and _skipped and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the time each part took; with several workers the parts add up to more than the clock shows."""
    terminalreporter.section("time by part")
    for part in sorted(_seconds):
        terminalreporter.write_line(f"{part:<16}{_tests[part]:>6} tests {_seconds[part]:>9.1f} s")
    for name, seconds in sorted(_unmarked.items()):
        terminalreporter.write_line(f"not marked slow: {seconds:.1f} s {name}")
    if IN_CI and _skipped:
        terminalreporter.write_line(f"skipped, which fails here: {', '.join(sorted(_skipped))}", red=True)


def pytest_report_header() -> str:
    """Say first what a failure needs to be repeated."""
    return f"PYTHONHASHSEED={os.environ.get('PYTHONHASHSEED', 'unset')}, in CI: {IN_CI}, root: {ROOT.name}"
