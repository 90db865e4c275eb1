"""The loop: the only place where a run meets the world.

    admit → plan → compute → commit → seal → append → (flush) → release

Invariants:
    * The journal is written by this loop alone, and an effect that may change something outside is released only after
      a durable flush that holds its intent. A pure one is not waited for: if a crash loses its intent, nobody needs it.
    * Inputs of one tick enter in this order: swaps, operator, effect results, feeds in the order of the header, clock,
      close.
    * The loop adds nothing to D that depends on time, threads or the number of workers.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from .. import codec
from ..journal.store import Journal
from ..kernel import Machine, RunStatus
from ..records import Effect, EffectClass, Frame, Input, InputKind, ModelNote, ModelPlan, Result, SwapPlan
from .crew import Crew
from .feeds import Feed
from .model_swaps import order_model_swaps
from .models import Desk
from .options import FLUSH_BYTES, FLUSH_NS, Options, Progress
from .performers import Dispatch
from .settle import order_due, settle
from .snapshots import Snapshots
from .telemetry import Watch
from .windows import in_window, with_tensors

OPERATOR: Final = "operator"
EFFECT: Final = "effect"
DRIVER: Final = "driver"
"""Sources of inputs besides feeds."""

REPEATABLE: Final = frozenset({EffectClass.PURE, EffectClass.IDEMPOTENT})
"""Classes of effects that go out again by themselves when a crash has lost their results."""

_NO_SNAPSHOT: Final[tuple[bytes, list[bytes]]] = (b"", [])

_OPEN, _FAILED, _COMPLETE = int(RunStatus.OPEN), int(RunStatus.FAILED), int(RunStatus.COMPLETE)
# Naming a member of an enumeration costs more than comparing two numbers, and this is done several times a tick.

_HARMLESS: Final = frozenset({int(EffectClass.PURE)})

Decision = str
"""What an operator says of an effect whose result is unknown: ``retry``, or ``fail``."""


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """Body of a LINEAGE input: what a fork has changed.

    Attributes:
        digest: Of all it changed, from which its effects' keys follow. Shape: 32 bytes.
        dropped: What is left out from then on; a resumed fork and a fork of the fork leave it out too.
    """

    digest: bytes
    dropped: tuple[str, ...] = ()


def read_mark(body: bytes) -> tuple[str, ...]:
    """Return what a LINEAGE input says is left out from then on; nothing where the body is no mark."""
    try:
        return msgspec.msgpack.decode(body, type=Mark).dropped
    except msgspec.DecodeError:
        return ()


class Inbox:
    """Collects what waits to enter, and hands it out tick by tick.

    Attributes:
        urgent: Whether what waits enters the next tick although it is to wait for results of effects.

    Args:
        feeds: Where rows come from. Order: the header's.
    """

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self.feeds = list(feeds)
        self._edits: list[Input] = []
        self._recorded: list[tuple[int, Input]] = []
        self._dropped: frozenset[str] = frozenset()
        self._results: list[Input] = []
        self._batches: list[int] = []
        self._pressing = 0
        self.urgent = False
        self._swaps: list[SwapPlan] = []
        self._model_swaps: list[ModelPlan] = []

    def change(self, edits: Sequence[Input], *, urgent: bool = False) -> None:
        """Queue an operator's inputs, and leave rows of feeds out that a mark among them names.

        Args:
            urgent: Whether they enter the next tick although it is to wait for results of effects.
        """
        self._edits += edits
        self.urgent |= urgent
        self._heed(edits)

    def _heed(self, inputs: Iterable[Input]) -> None:
        """Leave out from now on what marks of forks among inputs name."""
        for item in inputs:
            if item.kind == InputKind.LINEAGE and item.source == OPERATOR:
                self._dropped |= frozenset(read_mark(item.body))

    def schedule(self, plans: Sequence[SwapPlan]) -> None:
        """Queue swaps, each for the tick it names."""
        self._swaps += plans

    @property
    def swapping(self) -> bool:
        """Whether a swap, of an agent or of a model, waits for its tick."""
        return bool(self._swaps or self._model_swaps)

    def due_swaps(self, tick: int) -> list[SwapPlan]:
        """Return the swaps of a tick, and forget those that it is too late for. Order: as queued."""
        if not self._swaps:
            return []
        due = [plan for plan in self._swaps if plan.at == tick]
        self._swaps = [plan for plan in self._swaps if plan.at > tick]
        return due

    def schedule_models(self, plans: Sequence[ModelPlan]) -> None:
        """Queue swaps of models, each for the tick it names."""
        self._model_swaps += plans

    def due_model_swaps(self, tick: int) -> list[ModelPlan]:
        """Return the swaps of models of a tick, and forget those that it is too late for. Order: as queued."""
        if not self._model_swaps:
            return []
        due = [plan for plan in self._model_swaps if plan.at == tick]
        self._model_swaps = [plan for plan in self._model_swaps if plan.at > tick]
        return due

    def recall(self, recorded: Sequence[tuple[int, Input]]) -> None:
        """Queue inputs whose tick is known: planned ones, recorded results of effects. Order: tick, then as queued."""
        self._recorded = sorted([*self._recorded, *recorded], key=lambda planned: planned[0])

    def offer(self, results: Sequence[Result], source: str = EFFECT, *, pressing: Container[int] = ()) -> None:
        """Queue results of effects. Order: as given.

        Args:
            pressing: Numbers of those that find room in the next tick in any case, with all that are queued before.
        """
        for place, result in enumerate(results, len(self._results) + 1):
            if result.number in pressing:
                self._pressing = place
            self._batches.append(result.batch)
            self._results.append(
                Input(
                    InputKind.RESULT,
                    source,
                    number=result.number,
                    code=result.code,
                    encoding=result.encoding,
                    body=result.body,
                    size=len(result.body),
                )
            )

    def take(self, tick: int, bound: int, *, closing: bool, first: Sequence[Input] = ()) -> list[Input]:
        """Return the inputs of a tick, at most ``bound``; feeds stop when the run is closing.

        An operator's inputs are not bounded: a change enters with one tick or with none, however it is interrupted.

        Args:
            first: What goes before all that is queued here, in any case.
        """
        taken = [*first, *self._edits]
        self._edits = []
        self.urgent = False
        self._take_recorded(tick, bound, taken)
        room = max(self._pressing, bound - len(taken))
        self._pressing = 0
        if self._results and room > 0:
            count = whole_batches(self._batches, room)
            taken += self._results[:count]
            del self._results[:count], self._batches[:count]
        if self.feeds and not closing:
            self._take_rows(tick, bound, taken)
        return taken

    def _take_recorded(self, tick: int, bound: int, taken: list[Input]) -> None:
        """Add what is due and finds room. A result enters in any case: where it is recorded it did."""
        if not self._recorded:
            return
        waiting = list[tuple[int, Input]]()
        due = 0
        for planned in self._recorded:
            if planned[0] > tick:
                break
            due += 1
            if len(taken) < bound or planned[1].kind == InputKind.RESULT:
                taken.append(planned[1])
            else:
                waiting.append(planned)
        self._recorded[:due] = waiting

    def _take_rows(self, tick: int, bound: int, taken: list[Input]) -> None:
        for feed in self.feeds:
            rows = feed.due(tick, max(0, bound - len(taken)))
            feed.taken += len(rows)
            taken += [row for row in rows if not self._is_dropped(row)] if self._dropped else rows

    def _is_dropped(self, row: Input) -> bool:
        place = "agent" if row.kind == InputKind.MESSAGE else "topic"
        return f"source:{row.source}" in self._dropped or f"{place}:{row.target}" in self._dropped

    def follow(self, tick: int, bound: int, recorded: Sequence[Input], *, closing: bool) -> None:
        """Come to where the feeds stood after a recorded tick.

        Law: after following the ticks of a run, ``take`` gives what it would have given that run next.
        """
        self._heed(recorded)
        self.due_swaps(tick)
        self.due_model_swaps(tick)
        sources = {feed.source for feed in self.feeds} | {DRIVER}
        first = [item for item in recorded if item.source not in sources]
        self._follow_planned(tick, bound, first)
        if not closing:
            self._take_rows(tick, bound, first)

    def _follow_planned(self, tick: int, bound: int, entered: Sequence[Input]) -> None:
        """Forget planned inputs that have entered, and those that no longer fit the run; who found no room waits."""
        place = 0
        for item in entered if self._recorded else ():
            due = place < len(self._recorded) and self._recorded[place][0] <= tick
            place += due and _same(item, self._recorded[place][1])
        del self._recorded[:place]
        if len(entered) < bound:
            self._recorded = [planned for planned in self._recorded if planned[0] > tick]

    def answers(self, tick: int) -> bool:
        """Return whether a result of an effect enters at a tick whatever is still to come."""
        return bool(self._results) or any(due <= tick and item.kind == InputKind.RESULT for due, item in self._recorded)

    @property
    def empty(self) -> bool:
        """Whether nothing waits, now or at a later tick."""
        waiting = self._edits or self._recorded or self._results or self._swaps or self._model_swaps
        return not waiting and (not self.feeds or all(feed.exhausted for feed in self.feeds))


def whole_batches(batches: Sequence[int], room: int) -> int:
    """Return how many results enter: as many as there is room for, and what is left of a batch that has begun.

    Were a batch cut in two and what is left of it asked again after a crash, it would be another batch, in which a
    model may answer otherwise.

    Args:
        batches: Of each result that waits, in order; 0 for one of no batch.
        room: At least 1.
    """
    last = {batch: place for place, batch in enumerate(batches) if batch}
    if not last:
        return min(room, len(batches))
    reached = 0
    for place, batch in enumerate(batches):
        reached = max(reached, last.get(batch, place))
        if reached == place and place + 1 >= room:
            return place + 1
    return len(batches)


def _same(one: Input, other: Input) -> bool:
    """Return whether two inputs are the same whatever stands in their ``size``, which the journal fills in."""
    return msgspec.structs.replace(one, size=0) == msgspec.structs.replace(other, size=0)


def _no_edge(_: str) -> None:
    """Stand where nobody watches the phases."""


class Loop:
    """Runs a machine live until it ends or is told to stop.

    Attributes:
        desk: Where models are asked; None where nobody asks any.
        waiting: Whether it stopped because nothing can happen before a parked effect is answered.

    Args:
        heads: The chains (D, F) so far.
    """

    def __init__(
        self,
        machine: Machine,
        crew: Crew,
        journal: Journal,
        inbox: Inbox,
        dispatch: Dispatch,
        options: Options,
        heads: tuple[bytes, bytes],
    ) -> None:
        self.machine = machine
        self.crew = crew
        self.journal = journal
        self.inbox = inbox
        self.dispatch = dispatch
        self.options = options
        self.heads = heads
        self.turns = 0
        self.failed = 0
        self.desk: Desk | None = None
        self._watch = Watch(options.telemetry, options.clock) if options.telemetry is not None else None
        self._snapshots = Snapshots()
        self.waiting = False
        self._due: list[Effect] = []
        self._entered = 0
        self._notes: dict[int, tuple[ModelNote, ...]] = {}
        self._edge = options.edge or _no_edge
        self._unflushed = 0
        self._unflushed_bytes = 0
        self._flushed_ns = options.clock.elapsed_ns()

    def run(self) -> bool:
        """Run to the end. Returns whether the run ended; False means it was stopped and can be resumed."""
        state, options = self.machine.state, self.options
        while state.status < RunStatus.COMPLETE:
            if options.stop is not None and options.stop():
                self.flush(durable=True)
                return False
            if self.starved and not self.dispatch.await_result():
                self.waiting = True
                self.flush(durable=True)
                return False
            self.tick()
            if options.progress is not None and state.tick % options.progress_ticks == 0:
                self.report()
        self.flush(durable=True)
        self.report()
        return True

    @property
    def starved(self) -> bool:
        """Whether nothing happens before an effect that is out or parked has a result."""
        if not (self.dispatch.waiting or self.dispatch.parked):
            return False
        state, inbox = self.machine.state, self.inbox
        if state.status == RunStatus.SETTLING:
            # In a fork a result that is known enters instead of the one that would have been waited for.
            return not inbox.answers(state.tick)
        return self.machine.quiet and inbox.empty

    @property
    def opened(self) -> bool:
        """Whether its next tick has been asked for by somebody who waits for no results of effects."""
        return self.inbox.urgent or self.dispatch.urgent

    @property
    def closing(self) -> bool:
        """Whether its next tick is one of those that only close it: nothing is out, and nobody waits for anything."""
        state, dispatch = self.machine.state, self.dispatch
        if self._due or dispatch.waiting or dispatch.parked or state.status >= _COMPLETE:
            return False
        return state.status != _OPEN or (self.machine.idle and self.inbox.empty)

    @property
    def status(self) -> str:
        """The run's status as every surface says it."""
        return "waiting" if self.waiting else status_name(self.machine)

    def report(self) -> None:
        """Tell whoever asked how far the run is."""
        if self.options.progress is not None:
            state = self.machine.state
            self.options.progress(Progress("run", state.tick, self.machine.header.ticks, self.turns, self.failed))

    def tick(self) -> None:
        """Run one tick."""
        self.advance()
        self.release()

    def advance(self) -> None:
        """Run one tick up to its frame. ``release`` has to follow before the next one.

        Between the two whoever runs several loops makes the frames of all of them durable at once.
        """
        machine, state, edge, watch = self.machine, self.machine.state, self._edge, self._watch
        if watch is not None:
            watch.begin()
        edge("admit")
        inputs, parts, content = self._admit()
        notes = self._take_notes(inputs) if self._notes else ()
        machine.admit(inputs)
        self.crew.adopt(machine.done)
        edge("plan")
        slots = machine.plan()
        if machine.header.visibility == "linear":
            for slot in slots:
                self._compute([slot])
        else:
            self._compute(slots)
        edge("commit")
        done = machine.done
        self.crew.follow(done)
        tick = state.tick
        sealed = machine.seal()
        edge("seal")
        snapshot = self._take_snapshot(len(sealed.fuel), len(sealed.details))
        hints = codec.encode(codec.Hints(sealed.fuel, sealed.details, snapshot[0], notes))
        frame = codec.link(self.heads, tick, parts, sealed.turns, sealed.derived, hints)
        self.heads = (frame.d, frame.f)
        self.turns += len(sealed.fuel)
        self.failed += len(sealed.details)
        self.journal.append(frame, [*content, *sealed.content, *snapshot[1]])
        self._count(frame)
        edge("append")
        # Nobody would see what comes of a failed run's effects.
        self._due = done.effects if state.status != _FAILED else []
        self._entered = len(inputs)

    @property
    def must_flush(self) -> bool:
        """Whether the last tick asked for what may leave only once that is durable."""
        return bool(self._due) and _may_change_something(self._due)

    def release(self, *, durable: bool = False) -> None:
        """Hand out what the last tick asked for, once that is durable as far as it has to be.

        Args:
            durable: Whether it is already.
        """
        due, self._due = self._due, []
        if durable:
            self._written()
        if due:
            if not durable:
                self._flush_for(due)
            self._edge("release")
            self._release(due)
        if (watch := self._watch) is not None:
            tick = self.machine.state.tick - 1
            watch.inferences(tick, self.desk.take_inferences() if self.desk is not None else ())
            watch.end(tick, self._entered, len(self.machine.done.effects))

    def _take_snapshot(self, turns: int, failed: int) -> tuple[bytes, list[bytes]]:
        """Return the snapshot due after this tick: its digest, empty for none, and the bodies to keep.

        Args:
            turns, failed: Of this tick.
        """
        state, every = self.machine.state, self.options.snapshot_ticks
        if not every or state.tick % every or state.status != RunStatus.OPEN:
            return _NO_SNAPSHOT
        watch = self._watch
        began = self.options.clock.elapsed_ns() if watch is not None else 0
        taken = self._snapshots.take(self.machine, self.crew, self.turns + turns, self.failed + failed)
        if watch is not None and taken is not None:
            watch.snapshot(state.tick - 1, taken[1], began)
        return taken or _NO_SNAPSHOT

    def _compute(self, slots: Sequence[int]) -> None:
        turns = self.machine.turns(slots)
        self._edge("compute")
        outcomes = self.crew.compute(turns)
        if self._watch is not None:
            self._watch.steps(turns, outcomes, [agent.name for agent in self.machine.state.agents])
        self.machine.commit(turns, outcomes)
        if self.crew.windows.used:
            self.crew.flip(self.machine.take_flips())

    def _admit(self) -> tuple[list[Input], bytes, list[bytes]]:
        """Return the tick's inputs, as they are and as they are journaled."""
        machine, state = self.machine, self.machine.state
        if self.dispatch.waiting:
            if self.opened and self.dispatch.held:
                results = self.dispatch.take_urgent()
            else:
                # With nothing else to do the run waits for a result, and writes no empty ticks meanwhile.
                results = self.dispatch.take(wait=not self.dispatch.look() and self.starved)
            self._notes |= {result.number: result.notes for result in results if result.notes}
            # Were such a result to wait and be lost in a crash, what the window held could not be asked for again.
            asked = state.effects if results and state.windows else ()
            pressing = frozenset(effect.number for effect in asked if in_window(effect)) if asked else ()
            self.inbox.offer(results, pressing=pressing)
        closing = state.status != _OPEN
        swaps = self._order_swaps() if self.inbox.swapping and not closing else ()
        inputs = self.inbox.take(state.tick, machine.header.max_inputs, closing=closing, first=swaps)
        modules = list[bytes]()
        if inputs:
            inputs, modules = settle(machine, self.crew, inputs)
            if modules and self.crew.versions is not None:
                self.crew.versions.note()
        if machine.clocked:
            inputs.append(Input(InputKind.CLOCK, DRIVER, number=self.options.clock.now_us()))
        if not closing and self._must_close():
            inputs.append(Input(InputKind.CLOSE, DRIVER))
        if not inputs:
            return inputs, codec.encode_inputs(()), []
        kept = [codec.detach_input(item) for item in inputs]
        bodies = [body for _, body in kept if body is not None]
        return inputs, codec.encode_inputs([item for item, _ in kept]), [*bodies, *modules]

    def _order_swaps(self) -> list[Input]:
        """Return the inputs of the swaps whose tick has come, those of agents first."""
        tick = self.machine.state.tick
        of_agents = order_due(self.machine, self.crew, self.inbox.due_swaps(tick))
        return [*of_agents, *order_model_swaps(self.machine, self.desk, self.inbox.due_model_swaps(tick))]

    def _take_notes(self, inputs: Sequence[Input]) -> tuple[ModelNote, ...]:
        """Return the notes on the results that enter; one that finds no room keeps its own. Order: inputs."""
        entered = [item.number for item in inputs if item.kind == InputKind.RESULT and item.source == EFFECT]
        return tuple(note for number in entered for note in self._notes.pop(number, ()))

    def _must_close(self) -> bool:
        """Return whether the horizon is reached, or nothing can happen any more."""
        machine = self.machine
        if machine.header.ticks and machine.state.tick >= machine.header.ticks:
            return True
        return not (self.dispatch.waiting or machine.state.effects) and self.inbox.empty and machine.quiet

    # -- durability --

    def release_again(self, effects: Sequence[Effect]) -> None:
        """Hand out effects whose intents are in the journal's past, once that is durable."""
        if effects:
            self._flush_for(effects)
            self._release(effects)

    def _release(self, effects: Sequence[Effect]) -> None:
        """Hand effects out, requests for what lies in windows with the bytes that these hold now."""
        ready, lost = with_tensors(effects, self.machine.state, self.crew.windows)
        if lost:
            self.inbox.offer(lost)
        self.dispatch.release(ready)

    def _flush_for(self, effects: Sequence[Effect]) -> None:
        """Make the intents of effects durable, as far as it matters that they are."""
        if _may_change_something(effects):
            self.flush(durable=True)

    def _count(self, frame: Frame) -> None:
        self._unflushed += 1
        self._unflushed_bytes += len(frame.turns) + len(frame.inputs) + len(frame.derived)
        if (
            self._unflushed >= self.options.flush_ticks
            or self._unflushed_bytes >= FLUSH_BYTES
            or self.options.clock.elapsed_ns() - self._flushed_ns > FLUSH_NS
        ):
            self.flush(durable=False)

    def flush(self, *, durable: bool) -> None:
        """Write what waits; ``durable`` returns only when it survives a loss of power."""
        self.journal.flush(durable)
        self._written()

    def _written(self) -> None:
        """Take notice that all frames were written."""
        self._unflushed = self._unflushed_bytes = 0
        self._flushed_ns = self.options.clock.elapsed_ns()


def _may_change_something(effects: Iterable[Effect]) -> bool:
    """Return whether an effect among these may change something outside, and has to be durable before it leaves."""
    return not {effect.effect_class for effect in effects} <= _HARMLESS


def settle_unknown(
    effects: Sequence[Effect], decisions: Mapping[int, Decision]
) -> tuple[list[Effect], list[Result], list[Effect]]:
    """Sort effects whose results were lost in a crash.

    Returns:
        Those to release again under the same key, results an operator decided, and those that wait for a decision.
        Pure and idempotent effects go out again; a compensable or unsafe one waits.
    """
    again: list[Effect] = []
    decided: list[Result] = []
    undecided: list[Effect] = []
    for effect in effects:
        decision = decisions.get(effect.number)
        if decision == "fail":
            decided.append(Result(effect.number, -1, 0, b"an operator declared it failed"))
        elif decision == "retry" or effect.effect_class in REPEATABLE:
            again.append(effect)
        else:
            undecided.append(effect)
    return again, decided, undecided


def status_name(machine: Machine) -> str:
    """Return the run's status as every surface says it."""
    status = machine.state.status
    if status == RunStatus.COMPLETE:
        return "complete"
    return "failed" if status == RunStatus.FAILED else "interrupted"
