"""Snapshots: the whole of a run between two ticks, kept in its journal, so that going on need not begin at tick 0.

A snapshot is a body of the journal's content store, named by its digest in the hints of the tick it follows. The
pages of the agents' memories are further bodies, each kept once however many snapshots hold it.

Invariants:
    * A snapshot decides nothing. It is covered by F and not by D, and a run folded from tick 0 gives the same records.
    * It holds no native pointer and no compiled code: any machine that runs the modules can go on from it.
    * Whoever wrote a journal wrote its snapshots: their form and their sizes are looked at before anything is put back.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from .. import codec
from ..errors import JournalDamaged, JournalIncomplete
from ..journal.store import Records
from ..kernel import AgentState, AgentStatus, Machine, State, decode_state, encode_state
from ..records import Frame, Header
from ..sandbox.pages import MEMORY_STEP, PAGE_BYTES, PageBook, PagedImage, join_pages
from .crew import Crew, Restored
from .natives import NativeImage
from .windows import PIECE_BYTES, WindowPieces

VERSION: Final = 1

_BLOCK: Final = 256
"""Ticks looked at together when the last snapshot is searched from the end."""


class AgentSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """One agent that has begun and not stopped; exactly one of ``image`` and ``native`` is there."""

    number: int
    image: PagedImage | None = None
    native: NativeImage | None = None


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """A run between two ticks.

    Attributes:
        state: The kernel's state, encoded.
        turns, failed: Turns so far, and how many of them were not OK.
        agents: Order: number.
        windows: Order: window.
    """

    version: int
    state: bytes
    turns: int
    failed: int
    agents: tuple[AgentSnapshot, ...]
    windows: tuple[WindowPieces, ...] = ()


_decoder = msgspec.msgpack.Decoder(Snapshot)


def _running(state: State) -> list[AgentState]:
    return [agent for agent in state.agents if agent.started and agent.status != AgentStatus.STOPPED]


class Snapshots:
    """Takes snapshots of one run. It remembers the last one, so that each costs what has changed since."""

    def __init__(self) -> None:
        self._book = PageBook()
        self._held = set[int]()

    def take(self, machine: Machine, crew: Crew, turns: int, failed: int) -> tuple[bytes, list[bytes]] | None:
        """Return a snapshot's digest, and the bodies to keep; None where a native agent's state has no encoding."""
        running = _running(machine.state)
        images = crew.images([agent.number for agent in running])
        if images is None:
            return None
        numbers = {agent.number for agent in running}
        self._book.forget(list(self._held - numbers))  # Whoever has stopped is not kept in memory for ever.
        self._held = numbers
        bodies: list[bytes] = []
        agents: list[AgentSnapshot] = []
        for agent, image in zip(running, images, strict=True):
            if isinstance(image, NativeImage):
                agents.append(AgentSnapshot(agent.number, native=image))
                continue
            paged, fresh = self._book.split(agent.number, image)
            bodies += fresh
            agents.append(AgentSnapshot(agent.number, paged))
        windows, pieces = crew.windows.split()
        bodies += pieces
        body = codec.encode(Snapshot(VERSION, encode_state(machine.state), turns, failed, tuple(agents), windows))
        return codec.digest(body), [*bodies, body]


def read_snapshot(journal: Records, digest: bytes, *, pages: bool = True) -> Snapshot | None:
    """Return the snapshot of that digest, None where it cannot be used: absent, damaged, of another version.

    A snapshot decides nothing, so that one that is lost costs time alone; examining a journal tells of the damage.

    Args:
        pages: Whether the agents' pages must be here too.
    """
    try:
        snapshot = _decoder.decode(journal.content(digest))
        if snapshot.version != VERSION:
            return None
        for name in _pages(snapshot) if pages else ():
            if len(journal.content(name)) > PIECE_BYTES:
                return None
        return snapshot if _fits(snapshot, decode_state(snapshot.state)) else None
    except (JournalIncomplete, JournalDamaged, msgspec.DecodeError):
        return None


def _fits(snapshot: Snapshot, state: State) -> bool:
    """Return whether what a snapshot holds has the form of what it would be put back into."""
    count, agents, windows = len(state.agents), snapshot.agents, snapshot.windows
    return (
        all(0 <= agent.number < count and (agent.image is None) != (agent.native is None) for agent in agents)
        and all(
            _is_memory(agent.image, state.agents[agent.number].spec.limits.memory_pages)
            for agent in agents
            if agent.image is not None
        )
        and all(
            0 <= window.window < len(state.windows)
            and len(window.pieces) * PIECE_BYTES < state.windows[window.window].spec.size + PIECE_BYTES
            for window in windows
        )
    )


def _is_memory(image: PagedImage, most: int) -> bool:
    """Return whether an image may be one of a memory of at most so many pages of 64 KiB."""
    size = image.size
    return size % MEMORY_STEP == 0 and size <= most * MEMORY_STEP and len(image.pages) * PAGE_BYTES == size


def _pages(snapshot: Snapshot) -> Iterable[bytes]:
    """Return the digests of a snapshot's pages and of the pieces of its windows, each once."""
    pages = [name for agent in snapshot.agents if agent.image for name in agent.image.pages if name]
    return dict.fromkeys([*pages, *(name for window in snapshot.windows for name in window.pieces)])


def last_snapshot(journal: Records, length: int, *, pages: bool = True) -> Snapshot | None:
    """Return the last snapshot taken within the first ``length`` ticks that can be used.

    Args:
        pages: Whether the agents' pages must be here too; who executes nothing needs none.
    """
    for last in range(length - 1, -1, -_BLOCK):
        block = journal.frames(max(0, last - _BLOCK + 1), last)
        for digest in reversed([_named(frame) for frame in block]):
            snapshot = read_snapshot(journal, digest, pages=pages) if digest else None
            if snapshot is not None:
                return snapshot
    return None


def _named(frame: Frame) -> bytes:
    """Return the digest of the snapshot after a tick, or nothing; damaged hints are the chain's to report."""
    try:
        return codec.decode_hints(frame.hints).snapshot
    except codec.CodecError:
        return b""


def snapshot_bodies(journal: Records, digest: bytes) -> Iterator[bytes]:
    """Yield a snapshot's pages and its own body, to copy them into another journal; nothing where it is not whole."""
    snapshot = read_snapshot(journal, digest)
    if snapshot is not None:
        yield from map(journal.content, _pages(snapshot))
        yield journal.content(digest)


def restore_machine(header: Header, lineage: bytes, snapshot: Snapshot) -> Machine:
    """Return a machine that goes on from a snapshot."""
    return Machine(header, lineage, state=decode_state(snapshot.state))


def restore_agents(crew: Crew, machine: Machine, snapshot: Snapshot, journal: Records) -> None:
    """Place the agents of a machine that was just restored, with the states they had.

    Args:
        crew: One in which nobody is placed yet.
    """
    images: dict[int, Restored] = {}
    for agent in snapshot.agents:
        if agent.image is not None:
            images[agent.number] = join_pages(agent.image, journal.content)
        else:
            assert agent.native is not None, "an agent has an image of either kind"
            images[agent.number] = agent.native
    living = [agent for agent in machine.state.agents if agent.status != AgentStatus.STOPPED]
    crew.place([(agent.number, agent.spec) for agent in living])
    crew.restore(images)
    crew.windows.restore(snapshot.windows, journal.content)
