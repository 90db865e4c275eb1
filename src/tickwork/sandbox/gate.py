"""The static gate: what a module must look like before the engine sees a byte of it.

Some valid signatures abort the process when the binding reads them, and compile time grows without bound with some
shapes of code. So caps and kinds are checked here, in plain Python.
"""

import difflib
from typing import Final

from ..errors import ModuleAbiMismatch, ModuleError, ModuleImportRefused, ModuleRefused
from . import wasi, wasm
from .wasm import CAPS, F32, F64, I32, I64, NUMBERS, Caps, Excess, FunctionType, Malformed, Module

MODULE_BYTES: Final = 8 << 20
BASE_BYTES: Final = 64 << 20
"""For a base module, which holds an interpreter and is named by the source bundles that it runs."""

MEMORY_PAGES: Final = 1 << 16
FIRST_PAGES: Final = 1 << 13
"""What a memory may begin with, 512 MiB: code that runs at admission can touch all of it. It may grow further."""

TEXT_CHARACTERS: Final = 4096
"""What is shown of a text that came from a module or from the engine."""

RESERVED: Final = "__tw_"
"""Names of exports that the rewriter adds."""

ABORT: Final = ("env", "abort")
ABORT_TYPE: Final = FunctionType(bytes((I32, I32, I32, I32)), b"")

_POINTER_TO_CODE: Final = FunctionType(bytes((I32,)), bytes((I32,)))
_TO_CODE: Final = FunctionType(b"", bytes((I32,)))
_REGION_TO_CODE: Final = FunctionType(bytes((I32, I32)), bytes((I32,)))

REQUIRED: Final = {
    "tw_desc": _TO_CODE,
    "agent_init": _TO_CODE,
    "agent_receive": _POINTER_TO_CODE,
    "agent_step": _POINTER_TO_CODE,
    "agent_shutdown": _TO_CODE,
}
OPTIONAL: Final = {
    "_initialize": FunctionType(b"", b""),
    "tw_turn": _POINTER_TO_CODE,
    "agent_save": _REGION_TO_CODE,
    "agent_load": _REGION_TO_CODE,
    "tw_windows": _TO_CODE,
    "tw_source": _POINTER_TO_CODE,
}

_VALUE_NAMES: Final = {I32: "i32", I64: "i64", F32: "f32", F64: "f64"}


def escape(text: str) -> str:
    """Return ``text`` with everything that could drive a terminal escaped, and cut to 4,096 characters."""
    cut = text[: TEXT_CHARACTERS + 1]
    shown = "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape", "replace").decode() for c in cut)
    return shown if len(shown) <= TEXT_CHARACTERS else shown[: TEXT_CHARACTERS - 3] + "..."


def check(data: bytes, name: str, *, caps: Caps = CAPS, module_bytes: int = MODULE_BYTES) -> Module:
    """Return the parsed module if it may be compiled.

    Args:
        name: How messages call it.
        caps, module_bytes: The greatest counts and size.

    Raises:
        ModuleRefused: TW3001, its form or size is refused.
        ModuleImportRefused: TW3002, it imports something no host offers.
        ModuleAbiMismatch: TW3003, an export of the agent ABI is missing or has another type.
    """
    if len(data) > module_bytes:
        raise _refused(name, f"the file has {len(data):,} bytes", f"a module may have {module_bytes:,} bytes")
    try:
        module = wasm.parse(data, caps)
    except Malformed as error:
        raise malformed(name, error) from error
    _check_imports(module, name)
    _check_memory(module, name)
    _check_types(module, name)
    _check_abi(module, name)
    return module


def refusals(module: Module, name: str) -> list[ModuleError]:
    """Return what each part of the gate refuses first, for a person who mends a module. Law: empty where it passes."""
    found: list[ModuleError] = []
    for part in (_check_imports, _check_memory, _check_types, _check_abi):
        try:
            part(module, name)
        except ModuleError as error:
            found.append(error)
            if part is _check_types:
                break  # An export that points nowhere has no type that could be compared.
    return found


def malformed(name: str, error: Malformed) -> ModuleRefused:
    """Return the refusal of bytes that the parser or the scan did not accept."""
    if isinstance(error, Excess):
        what = f"it has {error.count:,} {error.what}"
        return _refused(name, what, f"{error.cap:,} are allowed, so that compiling stays bounded")
    return ModuleRefused(
        f"module {escape(name)!r} is refused",
        where=f"byte {error.offset}",
        why=escape(error.text),
        fix="build it for wasm32 with the flags of the SDK, and give the .wasm file, not its text form",
    )


def _refused(name: str, what: str, why: str, fix: str = "make the module smaller or split the agent") -> ModuleRefused:
    return ModuleRefused(f"module {escape(name)!r} is refused: {what}", why=why, fix=fix)


def _check_imports(module: Module, name: str) -> None:
    aborts = 0
    for item in module.imports:
        wanted = escape(f"{item.module}.{item.name}")
        signature = _offered(item)
        if signature is None:
            near = difflib.get_close_matches(wanted, OFFERED, 1, 0.0)[0]
            raise ModuleImportRefused(
                f"module {escape(name)!r} imports {wanted!r}",
                why=f"no host offers it; the nearest thing that exists is {near!r}",
                fix="leave what you want done in the outbox, and build without imports (freestanding)",
            )
        if item.kind != wasm.KIND_FUNCTION or _type_at(module, item.detail) != signature:
            raise ModuleImportRefused(
                f"module {escape(name)!r} imports {wanted!r} with another type",
                why=f"its type is {signature_text(signature)}",
                fix="declare it as its toolchain does",
            )
        aborts += item.module != wasi.MODULE
    if aborts > 1:
        raise ModuleImportRefused(
            f"module {escape(name)!r} imports {'.'.join(ABORT)!r} more than once",
            why="one import of it is replaced by a trap that carries its text",
            fix="merge the imports",
        )


def _offered(item: wasm.Import) -> FunctionType | None:
    """Return the type of what an import names, None if there is no such thing."""
    if item.module == wasi.MODULE and item.name in wasi.NAMES:
        return wasi.signature(item.name)
    return ABORT_TYPE if (item.module, item.name) == ABORT else None


OFFERED: Final = (".".join(ABORT), *(f"{wasi.MODULE}.{known}" for known in wasi.NAMES))


def check_wasi(module: Module, name: str, *, declared: bool) -> None:
    """Refuse virtual WASI to a module whose manifest does not ask for it.

    Raises:
        ModuleImportRefused: TW3002.
    """
    used = next((item.name for item in module.imports if item.module == wasi.MODULE), "")
    if used and not declared:
        raise ModuleImportRefused(
            f"module {escape(name)!r} imports {f'{wasi.MODULE}.{used}'!r}",
            why="its manifest does not ask for virtual WASI",
            fix='build without a C library, or put `wasi = "virtual"` into its agent.toml',
        )


def _type_at(module: Module, index: int) -> FunctionType | None:
    return module.types[index] if index < len(module.types) else None


def _check_memory(module: Module, name: str) -> None:
    if len(module.memories) != 1:
        raise _refused(name, f"it has {len(module.memories)} memories", "an agent has exactly one", "define one memory")
    memory = module.memories[0]
    if memory.flags & ~1:
        raise _refused(
            name,
            "its memory is shared or 64-bit",
            "profile tw-1 has neither threads nor memory64",
            "build for wasm32 without threads",
        )
    if not memory.flags & 1:
        raise _refused(
            name,
            "its memory declares no maximum",
            "the host reserves the maximum, so that addresses stay and growth is deterministic",
            "declare one (clang: -Wl,--max-memory=BYTES, asc: --maximumMemory PAGES)",
        )
    if memory.minimum > memory.maximum or memory.maximum > MEMORY_PAGES:
        raise _refused(
            name,
            f"its memory has bounds {memory.minimum} to {memory.maximum} pages",
            f"a memory has at most {MEMORY_PAGES} pages of 64 KiB and its maximum is not below its minimum",
            "declare a smaller memory",
        )
    if memory.minimum > FIRST_PAGES:
        raise _refused(
            name,
            f"its memory begins with {memory.minimum:,} pages",
            f"{FIRST_PAGES:,} pages of 64 KiB are allowed, so that admission stays bounded",
            "declare a smaller initial memory and let it grow",
        )
    if module.start_offset >= 0:
        raise _refused(
            name,
            "it has a start section",
            "code would run before the host has set its limits",
            "export the function as _initialize instead (asc: --exportStart _initialize)",
        )


def _check_types(module: Module, name: str) -> None:
    for index, item in enumerate(module.globals):
        if item.mutable and item.type not in NUMBERS:
            raise _refused(
                name,
                f"global {index} is a mutable vector or reference",
                "an image holds only i32, i64, f32 and f64 globals",
                "keep the value in memory",
            )
    defined = len(module.functions) + len(module.imports)
    bounds = (defined, module.table_count, len(module.memories), len(module.globals))
    seen = set[str]()
    for export in module.exports:
        shown = escape(export.name)
        if export.target >= bounds[export.kind] or export.name in seen:
            raise _refused(name, f"export {shown!r} points nowhere or is there twice", "it is not valid", "rebuild it")
        seen.add(export.name)
        if export.name.startswith(RESERVED):
            raise _refused(name, f"it exports {shown!r}", f"names with {RESERVED} are the host's", "rename the export")
        if not _plain(module, export):
            raise _refused(
                name,
                f"the type of export {shown!r} holds a vector or a reference",
                "such types abort the process through the binding",
                "export only i32, i64, f32 and f64",
            )


def _plain(module: Module, export: wasm.Export) -> bool:
    if export.kind == wasm.KIND_GLOBAL:
        return module.globals[export.target].type in NUMBERS
    if export.kind != wasm.KIND_FUNCTION:
        return True
    function = function_type(module, export.target)
    return function is not None and NUMBERS.issuperset(function.parameters + function.results)


def function_type(module: Module, index: int) -> FunctionType | None:
    """Return the signature of a function, None if the module points outside its types."""
    where = index - len(module.imports)
    return _type_at(module, module.functions[where] if where >= 0 else module.imports[index].detail)


def _check_abi(module: Module, name: str) -> None:
    exports = {export.name: export for export in module.exports}
    memory = exports.get("memory")
    if memory is None or memory.kind != wasm.KIND_MEMORY:
        raise _missing(module, name, "memory", "a memory")
    for wanted, signature in {**REQUIRED, **OPTIONAL}.items():
        export = exports.get(wanted)
        if export is None:
            if wanted in OPTIONAL:
                continue
            raise _missing(module, name, wanted, signature_text(signature))
        found = function_type(module, export.target) if export.kind == wasm.KIND_FUNCTION else None
        if found != signature:
            shown = signature_text(found) if found else f"a {wasm.KIND_NAMES[export.kind]}"
            raise ModuleAbiMismatch(
                f"module {escape(name)!r} exports {wanted!r} as {shown}",
                why=f"the agent ABI has it as {signature_text(signature)}",
                fix="declare it as the SDK's header does",
            )


def _missing(module: Module, name: str, wanted: str, signature: str) -> ModuleError:
    near = difflib.get_close_matches(wanted, [export.name for export in module.exports], 3, 0.5)
    nearest = f"; it exports {', '.join(repr(escape(found)) for found in near)}" if near else ""
    return ModuleAbiMismatch(
        f"module {escape(name)!r} does not export {wanted!r}",
        why=f"the agent ABI requires it: {signature}{nearest}",
        fix="export it (C: the SDK's TW_EXPORT, or -Wl,--export=NAME)",
    )


def signature_text(function: FunctionType) -> str:
    """Return a signature as messages write it: ``(i32, i32) -> i32``."""

    def names(values: bytes) -> str:
        return ", ".join(_VALUE_NAMES.get(value, "?") for value in values)

    return f"({names(function.parameters)}) -> {names(function.results) or 'nothing'}"
