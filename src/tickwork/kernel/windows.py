"""Windows: regions with one writer and some readers, flipped when a write is committed.

Invariants:
    * The kernel holds no byte of a window: epoch, length and digest are its state, the shell keeps the content.
    * A window flips at most once a tick, so that each tick's readers see one epoch, frozen.
    * What was written while a window was open is shown, also after it has closed, until it opens again, empty.
    * What a reader has seen is noted when its turn is good: a turn that is undone is shown the same again.
    * A refused write changes nothing but the record that says why.
    * Of one turn's writes to a window the first counts, accepted or not: it is the one whose bytes the shell has.
"""

import hashlib
import struct
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, NamedTuple

from ..codec import FRAME, encode_frame
from ..records import OUTSIDE, AgentSpec, DerivedKind, FrameKind, Refusal, View, WindowSpec
from .bus import Bus
from .outbox import Action
from .state import AgentState, AgentStatus, ReaderState, State, WindowState

WRITE: Final = struct.Struct("<QQ32s")
"""Body of a WINDOW_WRITE frame: offset and length in the writer's region, SHA-256 of the bytes."""

EPOCH: Final = struct.Struct("<QQQQ")
"""Body of a WINDOW_EPOCH frame: epoch, bytes so far, offset and length of what is new."""

_WRITE_BYTES: Final = FRAME.size + WRITE.size
_EPOCH_BYTES: Final = FRAME.size + EPOCH.size

KINDS: Final = ("frame", "ring", "log")
MAX_WINDOWS: Final = 4096
MAX_WINDOW_BYTES: Final = 256 << 20

_NOBODY: Final[frozenset[int]] = frozenset()


class Flip(NamedTuple):
    """A write that was committed, for the shell that keeps the content.

    Attributes:
        window: Index in the run's state.
        kind, capacity: Of the window.
        agent, handle: Whose write it was, and by which handle.
        offset, length: Where the bytes go; those of a ring go on at 0 behind ``capacity``.
    """

    window: int
    kind: str
    capacity: int
    agent: int
    handle: int
    offset: int
    length: int


class Shown(NamedTuple):
    """What an agent is shown before a turn: WINDOW_EPOCH frames and the views they tell of."""

    frames: bytes = b""
    told: int = 0
    views: tuple[View, ...] = ()


NOTHING: Final = Shown()


class Windows:
    """The windows of one run.

    Args:
        numbers: Agent numbers by name, kept up to date by the owner.

    Attributes:
        flips: What has been written in this tick and the shell has not taken. Order: commit.
    """

    def __init__(self, state: State, bus: Bus, numbers: dict[str, int]) -> None:
        self._state = state
        self._bus = bus
        self._numbers = numbers
        self._places = {window.spec.name: index for index, window in enumerate(state.windows)}
        self.flips: list[Flip] = []
        self._turn = -1, -1
        self._tried: set[int] = set()

    # -- opening and closing -------------------------------------------------------------------------------------------

    def keep_hours(self) -> None:
        """Open and close the windows whose time has come with this tick."""
        self.flips = []  # A shell without contents never takes them.
        tick = self._state.tick
        for window in self._state.windows:
            spec = window.spec
            if window.open and spec.closes and spec.closes == tick:
                self._close(window, "its time is over")
            elif not window.open and spec.opens == tick:
                self._open(window)

    def place(self, name: str) -> int:
        """Return a window's index in the run's state, -1 for none of that name."""
        return self._places.get(name, -1)

    def open(self, name: str, spec: WindowSpec | None) -> str:
        """Open a window; return why not, or nothing.

        Args:
            spec: What it is to be from now on; None leaves a known window as it was.
        """
        place = self._places.get(name)
        if spec is None:
            if place is None:
                return f"no window {name!r}"
            spec = self._state.windows[place].spec
        flaw = flaw_of(name, spec)
        if flaw:
            return flaw
        if place is None:
            if len(self._places) >= MAX_WINDOWS:
                return f"a run holds at most {MAX_WINDOWS} windows"
            place = self._places[name] = len(self._state.windows)
            self._state.windows.append(WindowState(spec))
        window = self._state.windows[place]
        if window.open:
            return f"window {name!r} is open"
        window.spec = spec
        self._open(window)
        return ""

    def close(self, name: str) -> str:
        """Close a window; return why not, or nothing."""
        place = self._places.get(name)
        if place is None or not self._state.windows[place].open:
            return f"no open window {name!r}"
        self._close(self._state.windows[place], "an operator closed it")
        return ""

    def _open(self, window: WindowState) -> None:
        window.open, window.base = True, window.epoch
        window.total, window.digest, window.readers = 0, b"", []
        writer = self._numbers.get(window.spec.writer, OUTSIDE)
        self._bus.note(DerivedKind.WINDOW_OPENED, writer, window.epoch, window.spec.name)

    def _close(self, window: WindowState, reason: str) -> None:
        window.open = False
        writer = self._numbers.get(window.spec.writer, OUTSIDE)
        self._bus.note(DerivedKind.WINDOW_CLOSED, writer, window.epoch, f"{window.spec.name}: {reason}")

    # -- writing -------------------------------------------------------------------------------------------------------

    def write(self, agent: AgentState, action: Action) -> None:
        """Flip a window to what an agent wrote, or refuse it by a record and an ERROR frame."""
        kind, handle, _, _, size, body = action
        name = agent.spec.windows[handle]
        seq = self._bus.next_seq()
        place = self._places.get(name, -1)
        window = self._state.windows[place] if place >= 0 else None
        if self._turn != (self._state.tick, self._bus.slot):
            self._turn, self._tried = (self._state.tick, self._bus.slot), set()
        if handle in self._tried:
            self._refuse(agent, seq, name, Refusal.CONFLICT, "has a write of this turn already")
            return
        if size == _WRITE_BYTES:
            self._tried.add(handle)
        if window is None or not window.open:
            self._refuse(agent, seq, name, Refusal.BAD_STATE, "is not open")
        elif not grants(agent.spec, name):
            self._refuse(agent, seq, name, Refusal.DENIED, "is not granted")
        elif window.spec.writer != agent.name:
            self._refuse(agent, seq, name, Refusal.DENIED, f"is written by {window.spec.writer!r} alone")
        elif size != _WRITE_BYTES:
            self._refuse(agent, seq, name, Refusal.BAD_MESSAGE, f"a write has a body of {WRITE.size} bytes")
        else:
            offset, length, digest = WRITE.unpack_from(body)
            refused = self._no_flip(window, offset, length)
            if refused is not None:
                self._refuse(agent, seq, name, *refused)
            else:
                self._flip(place, agent, handle, seq, length, digest)
        assert kind == FrameKind.WINDOW_WRITE

    def _refuse(self, agent: AgentState, seq: int, name: str, code: Refusal, why: str) -> None:
        self._bus.note(DerivedKind.DENIED, agent.number, FrameKind.WINDOW_WRITE, f'window "{name}" {why}')
        self._bus.refuse(agent.number, code, FrameKind.WINDOW_WRITE, seq, f'window "{name}" {why}')

    def _no_flip(self, window: WindowState, offset: int, length: int) -> tuple[Refusal, str] | None:
        """Return why a write by the right agent cannot be taken."""
        spec = window.spec
        if window.epoch > window.base and window.tick == self._state.tick:
            return Refusal.CONFLICT, "was written in this tick already"
        if spec.kind == "frame" and offset:
            return Refusal.BAD_MESSAGE, "is a frame, whose writes begin at offset 0"
        if length > spec.size:
            return Refusal.TOO_BIG, f"holds {spec.size} bytes, not {length}"
        if spec.kind == "log" and window.total + length > spec.size:
            return Refusal.TOO_BIG, f"is full: {spec.size - window.total} bytes are left, not {length}"
        return None

    def _flip(self, place: int, agent: AgentState, handle: int, seq: int, length: int, digest: bytes) -> None:
        window = self._state.windows[place]
        spec, offset = window.spec, 0
        if spec.kind == "frame":
            window.total, window.digest = length, digest
        else:
            offset = window.total % spec.size if spec.kind == "ring" else window.total
            window.total += length
            window.digest = hashlib.sha256(b"TWW1" + window.digest + digest).digest()
        window.epoch += 1
        window.seq, window.tick = seq, self._state.tick
        self._bus.note(DerivedKind.WINDOW_FLIPPED, agent.number, window.epoch, spec.name, window.digest)
        self.flips.append(Flip(place, spec.kind, spec.size, agent.number, handle, offset, length))
        for reader in self._readers(window):
            reader.ready_since = min(reader.ready_since, self._bus.visible)

    # -- reading -------------------------------------------------------------------------------------------------------

    def _readers(self, window: WindowState) -> Iterator[AgentState]:
        """Yield the agents that may read a window now."""
        for name in window.spec.readers:
            number = self._numbers.get(name)
            if number is not None:
                agent = self._state.agents[number]
                if agent.status == AgentStatus.ACTIVE and agent.started and grants(agent.spec, window.spec.name):
                    yield agent

    def fresh(self) -> frozenset[int]:
        """Return the agents for whom some window has something new."""
        found = [
            agent.number
            for window in self._state.windows
            if window.epoch > window.base
            for agent in self._readers(window)
            if self._seen(window, agent.number).epoch < window.epoch
        ]
        return frozenset(found) if found else _NOBODY

    def _seen(self, window: WindowState, number: int) -> ReaderState:
        place = bisect_left(window.readers, number, key=_agent_of)
        if place < len(window.readers) and window.readers[place].agent == number:
            return window.readers[place]
        return ReaderState(number, window.base, 0)

    def show(self, agent: AgentState) -> Shown:
        """Return what an agent is shown before its next turn, as much as its inbox holds. Order: window."""
        frames: list[bytes] = []
        views: list[View] = []
        room = agent.spec.limits.inbox_bytes // _EPOCH_BYTES
        for place, window in enumerate(self._state.windows):
            name = window.spec.name
            if agent.name not in window.spec.readers or not grants(agent.spec, name):
                continue
            seen = self._seen(window, agent.number)
            if seen.epoch >= window.epoch:
                continue
            handle = agent.spec.windows.index(name)
            offset, length, needed = _new_part(window, seen.total)
            regions = agent.spec.regions
            why = ""
            if regions and needed > regions[handle]:
                why = f'window "{name}" needs a region of {needed} bytes, the agent has {regions[handle]}'
            elif not room:
                why = f'window "{name}" needs an inbox of {_EPOCH_BYTES} bytes'
            if why:
                self._bus.note(DerivedKind.DENIED, agent.number, FrameKind.WINDOW_EPOCH, why)
                self._note_seen(window, agent.number, window.epoch, window.total)
                continue
            if len(frames) == room:
                break  # The rest is shown before the turn after this one.
            source = self._numbers.get(window.spec.writer, OUTSIDE)
            body = EPOCH.pack(window.epoch, window.total, offset, length)
            frames.append(encode_frame(FrameKind.WINDOW_EPOCH, 0, source, handle, window.seq, window.tick, body))
            for start, count in _spans(window.spec, offset, length):
                views.append(View(handle, place, window.epoch, window.total, start, count))
        return Shown(b"".join(frames), len(frames), tuple(views)) if frames else NOTHING

    def saw(self, number: int, views: tuple[View, ...]) -> None:
        """Note what an agent has seen in a good turn."""
        for view in views:
            self._note_seen(self._state.windows[view.window], number, view.epoch, view.total)

    def _note_seen(self, window: WindowState, number: int, epoch: int, total: int) -> None:
        place = bisect_left(window.readers, number, key=_agent_of)
        if place == len(window.readers) or window.readers[place].agent != number:
            window.readers.insert(place, ReaderState(number, epoch, total))
        else:
            known = window.readers[place]
            known.epoch, known.total = epoch, total

    def forget(self, number: int) -> None:
        """Take note that an agent's regions are as new: it is shown everything again."""
        for window in self._state.windows:
            window.readers = [known for known in window.readers if known.agent != number]


def grants(spec: AgentSpec, name: str) -> bool:
    """Return whether an agent declares a window and is granted it."""
    return name in spec.windows and f"windows:{name}" not in spec.denied


def extent(window: WindowState) -> int:
    """Return how many bytes of a window hold something."""
    return min(window.total, window.spec.size)


def flaw_of(name: str, spec: WindowSpec) -> str:
    """Return what is wrong with a window that is to be opened, or nothing."""
    if spec.name != name:
        return f"the window is called {spec.name!r}, not {name!r}"
    if spec.kind not in KINDS:
        return f"no kind of window {spec.kind!r}"
    if not 0 < spec.size <= MAX_WINDOW_BYTES:
        return f"a window holds 1 to {MAX_WINDOW_BYTES} bytes, not {spec.size}"
    return f"{spec.writer!r} cannot both write and read it" if spec.writer in spec.readers else ""


def _agent_of(reader: ReaderState) -> int:
    return reader.agent


def _new_part(window: WindowState, seen: int) -> tuple[int, int, int]:
    """Return offset and length of what is new to a reader that saw ``seen`` bytes, and the region that it needs."""
    spec, total = window.spec, window.total
    if spec.kind == "frame":
        return 0, total, total
    if spec.kind == "log":
        return seen, total - seen, total
    length = min(total - seen, spec.size)
    return (total - length) % spec.size, length, min(total, spec.size)


def _spans(spec: WindowSpec, offset: int, length: int) -> list[tuple[int, int]]:
    """Return the pieces of a part in the window's content; that of a ring may go on at its start."""
    first = min(length, spec.size - offset)
    return [(offset, first)] if first == length else [(offset, first), (0, length - first)]
