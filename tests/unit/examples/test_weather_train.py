"""examples/weather/train.py: what the forecast learns from, what it is worth, and that its bits are always the same."""

import hashlib
import math

import numpy as np
import pytest

from tests.unit.examples.forecasting import FOLDER, MODEL, learnt, session, training
from tickwork.infer.graph import read_graph
from tickwork.infer.manifest import Screening
from tickwork.infer.screen import RULES, has_batch_axis, screen


@pytest.mark.slow
def test_training_makes_the_committed_bytes() -> None:
    layers, _ = learnt()
    assert training().exported(layers) == MODEL.read_bytes()


def test_the_page_is_about_the_committed_file() -> None:
    page, content = (FOLDER / "models" / "PROVENANCE.md").read_text(encoding="utf-8"), MODEL.read_bytes()
    assert hashlib.sha256(content).hexdigest() in page
    assert f"{len(content)} bytes" in page
    assert len(content) < 200_000


@pytest.mark.slow
def test_every_station_is_forecast_with_half_the_error_of_persistence() -> None:
    layers, asked = learnt()
    page = (FOLDER / "models" / "PROVENANCE.md").read_text(encoding="utf-8")
    for name, one in zip(training().STATIONS, asked, strict=True):
        found = training().figures(layers, one, training().split(one.hour)[1] & one.known)
        assert found.forecasts > 2000
        assert found.model < 0.5 * found.persistence
        row = f"| {name.upper()}, held out | {found.forecasts:,} | {found.model:.2f} °F | {found.persistence:.2f} °F |"
        assert row in page


def test_no_hour_is_both_learnt_from_and_held_out() -> None:
    hours = np.arange(23, 8754)
    learnt_from, held_out = training().split(hours)
    touched = [set[int](), set[int]()]
    for sort, chosen in enumerate((learnt_from, held_out)):
        for hour in hours[chosen]:
            touched[sort].update(range(hour - 23, hour + 7))
    assert not touched[0] & touched[1]
    assert len(touched[0]) > 5000
    assert len(touched[1]) > 2000


@pytest.mark.slow
@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_the_file_computes_to_the_bit_what_was_trained(level: str) -> None:
    layers, asked = learnt()
    inputs = np.concatenate([one.inputs for one in asked])
    expected = training().forecast(layers, inputs)
    for threads, rows in ((1, len(inputs)), (1, 3), (2, 64), (4, 1000)):
        runner = session(level=level, threads=threads)
        for start in range(0, len(inputs) if rows > 3 else 300, rows):
            [change] = runner.run(None, {"hours": inputs[start : start + rows]})
            assert change[:, 0].tobytes() == expected[start : start + rows].tobytes()


@pytest.mark.slow
def test_sums_fit_and_scales_are_powers_of_two() -> None:
    layers, _ = learnt()
    for layer in layers:
        weights = layer.weights.astype(np.int64) - 128
        most = np.abs(weights).sum(axis=0) * 255 + np.abs(layer.bias)
        assert most.max() < 1 << 24, "float32 holds it"
        assert (np.frexp(layer.scale)[0] == 0.5).all()


def test_the_screens_let_the_model_be_portable_and_batched() -> None:
    graph = read_graph(MODEL.parent, MODEL.name)
    assert screen(graph) == Screening(RULES)
    assert has_batch_axis(graph.inputs, graph.outputs)


def test_the_sine_is_one() -> None:
    degrees = np.arange(-720, 720)
    found = training().sine(degrees)
    assert max(abs(found[place] - 1000 * math.sin(math.radians(angle))) for place, angle in enumerate(degrees)) < 5
