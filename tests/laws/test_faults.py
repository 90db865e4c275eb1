"""Faults: worlds of modules crash and resume as drawn worlds of native agents do."""

from pathlib import Path

import pytest

from tests.laws.corpus import WASM, options
from tickwork.driver.resolve import World
from tickwork.sim import Draw, simulate


@pytest.mark.slow
@pytest.mark.parametrize("name", WASM)
def test_a_world_of_modules_survives_every_fault(cache: Path, name: str) -> None:
    def world(draw: Draw) -> World:
        return WASM[name]()

    for seed in range(15):
        report = simulate(seed, world=world, options=options(cache))
        assert report.ok, f"{name}, {report}"
