"""Canary: the last ticks of a run again, with another version of one agent, held against what is recorded.

The run's recorded inputs enter again, every turn is executed, and nothing leaves: what an effect came to is taken from
the record. A result is the agent's for the same call, so that it still finds its asker when numbers have moved.

Invariants:
    * No performer exists here and no journal is written.
    * Up to the tick of the swap the run is verified: a difference there is the journal's and no version's.
"""

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from .. import codec
from ..codec import TurnRecord
from ..errors import TickOutOfRange
from ..journal.store import JournalReader
from ..kernel import Machine, RunStatus, Sealed
from ..kernel.swap import read_order
from ..records import Derived, DerivedKind, Effect, Frame, Input, InputKind
from .compare import Divergence, compare_frames
from .crew import Crew
from .fold import Fold, read_inputs, read_turns
from .opening import executing, reading
from .options import Options, Progress
from .plans import Swap, place_of
from .resolve import World
from .settle import further_plans, order_due, settle
from .swap import unknown_agent
from .verify import fold_prefix

CANARY_TICKS: Final = 64
"""Ticks that are run again unless another number is given."""

_OF_THE_SWAP: Final = frozenset((DerivedKind.SWAPPED, DerivedKind.SWAP_FAILED, DerivedKind.STATE_ROOT))
"""Records that tell of the swap itself; a state that holds another module has another root."""


class Tally(msgspec.Struct):
    """What one version did in the ticks that were run again.

    Attributes:
        sent: Frames its turns left.
        fuel: Instructions its turns used.
    """

    turns: int = 0
    failed: int = 0
    sent: int = 0
    fuel: int = 0


class Canary(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        first: Tick of the swap.
        ticks: How many ticks the record has from there on; 1 where the swap failed.
        swapped: What the kernel noted of the swap.
        failed: Whether the swap failed; the rest then says nothing of the new version.
        equal: Whether all records but those of the swap itself came out again.
        agent_divergence: The first of the agent's own turns that differs.
        divergence: The first record of the whole run that differs.
        differing: Ticks in which any record differs, or that one of the two runs does not have.
        old, new: What the two versions did.
        unanswered: Effects that the new version asked for and the record has no answer to.
    """

    agent: str
    first: int
    ticks: int
    swapped: str
    failed: bool
    equal: bool
    agent_divergence: Divergence | None
    divergence: Divergence | None
    differing: int
    old: Tally
    new: Tally
    unanswered: int


class Answers:
    """Gives recorded results to the effects that were asked for again.

    The n-th call of a skill by an agent is the same effect, whatever its number.
    """

    def __init__(self, open_effects: Sequence[Effect]) -> None:
        self._recorded: dict[int, tuple[int, str, int]] = {}
        self._counts: tuple[dict[tuple[int, str], int], dict[tuple[int, str], int]] = ({}, {})
        self._now: dict[tuple[int, str, int], int] = {}
        for effect in open_effects:
            self._recorded[effect.number] = self._count(0, effect.agent, effect.skill)
            self._now[self._count(1, effect.agent, effect.skill)] = effect.number

    def _count(self, side: int, agent: int, skill: str) -> tuple[int, str, int]:
        place = self._counts[side].get((agent, skill), 0)
        self._counts[side][agent, skill] = place + 1
        return agent, skill, place

    def follow(self, recorded: Sequence[Derived], asked: Sequence[Effect]) -> None:
        """Take note of what was asked in a tick, then and now."""
        for item in recorded:
            if item.kind == DerivedKind.EFFECT:
                self._recorded[item.number] = self._count(0, item.agent, item.note)
        for effect in asked:
            self._now[self._count(1, effect.agent, effect.skill)] = effect.number

    def counterpart(self, number: int) -> int | None:
        """Return today's number of a recorded effect, None where nobody has asked for it today."""
        call = self._recorded.get(number)
        return self._now.get(call) if call is not None else None

    def recorded_calls(self) -> frozenset[int]:
        """Return today's numbers of the effects that the record has asked for as well."""
        return frozenset(self._now[call] for call in self._recorded.values() if call in self._now)

    def translate(self, item: Input) -> Input | None:
        """Return a recorded result under today's number, None where nobody asked for it today."""
        number = self.counterpart(item.number)
        return None if number is None else msgspec.structs.replace(item, number=number)


def canary(
    source: Path | str | JournalReader,
    swap: Swap,
    *,
    ticks: int = CANARY_TICKS,
    world: World | None = None,
    options: Options | None = None,
) -> Canary:
    """Run the last ticks of a run again with another version of an agent; return what differs from the record.

    Args:
        swap: The version. Its tick, if it names one, is where it begins, instead of ``ticks`` before the run closed.

    Raises:
        TickOutOfRange: TW4006, the run has no such tick.
        SwapRefused: TW4101. ModuleError, PackageError: the version is not believed, or refused.
        ReplayDivergence: TW4001, the run itself does not come out again.
    """
    options = options or Options()
    with reading(source) as journal:
        length = journal.length()
        first = first_tick(journal, length, swap.at, ticks)
        with executing(journal, world, options, until=first, live=True) as (_, _, fold):
            fold_prefix(fold, journal, first, None, "canary", options)
            return _Trial(journal, fold, swap, options).run(length)


def first_tick(journal: JournalReader, length: int, at: int | None, ticks: int) -> int:
    """Return the tick at which a canary begins: the one that is named, or so many before the run was asked to close.

    Raises:
        TickOutOfRange: TW4006, the run has no such tick.
    """
    first = at if at is not None else max(0, closing_tick(journal, length) - ticks)
    if not 0 <= first < length or ticks < 1:
        raise TickOutOfRange(
            f"there is no tick {first} to begin at" if ticks > 0 else "a canary runs at least one tick",
            why=f"the run has ticks 0 to {length - 1}" if length else "the run has no tick yet",
            fix="name one of them",
        )
    return first


def closing_tick(journal: JournalReader, length: int) -> int:
    """Return the tick at which a run was asked to close, since no agent is swapped from then on; else its length."""
    for frame in journal.frames():
        if any(item.kind == InputKind.CLOSE for item in codec.decode_inputs(frame.inputs)):
            return frame.tick
    return length


def run_tick(machine: Machine, crew: Crew, inputs: Sequence[Input]) -> tuple[list[Effect], Sealed]:
    """Run a tick with these inputs; return what it asks for, which goes nowhere, and its records."""
    inputs, _ = settle(machine, crew, inputs)
    machine.admit(inputs)
    crew.adopt(machine.done)
    slots = machine.plan()
    for group in [[slot] for slot in slots] if machine.header.visibility == "linear" else [slots]:
        turns = machine.turns(group)
        machine.commit(turns, crew.compute(turns))
        crew.flip(machine.take_flips())
    crew.follow(machine.done)
    sealed = machine.seal()
    return machine.done.effects, sealed


class _Trial:
    """Runs the ticks after a swap and compares them."""

    def __init__(self, journal: JournalReader, fold: Fold, swap: Swap, options: Options) -> None:
        assert fold.crew is not None, "a canary executes"
        self._journal = journal
        self._machine: Machine = fold.machine
        self._crew: Crew = fold.crew
        self._options = options
        self._first = fold.machine.state.tick
        at = msgspec.structs.replace(swap, at=self._first)
        self._plans = further_plans([at], self._machine, self._crew)
        numbers = self._machine.cast.numbers
        if swap.agent not in numbers:
            raise unknown_agent(swap.agent, numbers, place_of(swap.agent, self._first))
        self._agent = numbers[swap.agent]
        self._name = swap.agent
        self._answers = Answers(self._machine.state.effects)
        self._old, self._new = Tally(), Tally()
        self._swapped = ""
        self._failed = False
        self._agent_found: Divergence | None = None
        self._found: Divergence | None = None
        self._differing = 0
        self._unanswered: set[int] = set()

    def run(self, length: int) -> Canary:
        """Run to the end of the record, or to where this run ends."""
        ticks = 0
        for frame in self._journal.frames(self._first, length - 1):
            ticks += 1
            if self._machine.state.status >= RunStatus.COMPLETE:
                self._differing += 1
                self._found = self._found or Divergence(frame.tick, "frame", "frame", "record", "present", "absent")
                continue
            self._tick(frame)
            if self._failed:
                break
            if self._options.progress is not None and ticks % self._options.progress_ticks == 0:
                progress = Progress("canary", frame.tick, length, self._new.turns, self._new.failed)
                self._options.progress(progress)
        equal = not self._failed and self._found is None
        return Canary(
            self._name,
            self._first,
            ticks,
            self._swapped,
            self._failed,
            equal,
            self._agent_found,
            self._found,
            self._differing,
            self._old,
            self._new,
            len(self._unanswered),
        )

    def _tick(self, frame: Frame) -> None:
        machine, crew = self._machine, self._crew
        recorded = read_inputs(self._journal, frame)
        inputs = [found for item in recorded for found in [self._again(item)] if found is not None]
        if frame.tick == self._first:
            inputs = [*order_due(machine, crew, self._plans), *inputs]
        asked, sealed = run_tick(machine, crew, inputs)
        self._answers.follow(codec.decode_derived(frame.derived), asked)
        self._unanswered = {effect.number for effect in machine.state.effects if effect.agent == self._agent}
        hints = codec.encode(codec.Hints(sealed.fuel, sealed.details))
        actual = codec.link((b"", b""), frame.tick, frame.inputs, sealed.turns, sealed.derived, hints)
        self._compare(frame, actual, {codec.digest(body): body for body in sealed.content})

    def _again(self, item: Input) -> Input | None:
        if item.kind == InputKind.RESULT:
            return self._answers.translate(item)
        order = read_order(item) if item.kind == InputKind.SWAP_AGENT else None
        if order is not None and item.target == self._name:
            return None  # A later version of the record would take the place of the one that is tried.
        return item

    # -- comparing -----------------------------------------------------------------------------------------------------

    def _compare(self, frame: Frame, actual: Frame, content: Mapping[bytes, bytes]) -> None:
        for item in codec.decode_derived(actual.derived):
            if item.kind in (DerivedKind.SWAPPED, DerivedKind.SWAP_FAILED) and item.agent == self._agent:
                self._swapped = self._swapped or item.note
                self._failed = self._failed or item.kind == DerivedKind.SWAP_FAILED
        before = read_turns(self._journal, frame)
        after = [_attached(turn, content) for turn in codec.decode_turns(actual.turns)]
        own = self._own(before, frame, self._old), self._own(after, actual, self._new)
        if own[0] != own[1]:
            self._agent_found = self._agent_found or self._compare_own(frame.tick, own[0], own[1])
        found = compare_frames(self._machine.header, without(frame, _OF_THE_SWAP), without(actual, _OF_THE_SWAP))
        if found is not None:
            self._differing += 1
            self._found = self._found or found

    def _own(self, turns: Sequence[TurnRecord], frame: Frame, tally: Tally) -> list[TurnRecord]:
        """Return the agent's turns of a tick, counted."""
        fuel = codec.decode_hints(frame.hints).fuel
        own = list[TurnRecord]()
        for slot, turn in enumerate(turns):
            if turn.agent != self._agent:
                continue
            tally.turns += 1
            tally.failed += turn.outcome.status != 0
            tally.sent += sum(1 for _ in codec.decode_frames(turn.outcome.outbox))
            tally.fuel += fuel[slot] if slot < len(fuel) else 0
            own.append(msgspec.structs.replace(turn, offset=0))
        return own

    def _compare_own(self, tick: int, before: Sequence[TurnRecord], after: Sequence[TurnRecord]) -> Divergence | None:
        frames = [codec.link((b"", b""), tick, b"\x90", _encoded(turns), b"\x90", b"") for turns in (before, after)]
        return compare_frames(self._machine.header, frames[0], frames[1])


def _attached(turn: TurnRecord, content: Mapping[bytes, bytes]) -> TurnRecord:
    if not turn.digest:
        return turn
    return msgspec.structs.replace(turn, outcome=msgspec.structs.replace(turn.outcome, outbox=content[turn.digest]))


def _encoded(turns: Sequence[TurnRecord]) -> bytes:
    parts: list[bytes] = []
    for turn in turns:
        codec.encode_turn(turn.agent, turn.operation, turn.outcome, turn.charged, parts)
    return b"".join(parts)


def without(frame: Frame, kinds: Container[int]) -> Frame:
    """Return a frame without derived records of these kinds, such as those that tell of the swap itself."""
    kept = [item for item in codec.decode_derived(frame.derived) if item.kind not in kinds]
    return msgspec.structs.replace(frame, derived=codec.encode_derived(kept))
