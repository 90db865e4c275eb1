"""The fold: a journal fed back into a machine, with or without executing the turns again.

Replay believes the recorded outcomes and performs nothing. Verification executes every turn and compares what comes
out.
Resuming and forking are a verification of the prefix that then goes on live.

Invariants:
    * No performer exists here. Nothing leaves a fold.
    * The first record that differs ends it; what came before it has been compared byte for byte.
"""

from collections.abc import Sequence

import msgspec

from .. import codec
from ..codec import TurnRecord
from ..errors import JournalDamaged, ReplayDivergence
from ..journal.store import Records
from ..kernel import Machine, RunStatus
from ..records import Frame, Header, Input, Outcome, Status, Turn
from .compare import Divergence, compare_frames
from .crew import Crew
from .settle import check_swaps


class Diverged(Exception):
    """Carries the first difference out of a fold."""

    def __init__(self, divergence: Divergence) -> None:
        super().__init__(divergence.sentence())
        self.divergence = divergence


def _unreadable(frame: Frame, error: codec.CodecError) -> JournalDamaged:
    return JournalDamaged("a record cannot be read", record=frame.tick, offset=None, why=str(error))


def read_inputs(journal: Records, frame: Frame) -> list[Input]:
    """Return a frame's inputs with their detached bodies.

    Raises:
        JournalDamaged: TW2004, they cannot be read.
    """
    try:
        items = codec.decode_inputs(frame.inputs)
    except codec.CodecError as error:
        raise _unreadable(frame, error) from error
    return [codec.attach_input(item, journal.content(item.digest)) if item.digest else item for item in items]


def read_turns(journal: Records, frame: Frame) -> list[TurnRecord]:
    """Return a frame's turns with their detached outboxes put back.

    Raises:
        JournalDamaged: TW2004, they cannot be read.
    """
    try:
        records = list(codec.decode_turns(frame.turns))
    except codec.CodecError as error:
        raise _unreadable(frame, error) from error
    return [_attached(journal, record) if record.digest else record for record in records]


def _attached(journal: Records, record: TurnRecord) -> TurnRecord:
    outcome = msgspec.structs.replace(record.outcome, outbox=journal.content(record.digest))
    return msgspec.structs.replace(record, outcome=outcome)


def open_machine(header_bytes: bytes) -> tuple[Header, Machine]:
    """Return a journal's header and a machine at tick 0."""
    header = codec.decode_header(header_bytes)
    return header, Machine(header, codec.digest(header_bytes))


class Fold:
    """Feeds frames to a machine.

    Attributes:
        begins: Tick of the first frame it takes.

    Args:
        crew: Executes turns; None believes the recorded outcomes.
        turns, failed: Of the ticks before the machine's, where it begins at a snapshot.
        same_engine: Whether the journal was made with this very engine version. If not, a recorded failure is
            believed even when executing: prices of fuel and traps change between engines, outcomes do not.
    """

    def __init__(
        self,
        journal: Records,
        machine: Machine,
        crew: Crew | None,
        *,
        turns: int = 0,
        failed: int = 0,
        same_engine: bool = True,
    ) -> None:
        self.journal = journal
        self.machine = machine
        self.crew = crew
        self._same_engine = same_engine
        self.begins = machine.state.tick
        self.turns = turns
        self.failed = failed

    def feed(self, frame: Frame) -> list[Input]:
        """Fold one frame and compare what the machine derives with what is recorded; return the frame's inputs.

        Raises:
            Diverged: Something differs.
        """
        machine = self.machine
        if frame.tick != machine.state.tick:
            raise ReplayDivergence(f"frame {frame.tick} follows tick {machine.state.tick - 1}")
        if machine.state.status >= RunStatus.COMPLETE:
            raise Diverged(Divergence(frame.tick, "frame", "frame", "record", "present", "absent"))
        inputs = read_inputs(self.journal, frame)
        if self.crew is None:
            machine.admit(inputs)
        else:
            self._swap(inputs, self.crew)
        recorded = read_turns(self.journal, frame)
        self.turns += len(recorded)
        self.failed += sum(turn.outcome.status != 0 for turn in recorded)
        if machine.header.visibility == "linear":
            self._fold_linear(recorded)
        else:
            self._fold_slots(machine.plan(), recorded)
        if self.crew is not None:
            self.crew.follow(machine.done)
        sealed = machine.seal()
        if sealed.turns != frame.turns or sealed.derived != frame.derived:
            actual = codec.link((b"", b""), frame.tick, frame.inputs, sealed.turns, sealed.derived, frame.hints)
            found = compare_frames(machine.header, frame, actual)
            assert found is not None, "frames that differ in bytes differ in a record"
            raise Diverged(found)
        return inputs

    def _swap(self, inputs: Sequence[Input], crew: Crew) -> None:
        """Admit inputs, and put the versions in place that they swap in, each tried again first."""
        found = check_swaps(self.machine, crew, inputs, same_engine=self._same_engine)
        if found is not None:
            raise Diverged(found)
        self.machine.admit(inputs)
        crew.adopt(self.machine.done)

    def _fold_slots(self, slots: Sequence[int], recorded: list[TurnRecord]) -> None:
        machine = self.machine
        turns = machine.turns(slots, replaying=self.crew is None)
        machine.commit(turns, self._outcomes(turns, recorded))
        self._flip()

    def _fold_linear(self, recorded: list[TurnRecord]) -> None:
        machine, waiting = self.machine, iter(recorded)
        for slot in machine.plan():
            turns = machine.turns([slot], replaying=self.crew is None)
            taken = [item for _, item in zip(turns, waiting, strict=False)]
            machine.commit(turns, self._outcomes(turns, taken))
            self._flip()
        if next(waiting, None) is not None:
            raise Diverged(Divergence.of_schedule(machine.state.tick, machine.bus.slot + 1))

    def _flip(self) -> None:
        flips = self.machine.take_flips()
        if self.crew is not None:
            self.crew.flip(flips)

    def _outcomes(self, turns: Sequence[Turn], recorded: Sequence[TurnRecord]) -> list[Outcome]:
        planned = [(turn.agent, turn.operation) for turn in turns]
        if planned != [(item.agent, item.operation) for item in recorded]:
            slot = next(
                (
                    index
                    for index, (one, other) in enumerate(zip(planned, recorded, strict=False))
                    if one != (other.agent, other.operation)
                ),
                min(len(planned), len(recorded)),
            )
            raise Diverged(Divergence.of_schedule(self.machine.state.tick, slot))
        outcomes = [item.outcome for item in recorded]
        if self.crew is None:
            return outcomes
        believed = [not self._same_engine and outcome.status not in (Status.OK, Status.DENIED) for outcome in outcomes]
        executed = iter(self.crew.compute([turn for turn, keep in zip(turns, believed, strict=True) if not keep]))
        return [outcome if keep else next(executed) for outcome, keep in zip(outcomes, believed, strict=True)]
