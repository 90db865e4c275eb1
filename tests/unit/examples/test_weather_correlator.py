import statistics
import struct

from tests.unit.sdk.seat import WEATHER, Seat, frame
from tickwork.records import FrameKind, Message

READING = struct.Struct("<IHH8i")
ANOMALY = struct.Struct("<IBBBxiiI")
REGION = struct.Struct("<IIBBxxI")
AGREEMENT = struct.Struct("<IBBBBIii")
SENSOR_DATA, ANOMALIES = 0, 1
ON_REGION, ON_SUMMARY, ON_CORRELATION = 0, 1, 2
PRESSURE, RAIN = 5, 6


def correlator() -> Seat:
    return Seat(WEATHER / "correlator.wasm")


def reading(hour: int, station: int, temperature: int, *, missing: int = 0) -> bytes:
    values = [temperature, 0, 0, 0, 0, 1_015_000 + temperature // 7, 0, 0]
    return frame(READING.pack(hour, station, missing, *values), destination=SENSOR_DATA)


def anomaly(hour: int, station: int, variable: int = RAIN, score: int = 5000) -> bytes:
    return frame(ANOMALY.pack(hour, station, variable, 0, 0, 0, score), destination=ANOMALIES)


def temperature(hour: int, station: int) -> int:
    return 40_000 + (hour * 7919 % 1000) * 30 + (hour * (station + 3) * 104_729 % 997) * (4 + 9 * station)


def feed(seat: Seat, hours: range) -> list[Message]:
    left: list[Message] = []
    for hour in hours:
        seat.tick = hour
        left += seat.turn(*(reading(hour, station, temperature(hour, station)) for station in range(3)))
    return left


def told(left: list[Message], handle: int) -> list[tuple[int, ...]]:
    return [record for item in left if item.destination == handle for record in AGREEMENT.iter_unpack(item.body)]


def expected(hours: range, first: int, second: int) -> float:
    one = [temperature(hour, first) // 10 for hour in hours]
    other = [temperature(hour, second) // 10 for hour in hours]
    return statistics.correlation(one, other)


def test_a_months_correlation_is_pearsons() -> None:
    left = feed(correlator(), range(745))
    summaries = [record for record in told(left, ON_SUMMARY) if record[3] == 0]
    assert [record[1:3] for record in summaries] == [(0, 1), (0, 2), (1, 2)]
    for _, first, second, _, month, count, correlation, _ in summaries:
        assert (month, count) == (1, 744)
        assert abs(correlation - 1000 * expected(range(744), first, second)) < 1.01


def test_the_sliding_window_forgets_what_is_older_than_two_weeks() -> None:
    left = feed(correlator(), range(601))
    latest = [record for record in told(left, ON_CORRELATION) if record[0] == 599 and record[3] == 0]
    assert len(latest) == 3
    for _, first, second, _, month, count, correlation, _ in latest:
        assert (month, count) == (0, 336)
        assert abs(correlation - 1000 * expected(range(264, 600), first, second)) < 1.01


def test_the_retained_value_holds_every_pair() -> None:
    left = [item for item in feed(correlator(), range(25)) if item.destination == ON_CORRELATION]
    assert [item.kind for item in left] == [FrameKind.PUBLISH_RETAINED]
    assert [record[1:4] for record in AGREEMENT.iter_unpack(left[0].body)] == [
        (first, second, variable) for variable in (0, PRESSURE) for first, second in ((0, 1), (0, 2), (1, 2))
    ]


def test_an_hour_that_one_station_lacks_is_not_compared() -> None:
    seat = correlator()
    left: list[Message] = []
    for hour in range(25):
        seat.tick = hour
        frames = [reading(hour, station, 50_000 + hour, missing=hour == 3 and station == 1) for station in range(3)]
        left = seat.turn(*frames)
    counts = {record[1:3]: record[5] for record in told(left, ON_CORRELATION) if record[3] == 0}
    assert counts == {(0, 1): 23, (0, 2): 24, (1, 2): 23}


def test_hours_that_are_lacking_are_no_part_of_the_window() -> None:
    seat = correlator()
    feed(seat, range(100))
    left = feed(seat, range(3000, 3025))
    counts = {record[5] for record in told(left, ON_CORRELATION) if record[0] == 3023}
    assert counts == {24}


def test_a_month_without_a_successor_is_summed_up_after_a_quiet_day() -> None:
    seat = correlator()
    assert told(feed(seat, range(50)), ON_SUMMARY) == []
    seat.tick = 60
    assert seat.outcome().code == 24
    seat.tick = 80
    summaries = told(seat.turn(), ON_SUMMARY)
    assert {record[4] for record in summaries} == {1}
    seat.tick = 120
    assert seat.turn() == []


def regions(left: list[Message]) -> list[tuple[int, ...]]:
    return [REGION.unpack(item.body) for item in left if item.destination == ON_REGION]


def test_two_stations_within_three_hours_are_a_region() -> None:
    seat = correlator()
    assert regions(seat.turn(anomaly(100, 0))) == []
    assert regions(seat.turn(anomaly(103, 2, score=9000))) == [(100, 103, RAIN, 0b101, 9000)]
    assert regions(seat.turn(anomaly(105, 1))) == [(100, 105, RAIN, 0b111, 9000)]
    assert regions(seat.turn(anomaly(106, 2))) == [], "it takes part already"


def test_one_station_alone_or_another_variable_or_a_later_hour_is_none() -> None:
    seat = correlator()
    assert regions(seat.turn(anomaly(100, 0), anomaly(101, 0))) == []
    assert regions(seat.turn(anomaly(101, 1, PRESSURE))) == []
    assert regions(seat.turn(anomaly(105, 1))) == []


def test_what_is_no_record_is_passed_over() -> None:
    seat = correlator()
    assert seat.turn(frame(b"short", destination=SENSOR_DATA), anomaly(1, 9), reading(1, 7, 0)) == []
