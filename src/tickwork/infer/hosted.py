"""One worker as its host sees it: started, loaded, connected, told to go, and how it ended."""

import threading
from enum import IntEnum
from typing import Final

import msgspec

from ..errors import InternalError, ModelCrashed, ModelInvalid, TickworkError
from . import wire
from .arena import Board, make_arena
from .asking import Wanted
from .channel import ChannelClosed, ChannelSlow
from .fingerprint import decode_fingerprint
from .launch import Child, Launcher, exit_text
from .manifest import ModelConfig
from .worker import LATE_STATUS

PACE_S: Final = 0.005
"""How often it is looked whether a worker has heard."""

END_S: Final = 10
"""How long a process may take to end once its channels have."""


class State(IntEnum):
    """Where a worker is in its life."""

    LOADING = 0
    READY = 1
    LEAVING = 2
    ENDED = 3


class Hosted:
    """A worker.

    Attributes:
        number: What askers know it by; never used again.
        config: Of its model.
        device: Whose memory it takes.
        loaded: What it said when it was ready.
        failed: Why it could not be loaded.
        told: Why it was told to end, or was ended, by its host; empty where it ended by itself.
        ended: Set when the process has ended and its memory is free.
    """

    def __init__(self, number: int, wanted: Wanted) -> None:
        self.number = number
        self.wanted = wanted
        self.state = State.LOADING
        self.config: ModelConfig | None = None
        self.device = ""
        self.loaded: wire.Loaded | None = None
        self.failed: TickworkError | None = None
        self.told = ""
        self.status: int | None = None
        self.ended = threading.Event()
        self.board: Board | None = None
        self.links = 0
        self.seen_asked = 0
        self.seen_ns = 0
        self._child: Child | None = None
        self._sending = threading.Lock()

    @property
    def pid(self) -> int:
        """Number of its process; 0 before it has one."""
        return self._child.pid if self._child is not None else 0

    @property
    def busy(self) -> bool:
        """Whether it loads, or has a request."""
        return self.state is State.LOADING or (self.board is not None and self.board.busy)

    @property
    def crashed(self) -> bool:
        """Whether it ended, and nobody had asked for it. One that was never started has not crashed."""
        return self._child is not None and self.ended.is_set() and not self.told

    @property
    def running(self) -> int:
        """The connection whose request it runs, or ran when it ended; 0 for none."""
        return self.board["running"] if self.board is not None else 0

    def start(self, launcher: Launcher, load: wire.Load, load_ms: int) -> wire.Loaded:
        """Start the process and have it load its model.

        Raises:
            TickworkError: What the worker met; TW6002, it took too long; TW6007, it ended.
        """
        arena = make_arena()
        arena.grow(4096)
        self.board = Board(arena)
        load = msgspec.structs.replace(load, board=arena.name)
        child = self._child = launcher.start("worker")
        try:
            child.channel.send(wire.encode(load), handing=[arena.number] if arena.number >= 0 else [])
            frame = child.channel.receive(load_ms / 1000)
        except (ChannelClosed, ChannelSlow) as error:
            self._end("")
            raise ModelCrashed(
                "a worker ended while it loaded a model",
                why=f"it ended by {exit_text(self.status)}",
                fix="look for memory shortage on this machine; if it happens again, the model is not fit to be run",
            ) from error
        if frame is None:
            self._end("it took too long to load")
            raise ModelInvalid(
                "loading a model takes more time than is allowed", why=f"it was ended after {load_ms:,} ms",
                fix="raise the host's time for loading if the model is as large as that",
            )  # fmt: skip
        if frame.head == wire.FAILED:
            self._end("it could not load its model")
            raise _said(frame.body)
        try:
            loaded = msgspec.msgpack.decode(frame.body, type=wire.Loaded)
            decode_fingerprint(loaded.fingerprint)
        except msgspec.DecodeError as error:
            self._end("it said what nobody understands")
            raise ModelCrashed(
                "a worker does not say what it has loaded", why=self.told, fix="the model is not fit to be run"
            ) from error
        self.loaded = loaded
        return loaded

    def again(self) -> None:
        """Forget how a first attempt to load ended."""
        self.state, self.told, self.status = State.LOADING, "", None

    def attach(self, number: int, memory: int, arena: str) -> int:
        """Connect an asker and return the number of the connection.

        Args:
            number, memory: Descriptors of its socket and its arena, -1 where the arena has a name; both stay the
                caller's.

        Raises:
            ChannelClosed: The worker is gone.
        """
        assert self._child is not None
        with self._sending:
            self.links += 1
            handing = [number, memory] if memory >= 0 else [number]
            self._child.channel.send(wire.ATTACH, wire.encode(wire.Attach(self.links, arena)), handing=handing)
            return self.links

    def listens(self, timeout_s: float) -> bool:
        """Return whether it hears its host within that time; it always does while no model runs."""
        assert self._child is not None
        board, before = self.board, self.board["heard"] if self.board is not None else 0
        try:
            with self._sending:
                self._child.channel.send(wire.LISTEN, timeout_s=timeout_s)
        except (ChannelClosed, ChannelSlow):
            return False
        for _ in range(int(timeout_s / PACE_S)):
            if board is None or board["heard"] != before or self.ended.wait(PACE_S):
                return True
        return False

    def retire(self, why: str) -> None:
        """Tell it to answer what it has and end."""
        assert self._child is not None
        with self._sending:
            self.told = self.told or why
            try:
                self._child.channel.send(wire.RETIRE)
            except (ChannelClosed, ChannelSlow):
                return

    def kill(self, why: str) -> None:
        """End it at once."""
        with self._sending:
            self.told = self.told or why
        if self._child is not None:
            self._child.kill()

    def watch(self) -> None:
        """Return when the process has ended."""
        assert self._child is not None
        try:
            while self._child.channel.receive() is not None:
                continue
        except ChannelClosed:
            pass
        self._end(self.told)

    def _end(self, told: str) -> None:
        """See to it that the process has ended, and note how."""
        child = self._child
        assert child is not None
        self.told = told
        # One whose channel has ended says by its exit how; one that still lives is ended.
        self.status = None if told else child.wait(END_S)
        if self.status is None:
            child.kill()
            self.status = child.wait(END_S)
        if self.status == LATE_STATUS:
            self.told = "a run went on past its deadline"
        child.channel.close()
        self.state = State.ENDED

    @property
    def end_text(self) -> str:
        """How it ended."""
        return self.told or exit_text(self.status)


def _said(body: memoryview) -> TickworkError:
    """Return the error that a worker met."""
    try:
        return wire.decode_error(body) or InternalError("a worker failed and says nothing")
    except msgspec.DecodeError as error:
        return InternalError("a worker failed and says what nobody understands", why=str(error))
