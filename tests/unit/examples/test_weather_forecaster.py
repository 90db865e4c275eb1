import csv
import struct
from decimal import Decimal
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.examples.forecasting import FOLDER, Forecaster, learnt
from tests.unit.sdk.seat import WEATHER, Seat, frame
from tickwork.codec import encode_frame
from tickwork.records import OUTSIDE, Encoding, FrameKind, Message, Refusal, Status
from tickwork.tensors import FLOAT32, INT64, Tensor, decode_tensors, encode_tensors

READING = struct.Struct("<IHH8i")
FORECAST = struct.Struct("<IBBBxii")
ERRORS = struct.Struct("<HBxIIIIIIIi")
MODEL = 0x8000_0000
ON_FORECAST, ON_ERRORS = 0, 1
LEARNT_HOURS = 21 * 24
STATIONS = ("ewr", "jfk", "lga")


def forecaster(config: bytes = b"{}") -> Seat:
    return Seat(WEATHER / "forecaster.wasm", config)


def reading(hour: int, temperature: int = 50_000, *, station: int = 0, missing: int = 0) -> bytes:
    values = [temperature, 40_000, 0, 180_000, 8_000, 1_015_000, 0, 10_000]
    return frame(READING.pack(hour, station, missing, *values), destination=0)


def answer(change: float) -> bytes:
    return result(encode_tensors([Tensor("change", FLOAT32, (1, 1), struct.pack("<f", change))]))


def result(body: bytes, encoding: int = Encoding.TENSOR) -> bytes:
    return encode_frame(FrameKind.RESULT, encoding, OUTSIDE, MODEL, 0, 0, body)


def refusal(code: int) -> bytes:
    body = struct.pack("<iIQ", code, FrameKind.INFER, 0) + b"for a reason"
    return frame(body, kind=FrameKind.ERROR, destination=MODEL)


def asked(left: list[Message]) -> list[bytes]:
    return [bytes(decode_tensors(item.body)[0].data) for item in left if item.kind == FrameKind.INFER]


def forecasts(left: list[Message]) -> list[tuple[int, ...]]:
    return _records(left, ON_FORECAST, FORECAST)


def errors(left: list[Message]) -> list[tuple[int, ...]]:
    return _records(left, ON_ERRORS, ERRORS)


def _records(left: list[Message], topic: int, layout: struct.Struct) -> list[tuple[int, ...]]:
    told = [item for item in left if item.kind == FrameKind.PUBLISH and item.destination == topic]
    return [record for item in told for record in layout.iter_unpack(item.body)]


def warm(seat: Seat, first: int, count: int = 24) -> list[Message]:
    """Let a seat hear hours without answering; return what its last turn left."""
    left: list[Message] = []
    for hour in range(first, first + count):
        left = seat.turn(reading(hour))
    return left


@cache
def rows(station: str) -> dict[int, list[str]]:
    with (FOLDER / "data" / f"{station}.csv").open(encoding="utf-8", newline="") as file:
        return {int(row[0]): row[1:] for row in list(csv.reader(file))[1:]}


def observed(hour: int, station: int) -> bytes | None:
    row = rows(STATIONS[station]).get(hour)
    if row is None:
        return None
    missing = sum(1 << place for place, text in enumerate(row) if not text)
    values = [int(Decimal(text) * 1000) if text else 0 for text in row]
    return frame(READING.pack(hour, station, missing, *values), destination=0)


@pytest.mark.slow
def test_what_is_asked_over_a_year_is_what_the_model_was_trained_on() -> None:
    _, examples = learnt()
    expected: list[dict[int, bytes]] = [
        {int(hour): row.tobytes() for hour, row in zip(one.hour, one.inputs, strict=True)} for one in examples
    ]
    seat, model = forecaster(), Forecaster()
    found: list[dict[int, bytes]] = [{}, {}, {}]
    told: list[tuple[int, ...]] = []
    answers: list[bytes] = []
    for hour in range(8790):
        seat.tick = hour
        left = seat.turn(*answers, *filter(None, (observed(hour, station) for station in range(3))))
        requests = [item.body for item in left if item.kind == FrameKind.INFER]
        answers = [result(model.answer(body)) for body in requests]
        for body in asked(left):
            found[body[-3:].index(255)][hour] = body
        told += errors(left)
    assert found == expected
    held_out, mean, persistence = (sum(record[place] for record in told) for place in (2, 3, 4))
    assert held_out == 6961
    assert mean / held_out < 2500 < 5000 < persistence / held_out
    metrics = dict(item.body.decode().split("=") for item in seat.shutdown())
    assert metrics == {
        "unanswered": "0",
        "forecasts": "6961",
        "model_error_milli": str(mean // held_out),
        "persistence_error_milli": str(persistence // held_out),
    }


def test_nothing_is_asked_before_a_day_is_known() -> None:
    seat = forecaster()
    assert asked(warm(seat, 0, 23)) == []
    assert len(asked(seat.turn(reading(23)))) == 1


def test_a_forecast_is_told_at_once_and_judged_when_its_hour_has_come() -> None:
    seat, first = forecaster(), LEARNT_HOURS + 1
    warm(seat, first)
    assert forecasts(seat.turn(answer(-5.5), reading(first + 24))) == [(first + 23, 0, 6, 1, 50_000, 44_500)]
    for hour in range(first + 25, first + 29):
        assert errors(seat.turn(reading(hour))) == []
    seat.turn(reading(first + 29, 46_000))
    [record] = errors(seat.turn(reading((first // 24 + 2) * 24, 46_000)))
    day = first // 24 + 1
    assert record == (day, 0, 1, 1_500, 4_000, 0, 0, 0, 0, 0)


def test_hours_that_were_learnt_from_are_counted_apart() -> None:
    seat = forecaster()
    warm(seat, 0)
    [told] = forecasts(seat.turn(answer(1), reading(24)))
    assert told[3] == 0
    for hour in range(25, 48):
        seat.turn(reading(hour))
    [record] = errors(seat.turn(reading(48)))
    assert record[2:8] == (0, 0, 0, 1, 1_000, 0)


@pytest.mark.parametrize(
    ("first", "held_out"),
    [(LEARNT_HOURS - 1, 0), (LEARNT_HOURS, 1), (31 * 24 - 30, 1), (31 * 24 - 29, 0), (31 * 24, 0)],
)
def test_no_hour_of_a_held_out_forecast_lies_outside_of_the_held_out_days(first: int, held_out: int) -> None:
    seat = forecaster()
    warm(seat, first)
    assert forecasts(seat.turn(answer(0)))[0][3] == held_out


def test_a_missing_temperature_is_no_hour_to_forecast_from() -> None:
    seat = forecaster()
    warm(seat, 0)
    assert asked(seat.turn(reading(24, missing=1))) == []
    assert len(asked(seat.turn(reading(25)))) == 1


def test_a_day_without_observations_has_to_be_made_up_for() -> None:
    seat = forecaster()
    warm(seat, 0, 30)
    silent = [asked(seat.turn(reading(hour))) for hour in range(1000, 1017)]
    assert silent == [[]] * 17
    assert len(asked(seat.turn(reading(1017)))) == 1, "of 24 hours 18 have been observed"


LOST = {
    "refused": refusal(Refusal.UNSUPPORTED),
    "late": refusal(Refusal.TIMEOUT),
    "no number": answer(float("nan")),
    "without end": answer(float("inf")),
    "of another planet": answer(1e9),
    "empty": result(b""),
    "of another type": result(encode_tensors([Tensor("change", INT64, (1,), bytes(8))])),
    "of another encoding": result(b'{"change": [[1.0]]}', Encoding.JSON),
    "past its end": result(struct.pack("<HHIQ", 1, 0xFFFF, 0xFFFF_FFFF, 4)),
}


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_an_answer_that_is_none_is_counted_and_stops_nothing(lost: bytes) -> None:
    seat = forecaster()
    warm(seat, 1)
    left = seat.turn(lost, reading(25))
    assert forecasts(left) == []
    assert [item.body for item in left if item.kind == FrameKind.LOG] != []
    left = seat.turn(lost, reading(26))
    assert [item for item in left if item.kind == FrameKind.LOG] == [], "it is said once"
    assert len(asked(left)) == 1
    [record] = errors(seat.turn(answer(0), reading(48)))
    assert (record[0], record[8], record[9] < 0) == (1, 2, True)
    assert dict(item.body.decode().split("=") for item in seat.shutdown()) == {"unanswered": "2"}


def test_a_model_that_is_far_behind_is_not_asked_for_more() -> None:
    seat = forecaster()
    counts = [len(asked(seat.turn(reading(hour)))) for hour in range(23 + 256 + 5)]
    assert sum(counts) == 256
    assert counts[-1] == 0
    assert len(asked(seat.turn(answer(0), reading(1000)))) == 0, "a day is missing"


def test_the_last_day_is_closed_by_a_day_of_silence() -> None:
    seat = forecaster()
    warm(seat, 0)
    seat.turn(answer(0), reading(24))
    for hour in range(25, 30):
        seat.turn(reading(hour))
    last = seat.tick
    assert seat.outcome().code == 24
    seat.tick = last + 23
    [record] = errors(seat.turn())
    assert (record[0], record[5]) == (1, 1)
    seat.tick = last + 60
    assert errors(seat.turn()) == []


def test_days_that_no_month_has_are_refused() -> None:
    began = forecaster(b'{"learnt_days":32}').began
    assert (began.status, began.code) == (Status.FAILED, Refusal.BAD_MESSAGE)


number = st.integers(-(1 << 31), (1 << 31) - 1)


@given(
    hour=st.integers(0, 1 << 31),
    station=st.integers(0, 4),
    missing=st.integers(0, 255),
    values=st.lists(number, min_size=8, max_size=8),
    change=st.floats(width=32),
)
def test_no_reading_and_no_answer_breaks_it(
    hour: int, station: int, missing: int, values: list[int], change: float
) -> None:
    seat = _shared()
    seat.turn(frame(READING.pack(hour, station, missing, *values), destination=0), answer(change), refusal(-1))
    seat.turn(frame(b"short", destination=0), frame(b"short", kind=FrameKind.ERROR, destination=MODEL))


@cache
def _shared() -> Seat:
    seat = forecaster()
    warm(seat, 0)
    return seat
