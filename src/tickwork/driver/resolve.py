"""Turns a world file and the files it names into what the driver runs: a header, and the contents it pins by digest.

Invariants:
    * Files are read, never run or written: admission and compilation of modules are the driver's.
    * Equal bytes give an equal header on every machine: no path, no time and no order of a folder listing enters it.
"""

import ast
import errno
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from .. import codec
from ..errors import ModuleManifestInvalid, ModuleRefused, UsageFault, WorldReferenceError, WorldSchemaError
from ..kernel.grants import CLOCK
from ..native import Agent
from ..records import (
    ABI_MAJOR,
    ABI_MINOR,
    ENGINE_PROFILE,
    FORMAT_VERSION,
    KERNEL_SEMANTICS,
    REWRITER_VERSION,
    AgentSpec,
    EffectClass,
    Encoding,
    FeedSpec,
    Header,
    Input,
    Limits,
    ModelSpec,
    SkillSpec,
    Supervision,
    SwapPlan,
    TaskSpec,
    WindowSpec,
)
from ..sandbox.manifest import Manifest, read_manifest
from . import places
from .bundles import DEPTH, find_interpreter, first_pages, is_bundle, read_bundle
from .faults import Fault, choose
from .feeds import read_rows
from .plans import AnySwap, ModelSwap, in_order, plan_swaps, split_swaps
from .tables import (
    MAX_INTEGER,
    FeedTable,
    LimitsTable,
    ModelTable,
    SwapTable,
    TaskTable,
    TemplateTable,
    WindowTable,
)
from .world import GRANT_KINDS, WorldFile, member_names, missing_name, read_world

_EFFECT_CLASSES: Final[Mapping[str, EffectClass]] = {kind.name.lower(): kind for kind in EffectClass}


class SkillConfig(msgspec.Struct, frozen=True):
    """How a skill is performed on this machine; no part of the header.

    Attributes:
        folder: Where its performer writes.
    """

    name: str
    effect_class: int
    folder: Path


class ModelSource(msgspec.Struct, frozen=True):
    """Where a model of the header comes from; it is looked up when a run begins.

    Attributes:
        reference: What a store finds it by; empty where it lies in a file.
        path: The file or folder.
        where: File, line and key, for errors.
    """

    name: str
    reference: str = ""
    path: Path | None = None
    where: str = ""


class World(msgspec.Struct, frozen=True):
    """A world the driver can run.

    Attributes:
        contents: Modules and feeds, for the journal's content store. Order: as the header names them, each once.
        folder: Where native agents' sources lie.
        performers: One for each skill of the header. Order: the header's.
        modules: WebAssembly modules by digest.
        natives: Classes by ``AgentSpec.entry``, for agents that come from no file.
        swaps: Planned swaps, whose modules are among ``modules``. Order: tick.
        inputs: What else enters, each with its tick. A run that is resumed or forked takes what is still to come from
            the world it is given; no world file holds any.
        model_swaps: Swaps of models, whose versions are looked up when the run begins.
        models: Where those models of the header come from that no performer answers for and that are not pinned yet.
    """

    header: Header
    contents: tuple[bytes, ...] = ()
    folder: Path = Path()
    performers: tuple[SkillConfig, ...] = ()
    modules: Mapping[bytes, bytes] = {}
    natives: Mapping[str, type[Agent[Any]]] = {}
    swaps: tuple[SwapPlan, ...] = ()
    inputs: tuple[tuple[int, Input], ...] = ()
    models: tuple[ModelSource, ...] = ()
    model_swaps: tuple[ModelSwap, ...] = ()


def with_swaps(world: World, swaps: Iterable[AnySwap]) -> World:
    """Return a world in which further swaps are planned, with their modules.

    Raises:
        SwapRefused: TW4101.
    """
    of_agents, of_models = split_swaps(swaps)
    plans, modules = plan_swaps(of_agents)
    fresh = [body for digest, body in modules.items() if digest not in world.modules and body not in world.contents]
    return msgspec.structs.replace(
        world,
        contents=(*world.contents, *fresh),
        modules={**world.modules, **modules},
        swaps=in_order((*world.swaps, *plans)),
        model_swaps=(*world.model_swaps, *of_models),
    )


def load_world(
    path: Path | str,
    *,
    seed: int | None = None,
    ticks: int | None = None,
    allow_unsigned: bool = False,
    bases: Sequence[Path] = (),
) -> World:
    """Return the world in a file, with everything it names read and pinned.

    Args:
        seed: Replaces the file's.
        ticks: Replaces the file's.
        allow_unsigned: Whether modules without a trusted signature may run; the header says so.
        bases: Folders of the base modules that source bundles run on. Order: the first that has one counts.

    Raises:
        UsageFault: TW1001, a seed or ticks out of range.
        WorldSyntaxError: TW1101.
        WorldSchemaError: TW1102.
        WorldReferenceError: TW1103, also for a module, source or feed that is absent.
        TaskCycleError: TW1104.
        ModuleRefused: TW3001, a module's file is no module.
        ModuleManifestInvalid: TW3006.
        SignatureInvalid: TW3201, a source bundle is not of the form it must be.
        AgentCodeMissing: TW4002, the base module of a source bundle is not here.
    """
    path = Path(path)
    _refuse_out_of_range("seed", seed, 0)
    _refuse_out_of_range("ticks", ticks, 1)
    file = read_world(path)
    table, reader = file.table, _Reader(file, bases)
    header = msgspec.structs.replace(
        new_header(table.name, table.ticks if ticks is None else ticks, reader.agents()),
        seed=table.seed if seed is None else seed,
        policy=table.policy,
        visibility=table.visibility,
        ordering=table.ordering,
        max_inputs=table.max_inputs,
        turns_per_tick=table.turns_per_tick,
        checkpoint_every=table.checkpoint_every,
        allow_unsigned=allow_unsigned,
        topics=tuple(table.topics),
        templates=tuple(reader.agent(name, item, ("templates", name)) for name, item in table.templates.items()),
        skills=tuple(SkillSpec(name, _EFFECT_CLASSES[skill.effect_class]) for name, skill in table.skills.items()),
        tasks=_tasks(table.tasks),
        feeds=tuple(reader.feed(name, feed) for name, feed in table.feeds.items()),
        models=tuple(_model(name, model) for name, model in table.models.items()),
        windows=tuple(_window(name, window) for name, window in table.windows.items()),
    )
    refuse_undeclared_windows(file, header)
    performers = tuple(
        SkillConfig(name, _EFFECT_CLASSES[skill.effect_class], path.parent / skill.folder)
        for name, skill in table.skills.items()
    )
    swaps = in_order(reader.swap(n, item) for n, item in enumerate(table.swaps) if isinstance(item.agent, str))
    contents = tuple(reader.contents.values())
    models = tuple(reader.models())
    return World(
        header,
        contents,
        path.parent,
        performers,
        reader.modules,
        swaps=swaps,
        models=models,
        model_swaps=tuple(reader.model_swaps()),
    )


def _refuse_out_of_range(name: str, value: int | None, least: int) -> None:
    if value is not None and not least <= value <= MAX_INTEGER:
        raise UsageFault(f"{name} {value} is out of range", fix=f"use an integer from {least} to {MAX_INTEGER}")


def make_world(
    header: Header,
    *,
    modules: Sequence[bytes] = (),
    feeds: Sequence[bytes] = (),
    natives: Mapping[str, type[Agent[Any]]] | None = None,
    performers: Sequence[SkillConfig] = (),
    folder: Path = Path(),
) -> World:
    """Return a world that is made in Python, without a world file.

    Args:
        modules: The WebAssembly modules that agents of the header name by digest.
        feeds: The feed files that the header names by digest.
        natives: Classes by ``AgentSpec.entry``.
    """
    contents = {codec.digest(content): content for content in (*modules, *feeds)}
    return World(
        header,
        tuple(contents.values()),
        folder,
        tuple(performers),
        {codec.digest(module): module for module in modules},
        natives or {},
    )


def new_header(name: str, ticks: int, agents: tuple[AgentSpec, ...]) -> Header:
    """Return a header with the defaults of a world file; ``msgspec.structs.replace`` sets the rest."""
    return Header(
        format=FORMAT_VERSION,
        semantics=KERNEL_SEMANTICS,
        engine_profile=ENGINE_PROFILE,
        rewriter=REWRITER_VERSION,
        abi_major=ABI_MAJOR,
        abi_minor=ABI_MINOR,
        name=name,
        seed=0,
        ticks=ticks,
        policy="fifo",
        visibility="next",
        ordering="issue",
        max_inputs=4096,
        turns_per_tick=0,
        checkpoint_every=64,
        allow_unsigned=False,
        topics=(),
        agents=agents,
    )


def canonical_json(value: object) -> bytes:
    """Return ``value`` as JSON with sorted keys and no spaces.

    Law: equal values give equal bytes, whatever the order of their keys.
    """
    return msgspec.json.encode(value, order="deterministic")


def _tasks(tables: Sequence[TaskTable]) -> tuple[TaskSpec, ...]:
    index = {task.name: position for position, task in enumerate(tables)}
    return tuple(_task(task, tuple(index[name] for name in task.depends_on)) for task in tables)


def _task(task: TaskTable, depends_on: tuple[int, ...]) -> TaskSpec:
    if isinstance(task.payload, str):
        body, encoding = task.payload.encode(), Encoding.BYTES
    else:
        body, encoding = canonical_json(task.payload), Encoding.JSON
    return TaskSpec(task.name, task.agent, task.priority, encoding, body, depends_on)


class _Declared(msgspec.Struct, frozen=True):
    """What a module's manifest asks for."""

    grants: Mapping[str, tuple[str, ...]]
    clock: bool
    fuel: int
    memory_pages: int
    depth: int


class _Reader:
    """Reads the files a world names, each once, and keeps what the journal must hold."""

    def __init__(self, file: WorldFile, bases: Sequence[Path]) -> None:
        self.file = file
        self.bases = bases
        self.folder = file.path.parent
        self.missing = missing_name(file.table)
        self.contents: dict[bytes, bytes] = {}
        self.modules: dict[bytes, bytes] = {}

    def read(self, name: str, path: places.Path, fix: str) -> bytes:
        try:
            # A device or a pipe that a world of somebody else names may never end.
            if (self.folder / name).exists() and not (self.folder / name).is_file():
                raise OSError(errno.EINVAL, "it is no file")
            return (self.folder / name).read_bytes()
        except OSError as error:
            why = f"{self.folder / name}: {error.strerror or error}"
            raise self.file.error(Fault(WorldReferenceError, path, f"there is no file {name}", why, fix)) from error

    def agents(self) -> tuple[AgentSpec, ...]:
        """Return the run's agents; the members of a counted one differ in their names alone."""
        return tuple(
            msgspec.structs.replace(spec, name=member)
            for name, table in self.file.table.agents.items()
            for spec in [self.agent(name, table, ("agents", name))]
            for member in member_names(name, table.count)
        )

    def agent(self, name: str, table: TemplateTable, path: places.Path) -> AgentSpec:
        if isinstance(table.native, UnsetType):
            assert isinstance(table.module, str), "the world was checked: module XOR native"
            return self.wasm_agent(name, table, table.module, path)
        return self.native_agent(name, table, table.native, path)

    def native_agent(self, name: str, table: TemplateTable, entry: str, path: places.Path) -> AgentSpec:
        stem, wanted = entry.split(":")
        place = (*path, "native")
        source = self.read(f"{stem}.py", place, f"put {stem}.py beside the world file")
        self.find_class(source, wanted, f"{stem}.py", place)
        grants = {key: _granted(table, key) or () for key in GRANT_KINDS}
        return _spec(name, "native", entry, source, table, grants, _limits(table.limits, None))

    def find_class(self, source: bytes, wanted: str, file: str, place: places.Path) -> None:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
            fault = Fault(WorldReferenceError, place, f"{file} is not Python", f"{file}{line}: {error}", "correct it")
            raise self.file.error(fault) from error
        classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        if wanted not in classes:
            fix = choose(wanted, classes, f"define class {wanted} in {file}")
            why = "a native agent is a class at the top level of its file"
            raise self.file.error(Fault(WorldReferenceError, place, f'{file} has no class "{wanted}"', why, fix))

    def wasm_agent(self, name: str, table: TemplateTable, module: str, path: places.Path) -> AgentSpec:
        wasm = self.read(
            module, (*path, "module"), "build the module, or correct the path; it is relative to the world file"
        )
        if is_bundle(wasm):
            return self.bundled_agent(name, table, module, wasm, path)
        manifest = self.manifest(wasm, module, path)
        self.keep(wasm)
        if manifest is None:
            entry = Path(module).stem
            grants = {key: _granted(table, key) or () for key in GRANT_KINDS}
            return _spec(name, "wasm", entry, wasm, table, grants, _limits(table.limits, None))
        declared = self.declared(manifest, table, path)
        limits = _limits(table.limits, declared)
        spec = _spec(name, "wasm", manifest.name, wasm, table, declared.grants, limits, clocked=declared.clock)
        return msgspec.structs.replace(spec, version=manifest.version)

    def bundled_agent(self, name: str, table: TemplateTable, file: str, content: bytes, path: places.Path) -> AgentSpec:
        """Return an agent that a base module runs from its sources. What the base begins with is no quota's matter."""
        bundle = read_bundle(content, file)
        base = self.keep(find_interpreter(bundle.interpreter, file, self.bases))
        declared = self.declared(bundle.manifest, table, path)
        limits = _limits(table.limits, declared, base_pages=first_pages(base, file))
        handles = declared.grants
        spec = _spec(name, "wasm", bundle.manifest.name, base, table, handles, limits, clocked=declared.clock)
        version = bundle.manifest.version
        return msgspec.structs.replace(spec, version=version, source=codec.digest(self.keep(content)))

    def keep(self, content: bytes) -> bytes:
        """Keep a module or a bundle for the journal, and return it."""
        mark = codec.digest(content)
        self.contents[mark] = self.modules[mark] = content
        return content

    def declared(self, manifest: Manifest, table: TemplateTable, path: places.Path) -> _Declared:
        """Return what a manifest asks for, after judging what the world grants of it."""
        declared = _declared(manifest)
        faults = [*self.undeclared(table, declared, path), *self.dangling(table, declared, path)]
        if faults:
            raise self.file.error(faults[0])
        return declared

    def manifest(self, wasm: bytes, module: str, path: places.Path) -> Manifest | None:
        try:
            return read_manifest(wasm, module)
        except (ModuleRefused, ModuleManifestInvalid) as error:
            where = "; ".join(filter(None, [self.file.place((*path, "module")), error.where]))
            raise type(error)(error.what, where=where, why=error.why, fix=error.fix) from error

    def undeclared(self, table: TemplateTable, declared: _Declared, path: places.Path) -> Iterator[Fault]:
        """Yield grants of what the module never asked for: a misspelt name would otherwise be granted in vain."""
        why = "a module is granted at most what its manifest declares"
        for key, kind in GRANT_KINDS.items():
            for index, name in enumerate(_granted(table, key) or ()):
                if name not in declared.grants[key]:
                    what = f'{key} grants the {kind} "{name}", which the module does not declare'
                    fix = choose(name, declared.grants[key], "remove it, or declare it in the module's manifest")
                    yield Fault(WorldSchemaError, (*path, key, index), what, why, fix)
        if table.clock and not declared.clock:
            what = "clock is granted to a module that does not declare it"
            yield Fault(
                WorldSchemaError, (*path, "clock"), what, why, "remove it, or declare it in the module's manifest"
            )

    def dangling(self, table: TemplateTable, declared: _Declared, path: places.Path) -> Iterator[Fault]:
        """Yield names that a manifest brings in, because the world leaves the list out, and that the world lacks."""
        for key, kind in GRANT_KINDS.items():
            if _granted(table, key) is not None:
                continue
            for name in declared.grants[key]:
                for fault in self.missing(kind, name, (*path, "module")):
                    why = f"the module's manifest declares {key} of it; {fault.why}"
                    fix = f"{fault.fix}, or write {key} = [...] without it to deny it"
                    yield Fault(fault.kind, fault.path, fault.what, why, fix)

    def swap(self, position: int, table: SwapTable) -> SwapPlan:
        path, agent, module = ("swaps", position), table.agent, table.module
        assert isinstance(agent, str) and isinstance(module, str), "the world was checked: agent AND module"  # noqa: PT018
        mode = "migrate" if isinstance(table.mode, UnsetType) else table.mode
        wasm = self.read(module, (*path, "module"), "build it, or correct the path")
        mark = codec.digest(self.keep(wasm))
        if is_bundle(wasm):
            base = self.keep(find_interpreter(read_bundle(wasm, module).interpreter, module, self.bases))
            return SwapPlan(table.at, agent, mode, codec.digest(base), mark, table.grants)
        self.manifest(wasm, module, path)
        return SwapPlan(table.at, agent, mode, mark, b"", table.grants)

    def model_swaps(self) -> Iterator[ModelSwap]:
        """Yield the planned swaps of models. Order: the file's."""
        for position, table in enumerate(self.file.table.swaps):
            if isinstance(table.model, str):
                place, file = ("swaps", position, "file"), table.file
                to = self.model_file(file, place) if isinstance(file, str) else table.to
                assert not isinstance(to, UnsetType), "the world was checked: to XOR file"
                yield ModelSwap(table.model, to, table.at)

    def model_file(self, name: str, place: places.Path) -> Path:
        """Return where a model's file or folder lies; what is in it is looked at by the run."""
        path = self.folder / name
        if not path.exists():
            what, fix = f"there is no file {name}", "correct the path; it is relative to the world file"
            raise self.file.error(Fault(WorldReferenceError, place, what, str(path), fix))
        return path

    def models(self) -> Iterator[ModelSource]:
        """Yield where models come from. What a reference means, and what is in a file, is looked at by the run."""
        for name, table in self.file.table.models.items():
            path = ("models", name)
            if isinstance(table.model, str):
                yield ModelSource(name, table.model, where=self.file.place((*path, "model")))
            elif isinstance(table.file, str):
                place = (*path, "file")
                yield ModelSource(name, path=self.model_file(table.file, place), where=self.file.place(place))

    def feed(self, name: str, table: FeedTable) -> FeedSpec:
        path = ("feeds", name)
        data = self.read(table.file, (*path, "file"), "correct the path; it is relative to the world file")
        to_topic = isinstance(table.to, UnsetType)
        target = table.topic if isinstance(table.to, UnsetType) else table.to
        assert isinstance(target, str), "the world was checked: to XOR topic"
        spec = FeedSpec(name, codec.digest(data), target, to_topic, table.tick)
        try:
            read_rows(spec, data)
        except WorldSchemaError as error:
            what = f"{table.file}: {error.what}"
            raise self.file.error(Fault(WorldSchemaError, (*path, "tick"), what, error.why, error.fix)) from error
        self.contents[spec.digest] = data
        return spec


def _spec(
    name: str,
    kind: str,
    entry: str,
    code: bytes,
    table: TemplateTable,
    handles: Mapping[str, tuple[str, ...]],
    limits: Limits,
    *,
    clocked: bool = False,
) -> AgentSpec:
    denied = _denied(table, handles)
    if clocked and not table.clock:
        denied += (CLOCK,)
    return AgentSpec(
        name=name,
        kind=kind,
        entry=entry,
        digest=codec.digest(code),
        config=canonical_json(table.config),
        priority=table.priority,
        publish=handles["publish"],
        subscribe=handles["subscribe"],
        send=handles["send"],
        skills=handles["skills"],
        spawn=handles["spawn"],
        models=handles["models"],
        windows=handles["windows"],
        denied=denied,
        clock=table.clock,
        limits=limits,
        supervision=Supervision(table.supervision.policy, table.supervision.retries),
    )


def _model(name: str, table: ModelTable) -> ModelSpec:
    given = {key: getattr(table, key) for key in ("profile", "most", "deadline_ms", "fallback")}
    given = {key: value for key, value in given.items() if value is not UNSET}
    return ModelSpec(name, batch=table.batch, delivery=table.delivery, **given)


def _window(name: str, table: WindowTable) -> WindowSpec:
    return WindowSpec(name, table.kind, table.bytes, table.writer, table.readers, table.opens, table.closes)


def refuse_undeclared_windows(file: WorldFile, header: Header) -> None:
    """Refuse windows with a writer or reader that does not list them: it would wait for them in vain.

    Raises:
        WorldReferenceError: TW1103.
    """
    listed = {spec.name: spec.windows for spec in header.agents}
    for window in header.windows:
        users = {("writer",): window.writer} | {("readers", at): name for at, name in enumerate(window.readers)}
        for place, name in users.items():
            if window.name not in listed[name]:
                what = f'the agent "{name}" does not declare the window "{window.name}"'
                why = "its handles follow its list of windows, in the manifest or in the world"
                fix = f'add "{window.name}" to the windows of its manifest, or of [agents.{name}] if it has none'
                fault = Fault(WorldReferenceError, ("windows", window.name, *place), what, why, fix)
                raise file.error(fault)


def _granted(table: TemplateTable, key: str) -> tuple[str, ...] | None:
    """Return the names a world grants, or None where it leaves that to the manifest."""
    names: tuple[str, ...] | UnsetType = getattr(table, key)
    return None if isinstance(names, UnsetType) else names


def _denied(table: TemplateTable, handles: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the handles that are declared and not granted. Order: kinds as the header has them, then the handles'."""
    return tuple(
        f"{key}:{name}"
        for key, names in handles.items()
        for granted in [_granted(table, key)]
        if granted is not None
        for name in names
        if name not in granted
    )


def _limits(table: LimitsTable, declared: _Declared | None, base_pages: int = 0) -> Limits:
    """Return the lesser of what the world allows and what the manifest asks for.

    Args:
        base_pages: What a base module begins with: it comes on top where the world says nothing. 0 without a base.
    """
    world = Limits(
        mailbox_messages=table.mailbox_messages,
        mailbox_bytes=table.mailbox_bytes,
        overflow=table.overflow,
        messages_per_turn=table.messages_per_turn,
        window_fuel=table.window_fuel,
        window_ticks=table.window_ticks,
    )
    if base_pages:
        world = msgspec.structs.replace(world, memory_pages=world.memory_pages + base_pages, depth=DEPTH)
    allowed = {
        "fuel": world.fuel if isinstance(table.fuel, UnsetType) else table.fuel,
        "memory_pages": world.memory_pages if isinstance(table.memory_pages, UnsetType) else table.memory_pages,
        "depth": world.depth if isinstance(table.depth, UnsetType) else table.depth,
    }
    if declared is not None:
        asked = {"fuel": declared.fuel, "memory_pages": declared.memory_pages, "depth": declared.depth}
        allowed = {key: min(value, asked[key] or value) for key, value in allowed.items()}
    return msgspec.structs.replace(world, **allowed)


def _declared(manifest: Manifest) -> _Declared:
    asked, limits = manifest.capabilities, manifest.limits
    grants = {
        "publish": asked.publish,
        "subscribe": asked.subscribe,
        "send": asked.send,
        "skills": asked.skills,
        "spawn": asked.spawn,
        "models": asked.models,
        "windows": asked.windows,
    }
    return _Declared(grants, asked.clock, limits.fuel, limits.memory_pages, limits.depth)
