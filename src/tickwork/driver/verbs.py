"""The verbs as Python offers them: each takes what it works on, then keyword options, and says how it came out."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from ..journal.store import Journal, JournalReader
from . import diff as _diff
from . import fork as _fork
from . import reexecute as _reexecute
from . import run as _run
from . import verify as _verify
from .diff import Difference
from .fork import Edit
from .options import Options, Progress
from .performers import Performer
from .plans import AnySwap
from .resolve import World, with_swaps
from .verify import Run, Verification

Source = Path | str | JournalReader


def run(
    world: World,
    *,
    journal: Path | str | Journal | None = None,
    workers: int = 0,
    allow_unsigned: bool = False,
    performers: Mapping[str, Performer] | None = None,
    progress: Callable[[Progress], None] | None = None,
    swaps: Iterable[AnySwap] = (),
    options: Options | None = None,
) -> Run:
    """Run a world to its end and return how it came out.

    Args:
        journal: The file to write; None keeps the journal in memory.
        workers: Processes that run modules; 0 runs them here. The result does not depend on it.
        allow_unsigned: Run modules without a trusted signature; the header records it.
        performers: By skill, what carries effects out; they win over the world file's.
        swaps: New versions of agents and models, each at its tick.
        options: Everything else, in one struct.

    Raises:
        WorldError: TW1101 to TW1104.
        ModuleError: TW3001 to TW3006, before a journal is made.
        PackageError: TW3201 to TW3210, before a journal is made.
        SwapRefused: TW4101, before a journal is made.
        JournalExists: TW2002.
    """
    if allow_unsigned:
        world = msgspec.structs.replace(world, header=msgspec.structs.replace(world.header, allow_unsigned=True))
    world = with_swaps(world, swaps)
    chosen = _options(options, workers, progress)
    if performers is not None:
        chosen = msgspec.structs.replace(chosen, performers=performers)
    return _run.run(world, journal=journal, options=chosen)


def resume(
    journal: Path | str,
    *,
    world: World | None = None,
    decisions: Mapping[int, str] | None = None,
    workers: int = 0,
    swaps: Iterable[AnySwap] = (),
    options: Options | None = None,
) -> Run:
    """Go on with an interrupted run and return how it came out.

    Args:
        decisions: By effect number, ``retry`` or ``fail`` for unsafe effects whose result was lost.
        swaps: New versions of agents and models beside those planned when the run began.

    Raises:
        JournalClosed: TW2007.
        EffectUndecided: TW4003.
    """
    chosen = _options(options, workers, None)
    return _run.resume(journal, world=world, decisions=decisions, swaps=swaps, options=chosen)


def replay(
    journal: Source, *, progress: Callable[[Progress], None] | None = None, options: Options | None = None
) -> Run:
    """Fold a journal again, executing and performing nothing, and return the run with its recomputed head.

    Raises:
        ReplayDivergence: TW4001.
        JournalDamaged: TW2004.
    """
    return _verify.replay(journal, options=_options(options, 0, progress))


def verify(
    journal: Source,
    *,
    world: World | None = None,
    workers: int = 0,
    progress: Callable[[Progress], None] | None = None,
    reexecute: bool = False,
    options: Options | None = None,
) -> Verification:
    """Execute every turn of a journal again, performing nothing, and return whether every byte came out again.

    Args:
        world: Gives native agents that come from no file.
        reexecute: Then ask the models again and compare their answers, if every byte did come out again.

    Raises:
        ReexecutionRefused: TW6013, this machine's numerics are not those of the recorded answers.
    """
    chosen = _options(options, workers, progress)
    found = _verify.verify(journal, world=world, options=chosen)
    if not reexecute or not found.equal:
        return found
    again = _reexecute.reexecute(journal, world=world, options=chosen)
    return msgspec.structs.replace(found, reexecution=again)


def fork(
    journal: Source,
    *,
    at: int,
    to: Path | str | Journal | None = None,
    edit: Edit | None = None,
    world: World | None = None,
    decisions: Mapping[int, str] | None = None,
    workers: int = 0,
    options: Options | None = None,
) -> Run:
    """Copy the ticks before ``at`` to a new journal, apply ``edit``, go on live, and return how it came out.

    Args:
        decisions: By effect number, ``retry`` or ``fail`` for unsafe effects that have no recorded result.

    Raises:
        TickOutOfRange: TW4006.
        EffectUndecided: TW4003.
    """
    chosen = _options(options, workers, None)
    return _fork.fork(journal, at=at, to=to, edit=edit, world=world, decisions=decisions, options=chosen)


def diff(one: Source, other: Source) -> Difference:
    """Return the first record in which two journals differ."""
    return _diff.diff(one, other)


def _options(options: Options | None, workers: int, progress: Callable[[Progress], None] | None) -> Options:
    chosen = options or Options()
    if workers:
        chosen = msgspec.structs.replace(chosen, workers=workers)
    return msgspec.structs.replace(chosen, progress=progress) if progress is not None else chosen
