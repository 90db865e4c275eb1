"""A world run in a test: what its agents did, and whether every way to run it comes to the same head."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from .. import codec
from ..driver.compare import kind_name
from ..driver.diff import diff
from ..driver.fold import read_turns
from ..driver.look import machine_at
from ..driver.options import Options
from ..driver.performers import Performer
from ..driver.resolve import World, canonical_json, load_world
from ..driver.verify import replay, verify
from ..errors import AgentNotFound, AgentTestFailed, WorldReferenceError
from ..journal.memory import MemoryJournal
from ..kernel import Machine
from ..packages.files import replace_file
from ..packages.package import strip_package
from ..records import Encoding, FrameKind, Input, InputKind, Operation, Status
from .build import Built, Signer, build
from .project import FILE, read_project
from .toolchain import Environment
from .trials import target_of
from .ways import AS_IT_IS, RESTORED, other_ways, quiet, record

Given = tuple[int, Input] | tuple[int, str, object]
"""What enters: a tick and an input; or a tick, an agent or topic by its name, and a body."""


class Sent(msgspec.Struct, frozen=True):
    """One frame of a turn's outbox.

    Attributes:
        kind: ``send``, ``publish``, ``log`` and so on; a number for a kind of the user's.
        to: The agent, topic, skill and so on by its name.
    """

    tick: int
    kind: str
    to: str
    body: bytes
    encoding: int = Encoding.BYTES

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """Return what the body says as JSON."""
        return msgspec.json.decode(self.body)


class AgentTurn(msgspec.Struct, frozen=True):
    """One turn.

    Attributes:
        operation: ``init``, ``step`` or ``shutdown``.
        status: ``ok``, ``trap``, ``failed`` and so on.
        code: What the agent returned.
        fuel: Instructions it used.
        detail: Of a failure, for people.
        sent: Its outbox. Order: as the agent wrote it.
    """

    agent: str
    tick: int
    operation: str
    status: str
    code: int
    fuel: int
    detail: str
    sent: tuple[Sent, ...]

    @property
    def ok(self) -> bool:
        """Whether the turn went well."""
        return self.status == Status.OK.name.lower()


class WorldRun(msgspec.Struct, frozen=True):
    """A finished run.

    Attributes:
        world, options: What it was run with, to run it again.
        journal: Everything, for who wants to look.
        status: ``complete`` or ``failed``.
        ticks: Ticks it took, those of closing left out.
    """

    world: World
    options: Options
    journal: MemoryJournal
    status: str
    ticks: int
    _all: tuple[AgentTurn, ...]
    _machine: Machine

    @property
    def head(self) -> bytes:
        """The head of D: the digest of all that decides the run."""
        return self.journal.head().d

    def turns(self, agent: str = "") -> tuple[AgentTurn, ...]:
        """Return the turns of an agent, or of all. Order: tick, then slot.

        Raises:
            AgentNotFound: TW4005.
        """
        self._check(agent)
        return tuple(turn for turn in self._all if agent in ("", turn.agent))

    def sent(self, agent: str = "", *, kind: str = "") -> tuple[Sent, ...]:
        """Return what an agent left in its outboxes, or all agents. Order: as sent.

        Args:
            kind: Only of this kind.

        Raises:
            AgentNotFound: TW4005.
        """
        return tuple(sent for turn in self.turns(agent) for sent in turn.sent if kind in ("", sent.kind))

    def failures(self) -> tuple[AgentTurn, ...]:
        """Return the turns that did not go well. Order: tick, then slot."""
        return tuple(turn for turn in self._all if not turn.ok)

    def value(self, topic: str) -> bytes | None:
        """Return a topic's retained value at the end, None where there is none.

        Raises:
            WorldReferenceError: TW1103, the world has no such topic.
        """
        topics = {state.name: state for state in self._machine.state.topics}
        if topic not in topics:
            raise WorldReferenceError(
                f"the world has no topic {topic!r}", why=f"it has {', '.join(topics) or 'none'}", fix="name one of them"
            )
        return topics[topic].value if topics[topic].version else None

    def check(self) -> bytes:
        """Return the head that every way to run the world comes to: replayed, verified, run again on an engine that
        optimises nothing, in worker processes, and restored at every tick.

        Raises:
            AgentTestFailed: TW5005, one of them comes to another.
        """
        if replay(self.journal, options=self.options).head != self.head:
            raise self._differs("replayed", "the head differs")
        verified = verify(self.journal, world=self.world, options=self.options)
        if not verified.equal:
            found = verified.divergence
            raise self._differs("verified", found.sentence() if found else "the journal is damaged")
        for name, options in other_ways(self.options):
            other = record(self.world, options, restored=name == RESTORED)
            if other.head().d != self.head:
                found = diff(self.journal, other).divergence
                raise self._differs(f"run {name}", found.sentence() if found else "the heads differ")
        return self.head

    def _differs(self, way: str, why: str) -> AgentTestFailed:
        return AgentTestFailed(
            f"{way}, the world {self.world.header.name!r} comes to something else than run {AS_IT_IS}",
            where=str(self.world.folder),
            why=why,
            fix="a native agent or a performer that reads a clock, a file or a random number does this; no module can",
        )

    def _check(self, agent: str) -> None:
        names = [state.name for state in self._machine.state.agents]
        if agent and agent not in names:
            listed = ", ".join(names)
            raise AgentNotFound(f"the run has no agent {agent!r}", why=f"it has {listed}", fix="name one of them")


def run_world(
    path: Path,
    options: Options,
    *,
    seed: int | None = None,
    ticks: int | None = None,
    inputs: Iterable[Given] = (),
    performers: Mapping[str, Performer] | None = None,
    bases: Sequence[Path] = (),
) -> WorldRun:
    """Return a run of the world in a file, in memory; unsigned modules may run.

    Raises:
        WorldError: TW1101 to TW1104. ModuleError: TW3001 to TW3006.
    """
    world = load_world(path, seed=seed, ticks=ticks, allow_unsigned=True, bases=bases)
    world = msgspec.structs.replace(world, inputs=(*world.inputs, *(_given(one, world) for one in inputs)))
    options = msgspec.structs.replace(quiet(options), performers={**options.performers, **(performers or {})})
    journal = record(world, options)
    machine = machine_at(journal, None)
    turns = tuple(_turns(journal, machine))
    return WorldRun(world, options, journal, journal.status().text, machine.ticks, turns, machine)


def _given(one: Given, world: World) -> tuple[int, Input]:
    if len(one) == 2:
        return one
    tick, target, said = one
    header = world.header
    agents = [spec.name for spec in header.agents]
    if target not in agents and target not in header.topics:
        raise WorldReferenceError(
            f"an input is for {target!r}, which is no agent and no topic",
            why=f"the world has the agents {', '.join(agents)} and the topics {', '.join(header.topics) or 'none'}",
            fix="name one of them",
        )
    kind = InputKind.MESSAGE if target in agents else InputKind.PUBLISH
    encoding = Encoding.BYTES
    if isinstance(said, bytes | bytearray):
        body = bytes(said)
    elif isinstance(said, str):
        body = said.encode()
    else:
        encoding, body = Encoding.JSON, canonical_json(said)
    return tick, Input(kind, "test", target, encoding=encoding, body=body, size=len(body))


def _turns(journal: MemoryJournal, machine: Machine) -> Iterator[AgentTurn]:
    agents = machine.state.agents
    names = [agent.name for agent in agents]
    for frame in journal.frames():
        hints = codec.decode_hints(frame.hints)
        details = dict(hints.details)
        for slot, turn in enumerate(read_turns(journal, frame)):
            spec = agents[turn.agent].spec
            sent = tuple(
                Sent(
                    frame.tick,
                    kind_name(one.kind),
                    "" if one.kind in _NOWHERE else target_of(spec, one, names),
                    one.body,
                    one.encoding,
                )
                for one in codec.decode_frames(turn.outcome.outbox)
            )
            yield AgentTurn(
                names[turn.agent],
                frame.tick,
                Operation(turn.operation).name.lower(),
                Status(turn.outcome.status).name.lower(),
                turn.outcome.code,
                hints.fuel[slot] if slot < len(hints.fuel) else 0,
                details.get(slot, ""),
                sent,
            )


_NOWHERE: Final = frozenset({FrameKind.LOG, FrameKind.METRIC, FrameKind.EXIT, FrameKind.TIMER})


# -- building ----------------------------------------------------------------------------------------------------------


class Builder:
    """Builds the projects that worlds are part of, each once as long as its sources stay as they are."""

    def __init__(self, environment: Environment, sign: Signer | None = None) -> None:
        self._environment = environment
        self._sign = sign
        self._built: dict[Path, Built] = {}

    def prepare(self, folder: Path) -> None:
        """Build the project in a folder, if it is one, and put its package where its world looks for it.

        Raises:
            ToolchainMissing: TW5001. BuildFailed: TW5002. ProjectInvalid: TW5004.
        """
        if not (folder / FILE).is_file() or folder in self._built:
            return
        project = read_project(folder)
        built = self._built[folder] = build(project, self._environment)
        module = built.compiled.module
        package = folder / f"{project.name}{built.compiled.suffix}"
        if package.exists() and strip_package(package.read_bytes(), name=package.name) == module:
            return
        # Several processes of one test run may come here at once; each replaces the file by the same bytes.
        replace_file(package, self._sign(module, package.name) if self._sign else module)


def find_world(name: Path | str, start: Path) -> Path:
    """Return a world's file: an absolute path as it is, else the nearest of that name at or above a folder.

    Raises:
        WorldReferenceError: TW1103, there is none.
    """
    for folder in (start, *start.parents):
        path = folder / name
        if path.is_file():
            return path
    raise WorldReferenceError(
        f"there is no world {name}", where=str(start), why="neither here nor in a folder above", fix="name its file"
    )
