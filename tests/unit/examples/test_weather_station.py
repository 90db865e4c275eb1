import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sdk.seat import ROOT, WEATHER, Seat, frame
from tickwork.records import OUTSIDE, FrameKind, Message, Refusal, Status

READING = struct.Struct("<IHH8i")
ANOMALY = struct.Struct("<IBBBxiiI")
DATA = ROOT / "examples" / "weather" / "data"
WARM_UP_HOURS = 21 * 24
NOW = WARM_UP_HOURS + 1
"""The first hour in which jumps are judged too: the first reading is no jump."""

CALM = "50,40,60,180,8,1015,0,10"


def station(config: bytes = b'{"id":1,"station":"JFK","threshold_milli":4000}') -> Seat:
    return Seat(WEATHER / "station.wasm", config)


def hear(seat: Seat, row: str) -> list[Message]:
    return seat.turn(frame(row.encode(), source=OUTSIDE))


def anomalies(left: list[Message]) -> list[tuple[int, ...]]:
    return [ANOMALY.unpack(item.body) for item in left if item.destination == 1]


def test_a_row_becomes_a_record_in_thousandths() -> None:
    [left] = hear(station(), "7,39.02,26.06,59.37,270,10.357,1012,0.01,10")
    assert (left.kind, left.destination) == (FrameKind.PUBLISH, 0)
    expected = (7, 1, 0, 39020, 26060, 59370, 270000, 10357, 1012000, 10, 10000)
    assert READING.unpack(left.body) == expected


def test_a_missing_value_sets_its_flag() -> None:
    [left] = hear(station(), "7,,26.06,59.37,,10.357,,0,10")
    record = READING.unpack(left.body)
    assert record[2] == 1 << 0 | 1 << 3 | 1 << 5
    assert (record[3], record[6], record[8]) == (0, 0, 0)


@given(row=st.text("0123456789,.-+ x", max_size=90))
def test_no_row_breaks_a_station(row: str) -> None:
    outcome = hear(_SHARED, row)
    assert [item.kind for item in outcome if item.kind != FrameKind.PUBLISH] in ([], [FrameKind.LOG])


_SHARED = station()


@pytest.mark.parametrize("config", [b"{}", b'{"id":3}', b'{"id":0,"threshold_milli":0}', b'{"id":-1}'])
def test_a_station_without_a_place_refuses_to_begin(config: bytes) -> None:
    began = station(config).began
    assert (began.status, began.code) == (Status.FAILED, Refusal.BAD_MESSAGE)


def learnt(hours: int = NOW) -> Seat:
    seat = station()
    for hour in range(hours):
        assert anomalies(hear(seat, f"{hour},{CALM}")) == []
    return seat


def test_nothing_is_unusual_while_a_station_learns() -> None:
    seat = learnt(WARM_UP_HOURS - 1)
    assert anomalies(hear(seat, f"{WARM_UP_HOURS - 1},{CALM.replace('50', '90')}")) == []


def test_a_value_far_off_is_told_once_until_it_was_usual_again() -> None:
    seat, hot = learnt(), CALM.replace("50", "70")
    told = [anomalies(hear(seat, f"{NOW + hour},{row}")) for hour, row in enumerate([hot, hot, CALM, CALM, hot])]
    assert [[item[3] for item in each] for each in told] == [[0, 1], [], [1], [], [0, 1]]
    hour, number, variable, detector, value, expected, score = told[0][0]
    assert (hour, number, variable, detector, value, expected) == (NOW, 1, 0, 0, 70000, 50000)
    assert score == 10_000, "twenty degrees are ten times the floor of two"


def test_a_broken_sensor_does_not_teach_a_station() -> None:
    seat = learnt()
    broken = CALM.replace(",8,", ",1048.361,")
    [level, jump] = anomalies(hear(seat, f"{NOW},{broken}"))
    assert (level[2], jump[2]) == (4, 4)
    assert level[6] > 200_000
    assert anomalies(hear(seat, f"{NOW + 1},{CALM}")) == []
    again = anomalies(hear(seat, f"{NOW + 2},{broken}"))[0]
    assert abs(again[5] - 8000) < 500


def test_the_observations_are_those_their_page_describes() -> None:
    page = (DATA / "PROVENANCE.md").read_text(encoding="utf-8")
    for name in ("ewr.csv", "jfk.csv", "lga.csv"):
        content = (DATA / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() in page
        hours = [int(line.split(",", 1)[0]) for line in content.decode().splitlines()[1:]]
        assert hours == sorted(set(hours))
        assert all(0 <= hour < 8760 for hour in hours)
