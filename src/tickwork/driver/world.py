"""Reads ``world.toml`` and finds everything wrong with it at once, each fault with its line, key and nearest match.

Invariants:
    * Only text is judged here: no file the world names is opened. ``resolve`` does that.
    * A ``WorldFile`` is free of faults: every name it uses exists, and its tasks can be ordered.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from msgspec import inspect as shapes

from ..errors import (
    TaskCycleError,
    WorldError,
    WorldReferenceError,
    WorldSchemaError,
    WorldSyntaxError,
)
from . import places
from .faults import Fault, as_error, choose, key_text, listed, nearest, place_text
from .plans import may_be_spawned
from .shape import is_array, is_table, kind_name, shape_faults
from .tables import (
    ALL_AGENTS,
    MAX_INTEGER,
    AgentTable,
    FeedTable,
    ModelTable,
    SwapTable,
    TaskTable,
    TemplateTable,
    WindowTable,
    WorldTable,
)

_AT_LINE: Final = re.compile(r"^(?P<what>.*) \(at line (?P<line>\d+), column (?P<column>\d+)\)$", re.DOTALL)


class WorldFile(msgspec.Struct, frozen=True):
    """A world file that holds together.

    Attributes:
        path: The file as the user named it.
        lines: Line of every key.
    """

    table: WorldTable
    path: Path
    lines: Mapping[places.Path, int]

    def error(self, fault: Fault) -> WorldError:
        """Return a fault found later, by looking at the files a world names, as an error with its place."""
        return as_error([fault], self.path, self.lines)

    def place(self, path: places.Path) -> str:
        """Return file, line and key as an error names them."""
        return place_text(path, self.path, self.lines)


def parse_world(text: str, path: Path) -> WorldFile:
    """Return the world written in ``text``.

    Args:
        path: Only named in errors.

    Raises:
        WorldSyntaxError: TW1101, the text is not TOML.
        WorldSchemaError: TW1102, an unknown key, a wrong type, a value out of range, no agents.
        WorldReferenceError: TW1103, a name that is not declared.
        TaskCycleError: TW1104, tasks that wait for each other.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _syntax_error(str(error), path) from error
    lines = places.find_places(text)
    faults = list(shape_faults(document, shapes.type_info(WorldTable), ()))
    if faults:
        raise as_error(faults, path, lines)
    table = msgspec.convert(document, WorldTable)
    faults = [*_rule_faults(table), *_reference_faults(table)] or list(_cycle_faults(table.tasks))
    if faults:
        raise as_error(faults, path, lines)
    return WorldFile(table, path, lines)


def read_world(path: Path) -> WorldFile:
    """Return the world in a file.

    Raises:
        WorldReferenceError: TW1103, no file can be read there.
        WorldSyntaxError: TW1101, not UTF-8 or not TOML.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WorldReferenceError(
            f"no world file can be read at {path}",
            where=str(path),
            why=error.strerror or str(error),
            fix="name a world.toml; `tickwork demo` runs one that is shipped",
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise WorldSyntaxError(
            "the world file is not UTF-8",
            where=f"{path}:{line}, byte {error.start}",
            why=error.reason,
            fix="save the file as UTF-8",
        ) from error
    return parse_world(text, path)


def world_schema() -> bytes:
    """Return the JSON Schema of a world file, as it is published."""
    schema = msgspec.json.schema(WorldTable)
    named: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tickwork world",
        **schema,
    }
    return msgspec.json.format(msgspec.json.encode(named, order="deterministic"), indent=2) + b"\n"


def member_names(name: str, count: int | UnsetType) -> tuple[str, ...]:
    """Return the agents that one table makes: itself, or NAME-0 to NAME-(count-1)."""
    return (name,) if isinstance(count, UnsetType) else tuple(f"{name}-{index}" for index in range(count))


def _syntax_error(message: str, path: Path) -> WorldSyntaxError:
    found = _AT_LINE.match(message)
    if found is None:
        return WorldSyntaxError("the world file is not TOML", where=str(path), why=message, fix="complete the file")
    where = f"{path}:{found['line']}, column {found['column']}"
    return WorldSyntaxError("the world file is not TOML", where=where, why=found["what"], fix="correct that line")


# --- rules: what a schema cannot say ---


def _rule_faults(world: WorldTable) -> Iterator[Fault]:
    if not world.agents:
        why = "a run is what its agents do"
        yield Fault(WorldSchemaError, (), "the world has no agents", why, "add a table [agents.NAME]")
    for path, agent in _actors(world):
        yield from _code_faults(path, agent)
        yield from _limit_faults(path, agent)
        yield from _json_faults(agent.config, (*path, "config"))
        for key in GRANT_KINDS:
            yield from _repeat_faults(_grants(agent, key), (*path, key))
    yield from _member_faults(world.agents)
    yield from _task_rule_faults(world.tasks)
    for name, feed in world.feeds.items():
        yield from _feed_faults(name, feed)
    for name, model in world.models.items():
        yield from _model_faults(name, model)
    for name, window in world.windows.items():
        yield from _window_faults(name, window)
    for position, swap in enumerate(world.swaps):
        yield from _swap_faults(("swaps", position), swap)


def _actors(world: WorldTable) -> Iterator[tuple[places.Path, TemplateTable]]:
    """Yield every agent and template with its path."""
    for name, agent in world.agents.items():
        yield ("agents", name), agent
    for name, template in world.templates.items():
        yield ("templates", name), template


def _grants(agent: TemplateTable, key: str) -> tuple[str, ...]:
    names: tuple[str, ...] | UnsetType = getattr(agent, key)
    return () if isinstance(names, UnsetType) else names


def _code_faults(path: places.Path, agent: TemplateTable) -> Iterator[Fault]:
    given = [key for key, value in (("module", agent.module), ("native", agent.native)) if value is not UNSET]
    if len(given) == 1:
        return
    what = f"[{key_text(path)}] has {'both module and native' if given else 'neither module nor native'}"
    why = "an agent's code is either a WebAssembly module or a Python class"
    fix = "keep one of them" if given else 'add module = "FILE.wasm" or native = "FILE:CLASS"'
    yield Fault(WorldSchemaError, path, what, why, fix)


def _limit_faults(path: places.Path, agent: TemplateTable) -> Iterator[Fault]:
    limits = agent.limits
    if bool(limits.window_fuel) != bool(limits.window_ticks):
        why = "a fuel window needs both its fuel and its length"
        fix = "set window_fuel and window_ticks, or neither"
        yield Fault(WorldSchemaError, (*path, "limits"), "a fuel window is half described", why, fix)


def _json_faults(value: object, path: places.Path) -> Iterator[Fault]:
    """Yield what cannot be written as canonical JSON: floats, dates, integers of more than 64 bits."""
    if is_table(value):
        for key, item in value.items():
            yield from _json_faults(item, (*path, key))
    elif is_array(value):
        for index, item in enumerate(value):
            yield from _json_faults(item, (*path, index))
    elif isinstance(value, float):
        why = "configuration is hashed, and floats do not have one text on every platform"
        fix = "write a scaled integer (threshold_milli = 1500) or a text"
        yield Fault(WorldSchemaError, path, f"{key_text(path)} is the float {value}", why, fix)
    elif isinstance(value, int):
        if not -MAX_INTEGER - 1 <= value <= MAX_INTEGER:
            yield Fault(WorldSchemaError, path, f"{key_text(path)} needs more than 64 bits", "", "write it as a text")
    elif not isinstance(value, str):
        why = "agents get their configuration as JSON, which has no dates"
        yield Fault(WorldSchemaError, path, f"{key_text(path)} is {kind_name(value)}", why, "write it as a text")


def _repeat_faults(names: Sequence[str], path: places.Path) -> Iterator[Fault]:
    for index, name in enumerate(names):
        if name in names[:index]:
            why = "a name is bound to one handle"
            yield Fault(
                WorldSchemaError, (*path, index), f'"{name}" stands twice in {key_text(path)}', why, "remove one"
            )


def _member_faults(agents: Mapping[str, AgentTable]) -> Iterator[Fault]:
    owners: dict[str, str] = {}
    for name, agent in agents.items():
        for member in member_names(name, agent.count):
            owner = owners.setdefault(member, name)
            if owner != name:
                what = f'two agents are named "{member}"'
                why = f"[agents.{owner}] and [agents.{name}] both make it"
                yield Fault(WorldSchemaError, ("agents", name), what, why, "rename one of them")


def _task_rule_faults(tasks: Sequence[TaskTable]) -> Iterator[Fault]:
    names = [task.name for task in tasks]
    for index, task in enumerate(tasks):
        if task.name in names[:index]:
            what = f'two tasks are named "{task.name}"'
            why = f"tasks[{names.index(task.name)}] has that name too"
            yield Fault(WorldSchemaError, ("tasks", index, "name"), what, why, "rename one of them")
        yield from _repeat_faults(task.depends_on, ("tasks", index, "depends_on"))
        yield from _json_faults(task.payload, ("tasks", index, "payload"))


def _feed_faults(name: str, feed: FeedTable) -> Iterator[Fault]:
    if (feed.to is UNSET) == (feed.topic is UNSET):
        what = f"[feeds.{name}] must name either an agent (to) or a topic"
        why = "both are set" if feed.to is not UNSET else "neither is set"
        yield Fault(WorldSchemaError, ("feeds", name), what, why, 'write to = "AGENT" or topic = "TOPIC"')


def _model_faults(name: str, model: ModelTable) -> Iterator[Fault]:
    path = ("models", name)
    if model.model is not UNSET and model.file is not UNSET:
        what, why = f"[models.{name}] has both model and file", "a model is taken from the store or from a file"
        yield Fault(WorldSchemaError, (*path, "file"), what, why, "keep one of them")
    if model.model is UNSET and model.file is UNSET:
        for key in ("profile", "deadline_ms", "fallback"):
            if getattr(model, key) is not UNSET:
                what = f"{key} is set for a model that a performer answers for"
                fix = 'name a model of the store, model = "NAME:VERSION", or leave it out'
                yield Fault(WorldSchemaError, (*path, key), what, "it says how Tickwork runs a model", fix)
    if model.batch == "row" and model.most is not UNSET:
        why = 'with batch = "row" each question is asked alone'
        yield Fault(WorldSchemaError, (*path, "most"), "most bounds nothing", why, 'add batch = "tick", or remove it')
    if model.fallback not in (UNSET, "strict") and model.profile != "fast":
        what = f"fallback = {model.fallback!r} does not go with an exact profile"
        why = "exact profiles run on the processor alone, whose answers no other provider gives"
        yield Fault(WorldSchemaError, (*path, "fallback"), what, why, 'add profile = "fast", or remove it')


def _swap_faults(path: places.Path, swap: SwapTable) -> Iterator[Fault]:
    """Yield what is wrong with a swap that is of an agent and of a model, or of neither, or half of one."""
    said = [key for key in ("agent", "module", "model", "to", "file", "mode") if getattr(swap, key) is not UNSET]
    said += ["grants"] if swap.grants else []
    if ("agent" in said) == ("model" in said):
        what = "a swap names an agent and a model" if "agent" in said else "a swap names neither an agent nor a model"
        fix = 'write agent = "NAME" and module = "FILE", or model = "NAME" and to = "NAME:VERSION"'
        yield Fault(WorldSchemaError, path, what, "it is one or the other whose place a new version takes", fix)
        return
    whose, own = ("agent", ("module", "mode", "grants")) if "agent" in said else ("model", ("to", "file"))
    for key in said:
        if key not in (whose, *own):
            what, why = f"{key} is set in the swap of {whose} {getattr(swap, whose)!r}", f"a swap of {whose} has none"
            yield Fault(WorldSchemaError, (*path, key), what, why, "remove it")
    versions = [key for key in ("module", "to", "file") if key in said and key in own]
    if len(versions) != 1:
        fix = 'write module = "FILE"' if whose == "agent" else 'write to = "NAME:VERSION", or file = "FILE"'
        what = f"the swap of {whose} {getattr(swap, whose)!r} names {'two' if versions else 'no'} new versions"
        yield Fault(WorldSchemaError, path, what, "one takes the place of the old one", fix)


def _window_faults(name: str, window: WindowTable) -> Iterator[Fault]:
    path = ("windows", name)
    if window.writer in window.readers:
        index = window.readers.index(window.writer)
        what = f'"{window.writer}" both writes and reads the window "{name}"'
        why = "its region holds what it wrote already"
        yield Fault(WorldSchemaError, (*path, "readers", index), what, why, "remove it from the readers")
    if window.closes and window.closes <= window.opens:
        what = f'the window "{name}" closes at tick {window.closes} and opens at {window.opens}'
        fix = "let it close later, or leave closes out to close it with the run"
        yield Fault(WorldSchemaError, (*path, "closes"), what, "it would never be open", fix)
    yield from _repeat_faults(window.readers, (*path, "readers"))


# --- references: names that must exist ---


def _reference_faults(world: WorldTable) -> Iterator[Fault]:
    missing = _Names(world).missing
    for path, agent in _actors(world):
        for key in GRANT_KINDS:
            for index, name in enumerate(_grants(agent, key)):
                yield from missing(GRANT_KINDS[key], name, (*path, key, index))
    task_names = {task.name for task in world.tasks}
    for position, task in enumerate(world.tasks):
        yield from missing("agent", task.agent, ("tasks", position, "agent"))
        for index, name in enumerate(task.depends_on):
            if name not in task_names:
                path = ("tasks", position, "depends_on", index)
                fix = choose(name, task_names, "add that task")
                yield Fault(WorldReferenceError, path, f'there is no task "{name}"', "", fix)
    for name, feed in world.feeds.items():
        if not isinstance(feed.to, UnsetType):
            yield from missing("agent", feed.to, ("feeds", name, "to"))
        if not isinstance(feed.topic, UnsetType):
            yield from missing("topic", feed.topic, ("feeds", name, "topic"))
    for name, window in world.windows.items():
        yield from missing("agent", window.writer, ("windows", name, "writer"))
        for index, reader in enumerate(window.readers):
            yield from missing("agent", reader, ("windows", name, "readers", index))
    for position, swap in enumerate(world.swaps):
        if isinstance(swap.agent, str) and not may_be_spawned(world.templates, swap.agent):
            yield from missing("agent", swap.agent, ("swaps", position, "agent"))
        if isinstance(swap.model, str):
            yield from missing("model", swap.model, ("swaps", position, "model"))


GRANT_KINDS: Final[Mapping[str, str]] = {
    "publish": "topic",
    "subscribe": "topic",
    "send": "agent",
    "skills": "skill",
    "spawn": "template",
    "models": "model",
    "windows": "window",
}
"""What the names of each grant list name."""

_DECLARATION: Final = {
    "topic": "declare it with [topics.{}]",
    "agent": "add [agents.{}]",
    "skill": 'declare it with [skills."{}"]',
    "template": "add [templates.{}]",
    "model": "declare it with [models.{}]",
    "window": "add [windows.{}]",
}


class _Names:
    """The names a world declares."""

    def __init__(self, world: WorldTable) -> None:
        members = {name: member_names(name, agent.count) for name, agent in world.agents.items()}
        self.groups = {name: made for name, made in members.items() if made != (name,)}
        self.known: dict[str, frozenset[str]] = {
            "topic": frozenset(world.topics),
            "agent": frozenset(member for made in members.values() for member in made),
            "skill": frozenset(world.skills),
            "template": frozenset(world.templates),
            "model": frozenset(world.models),
            "window": frozenset(world.windows),
        }

    def missing(self, kind: str, name: str, path: places.Path) -> Iterator[Fault]:
        """Yield a fault if the world declares no such name."""
        if name in self.known[kind] or (kind == "agent" and name == ALL_AGENTS):
            return
        declare = _DECLARATION[kind].format(name)
        what = f'there is no {kind} "{name}"'
        if kind == "agent" and name in self.groups:
            made = self.groups[name]
            why = f"[agents.{name}] has count = {len(made)} and makes {made[0]} to {made[-1]}"
            yield Fault(WorldReferenceError, path, what, why, f'name one of them, such as "{made[0]}"')
            return
        match = nearest(name, self.known[kind])
        fix = f'did you mean "{match}"? else {declare}' if match else declare
        known = listed(sorted(self.known[kind])) or "none"
        yield Fault(WorldReferenceError, path, what, f"the world has: {known}", fix)


def missing_name(world: WorldTable) -> Callable[[str, str, places.Path], Iterator[Fault]]:
    """Return the check that a topic, agent, skill, template, model or window of that name exists in a world."""
    return _Names(world).missing


# --- tasks: no cycles ---


def _cycle_faults(tasks: Sequence[TaskTable]) -> Iterator[Fault]:
    cycle = find_cycle({task.name: task.depends_on for task in tasks})
    if cycle:
        first = next(index for index, task in enumerate(tasks) if task.name == cycle[0])
        what = "tasks wait for each other: " + " -> ".join(cycle)
        why = f"each waits for the next, so that none could begin: {cycle[0]} depends on {cycle[1]}"
        yield Fault(TaskCycleError, ("tasks", first, "depends_on"), what, why, "remove one of these dependencies")


def find_cycle(depends_on: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return a cycle with its first name repeated at the end, or nothing.

    Order: the walk begins at the first name and follows dependencies as written, so equal input gives an equal cycle.
    """
    done: set[str] = set()
    for start in depends_on:
        trail: dict[str, Iterator[str]] = {}
        step: str | None = start
        while step is not None or trail:
            if step is None:
                done.add(trail.popitem()[0])
            elif step in trail:
                names = list(trail)
                return (*names[names.index(step) :], step)
            elif step not in done:
                trail[step] = iter(depends_on[step])
            step = next(trail[next(reversed(trail))], None) if trail else None
    return ()
