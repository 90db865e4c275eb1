"""Which run a command line means: a journal's file, or a run of the store by its id or the beginning of it."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter

from ..driver.opening import read_header, reading
from ..driver.resolve import World, make_world
from ..driver.verify import Run
from ..errors import JournalError
from ..journal.shared import SharedJournal, SharedJournals
from ..records import Header
from .places import STATE

PLAN_ENTRY: Final = "tickwork:plan-"
"""How the entries of executors of plans begin."""

Reference = Annotated[Path, Parameter(help="The journal of a run, or a run of .tickwork/state.db by its id.")]


@contextmanager
def open_source(reference: Path) -> Generator[Path | SharedJournal]:
    """Yield what the driver reads a run from: a file, or the journal of a run in the store.

    A file of that name comes first; an id may be shortened as long as it names one run.

    Raises:
        RunNotFound: TW7011, the store has no such run, or several.
    """
    if reference.exists() or not looks_like_run(reference) or not STATE.exists():
        yield reference
        return
    from ..plane.errors import RunNotFound  # What knows nothing of plans loads nothing of them.

    with SharedJournals.open(STATE, write=False) as journals:
        wanted = str(reference)
        found = journals.find(wanted) or journals.find(f"r_{wanted}")
        if len(found) > 1:
            why = f"it begins the ids of {', '.join(found)}"
            raise RunNotFound(
                f"{wanted!r} names more than one run", where=str(STATE), why=why, fix="give more of the id"
            )
        if not found:
            fix = "see the runs with `tickwork runs`, or name a journal's file"
            raise RunNotFound(f"there is neither a file nor a run {wanted!r}", where=str(STATE), fix=fix)
        with journals.open_run(found[0]) as journal:
            yield journal


def looks_like_run(reference: Path) -> bool:
    """Return whether a word of the command line can be an id: it names no folder and has no ending."""
    return len(reference.parts) == 1 and not reference.suffix and str(reference) not in (".", "..")


def _plan_header(source: Path | SharedJournal) -> Header | None:
    """Return the header of a run of a plan; None of any other, and where none can be read."""
    try:
        with reading(source) as journal:
            header, _ = read_header(journal)
    except JournalError:
        return None  # Whoever reads on says what is wrong, with all that can be said.
    return header if any(agent.entry.startswith(PLAN_ENTRY) for agent in header.agents) else None


def runs_plan(source: Path | SharedJournal) -> bool:
    """Return whether a run is one of a plan."""
    return _plan_header(source) is not None


def known_world(source: Path | SharedJournal) -> World | None:
    """Return what this product itself gives a run: the executor of its plan; None where the run has none."""
    header = _plan_header(source)
    if header is None:
        return None
    from ..plane.compiled import EXECUTOR_ENTRY  # No other run loads anything of plans.
    from ..plane.executor.agent import PlanExecutor

    return make_world(header, natives={EXECUTOR_ENTRY: PlanExecutor})


def placed(run: Run, source: Path | SharedJournal) -> Run:
    """Return a run with the file that holds it, which for one of the store is the store's."""
    return run if isinstance(source, Path) else msgspec.structs.replace(run, journal=STATE)
