"""What there is to say of a package without running it: what it holds, what the ABI misses, and what may surprise.

Nothing is compiled: parsing and one walk over the instructions say it all, in less than half a second per MiB.
"""

import difflib
import hashlib
from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from ..errors import SignatureInvalid, TickworkError
from ..packages.bundle import unpack_bundle
from ..packages.package import is_bundle, read_package
from ..packages.signature import SECTION as SIGNATURE
from ..records import Limits
from ..sandbox import gate, wasi, wasm
from ..sandbox.manifest import Manifest, manifest_of
from ..sandbox.scan import scan
from ..sandbox.wasm import CUSTOM, KIND_FUNCTION, KIND_NAMES, SECTION_NAMES, Malformed, Module
from .sections import function_types

VIRTUAL: Final = "virtual WASI"
"""Note of an import that is answered inside the module: the tick is its clock, a log its output."""

LARGE_PAGES: Final = 64
"""An initial memory above this makes images and rollbacks of an agent noticeably slow. Units: 64 KiB."""

Level = Literal["refused", "hazard", "advice"]


class Finding(msgspec.Struct, frozen=True):
    """One thing to know.

    Attributes:
        level: ``refused`` keeps the package from running anywhere, ``hazard`` may keep it from running as meant,
            ``advice`` would make it better.
        code: The error's code where it is refused, else empty.
    """

    level: Level
    what: str
    why: str = ""
    fix: str = ""
    where: str = ""
    code: str = ""


class Part(msgspec.Struct, frozen=True):
    """A section of a module, or a file of a bundle."""

    name: str
    bytes: int


class Link(msgspec.Struct, frozen=True):
    """An import or an export.

    Attributes:
        type: Its signature, or the kind of thing it is.
        note: What the ABI says of it.
    """

    name: str
    type: str
    note: str


class Report(msgspec.Struct, frozen=True):
    """A package, looked at.

    Attributes:
        digest: SHA-256 of the file, in hexadecimal.
        signed: Whether it carries a signature of these very bytes; who made it is another question.
        memory_pages: Initial and greatest memory. Units: 64 KiB.
        functions, code_bytes, largest_function: Of the code.
        missing: Exports of the ABI that it lacks, each with the nearest thing it has.
        findings: Order: refusals, hazards, advice.
    """

    name: str
    kind: Literal["module", "bundle"]
    bytes: int
    digest: str
    manifest: Manifest | None = None
    signed: bool = False
    memory_pages: tuple[int, int] = (0, 0)
    functions: int = 0
    code_bytes: int = 0
    largest_function: int = 0
    parts: tuple[Part, ...] = ()
    imports: tuple[Link, ...] = ()
    exports: tuple[Link, ...] = ()
    missing: tuple[Link, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether no machine would run it."""
        return any(finding.level == "refused" for finding in self.findings)


def examine(data: bytes, name: str) -> Report:
    """Return what there is to say of a package; whatever is wrong with it becomes a finding."""
    report = Report(gate.escape(name), "module", len(data), hashlib.sha256(data).hexdigest())
    if is_bundle(data):
        return _bundle(data, name, report)
    try:
        module = wasm.parse(data)
    except Malformed as error:
        return msgspec.structs.replace(report, findings=(_refusal(gate.malformed(name, error)),))
    refused = list(_refusals(module, name))
    manifest, signed = None, False
    try:
        manifest = manifest_of(module, gate.escape(name))
        signed = read_package(data, name=name).signed is not None
        gate.check_wasi(module, name, declared=manifest is not None and manifest.wasi != "")
    except TickworkError as error:
        refused.append(_refusal(error))
    memory = module.memories[0] if module.memories else wasm.MemoryType(0, 0, 0)
    sizes = [end - start for start, end in module.bodies]
    return msgspec.structs.replace(
        report,
        manifest=manifest,
        signed=signed,
        memory_pages=(memory.minimum, memory.maximum),
        functions=len(sizes),
        code_bytes=sum(sizes),
        largest_function=max(sizes, default=0),
        parts=tuple(Part(_section_name(section), section.end - section.start) for section in module.sections),
        imports=tuple(_imports(module)),
        exports=tuple(_exports(module)),
        missing=tuple(_missing(module, manifest)),
        findings=(*refused, *_hazards(module, manifest), *_advice(module, manifest, signed=signed)),
    )


def _bundle(data: bytes, name: str, report: Report) -> Report:
    """Return what there is to say of a source bundle."""
    report = msgspec.structs.replace(report, kind="bundle")
    try:
        files = unpack_bundle(data, name)
        package = read_package(data, name=name)
    except TickworkError as error:
        return msgspec.structs.replace(report, findings=(_refusal(error),))
    findings: list[Finding] = []
    if package.manifest is None:
        findings.append(_refusal(SignatureInvalid("it holds no manifest.json", fix="build it: tickwork agent build")))
    if package.signed is None:
        findings.append(_UNSIGNED)
    return msgspec.structs.replace(
        report,
        manifest=package.manifest,
        signed=package.signed is not None,
        parts=tuple(Part(path, len(body)) for path, body in files.items()),
        findings=tuple(findings),
    )


def _refusal(error: TickworkError) -> Finding:
    return Finding("refused", error.what, error.why, error.fix, error.where, error.code)


def _refusals(module: Module, name: str) -> Iterator[Finding]:
    """Yield what the gate and the walk over the instructions refuse."""
    yield from map(_refusal, gate.refusals(module, name))
    if len(module.data) > gate.MODULE_BYTES:
        what = f"it has {len(module.data):,} bytes, {gate.MODULE_BYTES:,} are allowed"
        yield Finding("refused", what, fix="make the module smaller or split the agent", code="TW3001")
    try:
        scan(module)
    except Malformed as error:
        yield _refusal(gate.malformed(name, error))


def _section_name(section: wasm.Section) -> str:
    return gate.escape(section.name) if section.kind == CUSTOM else SECTION_NAMES[section.kind]


# --- imports and exports ---


def _imports(module: Module) -> Iterator[Link]:
    for item in module.imports:
        name = gate.escape(f"{item.module}.{item.name}")
        function = module.types[item.detail] if item.kind == KIND_FUNCTION and item.detail < len(module.types) else None
        shown = gate.signature_text(function) if function else f"a {KIND_NAMES[item.kind]}"
        if (item.module, item.name) == gate.ABORT:
            note = "becomes a trap with its text"
        elif item.module == wasi.MODULE and item.name in wasi.NAMES:
            note = VIRTUAL
        else:
            note = f"no host offers it; the nearest is {_nearest(name, gate.OFFERED)}"
        yield Link(name, shown, note)


def _exports(module: Module) -> Iterator[Link]:
    types, known = function_types(module), {**gate.REQUIRED, **gate.OPTIONAL}
    there = {export.name for export in module.exports}
    lacking = [wanted for wanted in known if wanted not in there]
    for export in module.exports:
        name = gate.escape(export.name)
        found = types[export.target : export.target + 1] if export.kind == KIND_FUNCTION else []
        function = found[0] if found else None
        shown = gate.signature_text(function) if function else f"a {KIND_NAMES[export.kind]}"
        if name in known:
            note = "ABI" if function == known[name] else f"the ABI has it as {gate.signature_text(known[name])}"
        elif name == "memory":
            note = "ABI"
        else:
            near = _nearest(name, lacking, 0.8)
            note = f"did you mean {near}?" if near else "its own"
        yield Link(name, shown, note)


def _missing(module: Module, manifest: Manifest | None) -> Iterator[Link]:
    """Yield what the ABI has and the module lacks. Order: required first."""
    needless = set(_HOSTS) if manifest is not None and manifest.capabilities.windows else {"tw_windows", *_HOSTS}
    there = {export.name for export in module.exports}
    if "memory" not in there:
        yield Link("memory", "a memory", "required")
    for needed, table in (("required", gate.REQUIRED), ("optional", gate.OPTIONAL)):
        for name, function in table.items():
            if name not in there | needless:
                near = _nearest(name, sorted(there - gate.REQUIRED.keys() - gate.OPTIONAL.keys()), 0.8)
                yield Link(name, gate.signature_text(function), f"{needed}; nearest: {near}" if near else needed)


_HOSTS: Final = frozenset({"_initialize", "tw_source"})
"""Exports that only some toolchains need: their absence says nothing."""


_COMPARED_CHARACTERS: Final = 80


def _nearest(name: str, known: Sequence[str], cutoff: float = 0.0) -> str:
    # A longer name is a hostile module's, and comparing takes time that grows with its square.
    return next(iter(difflib.get_close_matches(name[:_COMPARED_CHARACTERS], known, 1, cutoff)), "")


# --- hazards and advice ---


def _hazards(module: Module, manifest: Manifest | None) -> Iterator[Finding]:
    """Yield what may keep it from running as its author means it."""
    exported = {export.name for export in module.exports}
    memory = module.memories[0] if module.memories else None
    if manifest is None:
        why = "nothing says what it may use; a world has to name every topic, peer and skill in the right order"
        yield Finding("hazard", "it has no manifest", why, "build it from a project: tickwork agent build")
    if memory is not None and memory.maximum > Limits().memory_pages:
        what = f"its memory may grow to {memory.maximum:,} pages"
        why = f"a world allows {Limits().memory_pages} unless its limits say more"
        yield Finding("hazard", what, why, "declare fewer pages, or set limits.memory_pages in the world")
    if manifest is None:
        return
    if memory is not None and 0 < manifest.limits.memory_pages < memory.minimum:
        what = f"its memory begins with {memory.minimum} pages, its manifest allows {manifest.limits.memory_pages}"
        yield Finding("hazard", what, "a run refuses it", "raise limits.memory_pages in agent.toml")
    if manifest.capabilities.windows and "tw_windows" not in exported:
        what = f"it asks for {len(manifest.capabilities.windows)} windows and exports no tw_windows"
        yield Finding("hazard", what, "the host cannot know where their content lies", "list them: TW_WINDOWS(...)")
    # The SDK of AssemblyScript exports the function always: what a library exports there depends on nothing.
    lists = "tw_windows" in exported and manifest.language != "assemblyscript"
    if lists and not manifest.capabilities.windows:
        why = "without a name a window cannot be given to it"
        yield Finding("hazard", "it lists windows that its manifest does not name", why, "name them in agent.toml")
    if len({"agent_save", "agent_load"} & exported) == 1:
        what = f"it exports {'agent_save' if 'agent_save' in exported else 'agent_load'} without the other"
        yield Finding("hazard", what, "a state that is saved has to be loaded", "write both")


def _advice(module: Module, manifest: Manifest | None, *, signed: bool) -> Iterator[Finding]:
    """Yield what would make it better."""
    exported = {export.name for export in module.exports}
    custom = [section for section in module.sections if section.kind == CUSTOM and section.name not in _OURS]
    size = sum(section.end - section.start for section in custom)
    if size:
        named = ", ".join(dict.fromkeys(gate.escape(section.name) for section in custom))
        yield Finding("advice", f"{size:,} bytes are never read when it runs", named, "strip it, as the build does")
    if not {"agent_save", "agent_load"} & exported:
        why = "it exports no agent_save and agent_load"
        yield Finding("advice", "another version of it can only begin anew", why, "save what has to live on")
    if "tw_turn" not in exported:
        why = "it exports no tw_turn, so that the host calls it once for each message"
        yield Finding("advice", "its turns cost more than they must", why, "use the SDK's macro")
    if module.memories and module.memories[0].minimum > LARGE_PAGES:
        what = f"its memory begins with {module.memories[0].minimum:,} pages"
        yield Finding("advice", what, "every image and rollback of it goes over them", "begin small and grow")
    if manifest is not None and "*" in manifest.capabilities.send:
        yield Finding(
            "advice", "it asks to send to every agent", 'send = ["*"]', "name the agents where they are known"
        )
    if not signed:
        yield _UNSIGNED


_OURS: Final = frozenset({"tickwork.manifest", SIGNATURE})
_UNSIGNED: Final = Finding(
    "advice",
    "nobody signed it",
    "a run refuses it without --allow-unsigned",
    "build it with tickwork agent build, or sign it: tickwork agent sign",
)
