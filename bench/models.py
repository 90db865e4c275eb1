"""What asking a model through its processes costs beside onnxruntime in this one, and what faults cost."""

import hashlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from statistics import median, pstdev
from time import perf_counter
from typing import Any, Final, NamedTuple

from tickwork.infer.asking import Wanted
from tickwork.infer.client import Models
from tickwork.infer.store import ModelStore
from tickwork.records import Encoding
from tickwork.tensors import FLOAT32, INT32, Tensor, encode_tensors

from .measure import Effort, Line, PeerMissing, Stand, judged, shown, within

OVERHEAD_BARS: Final = ("model-overhead", "model-tail", "model-deviation")
RATE_BARS: Final = ("model-2ms", "model-50us", "model-batch")
FAULT_BARS: Final = ("model-crash", "model-bits", "model-budget")

MIB: Final = 1 << 20
RAW, OURS = "onnxruntime in this process", "Models"
ROW, BATCH = "eight rows", "one batch"
SMALL, MIDDLE, USUAL, SLOW = (16, 32, 4), (64, 256, 256, 256, 10), (784, 512, 256, 10), (256,) * 17 + (10,)
"""Layers of nets: next to no work, 50 us with its rows and less than 1 MB, one that a batch is for, and 2 ms."""

MIDDLE_ROWS, SLOW_ROWS = 16, 128
ROWS: Final = (1, 64, 1024)
"""Of the small net, for requests of 100 bytes, 4 KiB and 64 KiB."""
DIVIDE: Final = "divide"
CALLS: Final = 400
TIMES: Final = 100
TURN: Final = 10
"""Calls of a hundred that are made at a time, where hundreds take turns."""

ANSWERING: Final = 5 / 6
"""What of a call to the net of the middle is done by who answers: its run and the frames; the rest by who asks."""


class _Net(NamedTuple):
    """A model in the store and beside it."""

    wanted: Wanted
    raw: Callable[[], object]
    body: bytes


class _Place:
    """A store of small nets, and who asks them.

    Args:
        folder: For the store.
    """

    def __init__(self, folder: Path) -> None:
        # Whoever is measured beside us does not report to its makers from this process.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        try:
            import numpy
            import onnxruntime

            from tests.unit.infer import kept, nets
        except ImportError as error:
            raise PeerMissing("make setup") from error
        self._numpy: Any = numpy
        self._runtime: Any = onnxruntime
        self._nets, self._kept = nets, kept
        self.folder = folder / "store"
        self._store = ModelStore(self.folder)
        self.models = Models(self.folder)

    def net(self, name: str, sizes: tuple[int, ...], rows: int, seed: int = 7, memory: int = 64 * MIB) -> _Net:
        """Return a net of layers, as it is asked and as it is run here."""
        data = self._nets.mlp(sizes, seed)
        given = self._numpy.random.default_rng(seed).standard_normal((rows, sizes[0])).astype("float32")
        settings = self._runtime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        session = self._runtime.InferenceSession(data, settings, providers=["CPUExecutionProvider"])
        body = encode_tensors([Tensor("x", FLOAT32, given.shape, given.tobytes())])
        wanted = self._kept.keep(self._store, name, data, memory)
        return _Net(wanted, lambda: session.run(None, {"x": given}), body)

    def division(self) -> tuple[Wanted, bytes, bytes]:
        """Return a model that divides, a request that ends its process, and one that does not."""
        wanted = self._kept.keep(self._store, DIVIDE, self._nets.divide())
        least, six = (number.to_bytes(4, "little", signed=True) for number in (-(1 << 31), 6))
        minus, two = (number.to_bytes(4, "little", signed=True) for number in (-1, 2))
        bad, good = (
            encode_tensors([Tensor("a", INT32, (1,), one), Tensor("b", INT32, (1,), other)])
            for one, other in ((least, minus), (six, two))
        )
        return wanted, bad, good

    def ask(self, net: _Net) -> bytes:
        """Return an answer."""
        reply = self.models.ask(net.wanted, net.body)
        assert reply.code == 0, reply.error
        return reply.body

    def close(self) -> None:
        """End all processes."""
        self.models.close()


def overheads(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure single calls, turn about with onnxruntime in this process."""
    with Stand(folder) as stand:
        try:
            place = stand.hold(_Place(folder))
        except PeerMissing as missing:
            yield from _absent(OVERHEAD_BARS, ("us", "ratio", "%"), ("<= 40", "<= 1.25", "<= 2"), missing)
            return
        nets = [place.net(f"small{rows}", SMALL, rows) for rows in ROWS]
        nets.append(place.net("middle", MIDDLE, MIDDLE_ROWS))
        calls = CALLS if effort.full else 20
        rounds = [[_turn(place, net, calls) for net in nets] for _ in range(effort.rounds)]
        # Last, for what is placed stays placed.
        placed = _placed(place, nets[-1], calls * effort.rounds)
    added = [[(ours.middle - raw.middle) * 1e6 for raw, ours in one[:-1]] for one in rounds]
    each = ", ".join(
        f"{len(net.body):,} bytes {shown(median(one[place] for one in added))}" for place, net in enumerate(nets[:-1])
    )
    yield judged("model-overhead", [max(one) for one in added], "us", "<= 40", f"the most of {each}")
    tails = [(one[-1][1].late / one[-1][1].middle) / (one[-1][0].late / one[-1][0].middle) for one in rounds]
    ours_tail = median(one[-1][1].late / one[-1][1].middle for one in rounds)
    raw_tail = median(one[-1][0].late / one[-1][0].middle for one in rounds)
    ratio = median(tails)
    yield Line(
        "model-tail", ours_tail, "p99/p50", f"{RAW}: {shown(raw_tail)}", ratio, within("<= 1.25", ratio), "<= 1.25",
        min(tails), max(tails), "the net of the middle",
    )  # fmt: skip
    yield _deviation([one[-1] for one in rounds], placed)


class _Turn(NamedTuple):
    """Times of one turn. Units: seconds.

    Attributes:
        middle, late: The median, and the time that one in a hundred exceeds.
        hundreds: Median of each hundred calls.
    """

    middle: float
    late: float
    hundreds: list[float]


def _turn(place: _Place, net: _Net, calls: int) -> tuple[_Turn, _Turn]:
    """Return a turn of onnxruntime and one of ours."""
    place.ask(net)
    return _timed(net.raw, calls), _timed(lambda: place.ask(net), calls)


def _timed(call: Callable[[], object], calls: int) -> _Turn:
    times = _times(call, calls)
    hundreds = [median(times[at : at + TIMES]) for at in range(0, len(times), TIMES)]
    times.sort()
    return _Turn(times[calls // 2], times[calls * 99 // 100], hundreds)


def _times(call: Callable[[], object], calls: int) -> list[float]:
    """Return how long each of so many calls took. Units: seconds."""
    times = list[float]()
    for _ in range(calls):
        began = perf_counter()
        call()
        times.append(perf_counter() - began)
    return times


class _Hundred(NamedTuple):
    """Medians of hundreds of calls that took turns. Units: seconds.

    Attributes:
        ours: Of a hundred of ours.
        raw: Of onnxruntime's, on each of the processors that ours took; weighed by what of a call is done there.
    """

    ours: float
    raw: float


def _placed(place: _Place, net: _Net, calls: int) -> list[_Hundred]:
    """Return hundreds of a net, who asks and who answers being on processors of their own where that can be said.

    Left alone, the system now and then puts both on one processor for seconds on end, which is what is measured then.
    """
    count, times = max(1, calls // TIMES), min(calls, TIMES)
    place.ask(net)
    if sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        return [_hundred(place, net, times, (None, None)) for _ in range(count)]
    before = os.sched_getaffinity(0)
    asks, answers = sorted(before)[:2]
    for process in _descendants(os.getpid()):
        for thread in Path(f"/proc/{process}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {answers})
    try:
        return [_hundred(place, net, times, (asks, answers)) for _ in range(count)]
    finally:
        os.sched_setaffinity(0, before)


def _hundred(place: _Place, net: _Net, times: int, processors: tuple[int, int] | tuple[None, None]) -> _Hundred:
    """Return a hundred of ours, ten at a time between as many of onnxruntime's on the processors of who asks and of
    who answers, half of them before and half after.

    A processor that is shared with other machines changes its own speed by half, for milliseconds or for seconds: so
    all three meet the same speeds.
    """
    asks, answers = processors
    half = TURN // 2
    ours, asking, answering = list[float](), list[float](), list[float]()
    for _ in range(0, times, TURN):
        answering += _alone(net, half, answers)
        asking += _alone(net, half, asks)
        ours += _times(lambda: place.ask(net), TURN)
        asking += _alone(net, half, asks)
        answering += _alone(net, half, answers)
    return _Hundred(median(ours), ANSWERING * median(answering) + (1 - ANSWERING) * median(asking))


def _alone(net: _Net, calls: int, processor: int | None) -> list[float]:
    """Return the times of onnxruntime on a processor, where this thread stays."""
    if processor is not None:
        os.sched_setaffinity(0, {processor})
    return _times(net.raw, calls)


def _descendants(process: int) -> list[int]:
    """Return the processes below one, by number."""
    parents = dict[int, int]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    found = [process]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found[1:]


def _deviation(rounds: list[tuple[_Turn, _Turn]], placed: list[_Hundred]) -> Line:
    """Return the line of how far medians of a hundred calls lie apart, of the net of the middle: less than 1 MB.

    Judged is each median by that of onnxruntime beside it, since all bars of models are ratios to it: what moves both
    is the machine's, and what moves ours alone is in the ratio. No hundred is left out. How far the medians themselves
    lie apart, ours and onnxruntime's, stands in the note.

    Args:
        rounds: Turns as the system places processes.
    """

    def spread(middles: list[float]) -> float:
        return 100 * pstdev(middles) / median(middles)

    value = spread([one.ours / one.raw for one in placed])
    ours, raw = spread([one.ours for one in placed]), spread([one.raw for one in placed])
    left = spread([middle for _, turn in rounds for middle in turn.hundreds])
    note = (
        f"{len(placed)} medians by those of onnxruntime; in us ours {shown(ours)}, onnxruntime {shown(raw)};"
        f" {shown(left)} as the system places processes"
    )
    return Line("model-deviation", max(value, 1e-9), "%", None, None, within("<= 2", value), "<= 2", value, value, note)


def rates(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure answers per second, turn about with onnxruntime in this process."""
    with Stand(folder) as stand:
        try:
            place = stand.hold(_Place(folder))
        except PeerMissing as missing:
            units, bounds = ("answers/s",) * 3, (">= 0.95", ">= 0.5", ">= 3")
            yield from _absent(RATE_BARS, units, bounds, missing)
            return
        nets = {"slow": place.net("slow", SLOW, SLOW_ROWS), "middle": place.net("middle", MIDDLE, MIDDLE_ROWS)}
        for name, net in nets.items():
            stand.case(f"{RAW}, {name}", _often(net.raw))
            stand.case(f"{OURS}, {name}", _often(lambda net=net: place.ask(net)))  # type: ignore[misc]
        row = place.net("row", USUAL, 1)
        encodings = [int(Encoding.TENSOR)] * 8
        stand.case(ROW, _often(lambda: [place.ask(row) for _ in range(8)]), 8)
        stand.case(BATCH, _often(lambda: place.models.ask_batch(row.wanted, [row.body] * 8, encodings=encodings)), 8)
        found = stand.measure(effort)
    for bar, name, bound in (("model-2ms", "slow", ">= 0.95"), ("model-50us", "middle", ">= 0.5")):
        took = found.seconds(f"{RAW}, {name}") * 1e6
        note = f"a model of {shown(took)} us"
        yield found.compared(bar, f"{OURS}, {name}", f"{RAW}, {name}", "answers/s", bound, note=note)
    yield found.compared(
        "model-batch", BATCH, ROW, "answers/s", ">= 3", note="784-512-256-10, eight requests of a tick"
    )


def _often(call: Callable[[], object]) -> Callable[[int], None]:
    def run(times: int) -> None:
        for _ in range(times):
            call()

    return run


def faults(effort: Effort, folder: Path) -> Iterator[Line]:
    """Measure what a crash costs, whether any bit differs over restarts, and what memory models take."""
    with Stand(folder) as stand:
        try:
            place = stand.hold(_Place(folder))
        except PeerMissing as missing:
            units, bounds = ("s", "equal", "of the budget"), ("<= 1", ">= 1", "<= 1.05")
            yield from _absent(FAULT_BARS, units, bounds, missing)
            return
        wanted, bad, good = place.division()
        assert place.models.ask(wanted, good).code == 0
        yield judged("model-crash", [_recovery(place, wanted, good) for _ in range(effort.rounds)], "s", "<= 1")
        assert place.models.ask(wanted, bad).code != 0
        yield _bits(place, 10_000 if effort.full else 100)
        yield _budget(place, 1000 if effort.full else 12)


def _recovery(place: _Place, wanted: Wanted, good: bytes) -> float:
    """Return the time from the end of a worker to the next good answer. Units: seconds."""
    [pid] = [one.pid for one in place.models.list() if one.model == wanted.model.hex()]
    os.kill(pid, signal.SIGKILL)
    began = perf_counter()
    reply = place.models.ask(wanted, good)
    took = perf_counter() - began
    assert reply.code == 0, reply.error
    return took


def _bits(place: _Place, calls: int) -> Line:
    """Return the line of answers that are equal over threads, evictions and killed workers."""
    nets = [place.net(f"bits{seed}", SMALL, 1 + seed, seed) for seed in range(3)]
    expected = {net.wanted: hashlib.sha256(place.ask(net)).digest() for net in nets}
    done, equal = [0], [0]
    with Models(place.folder, budget_bytes=130 * MIB) as models:

        def work(number: int, share: int) -> None:
            for at in range(share):
                # Long runs of one model, with changes between them: each change may evict one of the others.
                net = nets[(number + at // 200) % 3]
                reply = models.ask(net.wanted, net.body, tick=at)
                assert reply.code == 0, reply.error
                equal[0] += hashlib.sha256(reply.body).digest() == expected[net.wanted]
                done[0] += 1

        for threads in (1, 2, 4, 8, 16):
            with ThreadPoolExecutor(threads) as pool:
                asked = [pool.submit(work, number, calls // 5 // threads) for number in range(threads)]
                for one in models.list():
                    if one.pid and one.state == "ready":
                        os.kill(one.pid, signal.SIGKILL)
                for future in asked:
                    future.result()
        seen = models.stats()
    note = f"{done[0]:,} answers, 1 to 16 threads, {seen.evictions} evictions, {seen.crashes} killed workers"
    share = equal[0] / done[0]
    return Line("model-bits", share, "equal", None, None, share >= 1, ">= 1", share, share, note)


def _budget(place: _Place, loads: int) -> Line:
    """Return the line of what workers take together at most, measured while models come and go."""
    draw = Random(7)
    nets = [place.net(f"load{seed}", SMALL, 1, seed, draw.randint(48, 96) * MIB) for seed in range(8)]
    budget, most, done = 200 * MIB, [0], threading.Event()
    with Models(place.folder, budget_bytes=budget) as models:

        def look() -> None:
            while not done.wait(0.01):
                seen = models.stats()
                most[0] = max(most[0], sum(max(one.cost, one.memory) for one in seen.workers))

        watching = threading.Thread(target=look)
        watching.start()
        for tick in range(loads):
            net = draw.choice(nets)
            assert models.ask(net.wanted, net.body, tick=tick).code == 0
        done.set()
        watching.join()
        seen = models.stats()
    share = most[0] / budget
    note = f"{loads:,} requests to 8 models, {seen.loads} loads, {seen.evictions} evictions"
    bound = "<= 1.05"
    return Line("model-budget", share, "of the budget", None, None, within(bound, share), bound, share, share, note)


def _absent(
    bars: tuple[str, ...], units: tuple[str, ...], bounds: tuple[str, ...], missing: PeerMissing
) -> Iterator[Line]:
    for bar, unit, bound in zip(bars, units, bounds, strict=True):
        yield Line(bar, None, unit, None, None, None, bound, note=missing.fix)
