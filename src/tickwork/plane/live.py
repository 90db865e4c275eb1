"""A run of a plan at work in this process: its loop, what it waits for, and how it is opened again after a crash.

Invariants:
    * Nothing leaves before the frame that asks for it is durable: ``advance`` makes the frame, whoever holds several
      runs makes the frames of all of them durable, and ``release`` lets go what they asked for.
    * What nobody waits for any more is withdrawn, so that a run that has ended leaves no question behind.
    * A person does not wait for a call. What they say opens the tick that waits for results, and a call that they have
      ended is given up where that loses neither money nor anything that would have to be undone.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Final

import msgspec

from .. import codec
from ..driver.crew import Crew
from ..driver.loop import OPERATOR, REPEATABLE, Inbox, Loop, settle_unknown, status_name
from ..driver.opening import executing
from ..driver.options import Options
from ..driver.owed import read_owed
from ..driver.performers import Dispatch, Performer, Terms
from ..driver.resolve import World
from ..driver.verify import fold_prefix
from ..errors import InternalError
from ..journal.shared import SharedJournal
from ..journal.signing import sign
from ..kernel import Machine, RunStatus
from ..records import Effect, Header, Result
from .asking import LostEffects, answered, read_call
from .calls import Answer, Failure
from .compiled import EXECUTOR_ENTRY
from .errors import WaitClosed
from .executor.agent import PlanExecutor
from .executor.ending import Ending
from .executor.prepared import prepare
from .executor.state import Asked, PlanState, Purpose, ScopeStatus
from .orders import Given
from .results import ended_statuses, reason_of, step_statuses
from .store.runs import FAILED, WAITING, Progress, RunRow
from .waits import Waits
from .world import read_ending

_EXECUTOR: Final = PlanExecutor()
"""It holds nothing: one does for all runs."""

EXECUTOR_NUMBER: Final = 0


class Staff(msgspec.Struct, frozen=True):
    """Who performs the effects of one run, and how they are handed out.

    Attributes:
        terms: Of those that are not performed by the run's ordering in a thread.
    """

    performers: Mapping[str, Performer]
    terms: Mapping[str, Terms]


class Live:
    """One run at work. Make one with ``begin_live`` or ``resume_live``.

    Attributes:
        row: The run, as it was claimed.
        asked: Whether it has ever waited for a row, so that some may have to be closed at its end.
        taken_up: The tick that it was taken up at; 0 for a run that begins.
        told: Whether people have ever told it anything, as far as that is known.
    """

    def __init__(self, row: RunRow, loop: Loop, journal: SharedJournal, waits: Waits, stack: ExitStack) -> None:
        self.row = row
        self.loop = loop
        self.journal = journal
        self.asked = row.attempts > 0 or journal.length() > 0
        self.taken_up = loop.machine.state.tick
        self.told = self.asked
        self.given: list[Given] = []
        self._steps: Mapping[str, int] = {}
        self._waits = waits
        self._stack = stack
        self._lost: dict[int, Effect] = {}
        self._losses = LostEffects(waits, row.id)

    @property
    def dispatch(self) -> Dispatch:
        """What hands its effects out."""
        return self.loop.dispatch

    @property
    def ended(self) -> bool:
        """Whether no tick can follow."""
        return self.loop.machine.state.status >= RunStatus.COMPLETE

    @property
    def tick(self) -> int:
        """The tick that comes next."""
        return self.loop.machine.state.tick

    @property
    def can_go(self) -> bool:
        """Whether its next tick has something to do, without waiting for anything."""
        if self.ended or self.dispatch.held:
            return not self.ended and self.loop.opened
        return self.dispatch.look() or not self.loop.starved

    @property
    def parked(self) -> bool:
        """Whether nothing is out, and only rows can go on with it."""
        return bool(self.dispatch.parked) and not self.dispatch.waiting and self.loop.starved

    @property
    def due_us(self) -> int | None:
        """When it has to be looked at although nothing happens. Units: microseconds since 1970."""
        return min((until.due_us for _, until in self.dispatch.parked.values() if until.due_us), default=None)

    # Ticks.

    def advance(self) -> None:
        """Run a tick up to its frame."""
        self.loop.advance()

    def close_quickly(self) -> None:
        """Run the ticks that only close it up to their frames: none of them asks for anything."""
        while self.loop.closing and not self.given:
            self.loop.release()
            self.advance()

    def release(self) -> None:
        """Hand out what the last tick asked for, which is durable by now."""
        self.loop.release(durable=True)
        if self.dispatch.parked:
            self.asked = True
            self._withdraw()
        if self.told and self.dispatch.waiting:
            self._let_go()

    def release_again(self, effects: list[Effect]) -> None:
        """Hand out what a crash has lost the results of, but for what nobody waits for any more."""
        state: PlanState | None = self.loop.crew.native_state(EXECUTOR_NUMBER)
        free = {effect.number for effect in effects if state is not None and self._is_free(effect, state)}
        self.loop.release_again([effect for effect in effects if effect.number not in free])
        self.loop.inbox.offer([given_up(effect) for effect in effects if effect.number in free])

    def _let_go(self) -> None:
        """Wait no longer for calls that a person has ended."""
        state: PlanState | None = self.loop.crew.native_state(EXECUTOR_NUMBER)
        if state is None:
            return
        left = [effect for effect in self.dispatch.out() if is_left(state, read_call(effect).number)]
        free = [effect for effect in left if self._is_free(effect, state)]
        if free:
            self.dispatch.give_up({effect.number for effect in free})
            self.loop.inbox.offer([given_up(effect) for effect in free])
        if len(free) < len(left):
            self.dispatch.loosen({effect.number for effect in left})

    def _is_free(self, effect: Effect, state: PlanState) -> bool:
        """Return whether nothing is lost with the result of a call: nobody waits for it, pays for it or undoes it."""
        call = read_call(effect)
        if effect.effect_class not in REPEATABLE or not is_left(state, call.number, costly=False):
            return False
        config = self.loop.machine.header.agents[EXECUTOR_NUMBER].config
        compiled = prepare(config, state.planned).compiled
        pins = compiled.pins if compiled is not None else ()
        return any(f"{pin.name}@{pin.version}" == call.skill and pin.cost.known for pin in pins)

    def _withdraw(self) -> None:
        """Give up what the plan no longer waits for."""
        # An executor that has left waits for nothing, and is no more.
        state: PlanState | None = self.loop.crew.native_state(EXECUTOR_NUMBER)
        calls = {number for number, _ in state.calls} if state is not None else set[int]()
        parked = {number: effect for number, (effect, _) in self.dispatch.parked.items() if number not in self._lost}
        gone = {number for number, effect in parked.items() if read_call(effect).number not in calls}
        if not gone:
            return
        failure = Failure(WaitClosed.code, "nobody waits for it any more", source="run")
        effects = self.dispatch.withdraw(gone)
        self._waits.cancel(self.row.id, [effect.key.hex() for effect in effects])
        self.loop.inbox.offer([answered(one, Answer(read_call(one).number, failure=failure)) for one in effects])

    # Rows.

    def heed(self, orders: list[Given], now_us: int) -> None:
        """Look at everything that may have changed outside: orders, answered rows, times that have come."""
        if orders:
            self.given += orders
            self.told = True
            self.loop.inbox.change([order.as_input() for order in orders], urgent=True)
        self.dispatch.set_aside()  # What has only just been parked may have been answered already.
        parked = self.dispatch.parked
        if not parked:
            return
        self._heed_lost()
        keys = {effect.key.hex(): number for number, (effect, _) in parked.items() if number not in self._lost}
        due = {number for number, (_, until) in parked.items() if until.due_us and until.due_us <= now_us}
        changed = self._waits.changed(self.row.id, keys) if keys else set[str]()
        answered_ = {keys[key] for key in changed} - set(self._lost)
        self.dispatch.wake((due - set(self._lost)) | answered_, urgent=answered_)

    def lose(self, effects: list[Effect]) -> None:
        """Ask people about effects whose results a crash has lost."""
        for effect in effects:
            self._lost[effect.number] = effect
            self.dispatch.park(effect)
        self._heed_lost()

    def _heed_lost(self) -> None:
        for number, effect in list(self._lost.items()):
            decided = self._losses.look(effect)
            if decided is None:
                continue
            del self._lost[number]
            self.dispatch.withdraw([number])
            if isinstance(decided, Result):
                self.loop.inbox.offer([decided], OPERATOR)
                self.loop.inbox.urgent = True
            else:
                self._losses.retried(effect)
                self.dispatch.release([effect])

    # The end.

    def steps(self, most: int) -> Mapping[str, int]:
        """Return how the steps of its plan stand, by name; nothing where there are more than ``most``.

        The executor has left when the last steps have ended; what became of them follows from the ending, of all that
        were not known to have ended where it leaves no doubt.
        """
        loop = self.loop
        ending, state = self.ending, loop.crew.native_state(EXECUTOR_NUMBER)
        if state is not None:
            self._steps = step_statuses(loop.machine.header.agents[EXECUTOR_NUMBER].config, state, most)
        elif ending is not None:
            self._steps = ended_statuses(self._steps, ending)
        return self._steps

    @property
    def ending(self) -> Ending | None:
        """What it came to; None while it goes on."""
        return read_ending(self.loop.machine.state)

    def finish(self) -> Progress:
        """Close the journal with the next flush, and return how the run's row is to end."""
        key = self.loop.options.signing_key
        self.journal.end_run(
            status_name(self.loop.machine), sign(key, self.journal.head()) if key is not None else None
        )
        return self.progress()

    def progress(self, status: str = WAITING, reason: str = "", due_us: int | None = None) -> Progress:
        """Return how the run stands, for its row."""
        ending, machine = self.ending, self.loop.machine
        if not self.ended:
            state: PlanState | None = self.loop.crew.native_state(EXECUTOR_NUMBER)
            ending = Ending(status, usage=state.usage, calls=state.skill_calls) if state is not None else None
        elif ending is not None:
            status, reason = ending.status, reason_of(ending)
        else:
            status, reason = FAILED, "the executor failed; see the run's failed turns"
        # Of a run that has ended the ticks that only closed it count nowhere; one that goes on is told its frames.
        ticks = machine.ticks if self.ended else machine.state.tick
        if ending is None:
            return Progress(status, reason, due_us, ticks)
        return Progress(
            status,
            reason[:500],
            due_us,
            ticks,
            ending.degraded,
            ending.usage.cost_micros,
            ending.usage.tokens_in,
            ending.usage.tokens_out,
            ending.calls,
        )

    def close(self) -> None:
        """Let everything go; what is not flushed is dropped."""
        self.dispatch.close()
        self._stack.close()
        self.journal.close()


def is_left(state: PlanState, number: int, *, costly: bool = True) -> bool:
    """Return whether a person has ended what a call of a skill was made for, other than by undoing it.

    Args:
        costly: Whether that is asked also of a call that costs something or can be undone.
    """
    call = next((call for known, call in state.calls if known == number), None)
    if call is None or call.asked != Asked.SKILL:
        return False
    if not costly and (call.reserved or call.tokens or call.undoable):
        return False
    if not call.item:
        return True
    scope = dict(state.scopes)[call.scope]
    failure, item = scope.failure, dict(state.items)[call.item]
    ended = scope.status == ScopeStatus.STOPPING and scope.cancelled and item.purpose != Purpose.COMPENSATE
    return ended and failure is not None and (failure.code, failure.source) == (WaitClosed.code, "person")


def given_up(effect: Effect) -> Result:
    """Return the result of a call that nobody waits for any more."""
    failure = Failure(WaitClosed.code, "given up: nobody waits for it any more", source="person")
    return answered(effect, Answer(read_call(effect).number, failure=failure))


def begin_live(
    row: RunRow, journal: SharedJournal, header: Header, waits: Waits, dispatch: Dispatch, options: Options
) -> Live:
    """Return a run that has no tick yet, at work."""
    header_bytes, _ = journal.header()
    crew = Crew(header, {}, {EXECUTOR_ENTRY: _EXECUTOR}, None, options)
    machine = Machine(header, codec.digest(header_bytes))
    head = journal.head()
    stack = ExitStack()
    stack.callback(crew.close)
    loop = Loop(machine, crew, journal, Inbox(()), dispatch, options, (head.d, head.f))
    return Live(row, loop, journal, waits, stack)


def resume_live(
    row: RunRow, journal: SharedJournal, header: Header, waits: Waits, dispatch: Dispatch, options: Options
) -> Live:
    """Return a run that has ticks already, verified from its last snapshot on, its open effects handed out again.

    Raises:
        ReplayDivergence: TW4001. JournalDamaged: TW2004. JournalFormat: TW2005.
    """
    world = World(header, natives={EXECUTOR_ENTRY: PlanExecutor})
    length = journal.length()
    with ExitStack() as stack:
        _, environment, fold = stack.enter_context(executing(journal, world, options, until=length, live=True))
        if fold.crew is None:
            raise InternalError("a fold that executes has a crew")
        inbox = Inbox(())
        heads = fold_prefix(fold, journal, length, inbox, "verify", options)
        state = fold.machine.state
        open_ = state.effects if state.status < RunStatus.COMPLETE else []
        # Of a fork: what the original has an answer for enters, and with the first own tick the change.
        owed = read_owed(environment, journal)
        known = owed.answers(open_)
        answers = {item.number for _, item in known}
        again, _, lost = settle_unknown([effect for effect in open_ if effect.number not in answers], {})
        inbox.change(owed.pending(length))
        inbox.recall(known)
        loop = Loop(fold.machine, fold.crew, journal, inbox, dispatch, options, heads)
        loop.turns, loop.failed = fold.turns, fold.failed
        live = Live(row, loop, journal, waits, stack.pop_all())
    try:
        live.release_again(again)
        live.lose(lost)
        live.release()
    except BaseException:
        live.close()
        raise
    return live
