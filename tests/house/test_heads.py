"""The heads that are compared across platforms are equal on this one, however a run is carried out."""

import sys
from functools import cache
from pathlib import Path

import pytest

import tickwork
from tests.support import ROOT, environment, interpreter, run

pytestmark = pytest.mark.slow

TICKS = 300


def _heads(python: Path | str, folder: Path, hash_seed: str = "0") -> str:
    target = folder / "heads.txt"
    command = [python, "-W", "error", ROOT / "tests" / "house" / "heads.py", target]
    result = run(command, env=environment(PYTHONHASHSEED=hash_seed))
    assert result.returncode == 0, result.stderr
    return target.read_text(encoding="utf-8")


@cache
def _weather() -> tickwork.World:
    return tickwork.load_world(ROOT / "examples" / "weather" / "world.toml", ticks=TICKS, allow_unsigned=True)


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "models-of-heads"


@cache
def _inline(store: Path) -> str:
    return tickwork.run(_weather(), options=tickwork.Options(store=store)).head.hex()


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_another_interpreter_comes_to_the_same_heads(version: str, tmp_path: Path) -> None:
    assert _heads(interpreter(version), tmp_path) == _heads(sys.executable, tmp_path)


def test_the_hash_seed_changes_no_head(tmp_path: Path) -> None:
    assert len({_heads(sys.executable, tmp_path, hash_seed) for hash_seed in ("1", "77", "4294967295")}) == 1


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_number_of_workers_changes_no_head(workers: int, store: Path) -> None:
    options = tickwork.Options(store=store)
    assert tickwork.run(_weather(), workers=workers, options=options).head.hex() == _inline(store)


def test_the_optimisation_of_compiled_modules_changes_no_head(store: Path) -> None:
    options = tickwork.Options(opt_level="none", store=store)
    assert tickwork.run(_weather(), options=options).head.hex() == _inline(store)
