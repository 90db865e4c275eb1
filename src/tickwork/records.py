"""The nouns: everything that is written into a journal or passed between the kernel and its shells.

Invariants:
    * All of it is frozen data. Nothing here reads a clock, a file or a random source.
    * What enters a hashed part holds integers, bytes, text and tuples of those: no floats, no maps, no sets.
    * Field order is the wire order (``array_like``), so a field may be appended in a minor format version and never
      moved.
"""

from typing import Final

import msgspec

from .kinds import DerivedKind as DerivedKind
from .kinds import EffectClass as EffectClass
from .kinds import Encoding as Encoding
from .kinds import FrameKind as FrameKind
from .kinds import InputKind as InputKind
from .kinds import NoteKind as NoteKind
from .kinds import Operation as Operation
from .kinds import Refusal as Refusal
from .kinds import Status as Status
from .kinds import SwapMode as SwapMode

FORMAT_VERSION: Final = 1
"""Layout of the journal. A reader refuses a larger number."""

KERNEL_SEMANTICS: Final = 1
"""What the kernel does with the same records. A change of any rule that a head depends on raises it."""

ENGINE_PROFILE: Final = "tw-1"
REWRITER_VERSION: Final = 1
ABI_MAJOR: Final = 1
ABI_MINOR: Final = 0

OUTSIDE: Final = 0xFFFFFFFF
"""Source of a message that no agent sent."""

DIRECT: Final = 0xFFFFFFFF
"""Destination field of a delivered message that came by no topic."""

RAW_AGENT: Final = 0x80000000
"""Set in a send's destination when the rest is an agent's number, not a handle; used to answer a source."""

MODEL_HANDLE: Final = 0x80000000
"""Set in the destination of a RESULT or ERROR that answers a request to a model; the rest is the model's handle."""

INFER_PREFIX: Final = "infer:"
"""A request to model NAME is the effect of a skill called ``infer:NAME``."""

UNTIL_MESSAGE: Final = 0x7FFFFFFF
"""Return code of a step: sleep until a message comes."""

AGAIN: Final = 0x7FFFFFFE
"""Return code of a step: plan me again at the next tick, this work is unfinished."""

DETACH_BYTES: Final = 32 * 1024
"""A body larger than this is kept in the content store; the record keeps its digest and length."""


class View(msgspec.Struct, frozen=True, gc=False):
    """Bytes of a window that a reader's region must hold before a turn.

    Attributes:
        handle: The window in the reader's list.
        window: The window in the run's state.
        epoch, total: Which flip the reader has seen after the turn, and how many bytes the window had by then.
        offset, length: Where the bytes lie, in the window's content as in the reader's region. Units: bytes.
        content: The bytes; empty until the shell, which keeps them, has put them in.
    """

    handle: int
    window: int
    epoch: int
    total: int
    offset: int
    length: int
    content: bytes | memoryview = b""


class Written(msgspec.Struct, frozen=True, gc=False):
    """Bytes that a turn wrote to a window. They travel beside the outbox and never enter a record.

    Attributes:
        handle: The window in the writer's list.
        place: Offset in the outbox of the frame that says so; its body gets their digest.
    """

    handle: int
    place: int
    content: bytes | memoryview


class Turn(msgspec.Struct, frozen=True, gc=False):
    """One agent given its mailbox in one tick.

    Attributes:
        seed: This turn's random seed, from the run's seed, the agent and the tick.
        fuel: Instructions the turn may use. Units: wasmtime fuel.
        wall_us: The tick's wall-clock sample for agents with the ``clock`` capability, else 0. Units: microseconds
            since 1970.
        count: Frames in ``inbox``.
        inbox: Frames, each a 32-byte header and a body padded to 8 bytes. Order: (tick, slot, sequence).
        views: What windows have to show before it. Order: window.
    """

    agent: int
    operation: int
    tick: int
    seed: int
    fuel: int
    wall_us: int
    count: int
    inbox: bytes
    views: tuple[View, ...] = ()


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What a turn came to.

    Attributes:
        status: A ``Status``.
        code: The return code when OK or FAILED, the trap's number when TRAP, what was used when DENIED, else 0.
        fuel: Instructions used; a hint, since engines change their prices.
        outbox: The frames the agent left; empty unless OK.
        detail: Text for a person (trap message); a hint.
        written: What it wrote to windows; no part of the record, which holds the digests. Order: as the frames.
    """

    status: int
    code: int
    fuel: int
    outbox: bytes
    detail: str = ""
    written: tuple[Written, ...] = ()


class Message(msgspec.Struct, frozen=True):
    """One frame, decoded.

    Attributes:
        kind: A ``FrameKind`` or a user kind.
        source: The sending agent's number, ``OUTSIDE`` for none.
        destination: Subscription handle for what came by a topic, ``DIRECT`` otherwise; a timer's or task's tag.
        seq: Place in the run's total order of messages.
        tick: The tick in which it was sent.
    """

    kind: int
    encoding: int
    source: int
    destination: int
    seq: int
    tick: int
    body: bytes


class Input(msgspec.Struct, frozen=True, array_like=True):
    """A fact entering the kernel: authoritative, never recomputed.

    Attributes:
        source: Who says so: ``feed:NAME``, ``effect``, ``operator``, ``driver``.
        target: Agent or topic name; for CONFIGURE_AGENT the agent's name.
        number: Effect number (RESULT), microseconds since 1970 (CLOCK), seed (RESEED), else 0.
        code: 0 for a good result, else a ``Refusal``.
        body: The bytes; empty when ``digest`` is set.
        digest: SHA-256 of a detached body, else empty.
        size: Length of the body in bytes.
    """

    kind: int
    source: str
    target: str = ""
    number: int = 0
    code: int = 0
    encoding: int = 0
    body: bytes = b""
    digest: bytes = b""
    size: int = 0


class Derived(msgspec.Struct, frozen=True, array_like=True):
    """A consequence the kernel drew at commit.

    Attributes:
        slot: Place in the schedule; -1 for consequences of inputs and timers.
        agent: The agent concerned; ``OUTSIDE`` for none.
        number: Sequence, effect, task or timer number, as the kind has it.
        note: Reason or name.
        digest: Idempotency key (EFFECT), state digest (STATE_ROOT), else empty.
    """

    kind: int
    slot: int
    agent: int
    number: int = 0
    note: str = ""
    digest: bytes = b""


class Effect(msgspec.Struct, frozen=True, array_like=True):
    """A request that leaves the run once its intent is durable.

    Attributes:
        number: The run-wide sequence number of the frame that asked for it.
        key: Idempotency key: SHA-256 over (lineage, agent, tick, number). Shape: 32 bytes.
        model: For a request to a model, digest of the version that was current when it was made, else empty.
    """

    number: int
    tick: int
    agent: int
    skill: str
    effect_class: int
    key: bytes
    encoding: int
    body: bytes
    model: bytes = b""


class ModelNote(msgspec.Struct, frozen=True, array_like=True):
    """A hint about who answered a request to a model, and with what.

    Attributes:
        kind: A ``NoteKind``.
        model: The model's name in the run.
        number: The effect (ANSWER), else 0.
        batch: ANSWER: number of the first effect of the batch it was answered in; its own where it was alone.
        session: SHA-256 of the session's encoded fingerprint. Shape: 32 bytes, empty where there was none.
        body: SESSION: the encoded fingerprint. FALLBACK, CRASH, EVICTED: why, as text.
    """

    kind: int
    model: str
    number: int = 0
    batch: int = 0
    session: bytes = b""
    body: bytes = b""


class Result(msgspec.Struct, frozen=True):
    """What performing an effect gave; enters the run as an input.

    Attributes:
        code: 0, or a ``Refusal`` when the effect failed for good.
        notes: What is worth knowing about how it came about; hints.
        batch: Number of the first of the effects it was performed together with; 0 where it was performed alone.
    """

    number: int
    code: int
    encoding: int
    body: bytes
    notes: tuple[ModelNote, ...] = ()
    batch: int = 0


class Limits(msgspec.Struct, frozen=True, array_like=True):
    """Quotas of one agent.

    Attributes:
        fuel: Per turn. Units: wasmtime fuel.
        memory_pages: Linear memory. Units: 64 KiB pages.
        depth: Nested calls.
        mailbox_messages, mailbox_bytes: Bounds of the mailbox.
        overflow: ``reject``, ``drop_new``, ``drop_old`` or ``defer``.
        messages_per_turn: Frames one outbox may hold; 0 for no bound but the outbox itself.
        window_fuel, window_ticks: Fuel an agent may use in each window of so many ticks, 0 for none; when
            what is left does not cover a turn, the agent waits for the next window.
        inbox_bytes: Capacity of the agent's inbox region, which bounds a mailbox cut and a single message.
    """

    fuel: int = 50_000_000
    memory_pages: int = 256
    depth: int = 2500
    mailbox_messages: int = 1024
    mailbox_bytes: int = 1 << 20
    overflow: str = "reject"
    messages_per_turn: int = 0
    window_fuel: int = 0
    window_ticks: int = 0
    inbox_bytes: int = 64 * 1024


class Supervision(msgspec.Struct, frozen=True, array_like=True):
    """What happens after a failed turn: ``stop``, ``restart``, ``retry``, ``suspend`` or ``escalate``.

    ``retry`` gives the same mailbox cut again ``retries`` times, then moves it to the dead letters and stops the agent.
    """

    policy: str = "stop"
    retries: int = 0


class AgentSpec(msgspec.Struct, frozen=True, array_like=True):
    """An agent, or a template to spawn agents from, as the run's header pins it.

    Attributes:
        kind: ``wasm`` or ``native``.
        entry: For a native agent ``module:Class``; for a module its manifest name.
        digest: SHA-256 of the module as its author built it, or of the native source file.
        publish, subscribe, send, skills, spawn: Names bound to handles by their index here. Order: the manifest's.
        denied: Handles the module declares and the run does not grant, each ``publish:NAME`` or the like.
        clock: Whether its context carries the wall-clock sample.
        models, windows: Further names bound to handles by their index here. Order: the manifest's.
        version: The module's own version, from its manifest; empty where it has none.
        source: SHA-256 of the source bundle that ``digest``, a base module, runs; empty for an agent without one.
        regions: Capacities of a module's window regions, by handle; empty where nothing bounds them. Units: bytes.
    """

    name: str
    kind: str
    entry: str
    digest: bytes
    config: bytes = b""
    config_encoding: int = Encoding.JSON
    priority: int = 0
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    send: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    spawn: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    clock: bool = False
    limits: Limits = Limits()
    supervision: Supervision = Supervision()
    models: tuple[str, ...] = ()
    windows: tuple[str, ...] = ()
    version: str = ""
    source: bytes = b""
    regions: tuple[int, ...] = ()

    @property
    def package(self) -> bytes:
        """Digest of what the agent's author built: the source bundle if there is one, else the module."""
        return self.source or self.digest


class SwapOrder(msgspec.Struct, frozen=True, array_like=True):
    """Body of a SWAP_AGENT input: all that decides the swap.

    Attributes:
        replaces: Digest of the module, or source bundle, that ``spec`` is to take the place of.
        status: For a swap that failed because ``agent_save`` or ``agent_load`` did: the call's ``Status``, else 0.
        number: What that call returned, or its trap's number.
        reason: Why the swap failed; empty for one that did not.
    """

    mode: str
    spec: AgentSpec
    replaces: bytes
    status: int = 0
    number: int = 0
    reason: str = ""


class SwapPlan(msgspec.Struct, frozen=True, array_like=True):
    """A swap that is to happen at a tick.

    Attributes:
        digest, source: SHA-256 of the new module, and of the source bundle it runs or empty.
        grants: What it may do beyond the old version: ``publish:NAME``, ``clock``, ``memory_pages:N`` or the like.
    """

    at: int
    agent: str
    mode: str
    digest: bytes
    source: bytes = b""
    grants: tuple[str, ...] = ()


class WindowSpec(msgspec.Struct, frozen=True, array_like=True):
    """A window of the world: host-owned bytes with one writer and some readers.

    Attributes:
        kind: ``frame`` (each write replaces the whole), ``ring`` (writes go round) or ``log`` (writes append).
        size: Capacity. Units: bytes.
        writer, readers: Names of agents.
        opens, closes: First tick it is open, and first tick it is closed again; 0 closes with the run.
    """

    name: str
    kind: str
    size: int
    writer: str
    readers: tuple[str, ...] = ()
    opens: int = 0
    closes: int = 0


class ModelSpec(msgspec.Struct, frozen=True, array_like=True):
    """A model that agents may ask, as the run's header pins it.

    Attributes:
        digest: SHA-256 of the model's manifest; empty for one that a performer given with the run answers for.
        version: The model's own version.
        profile: ``exact-1``, ``exact-portable`` or ``fast``.
        batch: ``row`` (each request alone), ``tick`` (a tick's requests in slot order) or ``certified``.
        most: Requests one batch may hold.
        delivery: ``barrier`` (answers enter the next tick) or ``async`` (when they are there).
        deadline_ms: After which a request is answered with TIMEOUT. Units: milliseconds.
        fallback: What follows from a provider that fails: ``strict``, ``on_load`` or ``on_run``.
    """

    name: str
    digest: bytes = b""
    version: str = ""
    profile: str = "exact-1"
    batch: str = "row"
    most: int = 64
    delivery: str = "barrier"
    deadline_ms: int = 30_000
    fallback: str = "strict"


class ModelOrder(msgspec.Struct, frozen=True, array_like=True):
    """Body of a SWAP_MODEL input.

    Attributes:
        replaces: Digest of the version that ``spec`` is to take the place of.
        reason: Why the swap failed; empty for one that did not.
    """

    spec: ModelSpec
    replaces: bytes
    reason: str = ""


class ModelPlan(msgspec.Struct, frozen=True, array_like=True):
    """A swap of a model that is to happen at a tick.

    Attributes:
        digest: SHA-256 of the new version's manifest.
    """

    at: int
    model: str
    digest: bytes
    version: str = ""


class SkillSpec(msgspec.Struct, frozen=True, array_like=True):
    """A skill agents may call, and what a lost result means for it."""

    name: str
    effect_class: int = EffectClass.UNSAFE


class TaskSpec(msgspec.Struct, frozen=True, array_like=True):
    """A task of the world file. ``depends_on`` holds indices of earlier or later tasks."""

    name: str
    agent: str
    priority: int = 0
    encoding: int = 0
    body: bytes = b""
    depends_on: tuple[int, ...] = ()


class FeedSpec(msgspec.Struct, frozen=True, array_like=True):
    """A file of inputs pinned by digest.

    Attributes:
        target: Agent name, or topic name when ``to_topic``.
        tick_column: CSV column whose integer is the row's tick; empty for one row a tick.
    """

    name: str
    digest: bytes
    target: str
    to_topic: bool
    tick_column: str = ""


class Header(msgspec.Struct, frozen=True, array_like=True):
    """Record 0: all that decides a run besides its inputs. Nothing here names a host, a path, a time or a worker."""

    format: int
    semantics: int
    engine_profile: str
    rewriter: int
    abi_major: int
    abi_minor: int
    name: str
    seed: int
    ticks: int
    policy: str
    visibility: str
    ordering: str
    max_inputs: int
    turns_per_tick: int
    checkpoint_every: int
    allow_unsigned: bool
    topics: tuple[str, ...]
    agents: tuple[AgentSpec, ...]
    templates: tuple[AgentSpec, ...] = ()
    skills: tuple[SkillSpec, ...] = ()
    tasks: tuple[TaskSpec, ...] = ()
    feeds: tuple[FeedSpec, ...] = ()
    models: tuple[ModelSpec, ...] = ()
    windows: tuple[WindowSpec, ...] = ()


class Environment(msgspec.Struct, frozen=True, array_like=True):
    """Where and with what a run was made, the swaps planned, the digest of what a fork ``owed``; a hint in F."""

    run_id: str
    started_us: int
    python: str
    platform: str
    engine: str
    product: str
    world: str = ""
    parent: str = ""
    swaps: tuple[SwapPlan, ...] = ()
    owed: bytes = b""
    model_swaps: tuple[ModelPlan, ...] = ()


class Frame(msgspec.Struct, frozen=True):
    """One tick's records, encoded, with both chain digests after it.

    Attributes:
        inputs, turns, derived: The parts that D covers.
        hints: The part that only F covers.
        d, f: SHA-256 chain heads after this tick. Shape: 32 bytes each.
    """

    tick: int
    inputs: bytes
    turns: bytes
    derived: bytes
    hints: bytes
    d: bytes
    f: bytes
