"""The tables of ``world.toml`` as they are written: the source of the published JSON Schema.

A key left out is ``UNSET`` where that means something else than any value: a module's manifest then decides.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ..kernel.windows import MAX_WINDOW_BYTES

NAME_PATTERN: Final = r"^[A-Za-z0-9_][A-Za-z0-9_./-]*$"
ALL_AGENTS: Final = "*"
PEER_PATTERN: Final = r"^([A-Za-z0-9_][A-Za-z0-9_./-]*|\*)$"
MAX_NAME: Final = 120
MAX_COUNT: Final = 100_000
MAX_INTEGER: Final = (1 << 63) - 1
"""Largest integer TOML promises to carry."""

Name = Annotated[str, Meta(pattern=NAME_PATTERN, max_length=MAX_NAME)]
Names = tuple[Name, ...]
Peers = tuple[Annotated[str, Meta(pattern=PEER_PATTERN, max_length=MAX_NAME)], ...]
Natural = Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
Positive = Annotated[int, Meta(ge=1, le=MAX_INTEGER)]
Priority = Annotated[
    int,
    Meta(
        ge=-(1 << 31), le=(1 << 31) - 1, description="A larger number goes first under the policies that ask for one."
    ),
]
Table = dict[str, Any]


class TopicTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A topic. Declaring it is enough; it has no settings yet."""


class SkillTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A skill that agents may call."""

    effect_class: Annotated[
        Literal["pure", "idempotent", "unsafe"],
        Meta(
            description="What may be done when a crash leaves a result unknown: pure and idempotent calls go out again "
            "under the same key, an unsafe one waits for an operator."
        ),
    ] = msgspec.field(name="class", default="unsafe")
    folder: Annotated[
        str, Meta(min_length=1, description="Where the performer writes, relative to the world file's folder.")
    ] = "artifacts"


class ModelTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A model that agents may ask. Without `model` and `file`, a performer given with the run answers."""

    model: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=200,
                description="Which model of the store: `NAME`, `NAME:VERSION`, `NAME:ALIAS` or `sha256:DIGEST`. What "
                "it means when the run begins is pinned in the run's header.",
            ),
        ]
        | UnsetType
    ) = UNSET
    file: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="A model's file or folder, relative to the world file's folder, instead of one of the "
                "store. It is put into the store when the run begins.",
            ),
        ]
        | UnsetType
    ) = UNSET
    profile: (
        Annotated[
            Literal["exact-1", "exact-portable", "fast"],
            Meta(
                description="exact-1: one thread of the processor, equal bits for equal questions on equal machines. "
                "exact-portable: equal bits on every machine. fast: any provider, bits may differ. Default: exact-1."
            ),
        ]
        | UnsetType
    ) = UNSET
    batch: Annotated[
        Literal["row", "tick", "certified"],
        Meta(
            description="row: each question alone. tick: the questions of one tick in the order they were asked. "
            "certified: the same for a model of which it is known that a row does not depend on its neighbours."
        ),
    ] = "row"
    most: Annotated[int, Meta(ge=1, le=4096, description="Questions one batch holds. Default: 64.")] | UnsetType = UNSET
    delivery: Annotated[
        Literal["barrier", "async"],
        Meta(description="barrier: answers enter the next tick. async: they enter when they are there."),
    ] = "barrier"
    deadline_ms: (
        Annotated[
            int,
            Meta(ge=1, le=3_600_000, description="After so many milliseconds the answer is TIMEOUT. Default: 30000."),
        ]
        | UnsetType
    ) = UNSET
    fallback: (
        Annotated[
            Literal["strict", "on_load", "on_run"],
            Meta(
                description="When the next provider takes the place of one that fails: never, when the model is "
                "loaded, or also while it runs. Default: strict."
            ),
        ]
        | UnsetType
    ) = UNSET


class WindowTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A window: bytes that one agent writes and others read, each tick's readers the same."""

    kind: Annotated[
        Literal["frame", "ring", "log"],
        Meta(description="frame: each write replaces the whole. ring: writes go round. log: writes append."),
    ] = "frame"
    bytes: Annotated[int, Meta(ge=1, le=MAX_WINDOW_BYTES, description="What it holds at most.")]
    writer: Annotated[Name, Meta(description="The agent that writes it.")]
    readers: Annotated[Names, Meta(description="The agents that read it.")] = ()
    opens: Annotated[Natural, Meta(description="First tick in which it can be written.")] = 0
    closes: Annotated[Natural, Meta(description="First tick in which it is closed again; 0 closes with the run.")] = 0


class LimitsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Quotas of one agent. A module's manifest may ask for less, never for more."""

    fuel: Annotated[Positive, Meta(description="Instructions per turn. Default: 50000000.")] | UnsetType = UNSET
    memory_pages: (
        Annotated[int, Meta(ge=1, le=65536, description="Linear memory in pages of 64 KiB. Default: 256.")] | UnsetType
    ) = UNSET
    depth: Annotated[int, Meta(ge=1, le=5_000, description="Nested calls. Default: 2500.")] | UnsetType = UNSET
    mailbox_messages: Annotated[Positive, Meta(description="Messages a mailbox holds.")] = 1024
    mailbox_bytes: Annotated[Positive, Meta(description="Bytes a mailbox holds.")] = 1 << 20
    overflow: Annotated[
        Literal["reject", "drop_new", "drop_old", "defer"],
        Meta(description="What happens to a message for a full mailbox. Each overflow is a record."),
    ] = "reject"
    messages_per_turn: Annotated[
        Natural, Meta(description="Frames one outbox may hold; 0 for no bound but the outbox itself.")
    ] = 0
    window_fuel: Annotated[
        Natural,
        Meta(
            description="Fuel the agent may use in each window; it waits when less than a turn is left. 0 for no bound."
        ),
    ] = 0
    window_ticks: Annotated[Natural, Meta(description="Length of that window in ticks.")] = 0


class SupervisionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens after a failed turn."""

    policy: Annotated[
        Literal["stop", "restart", "retry", "suspend", "escalate"],
        Meta(
            description="retry gives the same messages again, then moves them to the dead letters and stops the agent."
        ),
    ] = "stop"
    retries: Annotated[
        int,
        Meta(ge=0, le=1_000_000, description="How often in a row retry and restart try again; 0 lets restart go on."),
    ] = 0


class TemplateTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An agent's code, grants and limits; a template is what agents spawn others from."""

    module: (
        Annotated[str, Meta(min_length=1, description="WebAssembly module, relative to the world file's folder.")]
        | UnsetType
    ) = UNSET
    native: (
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z_][A-Za-z0-9_]*:[A-Za-z_][A-Za-z0-9_]*$",
                description='Trusted Python agent as "file:Class", the file beside the world file.',
            ),
        ]
        | UnsetType
    ) = UNSET
    config: Annotated[
        Table,
        Meta(description="What the agent gets at its start, as JSON: integers, text, booleans, arrays, tables."),
    ] = {}
    priority: Priority = 0
    publish: Annotated[Names, Meta(description="Topics it may publish on.")] | UnsetType = UNSET
    subscribe: Annotated[Names, Meta(description="Topics it may subscribe to.")] | UnsetType = UNSET
    send: Annotated[Peers, Meta(description="Agents it may send to; `*` for all of them.")] | UnsetType = UNSET
    skills: Annotated[Names, Meta(description="Skills it may call.")] | UnsetType = UNSET
    spawn: Annotated[Names, Meta(description="Templates it may spawn.")] | UnsetType = UNSET
    models: Annotated[Names, Meta(description="Models it may ask.")] | UnsetType = UNSET
    windows: Annotated[Names, Meta(description="Windows it may write or read.")] | UnsetType = UNSET
    clock: Annotated[bool, Meta(description="Whether it is given the wall-clock time of each tick, as an input.")] = (
        False
    )
    limits: LimitsTable = LimitsTable()
    supervision: SupervisionTable = SupervisionTable()


class AgentTable(TemplateTable, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An agent that lives from the run's first tick."""

    count: (
        Annotated[
            int, Meta(ge=1, le=MAX_COUNT, description="Makes so many agents of it, named NAME-0, NAME-1 and so on.")
        ]
        | UnsetType
    ) = UNSET


class TaskTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A task for an agent."""

    name: Annotated[Name, Meta(description="What other tasks call it in `depends_on`.")]
    agent: Annotated[Name, Meta(description="Who does it.")]
    priority: Priority = 0
    payload: Annotated[str | Table, Meta(description="Text is given as UTF-8 bytes, a table as JSON.")] = ""
    depends_on: Annotated[Names, Meta(description="Tasks that must be done before it.")] = ()


class FeedTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A CSV file whose lines enter the run as inputs, each body being the line without its newline."""

    file: Annotated[
        str, Meta(min_length=1, description="Relative to the world file's folder; its first line names the columns.")
    ]
    to: Annotated[Name, Meta(description="The agent that gets them.")] | UnsetType = UNSET
    topic: Annotated[Name, Meta(description="The topic they are published on.")] | UnsetType = UNSET
    tick: Annotated[
        str, Meta(description="Column whose integer is the line's tick; left out, each line takes the next tick.")
    ] = ""


class SwapTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new version of an agent or of a model, which takes its place while the run goes on."""

    at: Annotated[Natural, Meta(description="The tick before whose turns it happens.")]
    agent: Annotated[Name, Meta(description="The agent whose place it takes.")] | UnsetType = UNSET
    module: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="An agent's new version: its WebAssembly module, relative to the world file's folder.",
            ),
        ]
        | UnsetType
    ) = UNSET
    model: Annotated[Name, Meta(description="The model whose place it takes.")] | UnsetType = UNSET
    to: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=200,
                description="A model's new version in the store: `NAME:VERSION`, `NAME:ALIAS` or `sha256:DIGEST`.",
            ),
        ]
        | UnsetType
    ) = UNSET
    file: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="A model's new version as a file or folder, relative to the world file's folder.",
            ),
        ]
        | UnsetType
    ) = UNSET
    mode: (
        Annotated[
            Literal["migrate", "restart", "keep_image"],
            Meta(
                description="Of an agent. migrate: agent_save of the old version, agent_load of the new one. restart: "
                "agent_init anew. keep_image: memory and globals as they are, for code of the same layout. "
                "Default: migrate."
            ),
        ]
        | UnsetType
    ) = UNSET
    grants: Annotated[
        tuple[str, ...],
        Meta(description="What it may do beyond the old version: `publish:NAME` and the like, `clock`, `fuel:N`."),
    ] = ()


class WorldTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A world: all that decides a run besides its inputs."""

    schema: Annotated[Literal[1], Meta(description="Version of this format.")]
    name: Annotated[Name, Meta(description="Names the run.")]
    ticks: Annotated[Positive, Meta(description="How long the run lasts.")]
    seed: Annotated[Natural, Meta(description="Where every random stream of the run begins.")] = 0
    policy: Annotated[
        Literal["fifo", "priority", "round_robin", "dag"], Meta(description="How the turns of a tick are ordered.")
    ] = "fifo"
    visibility: Annotated[
        Literal["next", "linear"],
        Meta(description="next: a message is seen in the next tick. linear: later turns of the same tick see it."),
    ] = "next"
    ordering: Annotated[
        Literal["issue", "arrival"], Meta(description="In which order results of effects enter the run.")
    ] = "issue"
    max_inputs: Annotated[int, Meta(ge=1, le=1 << 20, description="Inputs one tick takes at most.")] = 4096
    turns_per_tick: Annotated[Natural, Meta(description="Turns one tick plans at most; 0 for all that are due.")] = 0
    checkpoint_every: Annotated[Positive, Meta(description="Ticks between two digests of the whole state.")] = 64
    agents: dict[Name, AgentTable] = {}
    topics: dict[Name, TopicTable] = {}
    skills: dict[Name, SkillTable] = {}
    models: dict[Name, ModelTable] = {}
    windows: dict[Name, WindowTable] = {}
    templates: dict[Name, TemplateTable] = {}
    tasks: Annotated[tuple[TaskTable, ...], Meta(description="Tasks the run begins with.")] = ()
    feeds: dict[Name, FeedTable] = {}
    swaps: Annotated[
        tuple[SwapTable, ...], Meta(description="New versions of agents and models, each at its tick.")
    ] = ()
