"""One seed: a world runs undisturbed, then again with everything going wrong, and the two are compared.

A simulated run is the real driver with a simulated disk, clock and outside. Each fault ends a life of the run; the next
one resumes from what the disk kept. Nothing here waits, reads a clock or draws from anything but the seed.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from .. import codec
from ..driver.crew import admit_modules, pin_capacities
from ..driver.fork import fork
from ..driver.opening import describe_engine
from ..driver.options import Options
from ..driver.resolve import World
from ..driver.run import resume_journal, run
from ..driver.verify import Run, replay, verify
from ..errors import EffectUndecided, JournalWriteFailed, TickworkError, WorkerLost
from ..kernel.state import MAX_DRAIN_TICKS, NEVER
from ..records import EffectClass, Environment, Header
from .audit import Audit, read_effects
from .disk import Disk
from .draw import Draw
from .faults import Fate, Fault, Struck, draw_faults
from .outside import Outside, asked_names, draw_manner, performers
from .world import draw_world, reduce_world

SETTLE_TICKS: Final = 400
"""Ticks a closing run may go on for results that are late, beyond what it drains."""

ENDLESS_TICKS: Final = 2000
"""Ticks after which a world without an end of its own is taken for one that never stops."""

OURS: Final = (AssertionError, TickworkError, LookupError, TypeError, ValueError)
"""What a bug of ours raises; whatever else ends a simulation is a bug of the simulation."""


class Case(msgspec.Struct, frozen=True):
    """What a simulation is made from; equal cases give equal reports.

    Attributes:
        faults: None draws them from the seed.
        dropped: Agents left out.
        ticks: A nearer end; None keeps the world's.
    """

    seed: int
    faults: tuple[Fault, ...] | None = None
    dropped: tuple[str, ...] = ()
    ticks: int | None = None

    def command(self) -> str:
        """Return the command line that repeats the simulation."""
        parts = [f"python -m tickwork.sim --seed {self.seed}"]
        if self.faults is not None:
            parts.append(f"--faults {','.join(map(str, self.faults)) or 'none'}")
        if self.dropped:
            parts.append(f"--drop {','.join(self.dropped)}")
        if self.ticks is not None:
            parts.append(f"--ticks {self.ticks}")
        return " ".join(parts)


class Report(msgspec.Struct, frozen=True):
    """What a simulation found.

    Attributes:
        failures: What is wrong, one sentence each; empty when all is well.
        struck: The faults that struck. Order: time.
        lives: How often a process began.
        ticks, turns: Of the run that was not disturbed.
        head: Of the disturbed run, empty where it came to none.
    """

    case: Case
    failures: tuple[str, ...]
    struck: tuple[Fault, ...] = ()
    lives: int = 0
    ticks: int = 0
    turns: int = 0
    head: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.failures

    def __str__(self) -> str:
        """Return the seed first, then what is wrong and how to repeat it."""
        if self.ok:
            return f"seed {self.case.seed}: {self.lives} lives, {self.turns} turns, head {self.head.hex()[:16]}"
        lines = [f"seed {self.case.seed}: {len(self.failures)} failures"]
        lines += [f"  {failure}" for failure in self.failures]
        lines += [f"  struck: {', '.join(map(str, self.struck)) or 'nothing'}", f"  again:  {self.case.command()}"]
        return "\n".join(lines)


def simulate(
    seed: int | Case,
    *,
    world: Callable[[Draw], World] = draw_world,
    disk: type[Disk] = Disk,
    options: Options | None = None,
) -> Report:
    """Run one seed.

    Args:
        seed: The seed, or a case that has been made smaller.
        world: Draws the world; give your own to simulate your agents.
        disk: The disk; a broken one shows whether the simulation would notice.
        options: How modules are compiled and run; clock, performers and what else is outside are the simulation's.
    """
    case = seed if isinstance(seed, Case) else Case(seed)
    simulation = Simulation(case, world, disk, options or Options())
    try:
        simulation.run()
    except OURS as error:
        simulation.failures.append(f"{type(error).__name__} where none belongs: {error}")
    return simulation.report()


class Simulation:
    """The two runs of one case and what they are compared in."""

    def __init__(self, case: Case, world: Callable[[Draw], World], disk: type[Disk], options: Options) -> None:
        draw = Draw(case.seed)
        self.case = case
        self.world = reduce_world(world(draw.branch(1)), case.dropped, case.ticks)
        self.manner = draw_manner(draw.branch(2))
        self.draw = draw.branch(3)
        self.header = pinned_header(self.world, options)
        self.options = options
        self.disk_type = disk
        self.flush_ticks = self.draw.pick((1, 2, 5, 256))
        self.snapshot_ticks = self.draw.pick((0, 1, 3, 8))
        self.hasty = self.draw.chance(50)
        # What another engine recorded as failed is believed; what this one did is executed again.
        self.engine = describe_engine() if self.draw.chance(50) else ""
        loose = any(model.delivery == "async" for model in self.world.header.models)
        self.by_arrival = self.world.header.ordering == "arrival" or loose
        # Where results enter by arrival, one that takes longer after a crash makes another run, and a lawful one.
        self.late = self.by_arrival and self.draw.chance(15)
        self.comparable = not self.late
        self.failures: list[str] = []
        self.fate = Fate()
        self.lives = 0
        self.expected: Run | None = None
        self.done: Run | None = None

    def report(self) -> Report:
        """Return what was found so far."""
        expected, done = self.expected, self.done
        return Report(
            self.case,
            tuple(dict.fromkeys(self.failures)),
            tuple(self.fate.struck),
            self.lives,
            expected.ticks if expected else 0,
            expected.turns if expected else 0,
            done.head if done else b"",
        )

    def run(self) -> None:
        """Run undisturbed, then disturbed, then look."""
        calm = Fate()
        undisturbed = Outside(self.manner, calm)
        self.expected = self._first_life(self._new_disk(Disk, calm), undisturbed)
        self._check_end("the undisturbed run", self.expected)
        self.failures += undisturbed.faults
        faults = draw_faults(self.draw, calm.census) if self.case.faults is None else self.case.faults
        self.fate = Fate(faults)
        outside = Outside(self.manner, self.fate)
        disk = self._survive(outside, len(faults))
        self.failures += outside.faults
        if self.done is not None:
            self._check_done(self.done, self.expected, disk, outside)

    # -- living ------------------------------------------------------------------------------------------------------

    def _options(self, disk: Disk, outside: Outside) -> Options:
        fate, clock = outside.fate, outside.clock
        last = (self.world.header.ticks or ENDLESS_TICKS) + MAX_DRAIN_TICKS + SETTLE_TICKS

        def edge(name: str) -> None:
            clock.tick = disk.length()
            fate.reach(name)

        def stop() -> bool:
            return fate.stops() or disk.length() > last

        return msgspec.structs.replace(
            self.options,
            clock=clock,
            performers=performers(outside, asked_names(self.world.header)),
            stop=stop,
            edge=edge,
            executor=outside.executor,
            flush_ticks=self.flush_ticks,
            snapshot_ticks=self.snapshot_ticks,
        )

    def _new_disk(self, kind: type[Disk], fate: Fate) -> Disk:
        environment = codec.encode(Environment("simulated", 0, "", "", self.engine, ""))
        return kind(codec.encode(self.header), environment, self.world.contents, fate)

    def _first_life(self, disk: Disk, outside: Outside) -> Run:
        outside.begin_life(disk)
        return run(self.world, journal=disk, options=self._options(disk, outside))

    def _survive(self, outside: Outside, faults: int) -> Disk:
        """Live until the run ends or every fault has struck in vain; return the disk."""
        disk = self._new_disk(self.disk_type, self.fate)
        for _ in range(faults + 1):
            self.lives += 1
            outside.timing = self.lives if self.late or not self.by_arrival else 0
            struck = len(self.fate.struck)
            try:
                self.done = self._live(disk, outside)
            except (Struck, JournalWriteFailed, WorkerLost):
                if len(self.fate.struck) == struck:
                    raise
                self.done = None
            if self.done is not None and (self.done.status != "interrupted" or len(self.fate.struck) == struck):
                break
            disk = self._crash(disk, outside)
            if disk.status().closed:
                self.done = replay(disk)
                break
        self._check_end("the disturbed run", self.done)
        return disk

    def _live(self, disk: Disk, outside: Outside) -> Run:
        if self.lives == 1:
            return self._first_life(disk, outside)
        outside.begin_life(disk)
        options = self._options(disk, outside)
        waiting = self._unsafe(disk)
        if waiting and self.hasty:
            try:
                done = resume_journal(disk, None, world=self.world, decisions={}, options=options)
            except EffectUndecided:
                pass
            else:
                # A run that has failed asks for nothing more, so there is nothing to decide.
                if done.status != "failed":
                    self.failures.append(f"the run went on although nobody had decided unsafe effects {waiting}")
                return done
        decisions = {number: self._decide(number, outside) for number in waiting}
        return resume_journal(disk, None, world=self.world, decisions=decisions, options=options)

    def _decide(self, number: int, outside: Outside) -> str:
        """Return an operator's word on an unsafe effect whose result is lost."""
        outside.allowed[number] = outside.allowed.get(number, 0) + 1
        if self.draw.chance(80):
            return "retry"
        self.comparable = False
        return "fail"

    def _unsafe(self, disk: Disk, before: int = NEVER) -> list[int]:
        """Return the unsafe effects asked for before a tick whose result is in no record."""
        unsafe = {skill.name for skill in self.world.header.skills if skill.effect_class == EffectClass.UNSAFE}
        waiting = read_effects(disk).open.items()
        return [number for number, (tick, intent) in waiting if intent.note in unsafe and tick < before]

    def _crash(self, disk: Disk, outside: Outside) -> Disk:
        """End a life, and check what the disk still has against what was promised and what has left."""
        fault = self.fate.last
        assert fault is not None, "a life ends by a fault"
        left = disk.after(fault)
        promised = disk.promised_durable if fault.how == "power" else disk.promised
        if left.length() < promised:
            self.failures.append(f"{promised} frames were acknowledged, {left.length()} survived {fault}")
        forgotten = outside.binding - read_effects(left).asked
        if forgotten:
            numbers = sorted(outside.effects[key].number for key in forgotten)
            self.failures.append(f"effects {numbers} have left, and after {fault} the journal does not know them")
        return left

    # -- looking -----------------------------------------------------------------------------------------------------

    def _check_end(self, what: str, done: Run | None) -> None:
        if done is None or done.status not in ("complete", "failed"):
            self.failures.append(f"{what} did not end: {done.status if done else 'its last life was cut short'}")

    def _check_done(self, done: Run, expected: Run, disk: Disk, outside: Outside) -> None:
        if self.comparable and (done.head, done.ticks, done.status) != (expected.head, expected.ticks, expected.status):
            self.failures.append(
                f"the disturbed run ends {done.status} at tick {done.ticks} with head {done.head.hex()[:16]}, "
                f"the undisturbed one {expected.status} at tick {expected.ticks} with head {expected.head.hex()[:16]}"
            )
        self.failures += Audit(disk).run()
        again = replay(disk)
        if again.head != done.head:
            self.failures.append(f"a replay has head {again.head.hex()[:16]}, the run has {done.head.hex()[:16]}")
        if not verify(disk, world=self.world, options=self.options).equal:
            self.failures.append("a verification comes to other records than the run")
        unknown = outside.binding - read_effects(disk).asked
        if unknown:
            self.failures.append(f"{len(unknown)} effects were performed that the journal does not know")
        self._check_fork(done, disk)

    def _check_fork(self, done: Run, disk: Disk) -> None:
        """Fork without a change at a drawn tick: the same head, and nothing performed that has a result."""
        calm = Fate()
        outside = Outside(self.manner, calm)
        copy = self._new_disk(Disk, calm)
        outside.begin_life(copy)
        at = self.draw.below(disk.length() + 1)
        lost = self._unsafe(disk, at)
        try:
            forked = fork(disk, at=at, to=copy, world=self.world, options=self._options(copy, outside))
        except EffectUndecided:
            if not lost:
                self.failures.append(f"a fork at tick {at} asks about effects whose results are in the journal")
            return
        if lost and forked.status != "failed":
            self.failures.append(f"a fork at tick {at} went on although nobody had decided unsafe effects {lost}")
        if self.comparable and forked.head != done.head:
            self.failures.append(f"a fork at tick {at} without a change has head {forked.head.hex()[:16]}")
        waiting = read_effects(disk).open
        repeated = [e.number for e in outside.effects.values() if e.tick < at and e.number not in waiting]
        if repeated:
            self.failures.append(f"a fork at tick {at} performed effects {repeated} again, whose results it has")


def pinned_header(world: World, options: Options) -> Header:
    """Return the header as a run of the world writes it."""
    return pin_capacities(world.header, admit_modules(world.header, world.modules.__getitem__, options))
