"""Telemetry: what a run's parts took, told to whoever asked to be told.

Invariants:
    * Nobody is told who did not ask, and nothing is sent anywhere.
    * What is told enters no journal: it holds times, which differ from run to run.
    * Every hook is called by the thread that runs the verb, between two phases of a tick. A hook that raises ends the
      verb as an interrupt would; the run can be resumed.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from ..clock import Clock
from ..infer.asking import Inference
from ..records import Operation, Outcome, Status, Turn


class TickSample(msgspec.Struct, frozen=True, tag="tick"):
    """One tick.

    Attributes:
        inputs, turns, failed, effects: How many entered, ran, did not end OK, and were asked for.
        took_us: From admitting inputs to handing effects out. Units: microseconds.
    """

    tick: int
    inputs: int
    turns: int
    failed: int
    effects: int
    took_us: int


class StepSample(msgspec.Struct, frozen=True, tag="step"):
    """One agent's turn.

    Attributes:
        operation, status: Names of an ``Operation`` and of a ``Status``, in small letters.
        fuel: Units: wasmtime fuel.
        size: Of what it left. Units: bytes.
    """

    tick: int
    agent: str
    operation: str
    status: str
    fuel: int
    size: int


class InferenceSample(msgspec.Struct, frozen=True, tag="inference"):
    """One run of a model, told in the tick in which its answers were there.

    Attributes:
        model: Name and version.
        rows: Requests answered by it.
        queue_us, run_us, total_us: Until it began, in the model, and as the run saw it. Units: microseconds.
        memory: Of its worker. Units: bytes.
        code: 0, or a ``Refusal``.
    """

    tick: int
    model: str
    provider: str
    profile: str
    rows: int
    queue_us: int
    run_us: int
    total_us: int
    memory: int
    code: int


class SnapshotSample(msgspec.Struct, frozen=True, tag="snapshot"):
    """One snapshot.

    Attributes:
        size: What was added to the journal for it. Units: bytes.
        took_us: Units: microseconds.
    """

    tick: int
    size: int
    took_us: int


Sample = TickSample | StepSample | InferenceSample | SnapshotSample
Hook = Callable[[Sample], None]

_hooks: list[Hook] = []


def register_telemetry_hook(hook: Hook) -> Callable[[], None]:
    """Have a hook told of every run that this process begins from now on; return what ends that.

    For one run alone there is ``Options.telemetry``.
    """
    _hooks.append(hook)

    def end() -> None:
        if hook in _hooks:
            _hooks.remove(hook)

    return end


def joined(hook: Hook | None) -> Hook | None:
    """Return what tells a run's own hook and all registered ones; None where there is none."""
    hooks = [*([hook] if hook is not None else []), *_hooks]
    if len(hooks) < 2:
        return hooks[0] if hooks else None

    def tell(sample: Sample) -> None:
        for one in hooks:
            one(sample)

    return tell


class Watch:
    """Tells a hook of one run."""

    def __init__(self, hook: Hook, clock: Clock) -> None:
        self._hook = hook
        self._clock = clock
        self._began = 0
        self._turns = 0
        self._failed = 0

    def begin(self) -> None:
        """Note that a tick begins."""
        self._began = self._clock.elapsed_ns()
        self._turns = self._failed = 0

    def steps(self, turns: Sequence[Turn], outcomes: Sequence[Outcome], names: Sequence[str]) -> None:
        """Tell of turns that were computed.

        Args:
            names: Of the agents, by number.
        """
        self._turns += len(turns)
        for turn, outcome in zip(turns, outcomes, strict=True):
            self._failed += outcome.status != Status.OK
            operation, status = Operation(turn.operation).name.lower(), Status(outcome.status).name.lower()
            name, size = names[turn.agent], len(outcome.outbox)
            self._hook(StepSample(turn.tick, name, operation, status, outcome.fuel, size))

    def snapshot(self, tick: int, bodies: Iterable[bytes], began_ns: int) -> None:
        """Tell of a snapshot that was taken after a tick."""
        took_us = (self._clock.elapsed_ns() - began_ns) // 1000
        self._hook(SnapshotSample(tick, sum(map(len, bodies)), took_us))

    def inferences(self, tick: int, inferences: Iterable[Inference]) -> None:
        """Tell of runs of models whose answers are there."""
        for inference in inferences:
            self._hook(InferenceSample(tick, *msgspec.structs.astuple(inference)))

    def end(self, tick: int, inputs: int, effects: int) -> None:
        """Tell of the tick that has ended."""
        took_us = (self._clock.elapsed_ns() - self._began) // 1000
        self._hook(TickSample(tick, inputs, self._turns, self._failed, effects, took_us))
