"""Trials: an agent's script run in every way that must make no difference, and what it did as a text to compare.

All ways must come to one head.
"""

import difflib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from .. import codec
from ..driver.compare import kind_name
from ..driver.diff import diff
from ..driver.fold import read_turns
from ..driver.options import Options
from ..errors import AgentTestFailed
from ..journal.memory import MemoryJournal
from ..packages.files import replace_file
from ..records import (
    AGAIN,
    RAW_AGENT,
    UNTIL_MESSAGE,
    AgentSpec,
    Encoding,
    FrameKind,
    Header,
    Message,
    Operation,
    Status,
)
from ..sandbox.manifest import Manifest
from .scripts import Script, performers, script_world
from .ways import AS_IT_IS, RESTORED, other_ways, quiet, record

LONGEST_BODY: Final = 200
"""Bytes of a body that are written out; of a longer one the digest stands."""

CODES: Final = {AGAIN: "again", UNTIL_MESSAGE: "until a message"}


class Trial(msgspec.Struct, frozen=True):
    """A script and the package it tries.

    Attributes:
        bases: Folders of the base modules that source bundles run on.
    """

    script: Script
    manifest: Manifest
    package: Path
    bases: tuple[Path, ...] = ()


class Played(msgspec.Struct, frozen=True):
    """How a script came out.

    Attributes:
        text: What the agent did, a line for each turn and frame.
        journal: Everything, for who wants to look.
        ways: Names of the ways it was run in. Order: as run; all came to ``head``.
        fuel: Instructions its turns used.
    """

    head: bytes
    text: str
    journal: MemoryJournal
    ways: tuple[str, ...]
    turns: int
    failed: int
    fuel: int


def play(trial: Trial, options: Options, *, every_way: bool = True) -> Played:
    """Return how a script came out.

    Args:
        every_way: Run it in every way; else only as it is.

    Raises:
        AgentTestFailed: TW5005, two ways came to different heads: the agent, or Tickwork, is not deterministic.
        ProjectInvalid: TW5004, the script does not fit the agent.
        ModuleError: TW3001 to TW3006, the module is refused.
    """
    with tempfile.TemporaryDirectory(prefix="tickwork-") as folder:
        world = script_world(trial.script, trial.manifest, trial.package, Path(folder), bases=trial.bases)
        options = msgspec.structs.replace(quiet(options), performers=performers(trial.script, trial.manifest))
        first = record(world, options)
        head, ways = first.head().d, [AS_IT_IS]
        for name, changed in other_ways(options) if every_way else ():
            again = performers(trial.script, trial.manifest)  # They count the answers that they have given.
            changed = msgspec.structs.replace(changed, performers=again)
            other = record(world, changed, restored=name == RESTORED)
            if other.head().d != head:
                raise _differs(trial, first, other, name)
            ways.append(name)
        return _played(first, tuple(ways))


def _differs(trial: Trial, first: MemoryJournal, other: MemoryJournal, way: str) -> AgentTestFailed:
    found = diff(first, other)
    return AgentTestFailed(
        f"{trial.script.name}: run {way}, the agent does something else",
        where=str(trial.script.path),
        why=found.divergence.sentence() if found.divergence is not None else "the heads differ",
        fix="this is a defect of Tickwork; please report it with the module and the script",
    )


def tried_agent(journal: MemoryJournal) -> tuple[int, AgentSpec]:
    """Return the number and the header's entry of the agent under test: the only one that is no peer."""
    return _tried(codec.decode_header(journal.header()[0]))


def _tried(header: Header) -> tuple[int, AgentSpec]:
    return next((number, spec) for number, spec in enumerate(header.agents) if spec.kind == "wasm")


def _played(journal: MemoryJournal, ways: tuple[str, ...]) -> Played:
    header = codec.decode_header(journal.header()[0])
    number, spec = _tried(header)
    agents = ["itself" if agent is spec else agent.name for agent in header.agents]
    lines, turns, failed, fuel = list[str](), 0, 0, 0
    for frame in journal.frames():
        hints = codec.decode_hints(frame.hints)
        for slot, turn in enumerate(read_turns(journal, frame)):
            if turn.agent == number:
                turns, fuel = turns + 1, fuel + hints.fuel[slot]
                failed += turn.outcome.status != Status.OK
                lines.append(_heading(frame.tick, turn.operation, turn.outcome.status, turn.outcome.code))
                lines += [f"    {describe(spec, sent, agents)}" for sent in codec.decode_frames(turn.outcome.outbox)]
    text = "\n".join(lines) + "\n"
    return Played(journal.head().d, text, journal, ways, turns, failed, fuel)


def _heading(tick: int, operation: int, status: int, code: int) -> str:
    returned = status == Status.FAILED or (status == Status.OK and (operation == Operation.STEP or code))
    said = CODES.get(code, f"{code}") if returned else ""
    outcome = "" if status == Status.OK else f" {Status(status).name.lower()}"
    return f"tick {tick} {Operation(operation).name.lower()}{outcome}{f', returns {said}' if said else ''}"


_NAMED: Final[Mapping[int, str]] = {
    FrameKind.SEND: "send",
    FrameKind.TASK: "send",
    FrameKind.PUBLISH: "publish",
    FrameKind.PUBLISH_RETAINED: "publish",
    FrameKind.JOIN: "subscribe",
    FrameKind.LEAVE: "subscribe",
    FrameKind.SKILL: "skills",
    FrameKind.INFER: "models",
    FrameKind.SPAWN: "spawn",
    FrameKind.WINDOW_WRITE: "windows",
}
"""The list of names that a frame's destination is a place in."""

_PLAIN: Final = frozenset({FrameKind.LOG, FrameKind.METRIC, FrameKind.EXIT})
_DELAY_BYTES: Final = 8


def describe(spec: AgentSpec, sent: Message, agents: Sequence[str]) -> str:
    """Return one frame of an outbox as a line of a golden file.

    Args:
        agents: Names by number, for what is sent to a number.
    """
    kind = kind_name(sent.kind)
    if sent.kind in _PLAIN:
        return f"{kind} {shown_body(sent.body)}" if sent.body else kind
    if sent.kind == FrameKind.TIMER and len(sent.body) == _DELAY_BYTES:
        return f"timer {sent.destination} in {int.from_bytes(sent.body, 'little')} ticks"
    encoding = "" if not sent.encoding else f" ({_encoding(sent.encoding)})"
    return f"{kind} {target_of(spec, sent, agents)}{encoding} {shown_body(sent.body)}".rstrip()


def target_of(spec: AgentSpec, sent: Message, agents: Sequence[str]) -> str:
    """Return what a frame's destination means to its sender.

    Args:
        agents: Names by number, for what is sent to a number.
    """
    to = sent.destination & ~RAW_AGENT
    if sent.destination & RAW_AGENT:
        return agents[to] if to < len(agents) else f"agent {to}"
    names: tuple[str, ...] = getattr(spec, _NAMED[sent.kind]) if sent.kind in _NAMED else ()
    return names[to] if to < len(names) else f"handle {to}"


def _encoding(number: int) -> str:
    return Encoding(number).name.lower() if number in Encoding._value2member_map_ else f"encoding {number}"


def shown_body(body: bytes) -> str:
    """Return a body as text where it is plain text, else in hexadecimal; of a long one, its size and digest."""
    if not body:
        return ""
    if len(body) > LONGEST_BODY:
        return f"{len(body)} bytes, sha256 {codec.digest(body).hex()}"
    text = body.decode("utf-8", "replace")
    plain = text.isprintable() and "\ufffd" not in text
    return msgspec.json.encode(text).decode() if plain else body.hex(" ", -8)


def compare(trial: Trial, played: Played) -> str:
    """Return how an agent's deeds differ from its golden file, as a unified diff; empty where they do not.

    Raises:
        AgentTestFailed: TW5005, there is no golden file yet.
    """
    golden = trial.script.golden
    try:
        expected = golden.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise AgentTestFailed(
            f"{trial.script.name} has no golden file",
            where=str(golden),
            why="what the agent does now has nothing to be compared with",
            fix="look with `tickwork agent test --show --quick`, then keep it with `tickwork agent test --update`",
        ) from error
    lines = difflib.unified_diff(
        expected.splitlines(), played.text.splitlines(), f"{golden.name} (expected)", "what it did", lineterm=""
    )
    return "\n".join(lines)


def keep(trial: Trial, played: Played) -> None:
    """Make what an agent does now its golden file."""
    replace_file(trial.script.golden, played.text.encode())
