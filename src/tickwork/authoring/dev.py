"""The inner loop of writing an agent: what its project consists of, and what a new build does otherwise.

A run of the project's world is kept in memory. Its last ticks run again with the new build in the agent's place, with
the state the agent had there where that can be kept; what is performed once is not performed again.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Final

import msgspec

from .. import codec
from ..driver.canary import CANARY_TICKS, Canary, Tally, canary
from ..driver.compare import Divergence, compare_frames
from ..driver.fold import read_turns
from ..driver.options import Options
from ..driver.plans import Swap
from ..driver.resolve import World, load_world
from ..driver.run import run
from ..errors import SwapRefused, TickworkError
from ..journal.memory import MemoryJournal
from ..records import AgentSpec, DerivedKind, Frame, SwapMode
from .languages import toolchain_of
from .project import FILE, read_project
from .scripts import SUFFIX
from .ways import empty_journal

WORLD: Final = "world.toml"
MODES: Final = (SwapMode.KEEP_IMAGE, SwapMode.MIGRATE, SwapMode.RESTART)
"""Order: by how much of the agent's state they keep."""

RERUN: Final = "rerun"
"""The run begins anew, where no mode fits."""

MOST_TICKS: Final = 4096
"""Of the run that is kept; a world without an end, or with a far one, stops there."""

POLL_SECONDS: Final = 0.05
"""A look costs a few calls of the system for each file; a person notices no twentieth of a second."""


class Played(msgspec.Struct, frozen=True):
    """A run of the project's world.

    Attributes:
        package: The build that took part in it.
    """

    world: World
    package: bytes
    journal: MemoryJournal

    @property
    def agents(self) -> list[AgentSpec]:
        """The agents of the run that are the project's. Order: number."""
        return [spec for spec in self.world.header.agents if spec.package == codec.digest(self.package)]


class Replayed(msgspec.Struct, frozen=True):
    """What a new build does otherwise.

    Attributes:
        how: The mode of the swap that fitted, or ``rerun``.
        refused: Why each mode before it did not fit. Order: as tried.
        first, ticks: The ticks that ran again.
        equal: Whether every record came out again.
        agent_divergence: The first of the agent's own turns that differs.
        divergence: The first record of the whole run that differs.
        differing: Ticks in which any record differs.
        old, new: What the two builds did.
    """

    agents: tuple[str, ...]
    how: str
    refused: tuple[str, ...]
    first: int
    ticks: int
    equal: bool
    agent_divergence: Divergence | None
    divergence: Divergence | None
    differing: int
    old: Tally
    new: Tally


# -- watching ----------------------------------------------------------------------------------------------------------

Seen = dict[Path, tuple[int, int]]
"""Time of the last change and size of each file."""


def watched(folder: Path) -> list[Path]:
    """Return the files that decide what a project does: sources, project file, world, scripts. Order: any.

    Where the project file cannot be read now, the ones it would name are left out.
    """
    files = [folder / FILE, folder / WORLD, *folder.glob("*.py"), *(folder / "tests").glob(f"*{SUFFIX}")]
    files += (folder / "tests").glob("*.golden")
    try:
        project = read_project(folder)
        files += toolchain_of(project.table.language).sources(project)
    except TickworkError:
        files += [path for path in folder.glob("*") if path.suffix in (".c", ".h", ".cpp", ".hpp")]
    return files


def look(folder: Path) -> Seen:
    """Return the state of a project's files; one that is gone is left out."""
    seen: Seen = {}
    for path in watched(folder):
        try:
            status = path.stat()
        except OSError:
            continue
        seen[path] = status.st_mtime_ns, status.st_size
    return seen


def changes(folder: Path, seen: Seen, stop: Callable[[], bool]) -> Iterator[Seen]:
    """Yield the state of a project's files whenever it has changed and then stood still for a moment; end on ``stop``.

    Args:
        seen: What is known already.
    """
    pause = Event()
    while not stop():
        pause.wait(POLL_SECONDS)
        now = look(folder)
        if now == seen:
            continue
        while not stop() and now != (again := look(folder)):
            now = again
            pause.wait(POLL_SECONDS)
        seen = now
        yield seen


# -- running and comparing ---------------------------------------------------------------------------------------------


def read_world(folder: Path, bases: Sequence[Path]) -> World | None:
    """Return the project's world with the packages that lie there now, None where it has none.

    Raises:
        WorldError: TW1101 to TW1104.
    """
    path = folder / WORLD
    return load_world(path, allow_unsigned=True, bases=bases) if path.exists() else None


def play_world(world: World, package: bytes, options: Options, *, ticks: int = CANARY_TICKS) -> Played:
    """Return a run of a world, in memory, with a snapshot wherever a look back may begin."""
    options = _here(options, ticks)
    journal, asked = empty_journal(world, options), options.stop

    def stop() -> bool:
        return journal.length() >= MOST_TICKS or (asked is not None and asked())

    run(world, journal=journal, options=msgspec.structs.replace(options, stop=stop))
    return Played(world, package, journal)


def _here(options: Options, ticks: int) -> Options:
    """Return the options of runs that leave nothing behind and note nothing of the packages in them."""
    return msgspec.structs.replace(options, trust=None, signing_key=None, progress=None, snapshot_ticks=max(1, ticks))


def replay_with(
    before: Played, package: bytes, after: World, options: Options, *, ticks: int = CANARY_TICKS, bases: Sequence[Path]
) -> Replayed:
    """Return what a new build does otherwise in the last ticks of a run.

    Args:
        after: The world with the new build, for where the run has to begin anew.

    Raises:
        ModuleError, PackageError: The build is refused.
    """
    agents, refused = before.agents, list[str]()
    swappable = len(agents) == 1 and not any(
        spec.package == agents[0].package for spec in before.world.header.templates
    )
    for mode in MODES if swappable else ():
        swap = Swap(agents[0].name, package, None, mode, (), tuple(bases))
        try:
            found = canary(before.journal, swap, ticks=ticks, world=before.world, options=_here(options, ticks))
        except SwapRefused as error:
            refused.append(f"{mode}: {error.why or error.what}")
            continue
        if not found.failed:
            return _swapped(found, mode, refused)
        refused.append(f"{mode}: {found.swapped}")
    if not swappable:
        refused.append(f"{len(agents)} agents of the world run it" if agents else "no agent of the world runs it")
    return _anew(before, play_world(after, package, options, ticks=ticks), refused)


def _swapped(found: Canary, mode: str, refused: Sequence[str]) -> Replayed:
    return Replayed(
        (found.agent,), mode, tuple(refused), found.first, found.ticks, found.equal, found.agent_divergence,
        found.divergence, found.differing, found.old, found.new,
    )  # fmt: skip


def _anew(before: Played, after: Played, refused: Sequence[str]) -> Replayed:
    """Compare two whole runs, without what differs because a module has another digest."""
    header = before.world.header
    names = tuple(spec.name for spec in before.agents)
    numbers = {number for number, spec in enumerate(header.agents) if spec.name in names}
    own: Divergence | None = None
    first: Divergence | None = None
    old, new, differing = Tally(), Tally(), 0
    lengths = before.journal.length(), after.journal.length()
    for tick in range(max(lengths)):
        frames = before.journal.frame(tick), after.journal.frame(tick)
        parts = [
            _own(played.journal, frame, numbers, tally)
            for played, frame, tally in zip((before, after), frames, (old, new), strict=True)
        ]
        one, other = (_plain(frame) for frame in frames)
        if one is None or other is None:
            values = ("present", "absent") if other is None else ("absent", "present")
            found: Divergence | None = Divergence(tick, "frame", "frame", "record", *values)
        else:
            found = compare_frames(header, one, other)
        if parts[0] != parts[1] and own is None:
            own = found
        first = first or found
        differing += found is not None
    return Replayed(
        names, RERUN, tuple(refused), 0, max(lengths), first is None, own, first, differing, old, new
    )  # fmt: skip


def _plain(frame: Frame | None) -> Frame | None:
    """Return a frame without the digests of the whole state, of which a module's digest is a part."""
    if frame is None:
        return None
    kept = [item for item in codec.decode_derived(frame.derived) if item.kind != DerivedKind.STATE_ROOT]
    return msgspec.structs.replace(frame, derived=codec.encode_derived(kept))


def _own(journal: MemoryJournal, frame: Frame | None, numbers: set[int], tally: Tally) -> list[tuple[object, ...]]:
    """Return what the project's agents did in a tick, counted."""
    if frame is None:
        return []
    fuel, own = codec.decode_hints(frame.hints).fuel, list[tuple[object, ...]]()
    for slot, turn in enumerate(read_turns(journal, frame)):
        if turn.agent in numbers:
            outcome = turn.outcome
            tally.turns += 1
            tally.failed += outcome.status != 0
            tally.sent += sum(1 for _ in codec.decode_frames(outcome.outbox))
            tally.fuel += fuel[slot] if slot < len(fuel) else 0
            own.append((turn.agent, turn.operation, outcome.status, outcome.code, outcome.outbox))
    return own
