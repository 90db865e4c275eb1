from tests.support import python
from tickwork import Effect
from tickwork.cli.forecasts import FORECAST_ERROR, Absent, Forecasts, Misses
from tickwork.records import EffectClass, Encoding, Refusal


def record(
    held_out: tuple[int, int, int] = (0, 0, 0),
    others: tuple[int, int, int] = (0, 0, 0),
    unanswered: int = 0,
    refusal: int = 0,
) -> bytes:
    return FORECAST_ERROR.pack(3, 0, *held_out, *others, unanswered, refusal)


def forecasts(*bodies: bytes) -> Forecasts:
    found = Forecasts()
    for body in bodies:
        found.take(body)
    return found


def test_errors_are_added_up_over_days_and_stations() -> None:
    found = forecasts(record((2, 3000, 9000)) + record((2, 5000, 7000), (1, 10, 20)), record((1, 2000, 4000)))
    assert found.held_out == Misses(5, 10_000, 20_000)
    assert found.document() == {
        "held_out": {"forecasts": 5, "error_milli_f": 2000, "persistence_error_milli_f": 4000},
        "others": {"forecasts": 1, "error_milli_f": 10, "persistence_error_milli_f": 20},
        "unanswered": 0,
        "refusal": 0,
    }


def test_held_out_hours_are_told_where_there_are_any() -> None:
    learnt = record(others=(4, 4000, 8000))
    sentence = "1.00 °F off in the mean, six hours ahead; persistence 2.00 °F (4 hours it has learnt from)"
    assert forecasts(learnt).sentence() == sentence
    sentence = "3.00 °F off in the mean, six hours ahead; persistence 5.00 °F (2 hours it has not learnt from)"
    assert forecasts(learnt, record((2, 6000, 10_000))).sentence() == sentence


def test_what_was_not_answered_is_told() -> None:
    assert forecasts().sentence() == "none came due"
    missing = forecasts(record(unanswered=7, refusal=Refusal.UNSUPPORTED))
    assert missing.sentence() == "none: nothing here runs models; pip install 'tickwork[models]' brings it"
    late = forecasts(record(unanswered=7, refusal=Refusal.TIMEOUT))
    assert late.sentence() == "none: the model answered none of 7 requests (code -11)"
    some = forecasts(record((1, 1000, 2000)), record(unanswered=7, refusal=Refusal.TIMEOUT))
    assert some.sentence().endswith("(1 hours it has not learnt from; 7 requests were not answered)")
    assert missing.document()["held_out"] == {
        "forecasts": 0,
        "error_milli_f": None,
        "persistence_error_milli_f": None,
    }


def test_a_message_of_another_layout_is_passed_over() -> None:
    assert forecasts(record()[:-1]) == Forecasts()


def test_who_is_absent_refuses() -> None:
    effect = Effect(5, 0, 0, "infer:forecast", EffectClass.PURE, b"", Encoding.TENSOR, b"")
    assert Absent().perform(effect).code == Refusal.UNSUPPORTED


def test_what_runs_models_is_looked_for_and_not_loaded() -> None:
    code = "import sys; from tickwork.cli import forecasts; print(forecasts.can_run_models(), *forecasts.NEEDED)"
    done = python(code + "; print({*forecasts.NEEDED} & {*sys.modules})")
    assert done.stdout.splitlines() == ["True numpy onnx onnxruntime", "set()"]
