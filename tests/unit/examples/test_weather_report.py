import json
from functools import cache
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from tests.unit.examples.forecasting import Forecaster
from tests.unit.sdk.seat import ROOT
from tickwork import Effect, Encoding, Result, load_world, run
from tickwork.records import Refusal

WORLD = ROOT / "examples" / "weather" / "world.toml"


class Keeper:
    """Keeps what the reporter asks to be written."""

    def __init__(self) -> None:
        self.artifacts: dict[str, bytes] = {}

    def perform(self, effect: Effect) -> Result:
        request = msgspec.msgpack.decode(effect.body)
        self.artifacts[request["name"]] = request["data"]
        return Result(effect.number, 0, Encoding.BYTES, b"")


@cache
def artifacts(ticks: int) -> dict[str, bytes]:
    keeper = Keeper()
    world = load_world(WORLD, ticks=ticks)
    done = run(world, performers={"artifact.write": keeper, "infer:forecast": Forecaster()})
    assert done.status == "complete"
    return keeper.artifacts


def report(ticks: int = 8760) -> Any:
    return json.loads(artifacts(ticks)["report.json"])


def found(station: str, variable: str, day: str) -> list[Any]:
    return [
        item
        for item in report()["anomalies"]
        if (item["station"], item["variable"]) == (station, variable) and item["time"].startswith(f"2013-{day}")
    ]


@pytest.mark.slow
def test_every_observation_is_counted() -> None:
    assert report()["readings"] == 26115
    assert {name: len(station["days"]) for name, station in report()["stations"].items()} == {
        "EWR": 364,
        "JFK": 364,
        "LGA": 364,
    }


@pytest.mark.slow
def test_a_broken_anemometer_is_found_and_no_neighbour_agrees() -> None:
    strongest = max(report()["anomalies"], key=lambda item: item["score"])
    assert (strongest["station"], strongest["variable"], strongest["time"][:10]) == ("EWR", "wind speed", "2013-02-12")
    assert (strongest["value"], strongest["stations"]) == (1_048_361, 1)


@pytest.mark.slow
def test_a_broken_thermometer_is_found() -> None:
    assert {item["value"] for item in found("JFK", "temperature", "05-08")} == {13_100}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "variable"),
    [("01-31", "wind speed"), ("06-07", "rain"), ("11-27", "pressure"), ("12-29", "pressure")],
    ids=["the squall line of January", "tropical storm Andrea", "the storm before Thanksgiving", "the last deep low"],
)
def test_real_storms_are_felt_by_all_stations(first: str, variable: str) -> None:
    assert all(found(station, variable, first) for station in ("EWR", "JFK", "LGA"))
    assert any(
        item["variable"] == variable and item["stations"] == ["EWR", "JFK", "LGA"] for item in report()["regions"]
    )


@pytest.mark.slow
def test_the_sea_breeze_sets_kennedy_apart_in_summer() -> None:
    def agreement(first: str, second: str, month: int) -> int:
        [correlation] = [
            item["correlation"]
            for item in report()["months"]
            if (item["first"], item["second"], item["month"], item["variable"]) == (first, second, month, "temperature")
        ]
        return int(correlation)

    assert agreement("JFK", "LGA", 7) < 900 < 950 < agreement("EWR", "LGA", 7)
    assert agreement("JFK", "LGA", 11) > 950


@pytest.mark.slow
def test_forecasts_are_counted_and_beat_persistence() -> None:
    found = report()["forecast"]
    total = found["held_out"]
    assert (total["forecasts"], found["unanswered"]) == (6961, 0)
    assert total["model"] < 0.5 * total["persistence"]
    stations = [found["stations"][name]["held_out"] for name in ("EWR", "JFK", "LGA")]
    assert all(one["model"] < 0.5 * one["persistence"] for one in stations)
    for field, value in total.items():
        assert sum(one[field] for one in stations) == sum(month[field] for month in found["months"]) == value
    page = artifacts(8760)["report.html"].decode()
    assert "its forecasts six hours ahead lay off by <b>2.4 °F</b> in the mean" in page
    assert "A week of forecasts beside what was observed" in page


class Silent:
    def perform(self, effect: Effect) -> Result:
        return Result(effect.number, Refusal.UNSUPPORTED, Encoding.BYTES, b"nothing here runs models")


@pytest.mark.slow
def test_a_report_without_a_model_says_what_is_missing() -> None:
    keeper = Keeper()
    done = run(load_world(WORLD, ticks=60), performers={"artifact.write": keeper, "infer:forecast": Silent()})
    assert done.status == "complete"
    page, found = keeper.artifacts["report.html"].decode(), json.loads(keeper.artifacts["report.json"])["forecast"]
    assert found["unanswered"] > 0
    assert found["refusal"] == Refusal.UNSUPPORTED
    assert f"The model left {found['unanswered']} requests unanswered: nothing here runs models" in page


class Reader(HTMLParser):
    """Notes what a page opens and closes, and what it asks for."""

    VOID = frozenset({"meta", "th", "td", "tr", "p"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)
        self.asked += [str(value) for name, value in attrs if name in {"src", "href", "action", "data"}]

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID and self.open and self.open[-1] == tag:
            self.open.pop()


def read(ticks: int) -> tuple[Reader, str]:
    text = artifacts(ticks)["report.html"].decode()
    reader = Reader()
    reader.feed(text)
    return reader, text


@pytest.mark.slow
def test_the_page_is_whole_and_asks_for_nothing() -> None:
    reader, text = read(8760)
    assert reader.asked == []
    assert not [word for word in ("url(", "@import", "<script") if word in text]
    assert reader.open == []
    assert len(text) < 200_000


@pytest.mark.slow
@pytest.mark.parametrize("ticks", [1, 30, 300])
def test_a_page_about_less_than_a_year_is_whole_too(ticks: int) -> None:
    reader, text = read(ticks)
    assert reader.open == []
    assert "nan" not in text
