"""One head: whatever computes a run, wherever, it comes to the same digest."""

import sys
from pathlib import Path

import msgspec
import pytest

from tests.golden.heads import heads
from tests.laws.corpus import CORPUS, WASM, options
from tests.laws.recorded import record
from tests.support import ROOT, environment, interpreter, run

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "tests" / "golden" / "heads.py"


def told(python: str | Path, cache: Path, hash_seed: str = "0") -> list[str]:
    """Return what the script that tells heads says."""
    result = run([python, "-W", "error", SCRIPT, cache], env=environment(PYTHONHASHSEED=hash_seed), check=True)
    return result.stdout.splitlines()


@pytest.fixture(scope="module")
def expected(cache: Path) -> list[str]:
    """Return the heads as this process comes to them."""
    return list(heads(cache))


def test_every_world_and_every_stored_journal_has_a_head(expected: list[str]) -> None:
    names = [line.split()[0] for line in expected]
    assert set(names) > set(CORPUS)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("hash_seed", ["1", "77", "4294967295"])
def test_the_hash_seed_changes_no_head(cache: Path, expected: list[str], hash_seed: str) -> None:
    assert told(sys.executable, cache, hash_seed) == expected


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_another_interpreter_comes_to_the_same_heads(cache: Path, expected: list[str], version: str) -> None:
    assert told(interpreter(version), cache) == expected


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_number_of_workers_changes_no_head(cache: Path, expected: list[str], workers: int) -> None:
    wide = msgspec.structs.replace(options(cache), workers=workers)
    found = [f"{name} {record(WASM[name](), wide).run.head.hex()}" for name in WASM]
    assert found == [line for line in expected if line.split()[0] in WASM]


def test_the_optimisation_of_compiled_modules_changes_no_head(cache: Path, expected: list[str]) -> None:
    plain = msgspec.structs.replace(options(cache), opt_level="none")
    found = [f"{name} {record(WASM[name](), plain).run.head.hex()}" for name in WASM]
    assert found == [line for line in expected if line.split()[0] in WASM]
