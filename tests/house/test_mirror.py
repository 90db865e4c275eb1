"""tests/unit mirrors the package."""

from tests.house.tree import modules
from tests.support import ROOT

UNIT = ROOT / "tests" / "unit"
BESIDE = {"examples", "sdk"}
"""Folders of unit tests for what is not part of the package."""

THIN = {"__init__.py", "__main__.py"}
"""Files that hold no behaviour but what the front door's own tests look at."""


def test_every_folder_of_unit_tests_stands_for_a_folder_of_the_package() -> None:
    folders = {path.name for path in UNIT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    packages = {path.parts[0] for path in modules() if len(path.parts) > 1}
    assert sorted(folders - packages - BESIDE) == []


def test_every_part_of_the_package_has_unit_tests() -> None:
    parts = {path.parts[0] for path in modules()} - THIN
    homes = (UNIT, UNIT.parent)  # The simulation kit has a folder of its own.
    tested = {part for part in parts for home in homes if (home / part).is_dir() or (home / f"test_{part}").is_file()}
    assert sorted(parts - tested) == []
