import re
from typing import Any

from tickwork.infer.asking import Incident, Inference, Reply
from tickwork.infer.gauges import BUCKETS_S, REASONS_MOST, Gauges, service_text
from tickwork.infer.wire import Seen, Worker
from tickwork.records import Encoding, NoteKind, Refusal

LINE = re.compile(r'[a-z_]+(\{[a-z]+="([^"\\\n]|\\["\\n])*"(,[a-z]+="([^"\\\n]|\\["\\n])*")*\})? (\+Inf|[0-9.e+-]+)')


def reply(total_us: int = 400, code: int = 0, *incidents: Incident) -> Reply:
    took = Inference("m:1", "cpu", "exact-1", 1, 20, 300, total_us, 1 << 20, code)
    return Reply(code, Encoding.TENSOR, b"", None, None, took, incidents)


def value(gauges: Gauges, name: str) -> float:
    (found,) = [line for line in gauges.text().splitlines() if line.rpartition(" ")[0] == name]
    return float(found.rpartition(" ")[2])


def test_each_answer_falls_into_the_buckets_it_is_not_longer_than() -> None:
    gauges = Gauges()
    for total in (100, 101, 400, 31_000_000):
        gauges.count("m:1", reply(total))
    name = "tickwork_model_inference_duration_seconds"
    labels = 'model="m:1",provider="cpu"'
    counted = [value(gauges, f'{name}_bucket{{{labels},le="{bound}"}}') for bound in (*BUCKETS_S, "+Inf")]
    assert counted == [1, 2] + [3] * (len(BUCKETS_S) - 2) + [4]
    assert value(gauges, f"{name}_count{{{labels}}}") == 4
    assert value(gauges, f"{name}_sum{{{labels}}}") == (100 + 101 + 400 + 31_000_000) / 1e6


def test_what_was_refused_and_what_fell_back_is_counted() -> None:
    gauges = Gauges()
    gauges.count("m:1", reply(400, 0, Incident(NoteKind.FALLBACK, 'cuda is "absent"\n'), Incident(NoteKind.CRASH, "x")))
    gauges.count("m:1", reply(400, Refusal.TIMEOUT))
    gauges.count("m:1", Reply(Refusal.CONFLICT, Encoding.BYTES, b""))
    gauges.refuse("too many")
    assert value(gauges, r'tickwork_model_fallbacks_total{model="m:1",reason="cuda is \"absent\"\n"}') == 1
    assert value(gauges, 'tickwork_model_incidents_total{model="m:1",kind="crash"}') == 1
    assert value(gauges, 'tickwork_model_inferences_total{model="m:1",code="-11"}') == 1
    assert value(gauges, 'tickwork_model_memory_bytes{model="m:1"}') == 1 << 20
    assert value(gauges, 'tickwork_http_refused_total{why="too many"}') == 1
    tally = gauges.tally("m:1")
    assert (tally.answers, tally.failures, tally.queue_us, tally.run_us) == (1, 2, 40, 600)
    assert gauges.tally("other").answers == 0


def test_every_line_reads_as_the_format_says() -> None:
    gauges = Gauges()
    gauges.count('m"\\\n:1', reply(400, 0, Incident(NoteKind.FALLBACK, "why")))
    lines = gauges.text().splitlines()
    assert all(line.startswith(("# HELP tickwork_", "# TYPE tickwork_")) or LINE.fullmatch(line) for line in lines)
    named = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(named) == len(set(named))


def test_how_the_host_is_reads_the_same_way() -> None:
    fields: dict[str, Any] = {"state": "ready", "device": "cpu", "pinned": False, "pid": 1, "cost": 9}
    worker = Worker(
        model="00", name="m", version="1", profile="fast", provider="cpu", memory=7, asked=3, queued=2, **fields
    )
    lines = service_text(Seen(1, "0", {"cpu": 100}, {"cpu": 9}, 4, 3, 2, 1, (worker,))).splitlines()
    assert all(line.startswith("# ") or LINE.fullmatch(line) for line in lines)
    assert 'tickwork_service_budget_bytes{device="cpu"} 100' in lines
    assert 'tickwork_service_model_queued{model="m:1",profile="fast",provider="cpu"} 2' in lines
    assert {"tickwork_service_loads_total 4", "tickwork_service_evictions_total 3"} <= set(lines)
    assert {"tickwork_service_crashes_total 2", "tickwork_service_expired_total 1"} <= set(lines)


def test_reasons_beyond_the_bound_are_counted_together() -> None:
    gauges = Gauges()
    for number in range(REASONS_MOST + 10):
        gauges.count("m:1", reply(400, 0, Incident(NoteKind.FALLBACK, f"why {number}")))
    assert value(gauges, 'tickwork_model_fallbacks_total{model="m:1",reason="other"}') == 10
