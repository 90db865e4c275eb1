"""Test scripts: what one agent is told and answered, and the small world in which it is.

A script is a TOML file in a project's ``tests`` folder. Whatever the agent's manifest declares exists in that world:
its topics, windows, models and skills, and an agent for each name it may send to or spawn, which does what the script
says and nothing else.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ..driver import places
from ..driver.faults import as_error, choose, place_text
from ..driver.places import find_places
from ..driver.resolve import World, canonical_json, load_world
from ..driver.shape import is_array, is_table, shape_faults
from ..errors import ProjectInvalid, WorldError
from ..records import Effect, Encoding, Input, InputKind, Refusal, Result
from ..sandbox.manifest import Manifest
from . import peer

SUFFIX: Final = ".toml"
TAIL_TICKS: Final = 8
"""Ticks after the last line of a script that says no number of ticks."""

FIRST_PEER_TICK: Final = 2
"""An agent begins at tick 0, has its first turn at tick 1, and what it sends then is seen at tick 2."""

WINDOW_BYTES: Final = 64 * 1024
ALL: Final = "*"
"""In a manifest's send list: every agent."""


class Spoken(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bytes as a script writes them: exactly one of ``text``, ``json`` and ``hex``."""

    text: Annotated[str, Meta(description="The body, as UTF-8.")] | UnsetType = UNSET
    json: Annotated[Any, Meta(description="The body, as canonical JSON.")] = UNSET
    hex: Annotated[str, Meta(description="The body, as bytes in hexadecimal; spaces are allowed.")] | UnsetType = UNSET
    encoding: (
        Annotated[
            Literal["bytes", "json", "msgpack", "tensor", "artifact"],
            Meta(description="How it says it is encoded; json for a json body, else bytes."),
        ]
        | UnsetType
    ) = UNSET

    def body(self) -> bytes:
        """Return the bytes.

        Raises:
            ValueError: None or several of the three are given, or ``hex`` is no hexadecimal.
        """
        given = [key for key in ("text", "json", "hex") if getattr(self, key) is not UNSET]
        if len(given) != 1:
            raise ValueError(f"exactly one of text, json and hex is written, not {' and '.join(given) or 'none'}")
        if not isinstance(self.text, UnsetType):
            return self.text.encode()
        return canonical_json(self.json) if isinstance(self.hex, UnsetType) else bytes.fromhex(self.hex)

    def encoded_as(self) -> int:
        """Return the encoding's number."""
        otherwise = "bytes" if self.json is UNSET else "json"
        return Encoding[(otherwise if isinstance(self.encoding, UnsetType) else self.encoding).upper()]


class SendTable(Spoken, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A message for the agent."""

    tick: Annotated[int, Meta(ge=0, description="The tick whose turn is given it.")]
    source: Annotated[
        str,
        Meta(
            description="Who sends it: a name of the manifest's send list, any name where that holds `*`, or empty for "
            "outside."
        ),
    ] = msgspec.field(name="from", default="")
    topic: Annotated[str, Meta(description="Published on that topic; else sent to the agent itself.")] = ""
    retain: Annotated[bool, Meta(description="Published as the topic's retained value.")] = False
    kind: Annotated[int, Meta(ge=0, le=65535, description="A kind of the user's, from 0x8000 on; 0 for a message.")] = 0


class AnswerTable(Spoken, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a call of a skill, or a request to a model, comes to. Each call takes the next answer of its name."""

    skill: Annotated[str, Meta(description="The skill that is called.")] = ""
    model: Annotated[str, Meta(description="The model that is asked.")] = ""
    error: Annotated[str, Meta(description="The refusal it ends in: not_found, denied, timeout and so on.")] = ""


class ScriptWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A window that the agent writes, of another kind or size than a frame of 64 KiB."""

    kind: Annotated[
        Literal["frame", "ring", "log"], Meta(description="Whether a write replaces all, goes round, or is added.")
    ] = "frame"
    bytes: Annotated[int, Meta(ge=1, description="Its capacity.")] = WINDOW_BYTES


class ScriptTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A test script as it is written."""

    schema: Annotated[Literal[1], Meta(description="Version of this format.")]
    seed: Annotated[int, Meta(ge=0, description="The seed of the agents' random streams.")] = 0
    ticks: Annotated[int, Meta(ge=0, description="How long it runs; 0 for 8 ticks after its last message.")] = 0
    config: Annotated[dict[str, Any], Meta(description="What the agent gets at its start.")] = {}
    send: Annotated[tuple[SendTable, ...], Meta(description="Messages for the agent.")] = ()
    answer: Annotated[tuple[AnswerTable, ...], Meta(description="Answers to its calls and requests.")] = ()
    windows: Annotated[dict[str, ScriptWindow], Meta(description="Windows that it writes.")] = {}


class Script(msgspec.Struct, frozen=True):
    """A script that was read.

    Attributes:
        name: Its file's, without the suffix.
        lines: Where each key stands.
    """

    name: str
    path: Path
    table: ScriptTable
    lines: Mapping[places.Path, int]

    def place(self, *keys: str | int) -> str:
        """Return file, line and key of what is wrong."""
        return place_text(keys, self.path, self.lines)

    @property
    def golden(self) -> Path:
        """Where what the agent is expected to do stands."""
        return self.path.with_suffix(".golden")

    @property
    def ticks(self) -> int:
        """How long it runs."""
        return self.table.ticks or max((line.tick for line in self.table.send), default=0) + TAIL_TICKS


def read_script(path: Path) -> Script:
    """Return the script in a file.

    Raises:
        ProjectInvalid: TW5004, it cannot be read, is no TOML, or holds what no script holds.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ProjectInvalid(f"the script {path.name} cannot be read", where=str(path), why=str(error)) from error
    try:
        faults = list(shape_faults(document, msgspec.inspect.type_info(ScriptTable), ()))
        if faults:
            raise as_error(faults, path, find_places(text))
        script = Script(path.stem, path, msgspec.convert(document, ScriptTable), find_places(text))
    except WorldError as error:
        raise ProjectInvalid(error.what, where=error.where, why=error.why, fix=error.fix) from error
    _check_bodies(script)
    return script


def _check_bodies(script: Script) -> None:
    bodies: list[tuple[str, int, Spoken]] = [("send", index, line) for index, line in enumerate(script.table.send)]
    bodies += [("answer", index, line) for index, line in enumerate(script.table.answer) if not line.error]
    for key, index, spoken in bodies:
        try:
            spoken.body()
        except ValueError as error:
            raise ProjectInvalid(
                f"a body of the script {script.path.name} is none",
                where=script.place(key, index),
                why=str(error),
                fix="write one of text, json and hex",
            ) from error


def script_world(
    script: Script, manifest: Manifest, package: Path, folder: Path, *, bases: Sequence[Path] = ()
) -> World:
    """Return the world of a script, written into an empty folder.

    Args:
        package: The built module or bundle.
        bases: Folders of the base modules that source bundles run on.

    Raises:
        ProjectInvalid: TW5004, the script names what the manifest does not declare.
    """
    name = f"{manifest.name}-under-test" if manifest.name in _peers(script, manifest) else manifest.name
    lines = dict(_lines(script, manifest, name))
    (folder / "peer.py").write_text(Path(peer.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / package.name).write_bytes(package.read_bytes())
    path = folder / "world.toml"
    path.write_text("\n".join(_world(script, manifest, package.name, name, lines)) + "\n", encoding="utf-8")
    world = load_world(path, allow_unsigned=True, bases=bases)
    return msgspec.structs.replace(world, inputs=tuple(_inputs(script, name)))


def _peers(script: Script, manifest: Manifest) -> list[str]:
    """Return the other agents: those the manifest names, and where it names all, those of the script."""
    sends = manifest.capabilities.send
    heard = [line.source for line in script.table.send if line.source] if ALL in sends else []
    return [name for name in dict.fromkeys((*sends, *heard)) if name != ALL]


def _lines(script: Script, manifest: Manifest, name: str) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Yield what each of the other agents says. Order: of ticks."""
    topics = {*manifest.capabilities.publish, *manifest.capabilities.subscribe}
    for index, line in enumerate(script.table.send):
        for key, what, wanted, known in (
            ("from", "agent", line.source, _peers(script, manifest)),
            ("topic", "topic", line.topic, sorted(topics)),
        ):
            if wanted and wanted not in known:
                raise ProjectInvalid(
                    f"the script names the {what} {wanted!r}, which the agent does not declare",
                    where=script.place("send", index, key),
                    why=f"its manifest declares {', '.join(known) or 'none'}",
                    fix=choose(wanted, known, "declare it in agent.toml"),
                )
        if line.source and line.tick < FIRST_PEER_TICK:
            raise ProjectInvalid(
                f"agent {line.source!r} cannot be heard at tick {line.tick}",
                where=script.place("send", index, "tick"),
                why=f"what agents send is seen a tick later, at tick {FIRST_PEER_TICK} at the earliest",
                fix='leave out "from" for a message from outside',
            )
    for window in script.table.windows:
        if window not in manifest.capabilities.windows:
            raise ProjectInvalid(
                f"the script names the window {window!r}, which the agent does not declare",
                where=script.place("windows", window),
                why=f"its manifest declares {', '.join(manifest.capabilities.windows) or 'none'}",
                fix=choose(window, manifest.capabilities.windows, "declare it in agent.toml"),
            )
    for source in _peers(script, manifest):
        said = sorted((line for line in script.table.send if line.source == source), key=lambda line: line.tick)
        yield source, [_said(line, name) for line in said]


def _said(line: SendTable, name: str) -> dict[str, object]:
    return {
        "tick": line.tick - 1,
        "to": name,
        "topic": line.topic,
        "retain": line.retain,
        "kind": line.kind,
        "encoding": line.encoded_as(),
        "hex": line.body().hex(),
    }


def _inputs(script: Script, name: str) -> Iterator[tuple[int, Input]]:
    for line in script.table.send:
        if not line.source:
            kind, body = InputKind.MESSAGE, line.body()
            if line.topic:
                kind = InputKind.PUBLISH_RETAINED if line.retain else InputKind.PUBLISH
            target = line.topic or name
            yield line.tick, Input(kind, "script", target, encoding=line.encoded_as(), body=body, size=len(body))


def _world(
    script: Script, manifest: Manifest, module: str, name: str, said: Mapping[str, list[dict[str, object]]]
) -> Iterator[str]:
    """Yield the lines of the world file. JSON's texts, lists and numbers are TOML's too."""
    asked, quote = manifest.capabilities, json.dumps
    topics = dict.fromkeys((*asked.publish, *asked.subscribe))
    yield f"schema = 1\nname = {quote(script.name)}\nticks = {script.ticks}\nseed = {script.table.seed}"
    yield from (f"[topics.{quote(topic)}]" for topic in topics)
    yield from (f'[skills.{quote(skill)}]\nclass = "pure"' for skill in asked.skills)
    yield from (f"[models.{quote(model)}]" for model in asked.models)
    for window in asked.windows:
        shape = script.table.windows.get(window, ScriptWindow())
        yield f'[windows.{quote(window)}]\nkind = "{shape.kind}"\nbytes = {shape.bytes}\nwriter = {quote(name)}'
    yield f"[agents.{quote(name)}]\nmodule = {quote(module)}\nclock = {quote(asked.clock)}"
    yield f"config = {_inline(script.table.config)}"
    for other, lines in said.items():
        yield f'[agents.{quote(other)}]\nnative = "peer:Peer"\nsend = [{quote(name)}]\npublish = {quote([*topics])}'
        yield f"config = {_inline({'say': lines})}"
    yield from (f'[templates.{quote(template)}]\nnative = "peer:Peer"' for template in asked.spawn)


def _inline(value: object) -> str:
    """Return a value as TOML on one line."""
    if is_table(value):
        return "{" + ", ".join(f"{json.dumps(key)} = {_inline(item)}" for key, item in value.items()) + "}"
    if is_array(value):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)


class Answers:
    """Performs a script's calls: each takes the next answer of its name, and a call that is repeated the same one."""

    def __init__(self, answers: list[AnswerTable]) -> None:
        self._answers = answers
        self._given: dict[bytes, int] = {}

    def perform(self, effect: Effect) -> Result:
        """Return the next answer, or that there is none."""
        place = self._given.setdefault(effect.key, len(self._given))
        if place >= len(self._answers):
            return Result(effect.number, Refusal.UNSUPPORTED, Encoding.BYTES, b"the script has no further answer")
        answer = self._answers[place]
        if answer.error:
            return Result(
                effect.number,
                Refusal[answer.error.upper()],
                Encoding.BYTES,
                b"" if isinstance(answer.text, UnsetType) else answer.text.encode(),
            )
        return Result(effect.number, 0, answer.encoded_as(), answer.body())


def performers(script: Script, manifest: Manifest) -> dict[str, Answers]:
    """Return what carries out an agent's calls and requests, by skill.

    Raises:
        ProjectInvalid: TW5004, an answer names no skill or model of the manifest, or no refusal.
    """
    asked = manifest.capabilities
    known = {**{name: name for name in asked.skills}, **{f"infer:{name}": name for name in asked.models}}
    found: dict[str, list[AnswerTable]] = {skill: [] for skill in known}
    for index, answer in enumerate(script.table.answer):
        skill = answer.skill or f"infer:{answer.model}"
        if skill not in found or (answer.skill and answer.model):
            raise ProjectInvalid(
                f"an answer of the script is for {answer.skill or answer.model or 'nobody'!r}",
                where=script.place("answer", index),
                why=f"the agent declares {', '.join(known.values()) or 'neither skills nor models'}",
                fix="name one skill, or one model, that agent.toml declares",
            )
        if answer.error and answer.error.upper() not in Refusal.__members__:
            refusals = [name.lower() for name in Refusal.__members__]
            raise ProjectInvalid(
                f"an answer of the script ends in {answer.error!r}, which is no refusal",
                where=script.place("answer", index, "error"),
                why=f"the refusals are {', '.join(refusals)}",
                fix=choose(answer.error, refusals, "name one of them"),
            )
        found[skill].append(answer)
    return {skill: Answers(answers) for skill, answers in found.items()}
