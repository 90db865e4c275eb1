"""The engine: runs of plans at work in one process, beside each other, with one commit for the frames of all.

    round:  every run that can go advances one tick ─▶ one durable commit ─▶ every one of them releases its effects

Invariants:
    * A run is one process's at a time, by a claim with a fence, and its journal is written by whoever holds that.
    * A run's row and header are one transaction, and so are its last frame and how its row ends.
    * What happens to one run is no other's affair: a run that cannot be opened is set aside with the reason.
    * A run that waits for people or for a time beyond ``patience`` is let go: it is rows until somebody wakes it.
"""

from collections.abc import Callable, Collection, Generator, Iterable
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from functools import cached_property
from threading import Event
from typing import Final, ParamSpec, Protocol, TypeVar

import msgspec

from .. import codec
from ..driver.opening import new_environment
from ..driver.options import Options
from ..driver.performers import Dispatch
from ..errors import TickworkError
from ..journal.shared import SharedJournal
from ..records import Environment, Header
from .asking import Answering
from .budgets import Ledger
from .compiled import Assignment
from .dead_letters import DeadLetters
from .deadlines import Lanes
from .errors import RunBusy, StoreFailed
from .executor.ending import Ending
from .live import Live, Staff, begin_live, resume_live
from .orders import Orders
from .store.owners import Owner
from .store.runs import DEAD, QUEUED, RUNNING, WAITING, NewRun, Progress, RunRow, Runs
from .store.store import Store, told_as_store
from .store.tables import TENANT
from .waits import Waits
from .world import plan_header

LANES: Final = 16
"""Threads that perform skills, of all runs together."""

MOST_LIVE: Final = 256
"""Runs at work at once in one process."""

MOST_ATTEMPTS: Final = 5
"""Claims in a row that may end without a word before a run is set aside."""

POLL_NS: Final = 50_000_000
"""How often rows are looked at that other processes may have changed."""

LOOK_NS: Final = 200_000_000
"""How often somebody who goes on with all runs looks for more of them."""

RENEW_NS: Final = 10_000_000_000

PATIENCE_US: Final = 5_000_000


class Staffing(Protocol):
    """Whoever knows who performs the effects of runs."""

    def staff(self, row: RunRow, header: Header, assignment: Assignment) -> Staff:
        """Return who performs the effects of a run.

        Raises:
            TickworkError: Somebody is missing without whom the run cannot go on.
        """
        ...


class Outcome(msgspec.Struct, frozen=True):
    """How a run stood when the engine let it go. ``ending`` is None where it has not ended."""

    run_id: str
    progress: Progress
    ending: Ending | None = None
    head: bytes = b""


Told = Callable[[Live], None]
Over = Callable[[Outcome], None]
P = ParamSpec("P")
T = TypeVar("T")


class _Lent(Executor):
    """The engine's threads, as one run's dispatch sees them: it cannot end them."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return self._threads.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave them to the others."""


class Engine:
    """Works on runs. Make one, and ``close`` it at the end; it is used by one thread.

    Args:
        lanes: Threads that perform skills.
        patience_us: A run that waits for a time is kept at work when it comes within so long.
        told: Called with each run when it is taken up again, and after each of its ticks.
    """

    def __init__(
        self,
        store: Store,
        staffing: Staffing,
        options: Options | None = None,
        *,
        lanes: int = LANES,
        patience_us: int = PATIENCE_US,
        tenant: str = TENANT,
        told: Told | None = None,
    ) -> None:
        self.store = store
        self.runs = Runs(store, tenant)
        self._staffing = staffing
        self._options = msgspec.structs.replace(options or Options(), clock=store.clock)
        self._tenant = tenant
        self._patience_us = patience_us
        self._told = told
        self._waits = Waits(store, tenant)
        self._orders = Orders(store, tenant)
        self._ledger = Ledger(store, store.clock, tenant)
        self._owner = Owner(store.path, f"e_{store.clock.unique()}")
        self._threads = Lanes(lanes)
        self._lent = _Lent(self._threads)
        self._bell = Event()
        self._live: dict[str, Live] = {}
        self._begun: list[Live] = []
        self._polled_ns = self._renewed_ns = store.clock.elapsed_ns()
        self.outcomes: dict[str, Outcome] = {}

    @cached_property
    def _environment(self) -> Environment:
        """With what runs are made here; a process that only goes on with some does not ask."""
        return new_environment(self._options)

    # Runs come and go.

    def submit(self, new: NewRun, assignment: Assignment, *, seed: int = 0, work: bool = True) -> tuple[RunRow, bool]:
        """Return the run of a submission, and whether it was made now; its row and header are durable then.

        Args:
            work: Whether this engine goes on with it; otherwise it is queued for whoever does.

        Raises:
            KeyReused: TW7021. RunNotFound: TW7011.
        """
        header = plan_header(assignment, seed=seed)
        with self.store.writing_quickly(durable=True):
            row, made = self.runs.submit(new, owner=self._owner.name if work else "", durable=not work)
            if not made:
                return row, False
            environment = msgspec.structs.replace(
                self._environment,
                run_id=row.id,
                started_us=self.store.clock.now_us(),
                parent=new.parent_id if new.relation == "rerun" else "",
            )
            journal = self.store.journals.create(
                row.id, codec.encode(header), codec.encode(environment), fresh=not new.run_id
            )
            if work:
                try:
                    dispatch = self._dispatch(row, header, assignment)
                    live = begin_live(row, journal, header, self._waits, dispatch, self._options)
                    live.advance()  # Its first frame is in the transaction that its row is in.
                except BaseException:
                    journal.close()  # What is not written yet never will be.
                    raise
                self._live[row.id] = live
                self._begun.append(live)
        return row, True

    def take(self, run_id: str) -> None:
        """Go on with a run.

        Raises:
            RunNotFound: TW7011. RunBusy: TW7028, a living process works on it, or it has ended.
        """
        row = self.runs.claim(run_id, self._owner.name)
        try:
            journal = self.store.journals.open_run(row.id, write=True)
            if row.attempts and journal.length() > row.ticks:
                row = self._noted(row, journal.length())
            if row.attempts > MOST_ATTEMPTS:
                journal.close()
                self._bury(row, f"{row.attempts} processes in a row that took it died and did not get any further")
            else:
                self._live[row.id] = live = self._open(row, journal)
                if self._told is not None:  # How it stood before anything happens here.
                    self._told(live)
        except StoreFailed:
            raise
        except TickworkError as error:
            self._bury(row, f"{error.code}: {error.what}")

    def _noted(self, row: RunRow, length: int) -> RunRow:
        """Note that a process which died has got a run further, and claim it as one that nobody has died of."""
        known = (row.cost_micros, row.tokens_in, row.tokens_out, row.calls)
        with self.store.writing_quickly(durable=False):
            self.runs.let_go(row, Progress(RUNNING, "", None, length, bool(row.degraded), *known))
            return self.runs.claim(row.id, self._owner.name)

    def _open(self, row: RunRow, journal: SharedJournal) -> Live:
        try:
            header = codec.decode_header(journal.header()[0])
            assignment = read_assignment(header)
            dispatch = self._dispatch(row, header, assignment)
            open_ = resume_live if journal.length() or row.relation == "fork" else begin_live
            live = open_(row, journal, header, self._waits, dispatch, self._options)
        except BaseException:
            journal.close()
            raise
        live.heed(self._orders.new(row.id), self.store.clock.now_us())
        return live

    def _dispatch(self, row: RunRow, header: Header, assignment: Assignment) -> Dispatch:
        staff = self._staffing.staff(row, header, assignment)
        return Dispatch(
            {skill: Answering(performer) for skill, performer in staff.performers.items()},
            in_order=header.ordering == "issue",
            executor=self._lend,
            terms=staff.terms,
            told=self._bell.set,
        )

    def _lend(self) -> Executor:
        return self._lent

    def _drop(self, live: Live) -> None:
        self._live.pop(live.row.id, None)
        live.close()

    def _bury(self, row: RunRow, reason: str) -> None:
        """Set a run aside that cannot be gone on with, until a person looks at it."""
        progress = Progress(DEAD, reason[:500], ticks=row.ticks)
        with suppress(RunBusy), self.store.begin() as connection:
            DeadLetters(self.store, self._tenant).add(connection, row.id, reason, row.attempts)
            self.runs.let_go(row, progress)
            self.outcomes[row.id] = Outcome(row.id, progress)

    # Work.

    def work(self, runs: Iterable[str] = (), *, stop: Callable[[], bool] | None = None) -> None:
        """Go on with runs, and with those that were submitted here, until none of them can.

        Args:
            stop: Asked after each round; true lets every run go as it is.

        Raises:
            RunNotFound: TW7011. RunBusy: TW7028.
        """
        for run_id in runs:
            if run_id not in self._live:
                self.take(run_id)
        while self._live:
            if stop is not None and stop():
                self._stop()
                return
            if not self.round():
                self._rest()

    def work_all(self, *, stop: Callable[[], bool] | None = None, stay: bool = False, over: Over | None = None) -> int:
        """Go on with every run that can and that nobody works on; return how many there were.

        Args:
            stop: Asked after each round; true lets every run go as it is.
            stay: Whether further runs are waited for where there are none.
            over: Called with the outcome of each run that is let go, which then is not kept in ``outcomes``.
        """
        seen, looked_ns = set[str](), 0
        while stop is None or not stop():
            now = self.store.clock.elapsed_ns()
            if not self._live or now - looked_ns >= LOOK_NS:
                looked_ns = now
                self._take_ready(seen)
            if self._live:
                if not self.round():
                    self._rest()
            elif stay:
                self._bell.wait(LOOK_NS / 1e9)
            else:
                break
            self._hand_over(over)
        self._stop()
        self._hand_over(over)
        return len(seen)

    def _take_ready(self, seen: set[str]) -> None:
        """Take every run that can go on and that nobody works on."""
        fresh = [row for row in self.runs.ready(MOST_LIVE) if row.id not in self._live]
        for row in fresh[: max(0, MOST_LIVE - len(self._live))]:
            with suppress(RunBusy):  # Another process was quicker.
                self.take(row.id)
                seen.add(row.id)

    def _hand_over(self, over: Over | None) -> None:
        while over is not None and self.outcomes:
            over(self.outcomes.pop(next(iter(self.outcomes))))

    def round(self) -> bool:
        """Advance every run that can go by one tick; return whether there was any."""
        self._poll()
        if self._begun:
            self._release_begun()
        moved: list[Live] = []
        try:
            self._advance(moved)
            if moved:
                self._commit(moved)
        except StoreFailed:
            # What they asked for is neither kept nor let go: who goes on with them does so from what is kept.
            for live in moved:
                self._drop(live)
            raise
        for live in moved:
            if live.ended or live.journal.lost:
                self._drop(live)
            else:
                live.release()
            if self._told is not None:
                self._told(live)
        return bool(moved)

    def _advance(self, moved: list[Live]) -> None:
        """Advance every run that can go, and add it to those that have moved."""
        for live in list(self._live.values()):
            if live.ended:
                moved.append(live)  # A process died between its last frame and the end of its row.
            elif live.can_go:
                try:
                    live.advance()
                    if self._told is None:  # Who is told sees every tick.
                        live.close_quickly()
                except StoreFailed:
                    moved.append(live)
                    raise
                except TickworkError as error:
                    self._drop(live)
                    self._bury(live.row, f"{error.code}: {error.what}")
                else:
                    moved.append(live)
            elif live.parked:
                self._let_wait(live)

    def _release_begun(self) -> None:
        """Let go what the first ticks of runs asked for, which is durable since they were submitted."""
        begun, self._begun = self._begun, []
        for live in begun:
            if live.row.id in self._live:
                live.release()

    def _commit(self, moved: Collection[Live]) -> None:
        """Make the frames of a round durable, with all that belongs to them, where something depends on it."""
        over = [live for live in moved if live.ended]
        given = [live for live in moved if live.given]
        if not over and not given:
            if any(live.loop.must_flush for live in moved):
                with told_as_store(self.store.path):
                    self.store.journals.flush(durable=True)
            return
        with self.store.writing_quickly(durable=True):
            for live in given:
                with self._unless_lost(live):
                    self.runs.note(live.row, live.progress(RUNNING))
                    for order in live.given:
                        self._orders.taken(order, live.loop.machine.state.tick - 1)
                live.given.clear()
            for live in over:
                with self._unless_lost(live):
                    self.runs.let_go(live.row, live.progress())
                    progress = live.finish()
                    self.outcomes[live.row.id] = Outcome(live.row.id, progress, live.ending, live.loop.heads[0])
                    if live.asked:
                        self._waits.cancel(live.row.id)
                    if self._ledger.knows(live.row.id):
                        self._ledger.close(live.row.id)

    @contextmanager
    def _unless_lost(self, live: Live) -> Generator[None]:
        """Change the row of a run; one that is another process's by now keeps nothing of what was to be written."""
        try:
            yield
        except RunBusy:
            self._drop(live)
            live.journal.lose()

    def _let_wait(self, live: Live) -> None:
        """Let a run go that waits for rows, unless a time comes soon."""
        now, due = self.store.clock.now_us(), live.due_us
        if due is not None and due <= now + self._patience_us:
            return
        open_ = self._waits.list(run_id=live.row.id)
        kinds = sorted({wait.kind for wait in open_})
        reason = ", ".join(f"{kind} {wait.step or wait.name}" for kind in kinds for wait in open_ if wait.kind == kind)
        progress = live.progress(WAITING, reason[:500], due)
        row = live.row
        try:
            with self.store.writing_quickly(durable=True):
                woken = self.runs.let_go(row, progress)
        except RunBusy:  # It is another process's by now.
            self._drop(live)
            return
        self._drop(live)
        self.outcomes[row.id] = Outcome(row.id, progress)
        if woken:
            with suppress(RunBusy):
                self.take(row.id)

    def _poll(self) -> None:
        """Look at what others may have changed, now and then."""
        clock = self.store.clock
        elapsed = clock.elapsed_ns()
        if elapsed - self._polled_ns < POLL_NS:
            return
        self._polled_ns = elapsed
        if elapsed - self._renewed_ns > RENEW_NS:
            self._renewed_ns = elapsed
            kept = self.runs.renew(self._owner.name)
            for live in [one for one in self._live.values() if one.row.id not in kept]:
                self._drop(live)
        woken = self.runs.woken(self._owner.name)
        now = clock.now_us()
        for live in list(self._live.values()):
            due = live.due_us if live.dispatch.parked else None
            if live.row.id in woken or (due is not None and due <= now):
                live.heed(self._orders.new(live.row.id) if live.row.id in woken else [], now)

    def _rest(self) -> None:
        """Wait until a skill is done, a time has come, or it is time to look at rows."""
        if not self._live:
            return
        self._bell.clear()
        if any(live.can_go for live in self._live.values()):
            return
        clock = self.store.clock
        left_ns = max(0, POLL_NS - (clock.elapsed_ns() - self._polled_ns))
        self._bell.wait(left_ns / 1e9 + 0.0005)

    def _stop(self) -> None:
        """Let every run go as it is, to be gone on with by whoever comes next."""
        for live in list(self._live.values()):
            with self.store.writing_quickly(durable=True), suppress(RunBusy):
                self.runs.let_go(live.row, live.progress(QUEUED, "interrupted"))
            self.outcomes[live.row.id] = Outcome(live.row.id, live.progress(RUNNING, "interrupted"))
            self._drop(live)

    def close(self) -> None:
        """Let everything go; a second call does nothing."""
        for live in list(self._live.values()):
            self._drop(live)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._owner.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_assignment(header: Header) -> Assignment:
    """Return what a run of a plan is to do."""
    return msgspec.msgpack.decode(header.agents[0].config, type=Assignment)
