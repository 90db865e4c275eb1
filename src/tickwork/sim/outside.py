"""The world outside: who receives effects, when results come back, and what time it is.

Invariants:
    * Time is the tick: a clock that went on while the process was dead would make runs incomparable.
    * A result depends on the effect's key alone, so that performing twice is seen by the receiver and not by the run.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Final, ParamSpec, TypeVar

import msgspec

from .. import codec
from ..records import INFER_PREFIX, DerivedKind, Effect, EffectClass, Encoding, Header, Refusal, Result
from .disk import Disk
from .draw import Draw
from .faults import Fate

P = ParamSpec("P")
T = TypeVar("T")

TICK_US: Final = 1_000_000


class Manner(msgspec.Struct, frozen=True):
    """How the outside behaves.

    Attributes:
        seed: What results and delays are drawn from.
        errors: Effects that fail for good. Units: percent.
        raises: Effects whose performer raises. Units: percent.
        delay_ticks: A result takes at most so many ticks longer; it shows only where results enter by arrival.
        early: Whether a performer does its work at once, or when its result is asked for.
        twice: Requests that the network doubles. Units: percent.
    """

    seed: int
    errors: int = 0
    raises: int = 0
    delay_ticks: int = 0
    early: bool = True
    twice: int = 0


def draw_manner(draw: Draw) -> Manner:
    """Return how the outside of one seed behaves."""
    return Manner(
        draw.bits(),
        draw.pick((0, 0, 20)),
        draw.pick((0, 0, 20)),
        draw.below(6),
        draw.chance(50),
        draw.pick((0, 0, 30)),
    )


class SimulatedClock:
    """A clock that shows the tick."""

    def __init__(self) -> None:
        self.tick = 0
        self._looks = 0

    def now_us(self) -> int:
        """Return the time of the tick. Units: microseconds."""
        return self.tick * TICK_US

    def elapsed_ns(self) -> int:
        """Return a time that moves at each look, so that flushes by age happen. Units: nanoseconds."""
        self._looks += 1
        return self._looks * 10_000_000

    def unique(self) -> str:
        """Return the same text always: a simulated run has one name."""
        return "simulated"


class Outside:
    """Receives effects and keeps account of them, over all lives of a run.

    Attributes:
        timing: Changes how long results take; 0 in the run that others are compared with.
        allowed: By effect number, how often an operator has let an unsafe effect go out again.
        effects: What was asked for, by key.
        faults: What no receiver should ever see.
    """

    def __init__(self, manner: Manner, fate: Fate) -> None:
        self.manner = manner
        self.fate = fate
        self.clock = SimulatedClock()
        self.timing = 0
        self.allowed: dict[int, int] = {}
        self.effects: dict[bytes, Effect] = {}
        self.faults: list[str] = []
        self._disk: Disk | None = None
        self._requests: dict[bytes, int] = {}
        self._in_this_life: set[bytes] = set()
        self._settled: set[int] = set()

    @property
    def binding(self) -> set[bytes]:
        """Keys of the effects that have left and that a journal must know: those that may have changed something."""
        return {effect.key for effect in self.effects.values() if effect.effect_class != EffectClass.PURE}

    def begin_life(self, disk: Disk) -> None:
        """Take note that a process begins with what is on the disk."""
        self._disk = disk
        self._in_this_life.clear()
        self._settled = {
            item.number
            for frame in disk.frames()
            for item in codec.decode_derived(frame.derived)
            if item.kind == DerivedKind.EFFECT_SETTLED
        }

    def executor(self) -> Executor:
        """Return what performs effects in this life of the run."""
        return Clerk(self)

    def perform(self, effect: Effect) -> Result:
        """Receive an effect: the performer of every skill."""
        self.fate.reach("perform")
        self.receive(effect)
        draw = Draw(self.manner.seed ^ int.from_bytes(effect.key[:8], "little"))
        if draw.chance(self.manner.twice):
            self.receive(effect, doubled=True)
        self.fate.reach("performed")
        if draw.chance(self.manner.raises):
            raise OSError("a simulated fault of a performer")
        if draw.chance(self.manner.errors):
            return Result(effect.number, draw.pick((Refusal.FAILED, Refusal.TIMEOUT)), Encoding.BYTES, b"no")
        return Result(effect.number, 0, Encoding.BYTES, effect.key[: draw.below(32)])

    def perform_all(self, effects: Sequence[Effect]) -> list[Result]:
        """Receive several effects at once. What comes of each depends on all of them, as in a model's batch."""
        whole = codec.digest(b"".join(effect.key for effect in effects))[:4]
        found = [self.perform(effect) for effect in effects]
        return [msgspec.structs.replace(result, body=result.body + whole) for result in found]

    def receive(self, effect: Effect, *, doubled: bool = False) -> None:
        """Take note of a request, and of what is wrong with it."""
        known = self.effects.setdefault(effect.key, effect)
        if known != effect and known.effect_class == EffectClass.PURE:
            # Its intent may have been lost, and with it all that followed: what came after may be another tick.
            self.effects[effect.key] = effect
            self._requests.pop(effect.key, None)
        elif known != effect:
            self.faults.append(f"key {effect.key.hex()[:16]} asks for two different effects: {known} and {effect}")
        if doubled:
            return
        if effect.key in self._in_this_life:
            self.faults.append(f"effect {effect.number} was performed twice by one process")
        if effect.number in self._settled:
            self.faults.append(f"effect {effect.number} was performed again although its result is in the journal")
        self._in_this_life.add(effect.key)
        self._requests[effect.key] = self._requests.get(effect.key, 0) + 1
        allowed = 1 + self.allowed.get(effect.number, 0)
        if effect.effect_class == EffectClass.UNSAFE and self._requests[effect.key] > allowed:
            self.faults.append(f"unsafe effect {effect.number} went out again and nobody had decided it")

    def check_release(self, effect: Effect) -> None:
        """Take note of an effect that leaves before its intent would survive a loss of power; a pure one may."""
        if effect.effect_class == EffectClass.PURE:
            return
        disk = self._disk
        assert disk is not None, "a process begins with a disk"
        frame = disk.frame(effect.tick) if effect.tick < disk.durable else None
        if frame is None or not any(item.digest == effect.key for item in codec.decode_derived(frame.derived)):
            self.faults.append(
                f"effect {effect.number} of tick {effect.tick} was released before its intent was durable"
            )


class Clerk(Executor):
    """Runs performers without threads: each at a moment the simulation has decided."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Return a future that is done some ticks later."""
        effects = [item for item in args if isinstance(item, Effect)]
        assert effects, "the driver releases effects and nothing else"
        for effect in effects:
            self._outside.check_release(effect)
        slip: Slip[T] = Slip(lambda: fn(*args, **kwargs), self._outside.clock, self._due(effects[0]))
        if self._outside.manner.early:
            slip.work()
        return slip

    def _due(self, effect: Effect) -> int:
        manner = self._outside.manner
        draw = Draw(manner.seed ^ effect.number ^ (self._outside.timing << 32))
        return effect.tick + 1 + draw.below(manner.delay_ticks + 1)


class Slip(Future[T]):
    """A future whose work is done when somebody waits for it, at the latest."""

    def __init__(self, call: Callable[[], T], clock: SimulatedClock, due: int) -> None:
        super().__init__()
        self._call = call
        self._clock = clock
        self._due = due
        self._worth: list[T] = []

    def work(self) -> None:
        """Do the work now, once."""
        if not self._worth:
            self._worth.append(self._call())

    def done(self) -> bool:
        """Return whether the result has come in."""
        return self._clock.tick >= self._due

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result."""
        self.work()
        return self._worth[0]


def asked_names(header: Header) -> tuple[str, ...]:
    """Return the names under which agents of a world ask for effects."""
    return (*(skill.name for skill in header.skills), *(INFER_PREFIX + model.name for model in header.models))


def performers(outside: Outside, skills: tuple[str, ...]) -> dict[str, Any]:
    """Return the outside as the performer of every skill."""
    return dict.fromkeys(skills, outside)
