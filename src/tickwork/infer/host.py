"""The host: the process that owns the models' workers, and knows nothing of what runs inside them.

Askers speak with it to be connected, and with the workers to be answered; no tensor passes through here.

Invariants:
    * Memory is reserved before a worker is started and given back after its process has ended.
    * A worker that is told to go answers what it has; whoever finds its connection ended asks again.
    * A request that ended two workers is not asked again.
    * It ends with the asker that started it, and all workers end with it.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

import msgspec

from ..clock import Clock, SystemClock
from ..errors import InternalError, ModelCrashed, ModelHostLost, ModelTooLarge, TickworkError
from ..records import NoteKind
from . import wire
from .asking import Incident, Wanted
from .channel import Channel, ChannelClosed, ChannelSlow, Listener, Received, adopt, close_all, connect, take_channel
from .fingerprint import decode_fingerprint
from .hosted import END_S, Hosted, State
from .launch import Launcher
from .manifest import Manifest, ModelConfig, estimate_memory
from .residency import CPU, Occupied, Residency
from .store import ModelStore

CRASHES_MOST: Final = 2
"""Workers that a request may end before it is refused."""

GRACE_S: Final = 0.05
"""How long past its deadline a run may go on."""

LISTEN_S: Final = 2.0
"""How long a worker that runs nothing may take to hear its host: longer than it waits for an asker to read."""

LOOK_S: Final = 1.0
"""How often idle workers are looked at."""

RETIRE_S: Final = 5.0
"""How long a worker that was idle may take to end before it is ended."""

KEPT_ENDS: Final = 1024
"""Ended workers that are remembered, for askers who come to ask."""

SPARE_BYTES: Final = 512 << 20
"""Address space a worker may take beyond its model's cost: what loading needs for a while, and stacks and code."""

_BACKOFF_S: Final = (0.0, 0.0, 0.05, 0.1, 0.2, 0.4)
"""Wait before the worker of a model is started again, by how many of its workers have crashed without an answer."""


class Store(Protocol):
    """Where models lie."""

    def manifest(self, digest: bytes) -> Manifest:
        """Return a model's manifest."""
        ...

    def config(self, digest: bytes) -> ModelConfig:
        """Return what there is to know of a model."""
        ...

    def files(self, digest: bytes) -> dict[str, Path]:
        """Return its files, each compared just now."""
        ...

    def unpacked(self, digest: bytes) -> Path:
        """Return the folder they lie in."""
        ...


def main() -> None:
    """Serve the asker that started this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = take_channel()
    try:
        frame = channel.receive()
    except ChannelClosed:
        return
    assert frame is not None
    setup = wire.decode_question(frame.head)
    assert isinstance(setup, wire.Setup)
    host = Host(setup, ModelStore(Path(setup.store)))
    host.begin()
    try:
        host.serve(channel)
    finally:
        host.close()


def half_of_memory() -> int:
    """Return half of this machine's memory, or 2 GiB where it does not say. Units: bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):
        return 2 << 30


class Host:
    """Owns workers, and serves askers, each by a thread.

    Args:
        launcher: What starts processes; closed with the host.
    """

    def __init__(
        self, setup: wire.Setup, store: Store, *, launcher: Launcher | None = None, clock: Clock | None = None
    ) -> None:
        self._setup = setup
        self._store = store
        self._clock = clock or SystemClock()
        self._launcher = launcher or Launcher(warm=setup.warm)
        self._residency = Residency(setup.budgets or {CPU: half_of_memory()})
        self._workers: dict[Wanted, Hosted] = {}
        self._known: dict[int, Hosted] = {}
        self._pinned = set[bytes]()
        self._crashes: dict[tuple[bytes, bytes], int] = {}
        self._fruitless: dict[Wanted, int] = {}
        self._counts = {"loads": 0, "evictions": 0, "crashes": 0, "expired": 0}
        self._next = self._clock.now_us()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._placing = threading.Lock()
        self._closing = threading.Event()
        self._channels = set[Channel]()

    def begin(self) -> None:
        """Warm up, and look after idle workers from now on."""
        self._launcher.prepare()
        threading.Thread(target=self._look_after, name="tickwork-idle", daemon=True).start()

    # --- askers ------------------------------------------------------------------------------------------------------

    def serve(self, channel: Channel) -> None:
        """Answer one asker until it leaves or says that the host is to end."""
        self._channels.add(channel)
        try:
            while not self._closing.is_set():
                frame = channel.receive()
                if frame is not None:
                    try:
                        channel.send(wire.encode(self._answer(frame)), handing=())
                    finally:
                        close_all(frame.handed)
        except (ChannelClosed, ChannelSlow):
            return
        finally:
            self._channels.discard(channel)
            channel.close()

    def serve_beside(self, channel: Channel) -> None:
        """Answer an asker by a thread of its own."""
        threading.Thread(target=self.serve, args=(channel,), name="tickwork-asker", daemon=True).start()

    def listen(self, listener: Listener) -> None:
        """Serve whoever comes, until the listener is closed or the host is told to end."""
        while True:
            try:
                self.serve_beside(listener.accept())
            except ChannelClosed:
                return

    @property
    def closing(self) -> threading.Event:
        """Set when the host is to end."""
        return self._closing

    def _answer(self, frame: Received) -> wire.Answer:
        try:
            return self._do(wire.decode_question(frame.head), frame)
        except msgspec.DecodeError as error:
            return wire.failure(InternalError("a host was asked what it does not know", why=str(error)))
        except TickworkError as error:
            return wire.failure(error)

    def _do(self, question: wire.Question, frame: Received) -> wire.Answer:
        match question:
            case wire.Acquire():
                return self._acquire(question, frame.handed)
            case wire.Connect():
                self.serve_beside(_handed(frame))
                return wire.Done()
            case wire.Ask() | wire.Expire() | wire.Absolve():
                return self._judge(question)
            case wire.Unload():
                return wire.Done(self.unload(question.model))
            case wire.Pin():
                return wire.Done(self._pin(question))
            case wire.Look():
                return self.look()
            case wire.Stop():
                self._closing.set()
                return wire.Done()
            case wire.Setup():
                raise InternalError("a host is set up once")

    def _judge(self, question: wire.Ask | wire.Expire | wire.Absolve) -> wire.Answer:
        """Say what became of a worker, end it, or forget that it ended."""
        if isinstance(question, wire.Ask):
            return self._fate(question)
        if isinstance(question, wire.Expire):
            return self._expire(question)
        with self._lock:
            return wire.Done(self._crashes.pop((question.model, question.request), 0))

    def _acquire(self, question: wire.Acquire, handed: tuple[int, ...]) -> wire.Acquired:
        incidents = list[Incident]()
        while True:
            hosted = self.load(question.wanted, question.tick, incidents)
            loaded, config, link = hosted.loaded, hosted.config, 0
            assert loaded is not None
            assert config is not None
            if handed:
                try:
                    link = hosted.attach(handed[0], handed[1] if len(handed) > 1 else -1, question.arena)
                except (ChannelClosed, ChannelSlow):
                    # It has just ended; there will be another.
                    hosted.ended.wait(END_S)
                    continue
            refused = tuple(
                request for (model, request), count in self._crashes.items()
                if model == question.wanted.model and count >= CRASHES_MOST
            )  # fmt: skip
            if link <= 1:
                incidents += loaded.incidents
            return wire.Acquired(
                hosted.number, link, loaded.fingerprint, config, tuple(incidents), refused, loaded.memory
            )

    def _fate(self, question: wire.Ask) -> wire.Fate:
        hosted = self._known.get(question.worker)
        if hosted is None:
            return wire.Fate(crashed=False, told=False, text="forgotten", refused=False)
        if not hosted.ended.wait(END_S):
            # The connection ended and the worker did not; it may be gone on the way.
            return wire.Fate(crashed=False, told=False, text="the connection ended", refused=False)
        key = hosted.wanted.model, question.request
        with self._lock:
            if hosted.crashed and hosted.running == question.link:
                self._crashes[key] = self._crashes.get(key, 0) + 1
            refused = self._crashes.get(key, 0) >= CRASHES_MOST
        return wire.Fate(hosted.crashed, bool(hosted.told), hosted.end_text, refused)

    def _expire(self, question: wire.Expire) -> wire.Done:
        """End a worker whose run is past its deadline; others whose requests wait there ask again."""
        hosted = self._known.get(question.worker)
        if hosted is None or not self._hangs(hosted, question.link):
            return wire.Done()
        with self._lock:
            self._counts["expired"] += 1
            if hosted.state is State.READY:
                hosted.state = State.LEAVING
        hosted.kill("a run was past its deadline")
        hosted.ended.wait(END_S)
        return wire.Done(1)

    def _hangs(self, hosted: Hosted, link: int) -> bool:
        """Return whether a worker is at work for a connection after some grace, or idle and deaf."""
        if hosted.running == link:
            return not hosted.ended.wait(GRACE_S) and hosted.running == link
        return hosted.state is State.READY and not hosted.running and not hosted.listens(LISTEN_S)

    def unload(self, model: bytes) -> int:
        """End the workers of a model, each after what it has to answer; return how many there were."""
        with self._lock:
            found = [one for wanted, one in self._workers.items() if wanted.model == model]
        for hosted in found:
            self._retire(hosted, "it was unloaded", None)
        return len(found)

    def _pin(self, question: wire.Pin) -> int:
        with self._lock:
            (self._pinned.add if question.pinned else self._pinned.discard)(question.model)
            found = [wanted for wanted in self._workers if wanted.model == question.model]
            for wanted in found:
                self._residency.pin(wanted, pinned=question.pinned)
            return len(found)

    def look(self) -> wire.Seen:
        """Return how the host is."""
        from .. import __version__

        with self._lock:
            budgets = self._setup.budgets or {CPU: self._residency.budget(CPU)}
            used = {device: self._residency.used(device) for device in budgets}
            workers = tuple(self._shown(one) for one in self._workers.values())
            return wire.Seen(os.getpid(), __version__, budgets, used, **self._counts, workers=workers)

    def _shown(self, hosted: Hosted) -> wire.Worker:
        config, board = hosted.config, hosted.board
        counts = board.shown() if board is not None else {}
        resident = self._residency.resident(hosted.wanted)
        provider = decode_fingerprint(hosted.loaded.fingerprint).provider if hosted.loaded is not None else ""
        kept = ("memory", "asked", "rows", "refused", "nans", "queued", "run_us", "queue_us")
        return wire.Worker(
            model=hosted.wanted.model.hex(), name=config.name if config is not None else "",
            version=config.version if config is not None else "", profile=hosted.wanted.profile, provider=provider,
            device=hosted.device, state=hosted.state.name.lower(), pid=hosted.pid,
            pinned=resident is not None and resident.pinned, cost=resident.cost if resident is not None else 0,
            last_tick=counts.get("tick", 0),
            idle_s=(self._clock.elapsed_ns() - hosted.seen_ns) // 1_000_000_000 if hosted.seen_ns else 0,
            **{name: counts.get(name, 0) for name in kept},
        )  # fmt: skip

    # --- loading -----------------------------------------------------------------------------------------------------

    def load(self, wanted: Wanted, tick: int, incidents: list[Incident]) -> Hosted:
        """Return the worker of a model, started if there is none.

        Args:
            incidents: What happens on the way is added to it.

        Raises:
            TickworkError: It cannot be loaded; who waits for the same load gets the same error.
        """
        with self._lock:
            while True:
                hosted = self._workers.get(wanted)
                if hosted is None:
                    hosted = self._workers[wanted] = self._known[self._next] = Hosted(self._next, wanted)
                    self._next += 1
                    self._forget()
                    break
                if hosted.state is State.READY:
                    self._residency.touch(wanted, tick)
                    return hosted
                self._changed.wait()
                if hosted.failed is not None:
                    raise hosted.failed
        try:
            self._load(hosted, tick, incidents)
        except TickworkError as error:
            hosted.failed = error
            raise
        except (OSError, RuntimeError, MemoryError) as error:
            # As where the system gives no more threads or descriptors: a worker that nobody watches would stay.
            hosted.failed = InternalError("a model could not be loaded", why=str(error))
            hosted.kill("it could not be watched")
            hosted.ended.wait(END_S if hosted.loaded is not None else 0)
            raise hosted.failed from error
        finally:
            with self._lock:
                if hosted.loaded is None or (hosted.failed is not None and not hosted.ended.is_set()):
                    self._remove(hosted)
                self._changed.notify_all()
        return hosted

    def _forget(self) -> None:
        """Keep what is known of ended workers within bounds."""
        if len(self._known) > KEPT_ENDS:
            for number in [number for number, one in self._known.items() if one.ended.is_set()][: KEPT_ENDS // 2]:
                del self._known[number]

    def _load(self, hosted: Hosted, tick: int, incidents: list[Incident]) -> None:
        wanted = hosted.wanted
        hosted.config = config = self._store.config(wanted.model)
        self._store.files(wanted.model)
        cost = config.memory or estimate_memory(self._store.manifest(wanted.model).layers)
        hosted.device = device = _device(wanted, self._setup.providers)
        fruitless = self._fruitless.get(wanted, 0)
        self._closing.wait(_BACKOFF_S[min(fruitless, len(_BACKOFF_S) - 1)])
        extras = self._setup.extras if wanted.profile == "fast" else ()
        load = wire.Load(
            self._ordered(wanted), config, str(self._store.unpacked(wanted.model)), extras,
            self._setup.queue, cost + SPARE_BYTES if device == CPU else 0,
        )  # fmt: skip
        self._make_room(hosted, cost, tick)
        try:
            hosted.start(self._launcher, load, self._setup.load_ms)
        except (ModelCrashed, ModelTooLarge) as error:
            # It may have been short of memory, which all that is idle could give back; but once only.
            incidents.append(Incident(NoteKind.CRASH, error.why or error.what))
            hosted.again()
            self._evict(self._residency.idle(device, busy=self._busy()), "another model needed the memory")
            hosted.start(self._launcher, load, self._setup.load_ms)
        threading.Thread(target=self._watch, args=(hosted,), name="tickwork-worker", daemon=True).start()
        self._settle(hosted, cost, tick)
        with self._lock:
            self._counts["loads"] += 1
            hosted.state = State.READY
            hosted.seen_ns = self._clock.elapsed_ns()
        self._weigh(hosted)

    def _settle(self, hosted: Hosted, cost: int, tick: int) -> None:
        """Move a model that took another provider than the first to the memory it lies in.

        Raises:
            ModelTooLarge: TW6005, there is no room; the worker has ended.
        """
        assert hosted.loaded is not None
        provider = decode_fingerprint(hosted.loaded.fingerprint).provider
        if provider == hosted.device:
            return
        with self._lock:
            self._residency.remove(hosted.wanted)
            hosted.device = provider
        try:
            self._make_room(hosted, cost, tick)
        except ModelTooLarge:
            self._retire(hosted, "there was no room where it fell back to", RETIRE_S)
            raise

    def _ordered(self, wanted: Wanted) -> Wanted:
        """Return what the worker is told: where the asker has no order of providers, the host's."""
        if wanted.providers or wanted.profile != "fast":
            return wanted
        return msgspec.structs.replace(wanted, providers=self._setup.providers)

    def _make_room(self, hosted: Hosted, cost: int, tick: int) -> None:
        """Reserve memory, for which others may have to go.

        Raises:
            ModelTooLarge: TW6005.
        """
        until = self._clock.elapsed_ns() + self._setup.load_ms * 1_000_000
        with self._placing:
            while True:
                with self._lock:
                    try:
                        victims = self._victims(hosted.device, cost)
                    except Occupied:
                        victims = None
                    if victims == []:
                        self._residency.add(hosted.wanted, hosted.device, cost, tick)
                        self._residency.pin(hosted.wanted, pinned=hosted.wanted.model in self._pinned)
                        return
                if victims is not None:
                    self._evict(victims, "another model needed the memory")
                elif self._closing.wait(0.005) or self._clock.elapsed_ns() > until:
                    raise ModelTooLarge(
                        "models at work leave no room", why=f"it takes {cost:,} bytes", fix="raise the host's budget"
                    )

    def _victims(self, device: str, cost: int) -> list[Wanted]:
        for wanted, one in self._workers.items():
            if one.board is not None:
                self._residency.touch(wanted, one.board["tick"])
        return self._residency.victims(device, cost, busy=self._busy())

    def _busy(self) -> set[Wanted]:
        with self._lock:
            return {wanted for wanted, one in self._workers.items() if one.busy}

    def _evict(self, victims: Iterable[Wanted], why: str) -> None:
        for wanted in victims:
            with self._lock:
                hosted = self._workers.get(wanted)
                self._counts["evictions"] += hosted is not None
            if hosted is not None:
                self._retire(hosted, why, RETIRE_S)

    def _retire(self, hosted: Hosted, why: str, timeout_s: float | None) -> None:
        """Have a worker end, and return when it has."""
        with self._lock:
            if hosted.state is State.READY:
                hosted.state = State.LEAVING
        if hosted.loaded is not None:
            hosted.retire(why)
        if not hosted.ended.wait(timeout_s):
            hosted.kill(why)
            hosted.ended.wait(END_S)

    def _weigh(self, hosted: Hosted) -> None:
        """Note what a worker takes in fact; where that is more than there is, others go, or it goes itself.

        Raises:
            ModelTooLarge: TW6005, it had to go.
        """
        with self._lock:
            resident = self._residency.resident(hosted.wanted)
            if resident is None or hosted.board is None or (found := hosted.board["memory"]) <= resident.cost:
                return
            excess = self._residency.resize(hosted.wanted, found)
            device = resident.device
        if not excess:
            return
        for wanted in self._residency.idle(device, busy=self._busy() | {hosted.wanted}):
            self._evict([wanted], "another model took more memory than it was measured to")
            if self._residency.used(device) <= self._residency.budget(device):
                return
        self._retire(hosted, "it took more memory than there was", RETIRE_S)
        why = f"it takes {found:,} bytes, and models may take {self._residency.budget(device):,} on {device}"
        raise ModelTooLarge("a model takes more memory than there is", why=why, fix="raise the host's budget")

    # --- ends --------------------------------------------------------------------------------------------------------

    def _watch(self, hosted: Hosted) -> None:
        """Wait for the end of a worker."""
        hosted.watch()
        with self._lock:
            self._remove(hosted)
            self._changed.notify_all()

    def _remove(self, hosted: Hosted) -> None:
        """Forget a worker whose process has ended; its memory is free. The caller holds the lock."""
        if self._workers.get(hosted.wanted) is hosted:
            del self._workers[hosted.wanted]
            self._residency.remove(hosted.wanted)
        hosted.state = State.ENDED
        if hosted.board is not None:
            # Its numbers are asked for later, by those who come to know how it ended.
            hosted.board.settle()
        hosted.ended.set()
        fruitless = hosted.board is None or not hosted.board["asked"]
        if hosted.crashed:
            self._counts["crashes"] += 1
        if hosted.crashed and fruitless:
            self._fruitless[hosted.wanted] = self._fruitless.get(hosted.wanted, 0) + 1
        else:
            self._fruitless.pop(hosted.wanted, None)

    def _look_after(self) -> None:
        """End workers that nobody has asked for long, and see what the others take."""
        while not self._closing.wait(LOOK_S):
            with self._lock:
                ready = [one for one in self._workers.values() if one.state is State.READY]
            for hosted in ready:
                with contextlib.suppress(ModelTooLarge):
                    self._weigh(hosted)
                if self._idle_too_long(hosted):
                    self._retire(hosted, "nobody asked for it", RETIRE_S)

    def _idle_too_long(self, hosted: Hosted) -> bool:
        now, board = self._clock.elapsed_ns(), hosted.board
        if board is None or hosted.busy or board["asked"] != hosted.seen_asked:
            hosted.seen_asked = board["asked"] if board is not None else 0
            hosted.seen_ns = now
            return False
        resident = self._residency.resident(hosted.wanted)
        if resident is None or resident.pinned or not self._setup.keep_alive_s:
            return False
        return now - hosted.seen_ns > self._setup.keep_alive_s * 1_000_000_000

    def close(self) -> None:
        """End all workers and whatever else was started."""
        self._closing.set()
        with self._lock:
            living = list(self._workers.values())
        for hosted in living:
            hosted.kill("the host ends")
        for hosted in living:
            hosted.ended.wait(END_S)
        for channel in list(self._channels):
            channel.close()
        self._launcher.close()


def _handed(frame: Received) -> Channel:
    """Return the channel that a frame hands over."""
    try:
        return adopt(os.dup(frame.handed[0]))
    except (IndexError, OSError) as error:
        raise InternalError("a host was handed no channel to serve", why=str(error)) from error


def _device(wanted: Wanted, providers: tuple[str, ...]) -> str:
    """Return whose memory a model takes: the processor's, or that of the first other provider that is asked for."""
    if wanted.profile != "fast":
        return CPU
    return next(iter(wanted.providers or providers or (CPU,)))


def serve_at(host: Host, path: Path, key: str) -> Listener:
    """Return a listener at which the host serves whoever comes, by threads of its own.

    Raises:
        ModelHostLost: TW6009, the socket cannot be made, or somebody listens there.
    """
    with contextlib.suppress(ChannelClosed):
        connect(path).close()
        raise ModelHostLost(
            "a host listens there already", where=str(path), why="a socket has one host",
            fix="use that one, end it, or name another socket",
        )  # fmt: skip
    try:
        listener = Listener(path, key)
    except OSError as error:
        raise ModelHostLost(
            "the host's socket cannot be made",
            where=str(path),
            why=error.strerror or str(error),
            fix="end the host that is there, or name another socket",
        ) from error
    threading.Thread(target=host.listen, args=(listener,), name="tickwork-callers", daemon=True).start()
    return listener
