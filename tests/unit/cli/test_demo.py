"""cli/demo.py, stations.py and doctor.py: the first minutes."""

import shutil
import struct
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.cli.program import call
from tickwork.cli import demo, doctor, stations
from tickwork.cli.demo import example_folder
from tickwork.cli.stations import ANOMALY, READING, Station
from tickwork.errors import EngineUnsuitable


@pytest.mark.slow
def test_the_demo_ends_with_equal_digests_and_a_report() -> None:
    answer = call("demo", "--ticks", "200")
    assert answer.status == 0, answer
    assert "All three digests are equal." in answer.out
    assert all(name in answer.out for name in ("EWR", "JFK", "LGA"))
    assert "off in the mean, six hours ahead; persistence" in answer.out
    document = call("demo", "--ticks", "200", "--folder", "elsewhere", "-o", "json").document()
    assert document["equal"] is True
    assert document["head"] == document["replayed_head"] == document["verified_head"]
    assert str(document["head"]) in answer.out
    assert Path(str(document["journal"])).exists()
    assert Path(str(document["report"])).exists()


@pytest.mark.slow
def test_a_demo_replays_and_verifies_to_the_same_head_without_its_model_and_its_store() -> None:
    document = call("demo", "--ticks", "600", "--folder", "here", "-o", "json").document()
    forecast = msgspec.convert(document["forecast"], dict[str, Any])
    assert forecast["unanswered"] == 0
    assert forecast["held_out"]["forecasts"] > 100
    assert forecast["held_out"]["error_milli_f"] < forecast["held_out"]["persistence_error_milli_f"]
    assert Path("here", "models", "index.json").is_file(), "the demo has a store of its own"
    shutil.rmtree(Path("here", "models"))
    Path("here", "weather", "models", "forecast.onnx").unlink()
    for verb in (("replay",), ("verify",), ("verify", "--workers", "2")):
        again = call(*verb, str(document["journal"]), "-o", "json")
        assert again.status == 0, again
        assert again.document()["head"] == document["head"]


@pytest.mark.slow
def test_a_demo_where_nothing_runs_models_goes_on_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "can_run_models", lambda: False)
    answer = call("demo", "--ticks", "100")
    assert answer.status == 0, answer
    assert "All three digests are equal." in answer.out
    assert "forecast  none: nothing here runs models; pip install 'tickwork[models]' brings it" in answer.out
    assert not Path(".tickwork", "demo", "models").exists()


def test_the_example_is_found_beside_the_package() -> None:
    assert (example_folder() / "world.toml").is_file()


def test_a_station_keeps_its_latest_and_extreme_temperatures() -> None:
    station = Station("ewr")
    assert station.row() == ("EWR", "0", 0, "-", "-", "-", 0)
    stations._take(station, "sensor_data", READING.pack(7, 0, 0, -1500, *range(7)))
    stations._take(station, "sensor_data", READING.pack(8, 0, 1, 0, *range(7)))
    stations._take(station, "sensor_data", READING.pack(9, 0, 0, 39020, *range(7)))
    stations._take(station, "anomaly", ANOMALY.pack(9, 0, 1, 0, 0, 3, 4, 5))
    stations._take(station, "anomaly", b"of another layout")
    assert station.row() == ("EWR", "3", 9, "39.0", "-1.5", "39.0", 1)


def test_the_layouts_are_those_of_the_example() -> None:
    text = (example_folder() / "weather.h").read_text(encoding="utf-8")
    assert "int32_t values[VARIABLES]" in text
    assert (READING.size, ANOMALY.size) == (struct.calcsize("<IHH8i"), 20)


# --- doctor ---


def test_a_healthy_machine_has_nothing_missing() -> None:
    document = call("doctor", "-o", "json").document()
    assert document["healthy"] is True
    findings = document["findings"]
    assert isinstance(findings, list)
    names = {finding["name"] for finding in findings}
    assert {"python", "platform", "engine", "journal", "settings", "cache", "store of models", "models"} <= names


def test_every_finding_that_is_not_well_has_a_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    def unsuitable(_level: str) -> None:
        raise EngineUnsuitable("the WebAssembly engine bends the rules", fix="reinstall it")

    def nothing(_name: str) -> None:
        return None

    monkeypatch.setattr(doctor, "ready_engine", unsuitable)
    monkeypatch.setattr(doctor, "sqlite_version", lambda: ("3.40.0", False))
    monkeypatch.setattr("importlib.util.find_spec", nothing)
    monkeypatch.setattr(doctor, "ENOUGH_BYTES", 1 << 62)
    monkeypatch.setattr(doctor, "OLDEST_PYTHON", (9, 0))
    answer = call("doctor", "-o", "json")
    assert answer.status == 69
    findings = answer.document()["findings"]
    assert isinstance(findings, list)
    unwell = {finding["name"]: finding for finding in findings if finding["state"] != "ok"}
    assert {"python", "engine", "journal", "agents in c", "cache", "models", "language models"} <= set(unwell)
    assert all(finding["fix"] for finding in unwell.values())
    text = call("doctor").out
    assert "missing engine" in " ".join(text.split())
    assert "fix: reinstall it" in text


def test_wrong_settings_are_a_finding() -> None:
    Path("tickwork.toml").write_text("wrokers = 2\n", encoding="utf-8")
    answer = call("doctor")
    assert answer.status == 69
    assert 'unknown key "wrokers"' in answer.out
