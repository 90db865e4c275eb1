"""A model's worker: one process with one session, asked over connections that its host hands to it.

Invariants:
    * It is confined before it reads the model: no files to write, no programs, no new connections, no core dumps.
    * One thread runs the model; requests run one after the other, in the order in which they were read.
    * What waits is bounded; what is beyond that is refused at once, also during a long run.
    * A run that goes on past its deadline ends the process, even where nobody is left to ask for that.
    * It ends with its host.
    * A connection that sends what is no request is ended, and nothing else is.
"""

import gc
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from ..clock import Clock, SystemClock
from ..errors import ModelError, ModelQueueFull, ModelsMissing, ModelTimeout, ModelTooLarge, TickworkError
from ..records import Encoding, Refusal
from ..sandbox.child import limit
from ..sandbox.confine import confine
from . import wire
from .arena import INLINE_BYTES, Arena, Board
from .asking import Incident, Wanted
from .channel import SPIN_NS, Channel, ChannelClosed, ChannelSlow, Received, adopt, close_all, take_channel
from .fingerprint import Fingerprint
from .manifest import LLM, ModelConfig
from .pages import enlarge
from .ran import Ran
from .watch import Watch

REQUEST_MOST: Final = 4 * INLINE_BYTES
"""Bytes that come in a frame at most; what is longer lies in shared memory."""

MOST_US: Final = (1 << 32) - 1
"""The longest time that an answer can say."""

OPEN_FILES: Final = 4096
"""Two for each connection, and what a library opens."""

PATIENCE_S: Final = 1.0
"""How long an asker may take to send the rest of a request, or to read an answer; all others wait meanwhile."""

PACE_S: Final = 0.02
"""How often somebody looks after a run that goes on."""

LATE_NS: Final = 1_000_000_000
"""A host ends a run that is past its deadline at once; this is for when there is nobody to ask it to."""

MEMORY_NS: Final = 1_000_000_000
"""Looking what the process takes costs a millisecond, so it is done so often, and not while somebody waits."""

LATE_STATUS: Final = 75
"""Exit status of a worker that ended itself for a run past its deadline."""

RUNNING, QUEUED, ASKED, TICK, MEMORY, RUN_US, QUEUE_US, REFUSED, ROWS, NANS, HEARD = range(len(Board.FIELDS))


class Runner(Protocol):
    """Has a session. Source: what ``ran`` says of it."""

    @property
    def fingerprint(self) -> Fingerprint:
        """Of the session that answers now."""
        ...

    def take_incidents(self) -> tuple[Incident, ...]:
        """Return what happened since it was last asked."""
        ...

    def run(self, body: bytes | memoryview, encoding: int) -> Ran:
        """Answer one request."""
        ...

    def run_batch(self, bodies: Sequence[bytes | memoryview], encodings: Sequence[int]) -> list[Ran]:
        """Answer several by one run."""
        ...

    def memory(self) -> int:
        """Return what the process takes. Units: bytes."""
        ...


MakeRunner = Callable[[Wanted, ModelConfig, Path, Clock, tuple[str, ...]], Runner]


def main() -> None:
    """Serve the channel of standard input."""
    serve(take_channel())


def serve(channel: Channel) -> None:
    """Load what the first frame says and answer until the channel ends."""
    # The host decides what an interrupt means; a worker ends with its channel.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        frame = channel.receive()
        if frame is None:
            return
        _scrub_environment()
        load_and_answer(channel, frame, make_runner, confined=True)
    except (ChannelClosed, ChannelSlow):
        return


def _scrub_environment() -> None:
    """Forget the variables by which what runs models could be told to compute otherwise."""
    variables = os.environ  # noqa: TID251  (No setting is read here: they are removed.)
    for name in [name for name in variables if name.startswith("ORT_")]:
        del variables[name]
    variables["ORT_DISABLE_TELEMETRY"] = "1"


def make_runner(wanted: Wanted, config: ModelConfig, folder: Path, clock: Clock, extras: tuple[str, ...]) -> Runner:
    """Return what runs a model.

    Raises:
        ModelError: It cannot be loaded, or what would run it is not installed.
    """
    if config.kind == LLM:
        from .language import LanguageRunner

        return LanguageRunner(wanted, config, folder, clock, extras=extras)
    from .sessions import Runner as SessionRunner

    return SessionRunner(wanted, config, folder, clock, extras=extras)


def load_and_answer(channel: Channel, frame: Received, make: MakeRunner, *, confined: bool) -> None:
    """Load a model and answer until there is nobody left to answer.

    Args:
        frame: The first, with a ``Load`` and the board.
        confined: Whether this process is the worker's own, to be confined first.

    Raises:
        ChannelClosed: The host is gone.
    """
    clock = SystemClock()
    load = msgspec.msgpack.decode(frame.head, type=wire.Load)
    board = Board(Arena(frame.handed[0] if frame.handed else -1, load.board, BOARD_BYTES))
    try:
        if confined:
            _confine(load)
        runner = make(load.wanted, load.config, Path(load.folder), clock, load.extras)
    except ImportError as error:
        missing = ModelsMissing(
            "models need packages that are not installed", why=str(error), fix="pip install 'tickwork[models]'"
        )
        channel.send(wire.FAILED, wire.encode_error(missing))
        return
    except TickworkError as error:
        channel.send(wire.FAILED, wire.encode_error(error))
        return
    if confined:
        enlarge()
    board.numbers[MEMORY] = memory = runner.memory()
    loaded = wire.Loaded(runner.fingerprint.encode(), memory, runner.take_incidents())
    if confined:
        # What was made up to here stays; the collector would look through it again and again.
        gc.collect()
        gc.freeze()
        gc.disable()
    channel.send(wire.LOADED, wire.encode(loaded))
    Worker(channel, runner, board, load.queue, clock).answer()


BOARD_BYTES: Final = 4096

_encoder: Final = msgspec.msgpack.Encoder()
_requests: Final = msgspec.msgpack.Decoder(list[tuple[int, memoryview]])


def _confine(load: wire.Load) -> None:
    if load.memory:
        limit("AS", _address_space() + load.memory)
    if load.wanted.profile == "fast" and _reaches_devices(load):
        # A driver of an accelerator opens its devices to write, at any time.
        limit("CORE", 0)
        return
    confine(threads=True, files=OPEN_FILES)


def _reaches_devices(load: wire.Load) -> bool:
    """Return whether the model may be run on something else than the processor here."""
    from .providers import available, make_setup

    present = set(available(make_setup(load.wanted.profile, load.extras))) - {"cpu"}
    return bool(present & set(load.wanted.providers or present))


def _address_space() -> int:
    """Return what this process has mapped. Units: bytes."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 4 << 30


class _Link:
    """A connection to an asker."""

    __slots__ = ("arena", "channel", "dropped", "fingerprint", "number")

    def __init__(self, number: int, channel: Channel, arena: Arena, fingerprint: bytes) -> None:
        self.number = number
        self.channel = channel
        self.arena = arena
        self.fingerprint = fingerprint
        self.dropped = False

    def close(self) -> None:
        """Let go of it."""
        self.channel.close()
        self.arena.close()


class _Request:
    """A request that was read."""

    __slots__ = (
        "_length", "_size", "body", "deadline_ns", "encoding", "flags", "kind", "link", "number", "sent_ns", "tick",
    )  # fmt: skip

    def __init__(self, link: _Link, frame: Received) -> None:
        """Read it. Raises: ChannelClosed, it is none."""
        if len(frame.head) != wire.REQUEST.size or frame.handed:
            close_all(frame.handed)
            raise ChannelClosed
        (
            self.kind, self.encoding, self.flags, self.number, self.tick, self.sent_ns, self.deadline_ns, size, length,
        ) = wire.REQUEST.unpack(frame.head)  # fmt: skip
        self.link, self.body, self._size, self._length = link, frame.body, size, length
        if self.flags & wire.IN_ARENA and length + (self.flags >> wire.PLACE_SHIFT) > size // 2:
            raise ChannelClosed

    def find_body(self) -> None:
        """Map the memory of its connection, in which its body may be.

        Raises:
            MemoryError: This process may have no more memory, or there is less of it than was said.
        """
        try:
            self.link.arena.follow(self._size)
        except (OSError, ValueError, OverflowError) as error:
            raise MemoryError from error
        if self.flags & wire.IN_ARENA:
            self.body = self.link.arena.request(self._length, self.flags >> wire.PLACE_SHIFT)


def _too_much() -> Ran:
    error = ModelTooLarge("the request takes more memory than the model's process may have")
    return Ran(Refusal.NO_MEMORY, Encoding.BYTES, error.what.encode(), error=error)


class Worker:
    """Answers requests.

    Args:
        channel: To the host.
        queue: Requests that may wait.
    """

    def __init__(self, channel: Channel, runner: Runner, board: Board, queue: int, clock: Clock) -> None:
        self._host = channel
        self._runner = runner
        self._board = board.numbers
        self._most = queue
        self._clock = clock
        self._links: dict[int, _Link] = {}
        self._watch = Watch(channel.fileno())
        self._queue: deque[_Request] = deque()
        self._reading = threading.Lock()
        self._retiring = False
        self._running: _Request | None = None
        self._awake = threading.Event()
        self._done = threading.Event()
        self._spin_ns = SPIN_NS if (os.cpu_count() or 1) > 1 else 0
        self._looked_ns = 0
        self._fingerprint = runner.fingerprint
        self._encoded = self._fingerprint.encode()

    def answer(self) -> None:
        """Answer until the host is gone or says that it is enough."""
        looking = threading.Thread(target=self._look_after, name="tickwork-doorman", daemon=True)
        looking.start()
        try:
            while True:
                self._read(None if not self._retiring else 0)
                if not self._queue and self._retiring:
                    return
                while self._queue:
                    request = self._queue.popleft()
                    if not request.link.dropped:
                        self._take(request)
        except ChannelClosed:
            return
        finally:
            self._done.set()
            self._awake.set()
            looking.join()
            for link in list(self._links.values()):
                link.close()
            self._host.close()

    # --- reading -----------------------------------------------------------------------------------------------------

    def _read(self, timeout_s: float | None) -> None:
        """Read what there is, waiting for the first as long as that."""
        if timeout_s == 0:
            found = self._watch.wait(0)
        else:
            found = self._watch.spin(self._clock, self._spin_ns, 0)
            if not found:
                self._rest()
                found = self._watch.wait(timeout_s)
        if not self._awake.is_set():
            self._awake.set()
        with self._reading:
            self._read_ready(found)

    def _rest(self) -> None:
        """Use the time in which nobody asks."""
        now = self._clock.elapsed_ns()
        if now - self._looked_ns > MEMORY_NS:
            self._looked_ns = now
            self._board[MEMORY] = self._runner.memory()
            gc.collect()

    def _read_ready(self, found: list[int]) -> None:
        """Read a frame of each that is ready. The caller holds the lock.

        Raises:
            ChannelClosed: The host is gone.
        """
        for number in found:
            link = self._links.get(number)
            if link is None:
                self._hear_host()
                # Two frames may have come at once; the second would not wake anybody again.
                while self._host.ready():
                    self._hear_host()
                continue
            try:
                self._enqueue(_Request(link, link.channel.read()))
            except ChannelClosed:
                self._drop(link)

    def _hear_host(self) -> None:
        frame = self._host.receive(0)
        if frame is None:
            return
        if frame.head == wire.RETIRE:
            self._retiring = True
        elif frame.head == wire.LISTEN:
            self._board[HEARD] += 1
        elif frame.head == wire.ATTACH:
            attach = msgspec.msgpack.decode(frame.body, type=wire.Attach)
            try:
                channel = adopt(frame.handed[0], most=REQUEST_MOST, patience_s=PATIENCE_S)
            except OSError:
                # What an asker handed over is no socket.
                close_all(frame.handed[1:])
                return
            channel.plain = True
            arena = Arena(frame.handed[1] if len(frame.handed) > 1 else -1, attach.arena, 0)
            self._links[channel.fileno()] = _Link(attach.link, channel, arena, self._encoded)
            self._watch.add(channel.fileno())
        else:
            close_all(frame.handed)

    def _drop(self, link: _Link) -> None:
        number = link.channel.fileno()
        self._watch.remove(number)
        del self._links[number]
        link.dropped = True
        if self._running is None or self._running.link is not link:
            link.close()

    def _enqueue(self, request: _Request) -> None:
        if len(self._queue) >= self._most:
            self._board[REFUSED] += 1
            error = ModelQueueFull(
                "too many requests wait for the model",
                why=f"{self._most} wait already",
                fix="ask again later, or raise the length of the queue",
            )
            self._refuse(request, Refusal.CONFLICT, error)
            return
        self._queue.append(request)
        self._board[QUEUED] = len(self._queue)

    def _refuse(self, request: _Request, code: int, error: ModelError) -> None:
        ran = Ran(code, Encoding.BYTES, error.what.encode(), error=error)
        if request.kind == wire.ASK:
            self._reply(request, ran, 0, 0)
        else:
            self._reply_batch(request, [ran], 0, 0)

    # --- running -----------------------------------------------------------------------------------------------------

    def _take(self, request: _Request) -> None:
        """Run the model on a request and answer it."""
        board, elapsed = self._board, self._clock.elapsed_ns
        began = elapsed()
        board[RUNNING], board[QUEUED] = request.link.number, len(self._queue)
        board[TICK] = max(board[TICK], request.tick)
        if began > request.deadline_ns:
            # Who asked has given up; running the model would make the others wait for nothing.
            board[RUNNING] = 0
            self._refuse(request, Refusal.TIMEOUT, ModelTimeout(wire.LATE, why="the request waited past it"))
            return
        self._running = request
        queue_us = min(max(0, began - request.sent_ns) // 1000, MOST_US)
        if request.kind == wire.ASK:
            ran = self._run(request)[0]
            run_us = (elapsed() - began) // 1000
            self._running = None
            # Before the answer: whoever has it and wants room for another model finds who is idle, at any speed.
            board[RUNNING] = 0
            self._reply(request, ran, queue_us, run_us)
            board[ROWS] += 1
            board[NANS] += ran.nans
        else:
            rans = self._run(request)
            run_us = (elapsed() - began) // 1000
            self._running = None
            board[RUNNING] = 0
            self._reply_batch(request, rans, queue_us, run_us)
            board[ROWS] += len(rans)
            board[NANS] += sum(ran.nans for ran in rans)
        board[ASKED] += 1
        board[RUN_US] += run_us
        board[QUEUE_US] += queue_us
        if request.link.dropped:
            # It went during its own run, which read from the memory that it shares.
            request.link.close()

    def _run(self, request: _Request) -> list[Ran]:
        """Return what the model answers; where memory is short, it is tried without what idle connections hold."""
        try:
            return self._compute(request)
        except RecursionError:
            return [_too_much()]
        except MemoryError:
            pass
        for link in list(self._links.values()):
            if link is not request.link:
                link.arena.leave()
        gc.collect()
        try:
            return self._compute(request)
        except MemoryError:
            return [_too_much()]

    def _compute(self, request: _Request) -> list[Ran]:
        request.find_body()
        if request.kind == wire.ASK:
            return [self._runner.run(request.body, request.encoding)]
        try:
            asked = _requests.decode(request.body)
        except msgspec.DecodeError:
            # It is no batch: its sender gets the end of its connection for an answer.
            request.link.channel.hang_up()
            return []
        return self._runner.run_batch([body for _, body in asked], [encoding for encoding, _ in asked])

    def _reply(self, request: _Request, ran: Ran, queue_us: int, run_us: int) -> None:
        error = b"" if ran.error is None else wire.encode_error(ran.error)
        head = ran.encoding, ran.code, request.number, ran.nans, ran.rows, queue_us, run_us, len(error), len(ran.body)
        self._send(request.link, head, ran.body, error)

    def _reply_batch(self, request: _Request, rans: list[Ran], queue_us: int, run_us: int) -> None:
        rows = [
            (ran.code, ran.encoding, ran.body, ran.nans, ran.rows, wire.encode_error(ran.error) if ran.error else b"")
            for ran in rans
        ]
        body = _encoder.encode(rows)
        head = Encoding.MSGPACK, 0, request.number, 0, len(rans), queue_us, run_us, 0, len(body)
        self._send(request.link, head, body, b"")

    def _send(self, link: _Link, head: tuple[int, ...], body: bytes, error: bytes) -> None:
        flags, length = 0, len(body)
        if INLINE_BYTES < length <= link.arena.room:
            link.arena.reply(length)[:] = body
            flags, body = wire.IN_ARENA, b""
        extra = self._extra(link)
        if error or extra:
            flags |= (wire.WITH_ERROR if error else 0) | (wire.WITH_EXTRA if extra else 0)
            body = b"".join((body, error, extra))
        try:
            link.channel.post(wire.REPLY.pack(flags, *head), body, PATIENCE_S)
        except (ChannelClosed, ChannelSlow):
            # Whoever asked is gone; its end is read in its turn.
            return

    def _extra(self, link: _Link) -> bytes:
        """Return what happened to the session as far as this asker has not heard of it, or nothing."""
        incidents = self._runner.take_incidents()
        if incidents or self._runner.fingerprint is not self._fingerprint:
            self._fingerprint = self._runner.fingerprint
            self._encoded = self._fingerprint.encode()
        if not incidents and link.fingerprint == self._encoded:
            return b""
        known, link.fingerprint = link.fingerprint, self._encoded
        return wire.encode(wire.Extra(b"" if known == self._encoded else self._encoded, incidents))

    # --- looking after long runs -------------------------------------------------------------------------------------

    def _look_after(self) -> None:
        """Refuse what is too much while a run goes on, and end the process when nobody else ends an endless one."""
        while not self._done.is_set():
            self._awake.wait()
            before = self._running
            if self._done.wait(PACE_S):
                return
            now = self._running
            if now is None and before is None:
                if not self._queue:
                    self._awake.clear()
                continue
            if now is not before or now is None:
                continue
            if self._clock.elapsed_ns() > now.deadline_ns + LATE_NS:
                os._exit(LATE_STATUS)
            with self._reading:
                if self._running is now:
                    self._read_meanwhile()

    def _read_meanwhile(self) -> None:
        try:
            self._read_ready(self._watch.wait(0))
        except ChannelClosed:
            # The host is gone in the middle of a run: nobody waits for its answer.
            os._exit(0)
