"""A run of a world in memory, with its journal."""

import msgspec

from tickwork import codec
from tickwork.driver.crew import admit_modules, pin_capacities
from tickwork.driver.options import Options
from tickwork.driver.resolve import World
from tickwork.driver.run import run
from tickwork.driver.snapshots import snapshot_bodies
from tickwork.driver.verify import Run
from tickwork.journal.memory import MemoryJournal
from tickwork.records import Environment

ENVIRONMENT = codec.encode(Environment("r_law", 0, "", "", "", ""))


class Recorded(msgspec.Struct, frozen=True):
    """A world, its run and its journal."""

    world: World
    options: Options
    journal: MemoryJournal
    run: Run


def empty_journal(world: World, options: Options) -> MemoryJournal:
    """Return a journal for a run of a world."""
    admitted = admit_modules(world.header, world.modules.__getitem__, options)
    return MemoryJournal(codec.encode(pin_capacities(world.header, admitted)), ENVIRONMENT, world.contents)


def record(world: World, options: Options) -> Recorded:
    """Run a world and keep its journal."""
    journal = empty_journal(world, options)
    return Recorded(world, options, journal, run(world, journal=journal, options=options))


def prefix(made: Recorded, length: int, *, snapshots: bool = True) -> MemoryJournal:
    """Return the run's journal as it was after ``length`` ticks, with or without the bodies of its snapshots."""
    cut = MemoryJournal(*made.journal.header(), made.world.contents)
    for frame in made.journal.frames(0, length - 1) if length else ():
        named = [item.digest for item in codec.decode_inputs(frame.inputs)]
        named += [turn.digest for turn in codec.decode_turns(frame.turns)]
        bodies = [made.journal.content(digest) for digest in named if digest]
        snapshot = codec.decode_hints(frame.hints).snapshot
        if snapshot and snapshots:
            bodies += snapshot_bodies(made.journal, snapshot)
        cut.append(frame, bodies)
    cut.flush(durable=True)
    return cut
