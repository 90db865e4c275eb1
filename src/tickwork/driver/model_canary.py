"""Canary of a model: the last ticks of a run again, in memory, with another version of a model.

The version is asked what the record says the old one was asked, and its answers enter in the places of the recorded
ones. What any other effect came to is taken from the record.

Invariants:
    * No journal is written, and nothing is performed but requests to the model that is tried.
    * Up to the tick of the swap the run is verified: a difference there is the journal's and no version's.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from math import inf, isnan
from pathlib import Path
from typing import Final, cast

import msgspec

from .. import codec
from ..errors import ModelInputInvalid
from ..journal.store import JournalReader
from ..kernel import Machine, RunStatus
from ..records import INFER_PREFIX, Derived, DerivedKind, Encoding, Frame, Input, InputKind, Result
from ..tensors import FLOAT32, FLOAT64, decode_tensors
from .canary import CANARY_TICKS, Answers, first_tick, run_tick, without
from .compare import Divergence, compare_frames, name_of
from .crew import Crew
from .fold import Fold, read_inputs
from .model_swaps import further_model_plans, order_model_swaps
from .models import Desk
from .opening import executing, reading
from .options import Options, Progress
from .performers import Dispatch, Terms
from .plans import ModelSwap
from .resolve import World
from .verify import fold_prefix
from .windows import with_tensors

_OF_THE_SWAP: Final = frozenset(
    (DerivedKind.MODEL_SWAPPED, DerivedKind.MODEL_SWAP_FAILED, DerivedKind.STATE_ROOT)
)  # fmt: skip
"""Records that tell of the swap itself; a state that knows another version has another root."""

_FLOATS: Final[Mapping[int, str]] = {FLOAT32: "f", FLOAT64: "d"}


class AnswerTally(msgspec.Struct):
    """What one version answered in the ticks that were run again.

    Attributes:
        failed: Requests it refused, or that failed.
    """

    answers: int = 0
    failed: int = 0


class AnswerDifference(msgspec.Struct, frozen=True):
    """The first answer that differs.

    Attributes:
        number: Of the recorded effect.
        what: Both answers, in a few words.
    """

    tick: int
    number: int
    agent: str
    what: str

    def sentence(self) -> str:
        """Return the difference as one line."""
        return f"first other answer at tick {self.tick}, to effect {self.number} of agent {self.agent!r}: {self.what}"


class ModelCanary(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        first: Tick of the swap.
        ticks: How many ticks the record has from there on; 1 where the swap failed.
        swapped: What the kernel noted of the swap.
        failed: Whether the swap failed; the rest then says nothing of the new version.
        equal: Whether all answers were the recorded ones, and all records but those of the swap came out again.
        compared, differing: Answers that both versions gave, and those of them that differ in any bit.
        largest: The largest distance between two numbers of answers that are floats; 0 where there are none.
        answer: The first answer that differs.
        divergence: The first record of the run besides the answers that differs.
        differing_ticks: Ticks in which any record differs, or that one of the two runs does not have.
        unrecorded: Requests that were made only now. An agent's first request is held against its first, and so on.
    """

    model: str
    first: int
    ticks: int
    swapped: str
    failed: bool
    equal: bool
    compared: int
    differing: int
    largest: float
    answer: AnswerDifference | None
    divergence: Divergence | None
    differing_ticks: int
    unrecorded: int
    old: AnswerTally
    new: AnswerTally


def model_canary(
    source: Path | str | JournalReader,
    swap: ModelSwap,
    *,
    ticks: int = CANARY_TICKS,
    world: World | None = None,
    options: Options | None = None,
) -> ModelCanary:
    """Run the last ticks of a run again with another version of a model; return what differs from the record.

    Args:
        swap: The version. Its tick, if it names one, is where it begins, instead of ``ticks`` before the run closed.

    Raises:
        TickOutOfRange: TW4006, the run has no such tick.
        SwapRefused: TW4101. ModelError: TW6001 to TW6015, the version is not there, or refused.
        ReplayDivergence: TW4001, the run itself does not come out again.
    """
    options = options or Options()
    with reading(source) as journal:
        length = journal.length()
        first = first_tick(journal, length, swap.at, ticks)
        with (
            executing(journal, world, options, until=first, live=True) as (_, _, fold),
            closing(Desk(options, {})) as desk,
        ):
            fold_prefix(fold, journal, first, None, "canary", options)
            return _Trial(journal, fold, swap, desk).run(length)


class _Trial:
    """Runs the ticks after a swap, asks the new version, and compares."""

    def __init__(self, journal: JournalReader, fold: Fold, swap: ModelSwap, desk: Desk) -> None:
        assert fold.crew is not None, "a canary executes"
        self._journal = journal
        self._machine: Machine = fold.machine
        self._crew: Crew = fold.crew
        self._desk = desk
        self._name = swap.model
        self._skill = INFER_PREFIX + swap.model
        state = fold.machine.state
        self._first = state.tick
        at_first = msgspec.structs.replace(swap, at=self._first)
        self._plans = further_model_plans([at_first], fold.machine, desk.options)
        for spec in (*fold.machine.header.models, *state.models):
            desk.learn(spec)
        own = next(spec for spec in state.models if spec.name == swap.model)
        terms = {self._skill: Terms(waited=True, most=1 if own.batch == "row" else own.most)}
        self._dispatch = Dispatch(desk.performers(), in_order=True, terms=terms, executor=desk.options.executor)
        self._answers = Answers(state.effects)
        self._fresh: dict[int, Result] = {}
        self._given: dict[int, Result] = {}
        self._old, self._new = AnswerTally(), AnswerTally()
        self._swapped, self._failed = "", False
        self._compared = self._differing = self._differing_ticks = 0
        self._asked: list[int] = []
        self._largest = 0.0
        self._answer: AnswerDifference | None = None
        self._found: Divergence | None = None

    def run(self, length: int) -> ModelCanary:
        """Run to the end of the record, or to where this run ends."""
        options, ticks = self._desk.options, 0
        try:
            for frame in self._journal.frames(self._first, length - 1):
                ticks += 1
                if self._machine.state.status >= RunStatus.COMPLETE:
                    self._differing_ticks += 1
                    self._found = self._found or Divergence(frame.tick, "frame", "frame", "record", "present", "absent")
                    continue
                self._tick(frame)
                if self._failed:
                    break
                if options.progress is not None and ticks % options.progress_ticks == 0:
                    options.progress(Progress("canary", frame.tick, length, self._new.answers, self._new.failed))
        finally:
            self._dispatch.close()
        return ModelCanary(
            self._name,
            self._first,
            ticks,
            self._swapped,
            self._failed,
            not self._failed and self._found is None and self._answer is None,
            self._compared,
            self._differing,
            self._largest,
            self._answer,
            self._found,
            self._differing_ticks,
            len(frozenset(self._asked) - self._answers.recorded_calls()),
            self._old,
            self._new,
        )

    def _tick(self, frame: Frame) -> None:
        machine = self._machine
        inputs = self._inputs(frame)
        if frame.tick == self._first:
            inputs = [*order_model_swaps(machine, self._desk, self._plans), *inputs]
        asked, sealed = run_tick(machine, self._crew, inputs)
        self._answers.follow(codec.decode_derived(frame.derived), asked)
        self._note_swap(codec.decode_derived(sealed.derived))
        if not self._failed:
            self._ask([effect.number for effect in asked if effect.skill == self._skill])
        hints = codec.encode(codec.Hints(sealed.fuel, sealed.details))
        actual = codec.link((b"", b""), frame.tick, frame.inputs, sealed.turns, sealed.derived, hints)
        found = compare_frames(machine.header, without(frame, _OF_THE_SWAP), without(actual, _OF_THE_SWAP))
        if found is not None:
            self._differing_ticks += 1
            self._found = self._found or found

    def _note_swap(self, derived: Iterable[Derived]) -> None:
        for item in derived:
            if item.kind in (DerivedKind.MODEL_SWAPPED, DerivedKind.MODEL_SWAP_FAILED) and not self._swapped:
                self._swapped, self._failed = item.note, item.kind == DerivedKind.MODEL_SWAP_FAILED

    def _ask(self, numbers: Sequence[int]) -> None:
        """Ask the new version what agents have just asked the model."""
        state = self._machine.state
        effects = [effect for effect in state.effects if effect.number in frozenset(numbers)]
        if not effects:
            return
        ready, lost = with_tensors(effects, state, self._crew.windows)
        self._dispatch.release(ready)
        for result in (*self._dispatch.take(), *lost):
            self._new.answers += 1
            self._new.failed += result.code != 0
            self._fresh[result.number] = result
            self._asked.append(result.number)

    def _inputs(self, frame: Frame) -> list[Input]:
        """Return a tick's recorded inputs with the new version's answers in the places of the old one's."""
        inputs = list[Input]()
        for item in read_inputs(self._journal, frame):
            if item.kind == InputKind.RESULT:
                found = self._result(item, frame.tick)
                inputs += [found] if found is not None else []
            elif item.kind != InputKind.SWAP_MODEL or item.target != self._name:
                inputs.append(item)  # A later version of the record would take the place of the one that is tried.
        known = self._answers.recorded_calls()
        further = [number for number in self._fresh if number not in known]
        place = next((at for at, item in enumerate(inputs) if _after_results(item)), len(inputs))
        inputs[place:place] = [_as_input(self._taken(number)) for number in further]
        return inputs

    def _result(self, item: Input, tick: int) -> Input | None:
        """Return a recorded result as it enters today: that of the new version, where it was asked."""
        number = self._answers.counterpart(item.number)
        if number is None:
            return None
        if number in self._fresh:
            fresh = self._taken(number)
            self._compare(item, fresh, tick)
            return _as_input(fresh, item.source)
        if number in self._given:
            self._compare(item, self._given[number], tick)
            return None  # It has entered already, when the record had not asked yet.
        return msgspec.structs.replace(item, number=number)

    def _taken(self, number: int) -> Result:
        result = self._given[number] = self._fresh.pop(number)
        return result

    def _compare(self, item: Input, fresh: Result, tick: int) -> None:
        self._compared += 1
        self._old.answers += 1
        self._old.failed += item.code != 0
        if (item.code, item.encoding, item.body) == (fresh.code, fresh.encoding, fresh.body):
            return
        self._differing += 1
        distance = None
        if not item.code and not fresh.code and item.encoding == fresh.encoding in _DISTANCES:
            distance = _DISTANCES[item.encoding](item.body, fresh.body)
            self._largest = max(self._largest, distance or 0.0)
        if self._answer is None:
            agent = next((known.agent for known in self._machine.state.effects if known.number == fresh.number), -1)
            what = _told(item.code, item.body, fresh.code, fresh.body, distance)
            self._answer = AnswerDifference(tick, item.number, name_of(self._machine.header, agent), what)


def _after_results(item: Input) -> bool:
    """Return whether results of effects enter before this input."""
    return item.source.startswith("feed:") or item.kind in (InputKind.CLOCK, InputKind.CLOSE)


def _as_input(result: Result, source: str = "effect") -> Input:
    return Input(
        InputKind.RESULT,
        source,
        number=result.number,
        code=result.code,
        encoding=result.encoding,
        body=result.body,
        size=len(result.body),
    )


def _told(old_code: int, old: bytes, new_code: int, new: bytes, distance: float | None) -> str:
    if old_code or new_code:
        words = [
            f"refused with {code}, {body.decode(errors='replace')!r}" if code else f"answered with {len(body)} bytes"
            for code, body in ((new_code, new), (old_code, old))
        ]
        return f"{words[0]}, recorded is {words[1]}"
    if distance is not None:
        return f"numbers differ by up to {distance:.6g}"
    return f"{len(new)} bytes differ from the {len(old)} recorded ones"


def farthest(one: bytes, other: bytes) -> float | None:
    """Return the largest distance between two answers' floats, None where they are no tensors of equal shapes.

    A NaN is as far from a number as anything, and no distance from a NaN.
    """
    try:
        pairs = list(zip(decode_tensors(one), decode_tensors(other), strict=True))
    except (ModelInputInvalid, ValueError):
        return None
    distances = list[float]()
    for before, after in pairs:
        if (before.dtype, before.shape) != (after.dtype, after.shape):
            return None
        kind = _FLOATS.get(before.dtype)
        if kind is not None:
            numbers = zip(array(kind, bytes(before.data)), array(kind, bytes(after.data)), strict=True)
            distances.append(max((_apart(x, y) for x, y in numbers), default=0.0))
    return max(distances, default=None)


def farthest_in_json(one: bytes, other: bytes) -> float | None:
    """Return the same of two answers in JSON, None where they are no lists of equal shapes."""
    try:
        distances = list(_each_apart(msgspec.json.decode(one), msgspec.json.decode(other)))
    except (msgspec.DecodeError, ValueError):
        return None
    return max(distances, default=None)


def _each_apart(one: object, other: object) -> Iterator[float]:
    kinds: set[type] = {type(one), type(other)}
    if isinstance(one, dict) and isinstance(other, dict):
        before, after = cast("dict[str, object]", one), cast("dict[str, object]", other)
        for name in before.keys() | after.keys():
            yield from _each_apart(before.get(name), after.get(name))
    elif isinstance(one, list) and isinstance(other, list):
        for x, y in zip(cast("list[object]", one), cast("list[object]", other), strict=True):
            yield from _each_apart(x, y)
    elif len(kinds) > 1 and kinds != {float, str}:
        raise ValueError("answers of two shapes")
    elif isinstance(one, float) or isinstance(other, float):
        yield _apart(float(cast("float | str", one)), float(cast("float | str", other)))  # "NaN" and its like are text.


def _apart(one: float, other: float) -> float:
    if one == other or (isnan(one) and isnan(other)):
        return 0.0
    return inf if isnan(one) or isnan(other) else abs(one - other)


_DISTANCES: Final[Mapping[int, Callable[[bytes, bytes], float | None]]] = {
    Encoding.TENSOR: farthest,
    Encoding.JSON: farthest_in_json,
}
