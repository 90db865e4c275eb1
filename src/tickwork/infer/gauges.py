"""What inferences took, counted, in the text that Prometheus reads.

Source: Prometheus text exposition format 0.0.4.
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from ..records import NoteKind
from .asking import Inference, Reply
from .wire import Seen

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

BUCKETS_S: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Bounds of the histogram, from a small network to a long answer of a language model. Units: seconds."""

REASONS_MOST: Final = 64
"""Reasons that are counted one by one; the rest are counted together."""

_US: Final = 1_000_000


class Tally(msgspec.Struct):
    """What one model did, for clients that ask about one. Units: microseconds, but for the counts."""

    answers: int = 0
    failures: int = 0
    rows: int = 0
    total_us: int = 0
    failed_us: int = 0
    queue_us: int = 0
    run_us: int = 0


class Gauges:
    """Counts of everything that was asked. Any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._durations = dict[tuple[str, str], list[int]]()
        self._sums = dict[tuple[str, str], int]()
        self._codes = Counter[tuple[str, int]]()
        self._fallbacks = Counter[tuple[str, str]]()
        self._incidents = Counter[tuple[str, str]]()
        self._memory = dict[str, int]()
        self._tallies = dict[str, Tally]()
        self._refused = Counter[str]()
        self.in_flight = 0

    def count(self, model: str, reply: Reply) -> None:
        """Count one answer and what happened on the way to it."""
        with self._lock:
            self._codes[model, reply.code] += 1
            tally = self._tallies.setdefault(model, Tally())
            tally.answers += not reply.code
            tally.failures += bool(reply.code)
            if reply.inference is not None:
                self._take(model, tally, reply.inference, failed=bool(reply.code))
            for incident in reply.incidents:
                self._incidents[model, NoteKind(incident.kind).name.lower()] += 1
                if incident.kind == NoteKind.FALLBACK:
                    known = (model, incident.text) in self._fallbacks or len(self._fallbacks) < REASONS_MOST
                    self._fallbacks[model, incident.text if known else "other"] += 1

    def refuse(self, why: str) -> None:
        """Count a request that was turned away."""
        with self._lock:
            self._refused[why] += 1

    def tally(self, model: str) -> Tally:
        """Return what one model did."""
        with self._lock:
            return msgspec.structs.replace(self._tallies.get(model, Tally()))

    def text(self) -> str:
        """Return everything as Prometheus reads it. Order: of each series by its labels."""
        with self._lock:
            lines = [
                *self._histogram(),
                *_series("model_inferences_total", "counter", "Answers by code; 0 is a good one.", {
                    (("model", model), ("code", str(code))): count for (model, code), count in self._codes.items()
                }),
                *_series("model_queue_seconds_total", "counter", "Time that requests waited at their worker.", {
                    (("model", model),): tally.queue_us / _US for model, tally in self._tallies.items()
                }),
                *_series("model_run_seconds_total", "counter", "Time that requests took in the model.", {
                    (("model", model),): tally.run_us / _US for model, tally in self._tallies.items()
                }),
                *_series("model_memory_bytes", "gauge", "Memory of the model's worker when last looked at.", {
                    (("model", model),): size for model, size in self._memory.items()
                }),
                *_series("model_fallbacks_total", "counter", "Times another provider took the place of one.", {
                    (("model", model), ("reason", why)): count for (model, why), count in self._fallbacks.items()
                }),
                *_series("model_incidents_total", "counter", "What happened to sessions.", {
                    (("model", model), ("kind", kind)): count for (model, kind), count in self._incidents.items()
                }),
                *_series("http_requests_in_flight", "gauge", "Requests being answered.", {(): self.in_flight}),
                *_series("http_refused_total", "counter", "Requests turned away, by why.", {
                    (("why", why),): count for why, count in self._refused.items()
                }),
            ]  # fmt: skip
        return "\n".join(lines) + "\n"

    def _take(self, model: str, tally: Tally, took: Inference, *, failed: bool) -> None:
        if took.provider:
            key = (model, took.provider)
            counts = self._durations.setdefault(key, [0] * (len(BUCKETS_S) + 1))
            counts[bisect_left(BUCKETS_S, took.total_us / _US)] += 1
            self._sums[key] = self._sums.get(key, 0) + took.total_us
        tally.rows += took.rows
        tally.queue_us += took.queue_us
        tally.run_us += took.run_us
        if failed:
            tally.failed_us += took.total_us
        else:
            tally.total_us += took.total_us
        if took.memory:
            self._memory[model] = took.memory

    def _histogram(self) -> Iterable[str]:
        name = "tickwork_model_inference_duration_seconds"
        yield f"# HELP {name} From the question to the answer."
        yield f"# TYPE {name} histogram"
        for (model, provider), counts in sorted(self._durations.items()):
            labels = (("model", model), ("provider", provider))
            total = 0
            for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), counts, strict=True):
                total += count
                yield f"{name}_bucket{_labels((*labels, ('le', bound)))} {total}"
            yield f"{name}_sum{_labels(labels)} {self._sums[model, provider] / _US!r}"
            yield f"{name}_count{_labels(labels)} {total}"


def service_text(seen: Seen) -> str:
    """Return how the host is, whoever asked it, as Prometheus reads it."""
    workers = {
        (("model", f"{one.name}:{one.version}"), ("profile", one.profile), ("provider", one.provider)): one
        for one in seen.workers
    }
    lines = [
        *_series("service_budget_bytes", "gauge", "Memory that loaded models may take.", {
            (("device", device),): size for device, size in seen.budgets.items()
        }),
        *_series("service_used_bytes", "gauge", "Memory that loaded models take.", {
            (("device", device),): size for device, size in seen.used.items()
        }),
        *_series("service_loads_total", "counter", "Models loaded.", {(): seen.loads}),
        *_series("service_evictions_total", "counter", "Models unloaded to make room.", {(): seen.evictions}),
        *_series("service_crashes_total", "counter", "Workers that ended by themselves.", {(): seen.crashes}),
        *_series("service_expired_total", "counter", "Runs ended past their deadline.", {(): seen.expired}),
        *_series("service_model_asked", "gauge", "Requests answered since the model was loaded.", {
            labels: one.asked for labels, one in workers.items()
        }),
        *_series("service_model_queued", "gauge", "Requests that wait for the model.", {
            labels: one.queued for labels, one in workers.items()
        }),
        *_series("service_model_memory_bytes", "gauge", "Memory of the model's worker.", {
            labels: one.memory for labels, one in workers.items()
        }),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _series(name: str, kind: str, text: str, values: Mapping[tuple[tuple[str, str], ...], float]) -> Iterable[str]:
    yield f"# HELP tickwork_{name} {text}"
    yield f"# TYPE tickwork_{name} {kind}"
    for labels, value in sorted(values.items()):
        yield f"tickwork_{name}{_labels(labels)} {value!r}"


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    shown = ",".join(f'{name}="{_escape(value)}"' for name, value in labels)
    return f"{{{shown}}}" if shown else ""


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
