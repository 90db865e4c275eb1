"""What is measured of Tickwork: worlds of agents that talk or compute, a loop held tick by tick, single turns."""

import ctypes
import json
from pathlib import Path

import msgspec

import tickwork as tw
from tickwork import codec
from tickwork.driver.crew import Crew, admit_modules, pin_capacities
from tickwork.driver.feeds import Feed
from tickwork.driver.loop import Inbox, Loop
from tickwork.driver.opening import new_environment
from tickwork.driver.performers import Dispatch
from tickwork.driver.resolve import new_header
from tickwork.journal.memory import MemoryJournal
from tickwork.journal.sqlite import SqliteJournal
from tickwork.journal.store import Journal
from tickwork.kernel import Machine
from tickwork.records import Limits, Operation, Outcome, Turn
from tickwork.sandbox.admission import Admitted, admit
from tickwork.sandbox.inline import InlinePool
from tickwork.sandbox.instance import Instance, load
from tickwork.sandbox.pool import Program

MODULES = Path(__file__).resolve().parent.parent / "tests" / "modules"
SPIN = MODULES / "spin.wasm"
AGENTS = 50
MESSAGE_BYTES = 64
FUEL = Limits().fuel


def module(name: str) -> bytes:
    """Return one of the agents that the tests use."""
    return (MODULES / f"{name}.wasm").read_bytes()


def config_bytes(**config: int) -> bytes:
    """Return an agent's configuration as the world file would make it."""
    return json.dumps(config, sort_keys=True, separators=(",", ":")).encode()


def talk_config(count: int) -> bytes:
    """Return the configuration of an agent that sends ``count`` messages of 64 bytes each turn."""
    return config_bytes(count=count, first=0, length=MESSAGE_BYTES, peers=AGENTS)


def spin_config(iterations: int) -> bytes:
    """Return the configuration of an agent that computes so many rounds each turn."""
    return config_bytes(every=0, iterations=iterations)


def _world(agents: tuple[tw.AgentSpec, ...], wasm: bytes, ticks: int) -> tw.World:
    header = msgspec.structs.replace(new_header("bench", ticks, agents), allow_unsigned=True)
    return tw.make_world(header, modules=[wasm])


def talking(count: int, ticks: int = 0) -> tw.World:
    """Return 50 agents in a ring, each sending ``count`` messages of 64 bytes to those that follow it, every tick."""
    wasm = module("chatter")
    names = tuple(f"chatter-{number}" for number in range(AGENTS))
    return _world(
        tuple(
            tw.AgentSpec(name, "wasm", "chatter", codec.digest(wasm), config=talk_config(count), send=names)
            for name in names
        ),
        wasm,
        ticks,
    )


def computing(iterations: int) -> tw.World:
    """Return 50 agents that only compute, so many rounds of integer work each turn."""
    wasm = module("spin")
    config = spin_config(iterations)
    return _world(
        tuple(
            tw.AgentSpec(f"spin-{number}", "wasm", "spin", codec.digest(wasm), config=config)
            for number in range(AGENTS)
        ),
        wasm,
        0,
    )


class Ticking:
    """A live run, held between two ticks; ``tick`` is the driver's own.

    Args:
        file: The journal; None keeps it in memory.
    """

    def __init__(self, world: tw.World, file: Path | None, options: tw.Options) -> None:
        admitted = admit_modules(world.header, world.modules.__getitem__, options)
        header = pin_capacities(world.header, admitted)
        records = codec.encode(header), codec.encode(new_environment(options))
        self._crew = Crew(header, admitted, {}, None, options)
        self._journal: Journal = (
            MemoryJournal(*records, world.contents)
            if file is None
            else SqliteJournal.create(file, *records, world.contents)
        )
        self.loop = Loop(
            Machine(header, codec.digest(records[0])),
            self._crew,
            self._journal,
            Inbox(list[Feed]()),
            Dispatch({}, in_order=True),
            options,
            codec.start_chain(*records),
        )
        self.tick(3)

    def tick(self, times: int) -> None:
        """Run ticks."""
        for _ in range(times):
            self.loop.tick()
        assert not self.loop.failed

    def close(self) -> None:
        """End the run where it is."""
        self.loop.flush(durable=False)
        self._journal.close()
        self._crew.close()


def admitted(name: str, cache: Path) -> Admitted:
    """Return a module, ready to run."""
    return admit(module(name), name=name, cache=cache)


def init_turn(agent: int, config: bytes) -> Turn:
    """Return an agent's first turn."""
    inbox = codec.encode_frame(tw.FrameKind.CONFIG, tw.Encoding.JSON, 0xFFFFFFFF, 0xFFFFFFFF, 0, 0, config)
    return Turn(agent, Operation.INIT, 0, agent, FUEL, 0, 1, inbox)


def heard_turn(agent: int) -> Turn:
    """Return a turn in which the agent hears one message of 64 bytes."""
    body = bytes(range(MESSAGE_BYTES))
    inbox = codec.encode_frame(tw.FrameKind.MESSAGE, tw.Encoding.BYTES, (agent - 1) % AGENTS, 0xFFFFFFFF, 7, 1, body)
    return Turn(agent, Operation.STEP, 1, agent, FUEL, 0, 1, inbox)


class Turns:
    """Turns alone: the pool's part of a tick."""

    def __init__(self, cache: Path) -> None:
        compiled = admitted("chatter", cache).compiled
        self._pool = InlinePool()
        for agent in range(AGENTS):
            self._pool.place(Program(agent, compiled, Limits()))
        self._pool.compute([init_turn(agent, talk_config(1)) for agent in range(AGENTS)])
        self.turns = [heard_turn(agent) for agent in range(AGENTS)]

    def run(self, times: int) -> None:
        """Compute the turns of so many ticks."""
        for _ in range(times):
            self.outcomes()

    def outcomes(self) -> list[Outcome]:
        """Return what the turns of one tick come to."""
        return self._pool.compute(self.turns)

    def close(self) -> None:
        """Free the instances."""
        self._pool.close()


class Stores:
    """Agents of the sandbox, made and started as a pool does it, to be run by something else."""

    def __init__(self, cache: Path) -> None:
        loaded = load(admitted("chatter", cache).compiled)
        self._instances = [Instance(loaded, Limits()) for _ in range(AGENTS)]
        for agent, instance in enumerate(self._instances):
            assert not instance.run(init_turn(agent, talk_config(1))).status

    def addresses(self) -> list[tuple[int, ...]]:
        """Return where each agent lies: what a loop in C must know, in the order in which it is told."""
        return [_addresses(instance) for instance in self._instances]

    def region(self) -> tuple[memoryview, int, int]:
        """Return one agent's memory, and where its inbox lies in it."""
        instance = self._instances[0]
        return instance._memory, instance.descriptor.inbox_at, instance.descriptor.inbox_bytes

    def close(self) -> None:
        """Free the instances; no view of their memory may be left."""
        for instance in self._instances:
            instance.close()


def _addresses(instance: Instance) -> tuple[int, ...]:
    start = ctypes.addressof(ctypes.c_ubyte.from_buffer(instance._memory))
    cell, at = instance._cell, instance.descriptor
    regions = (start + at.context_at, start + at.inbox_at, start + at.outbox_at)
    return (cell.context, cell.function("tw_turn"), *regions, at.context_at)
