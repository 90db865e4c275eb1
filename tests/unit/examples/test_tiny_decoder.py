import hashlib
from pathlib import Path

import pytest

from tests.unit.infer.decoder import make_decoder

pytestmark = pytest.mark.slow

MODEL = "4649374a9c3b14480da2ac9ac2a5bdc7fbec0d2172ab00b9ebbfc4bb8b5d1e5c"
"""SHA-256 of the graph with its weights that the seed 0 gives."""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_equal_seeds_give_equal_files_and_others_another_model(tmp_path: Path) -> None:
    one, again, other = (contents(make_decoder(tmp_path / name, seed)) for name, seed in (("1", 0), ("2", 0), ("3", 7)))
    assert one == again
    assert {name for name in one if one[name] != other[name]} == {"model.onnx"}


def test_the_weights_are_the_same_on_every_machine(tmp_path: Path) -> None:
    assert hashlib.sha256((make_decoder(tmp_path) / "model.onnx").read_bytes()).hexdigest() == MODEL


def test_it_is_small_enough_to_carry_anywhere(tmp_path: Path) -> None:
    assert sum(map(len, contents(make_decoder(tmp_path)).values())) < 1_000_000
