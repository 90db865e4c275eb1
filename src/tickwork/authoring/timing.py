"""How long an agent's turns take here, and what they use: the turns of a script, run again and again.

Times are this machine's and this moment's; fuel, memory and outboxes are the same everywhere.
"""

from statistics import median, quantiles
from typing import Final

import msgspec

from ..clock import Clock
from ..driver.crew import open_versions
from ..driver.fold import open_machine, read_inputs, read_turns
from ..driver.judging import Judge
from ..driver.options import Options
from ..journal.memory import MemoryJournal
from ..records import AgentSpec, Operation, Turn
from ..sandbox.image import encode_image
from ..sandbox.inline import InlinePool
from ..sandbox.pool import Program

ROUNDS: Final = 50


class Timing(msgspec.Struct, frozen=True):
    """What was measured.

    Attributes:
        turns: Turns in one round of the script.
        turn_us: Median of all turns. ``slowest_us``: the 99th of a hundred.
        start_us: An instance made and its first turn run.
        compile_ms: Admission: gate, rewriter, compiler. A base module's is taken from the cache, where there is one.
        fuel: Of all turns of a round; ``most_fuel`` of the hungriest.
        outbox_bytes: Of all turns of a round.
        memory_bytes: Of its memory at the end of a round; ``image_bytes`` of what is not zero there.
    """

    rounds: int
    turns: int
    turn_us: float
    slowest_us: float
    start_us: float
    compile_ms: float
    fuel: int
    most_fuel: int
    outbox_bytes: int
    memory_bytes: int
    image_bytes: int
    module_bytes: int


def agent_turns(journal: MemoryJournal, number: int) -> list[Turn]:
    """Return the turns an agent had in a run, as it was given them. Order: as run.

    The run's visibility must be ``next``.
    """
    _, machine = open_machine(journal.header()[0])
    found = list[Turn]()
    for frame in journal.frames():
        machine.admit(read_inputs(journal, frame))
        turns = machine.turns(machine.plan())
        found += [turn for turn in turns if turn.agent == number]
        machine.commit(turns, [turn.outcome for turn in read_turns(journal, frame)])
        machine.seal()
    return found


def measure(journal: MemoryJournal, number: int, spec: AgentSpec, options: Options, *, rounds: int = ROUNDS) -> Timing:
    """Return how long an agent's turns of a run take when nothing else runs.

    Args:
        journal: Of a run in which the agent has turns.
        number, spec: The agent.
    """
    clock = options.clock
    header, _ = open_machine(journal.header()[0])
    began = clock.elapsed_ns()
    fresh = options if spec.source else msgspec.structs.replace(options, cache=None)
    _, versions = open_versions(header, journal.content, fresh, Judge(header, options, update=False))
    compiled_ns = clock.elapsed_ns() - began
    known = versions.admitted(spec)
    program = Program(number, known.compiled, spec.limits, known.source)
    turns = agent_turns(journal, number)
    times, starts, pool = list[int](), list[int](), InlinePool()
    try:
        used, sent = _warm(pool, program, turns)
        for _ in range(rounds):
            pool.reset([number])
            taken = [_time(pool, turn, clock) for turn in turns]
            starts.append(taken[0])
            times += [ns for ns, turn in zip(taken, turns, strict=True) if turn.operation == Operation.STEP]
        (image,) = pool.images([number])
    finally:
        pool.close()
    times = times or starts
    return Timing(
        rounds,
        len(turns),
        median(times) / 1e3,
        quantiles(times, n=100, method="inclusive")[98] / 1e3 if len(times) > 1 else times[0] / 1e3,
        median(starts) / 1e3,
        compiled_ns / 1e6,
        sum(used),
        max(used),
        sent,
        len(image.memory),
        len(encode_image(image)),
        len(journal.content(spec.digest)),
    )


def _warm(pool: InlinePool, program: Program, turns: list[Turn]) -> tuple[list[int], int]:
    """Return the fuel of each turn and the bytes of all outboxes, having run them once."""
    pool.place(program)
    outcomes = [pool.compute([turn])[0] for turn in turns]
    return [outcome.fuel for outcome in outcomes], sum(len(outcome.outbox) for outcome in outcomes)


def _time(pool: InlinePool, turn: Turn, clock: Clock) -> int:
    began = clock.elapsed_ns()
    pool.compute([turn])
    return clock.elapsed_ns() - began
