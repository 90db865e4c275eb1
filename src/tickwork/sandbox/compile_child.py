"""The compile child: the rest of admission, in a process whose time and memory are bounded.

Compile time is a known hole: half a megabyte of nested blocks keeps a compiler busy for a minute. So scanning,
rewriting and compiling happen here, and so does the first run of the module, which tells where its buffers lie.
"""

from typing import Final

import msgspec

from ..errors import EngineUnsuitable, ModuleAbiMismatch, ModuleCompileFailed, ModuleError, ModuleRefused, TickworkError
from ..records import Limits
from . import gate
from .child import lift, limit, take_pipes
from .compiled import LAYOUT, WHOLE_TURN, Compiled, Descriptor, encode_compiled
from .engine import WASMTIME_VERSION, Code, EngineError
from .frames import heavy_function
from .instance import Instance, Loaded, StartFault
from .manifest import manifest_of
from .probes import ready_engine
from .rewriter import Rewritten, rewrite
from .scan import scan
from .wasm import Malformed, Module
from .wire import ANSWER, FAILURE, encode_failure, write_frame

CPU_SECONDS: Final = 10
ADDRESS_SPACE_BYTES: Final = 3 << 29

_NO_DESCRIPTOR: Final = Descriptor(0, 0, 0, 0, 0, 0, 0, 0)


class Request(msgspec.Struct, frozen=True, array_like=True):
    """What the parent asks for: a module that has passed the gate there."""

    name: str
    opt_level: str
    wasm: bytes
    cpu_seconds: int = CPU_SECONDS
    module_bytes: int = gate.MODULE_BYTES


def main() -> None:
    """Read a request, answer it, end."""
    source, sink = take_pipes()
    request = msgspec.msgpack.decode(source.read(), type=Request)
    limit("CPU", request.cpu_seconds)
    limit("CORE", 0)
    try:
        write_frame(sink, ANSWER, compile_bounded(request))
    except TickworkError as error:
        write_frame(sink, FAILURE, encode_failure(error))
    sink.close()


def compile_bounded(request: Request) -> bytes:
    """Return the compiled module; the compiler runs with bounded memory, the module afterwards without that bound.

    Raises:
        ModuleError: TW3001 to TW3005.
    """
    module, rewritten = prepare(request)
    ready_engine(request.opt_level)
    limit("AS", ADDRESS_SPACE_BYTES)
    code = translate(request, rewritten)
    lift("AS")
    try:
        return describe(request, module, rewritten, code)
    except ModuleError as error:
        # What looks at an instance does not know its file.
        error.what = error.what.replace("a module's", f"module {gate.escape(request.name)!r}: its", 1)
        raise


def prepare(request: Request) -> tuple[Module, Rewritten]:
    """Return the module checked, and rewritten."""
    module = gate.check(request.wasm, request.name, module_bytes=request.module_bytes)
    try:
        return module, rewrite(module, scan(module))
    except Malformed as error:
        raise gate.malformed(request.name, error) from error


def translate(request: Request, rewritten: Rewritten) -> Code:
    """Return native code.

    Raises:
        ModuleCompileFailed: TW3005, the engine refuses it.
        ModuleRefused: TW3001, a function takes too much of the native stack for its weight.
    """
    try:
        code = ready_engine(request.opt_level).compile(rewritten.data)
    except EngineError as error:
        raise ModuleCompileFailed(
            f"module {gate.escape(request.name)!r} does not compile",
            why=gate.escape(str(error)),
            fix="build it for wasm32 with the flags of the SDK",
        ) from error
    heavy = heavy_function(rewritten, code.serialize())
    if heavy is not None:
        raise ModuleRefused(
            f"module {gate.escape(request.name)!r} is refused: function {heavy.function} keeps {heavy.taken:,} bytes on"
            " the stack",
            why=f"its parameters, locals and operands account for {heavy.most:,}, so that depth could not be counted",
            fix="split the function",
        )
    return code


def describe(request: Request, module: Module, rewritten: Rewritten, code: Code) -> bytes:
    """Run the module's start and return the compiled module with the descriptor it gave."""
    memory = module.memories[0]
    compiled = Compiled(
        LAYOUT, WASMTIME_VERSION, request.opt_level, rewritten.globals, rewritten.types, rewritten.aborts,
        memory.minimum, memory.maximum, _NO_DESCRIPTOR, code.serialize(),
    )  # fmt: skip
    try:
        instance = Instance(Loaded(compiled, code), Limits(memory_pages=max(memory.minimum, Limits().memory_pages)))
    except StartFault as start:
        raise ModuleAbiMismatch(
            f"module {gate.escape(request.name)!r} fails before its first turn",
            where="its segments, _initialize or tw_desc",
            why=start.fault.detail,
            fix="do in agent_init what can fail",
        ) from start
    except EngineUnsuitable as error:
        # This process has room, and code it has just compiled: what cannot be instantiated here is the module's fault.
        raise ModuleRefused(
            f"module {gate.escape(request.name)!r} is refused: no instance of it can be made",
            why=error.why,
            fix="make its tables and memory smaller",
        ) from error
    descriptor = instance.descriptor
    regions = instance.find_regions(window_count(module, request.name))
    instance.close()
    if descriptor.flags & WHOLE_TURN and not any(export.name == "tw_turn" for export in module.exports):
        raise ModuleRefused(
            f"module {gate.escape(request.name)!r} is refused: its descriptor promises tw_turn",
            why="flag 0 is set and there is no such export",
            fix="export tw_turn, or clear the flag",
        )
    return encode_compiled(msgspec.structs.replace(compiled, descriptor=descriptor, regions=regions))


def window_count(module: Module, name: str) -> int:
    """Return how many windows the module's manifest lists."""
    manifest = manifest_of(module, gate.escape(name))
    return 0 if manifest is None else len(manifest.capabilities.windows)
