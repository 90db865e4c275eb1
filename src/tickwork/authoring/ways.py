"""Ways to run one world that must make no difference: all give the same records, and so the same head.

The ways: as it is; on an engine that optimises nothing; in worker processes; and stopped after every tick, each state
put into a new instance in a new pool each time.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import Final, ParamSpec, TypeVar

import msgspec

from .. import codec
from ..driver.crew import open_versions, pin_capacities
from ..driver.judging import Judge
from ..driver.opening import new_environment
from ..driver.options import Options
from ..driver.resolve import World
from ..driver.run import resume_journal, run
from ..journal.memory import MemoryJournal

P = ParamSpec("P")
T = TypeVar("T")

AS_IT_IS: Final = "as it is"
RESTORED: Final = "restored at every tick"
WORKERS: Final = 2


class AtOnce(Executor):
    """Runs what it is given when it is given it, so that an answer comes at the same tick every time."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Return the result, already there."""
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def empty_journal(world: World, options: Options) -> MemoryJournal:
    """Return a journal in memory for a run of a world.

    Raises:
        ModuleError, PackageError: A module is refused.
    """
    admitted, _ = open_versions(
        world.header, world.modules.__getitem__, options, Judge(world.header, options, update=False)
    )
    header = pin_capacities(world.header, admitted)
    return MemoryJournal(codec.encode(header), codec.encode(new_environment(options)), world.contents)


def quiet(options: Options) -> Options:
    """Return options for a run that leaves nothing behind: no key, no note of what it trusts, no bar."""
    return msgspec.structs.replace(options, executor=AtOnce, trust=None, signing_key=None, progress=None)


def record(world: World, options: Options, *, restored: bool = False) -> MemoryJournal:
    """Return the journal of one run.

    Args:
        restored: Stop after every tick and go on from what the journal holds.
    """
    journal = empty_journal(world, options)
    if not restored:
        run(world, journal=journal, options=options)
        return journal
    done = run(world, journal=journal, options=msgspec.structs.replace(options, stop=_Once()))
    while done.status == "interrupted":
        again = msgspec.structs.replace(options, stop=_Once())
        done = resume_journal(journal, None, world=world, decisions={}, options=again)
    return journal


class _Once:
    """Asks a run to stop after one tick."""

    def __init__(self) -> None:
        self._asked = 0

    def __call__(self) -> bool:
        self._asked += 1
        return self._asked > 1


def other_ways(options: Options) -> Iterator[tuple[str, Options]]:
    """Yield each other way by its name, with the options to record it with; ``RESTORED`` is to be recorded so."""
    yield "not optimised", msgspec.structs.replace(options, opt_level="none")
    yield f"in {WORKERS} workers", msgspec.structs.replace(options, workers=WORKERS)
    yield RESTORED, msgspec.structs.replace(options, snapshot_ticks=1)
