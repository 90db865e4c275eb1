"""Every module that is shipped for worlds is signed with Tickwork's key, for its name and for what it asks."""

import tomllib
from pathlib import Path

import pytest

from tests.support import ROOT
from tickwork.clock import SystemClock
from tickwork.packages.judge import judge
from tickwork.packages.trust import PUBLISHERS, load_trust

FOLDERS = ("examples", "tests/tour")
PINNED = "examples/goals"
"""Modules of skills, which are named with their digests and are believed for nothing else."""

LISTED = tomllib.loads((ROOT / "sdk" / "modules.toml").read_text(encoding="utf-8"))["modules"]


def shipped() -> list[Path]:
    """Return the committed modules of agents that people run."""
    found = [Path(entry["module"]) for entry in LISTED.values() if "module" in entry]
    found += [
        Path(entry["project"]) / f"{_name(entry['project'])}.wasm" for entry in LISTED.values() if "project" in entry
    ]
    names = {path: path.as_posix() for path in found}
    return sorted(path for path, name in names.items() if name.startswith(FOLDERS) and not name.startswith(PINNED))


def _name(folder: str) -> str:
    name: str = tomllib.loads((ROOT / folder / "agent.toml").read_text(encoding="utf-8"))["name"]
    return name


@pytest.mark.parametrize("path", shipped(), ids=Path.as_posix)
def test_a_shipped_module_runs_on_every_machine(path: Path) -> None:
    verdict = judge((ROOT / path).read_bytes(), load_trust(None), name=path.name, now_us=SystemClock().now_us())
    assert verdict.key is not None, f"{path} is not signed: python sdk/committed.py --sign KEY"
    assert verdict.key.origin == "shipped"


def test_no_private_key_is_in_the_repository() -> None:
    text = PUBLISHERS.read_text(encoding="utf-8")
    assert "private" not in text
    assert [path for path in ROOT.glob("**/*.key") if ".venv" not in path.parts and ".cache" not in path.parts] == []
