"""The state tree of a run: everything the next tick depends on, and nothing else.

Invariants:
    * Integers, bytes, text, lists and structs of those. No float, set or map: encoding it gives equal bytes everywhere.
    * Agent numbers are dense, in spawn-commit order, and never reused; ``agents[n].number == n``.
    * Every list has a stated bound: mailboxes by the agent's limits, the others by the constants below.
"""

from enum import IntEnum
from typing import Final

import msgspec

from ..codec import encode
from ..records import AgentSpec, Effect, Header, ModelSpec, WindowSpec
from .random import stream_key

NEVER: Final = 1 << 62
"""A tick that does not come."""

MAX_AGENTS: Final = 30_000
"""One process maps two regions per instance and Linux allows 65,530 (vm.max_map_count); measured limit 32,261."""

MAX_TIMERS: Final = 4096
"""Timers one agent may have set and not yet seen."""

MAX_EFFECTS: Final = 4096
"""Effects one agent may have asked for and not yet seen the result of."""

MAX_TASKS: Final = 100_000
"""Tasks of one run; a finished one keeps its number, its tag and nothing else."""

MAX_DRAIN_TICKS: Final = 16
"""Ticks a closing run goes on while messages are still under way."""


class AgentStatus(IntEnum):
    """Whether an agent is planned."""

    ACTIVE = 0
    SUSPENDED = 1
    STOPPED = 2


class RunStatus(IntEnum):
    """How a run stands."""

    OPEN = 0
    DRAINING = 1
    STOPPING = 2
    SETTLING = 3
    COMPLETE = 4
    FAILED = 5


class TaskStatus(IntEnum):
    """How a task stands."""

    WAITING = 0
    READY = 1
    RUNNING = 2
    DONE = 3
    FAILED = 4


class Deferred(msgspec.Struct, array_like=True):
    """A message that waits at its sender because the receiver's mailbox is full."""

    target: int
    frame: bytes


class AgentState(msgspec.Struct, array_like=True):
    """One agent.

    Attributes:
        unfinished: Its last step asked to go on with the same work: AGAIN, or its outbox was full.
        wake: Tick at which it wants its next step, ``NEVER`` for none.
        ready_since: Tick at which it became ready to be planned; what fifo orders by.
        mail: Frames, oldest first. ``mail_bytes`` is the sum of their lengths.
        failures: Failed turns in a row.
        timers, effects: How many of each are open.
        task: Number of the task it is doing, -1 for none.
        queue: Ready tasks that wait for it, best first.
        window_start, window_fuel: The fuel quota's current window and what was used in it.
    """

    number: int
    name: str
    spec: AgentSpec
    parent: int
    key: bytes
    status: int = AgentStatus.ACTIVE
    started: bool = False
    unfinished: bool = False
    wake: int = 0
    ready_since: int = 0
    mail: list[bytes] = []
    mail_bytes: int = 0
    deferred: list[Deferred] = []
    failures: int = 0
    timers: int = 0
    task: int = -1
    queue: list[int] = []
    window_start: int = 0
    window_fuel: int = 0
    effects: int = 0


class Subscription(msgspec.Struct, array_like=True):
    """A subscriber and the index of the topic in its own list."""

    agent: int
    handle: int


class TopicState(msgspec.Struct, array_like=True):
    """A topic; ``version`` counts retained values, 0 means none was ever written."""

    name: str
    subscribers: list[Subscription] = []
    version: int = 0
    encoding: int = 0
    value: bytes = b""
    writer: int = 0
    written: int = 0


class TimerState(msgspec.Struct, array_like=True, order=True):
    """A timer. Order: (due, agent, number)."""

    due: int
    agent: int
    number: int
    tag: int


class TaskState(msgspec.Struct, array_like=True):
    """A task. ``waits`` counts dependencies that are not done; ``rank`` is its longest path from a root.

    ``body`` is empty once the task has begun or failed.
    """

    number: int
    name: str
    agent: int
    priority: int
    encoding: int
    body: bytes
    tag: int
    owner: int
    waits: int = 0
    rank: int = 0
    status: int = TaskStatus.WAITING
    dependents: list[int] = []


class ReaderState(msgspec.Struct, array_like=True):
    """How much of a window one agent has seen: the last flip, and how many bytes the window had by then."""

    agent: int
    epoch: int
    total: int


class WindowState(msgspec.Struct, array_like=True):
    """A window: what is known of its bytes, which the shell keeps.

    Attributes:
        epoch: Flips so far, over all the times it was open.
        base: ``epoch`` when it was last opened; a window is empty when it opens.
        total: Bytes of a frame, or bytes written to a ring or log since it was opened.
        digest: Of a frame's bytes; of a ring or log, chained over the writes. Empty before the first.
        seq, tick: Of the last write.
        readers: Order: agent.
    """

    spec: WindowSpec
    open: bool = False
    epoch: int = 0
    base: int = 0
    total: int = 0
    digest: bytes = b""
    seq: int = 0
    tick: int = 0
    readers: list[ReaderState] = []


class State(msgspec.Struct, array_like=True):
    """The whole of a run between two ticks.

    Attributes:
        tick: The next tick to run.
        seq: The last number given to a message, effect, timer or task.
        cursor: Agent after which round-robin goes on.
        lineage: What idempotency keys are derived from: record 0's digest, changed by each edit of a fork.
        closing_since: Tick at which the run was asked to close, ``NEVER`` before.
        drained: Ticks spent draining.
        wall_us: The wall-clock sample of this tick, if one was taken.
        models: The version of each model that answers requests from now on. Order: the header's.
    """

    tick: int
    seq: int
    seed: int
    lineage: bytes
    status: int
    cursor: int
    closing_since: int
    drained: int
    wall_us: int
    dead_letters: int
    agents: list[AgentState]
    topics: list[TopicState]
    timers: list[TimerState]
    tasks: list[TaskState]
    effects: list[Effect]
    windows: list[WindowState] = []
    models: list[ModelSpec] = []


def new_agent(number: int, name: str, spec: AgentSpec, parent: int, seed: int, tick: int) -> AgentState:
    """Return an agent that has not run yet."""
    return AgentState(number, name, spec, parent, stream_key(seed, number), wake=tick, ready_since=tick)


def initial_state(header: Header, lineage: bytes) -> State:
    """Return the state before tick 0, with subscriptions in agent order and tasks not yet queued.

    Args:
        lineage: Digest of the encoded header. Shape: 32 bytes.
    """
    agents = [new_agent(n, spec.name, spec, -1, header.seed, 0) for n, spec in enumerate(header.agents)]
    topics = [TopicState(name) for name in header.topics]
    windows = [WindowState(spec) for spec in header.windows]
    models = list(header.models)
    return State(
        0, 0, header.seed, lineage, RunStatus.OPEN, 0, NEVER, 0, 0, 0, agents, topics, [], [], [], windows, models
    )


def encode_state(state: State) -> bytes:
    """Return the canonical bytes of a state; their digest is the state root."""
    return encode(state)


def decode_state(data: bytes) -> State:
    """Return the state encoded in ``data``. Law: ``encode_state(decode_state(x)) == x``."""
    return msgspec.msgpack.decode(data, type=State)
