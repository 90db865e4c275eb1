"""Every test of the command line works in a folder of its own."""

from pathlib import Path

import pytest

from tests.unit.cli.program import call, make_world


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, which holds nothing."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def world(folder: Path) -> Path:
    """Return the file of a small world."""
    return make_world(folder)


@pytest.fixture
def journal(world: Path) -> Path:
    """Return the journal of that world's run."""
    path = Path("counting.twk")
    assert call("run", world, "--journal", path).status == 0
    return path
