"""Admission: from the bytes of a module to code that pools may load.

Order: size and form (the gate), manifest, then the compile child. Only the child's answer, or a file this machine wrote
and authenticates, is ever loaded as code. Who signed the module was asked before.
"""

import hashlib
import io
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from ..errors import ModuleAbiMismatch, ModuleCompileFailed
from ..records import ENGINE_PROFILE, REWRITER_VERSION
from . import gate
from .cache import Cache
from .child import start_child
from .compile_child import CPU_SECONDS, Request
from .compiled import LAYOUT, Compiled, decode_compiled
from .engine import WASMTIME_VERSION
from .manifest import Manifest, manifest_of
from .wire import FAILURE, decode_failure, read_frame

TIMEOUT_S: Final = 60
"""Wall-clock bound of the child: where no limit on CPU time exists, and for a machine that stalls."""

BASE_CPU_SECONDS: Final = 60
"""For a base module: 18 MB of CPython take 11 s, measured."""

STALL: Final = 6
"""Seconds on the clock that the child gets for each CPU second."""


LARGE_BYTES: Final = 1_000_000
"""A module of that size takes about a second to compile, measured: whoever waits is told."""


class Admitted(msgspec.Struct, frozen=True):
    """A module that may run.

    Attributes:
        digest: SHA-256 of the module as its author built it. Shape: 32 bytes.
        compiled: For ``Program``; never leaves this machine.
        pages: Initial memory. Units: 64 KiB.
        inbox_bytes, outbox_bytes: What fits into one turn.
        capacities: Of all regions for windows that the module has; a base has more than an agent may use.
        source: The source bundle that the module runs as its base; empty for an agent's own module.
    """

    digest: bytes
    manifest: Manifest | None
    compiled: bytes
    abi: tuple[int, int]
    pages: int
    inbox_bytes: int
    outbox_bytes: int
    capacities: tuple[int, ...] = ()
    source: bytes = b""

    @property
    def regions(self) -> tuple[int, ...]:
        """Capacities of the regions of the agent's windows. Order: its manifest's. Units: bytes."""
        return self.capacities if self.manifest is None else self.capacities[: len(self.manifest.capabilities.windows)]


def admit(
    wasm: bytes,
    *,
    name: str,
    cache: Path | None = None,
    opt_level: str = "speed",
    base: bool = False,
    notice: Callable[[str], None] | None = None,
) -> Admitted:
    """Return the module, checked, rewritten and compiled. Whether it is believed is the caller's question.

    Args:
        name: How messages call it: its file.
        cache: Folder for compiled modules; made if absent.
        base: Whether it is the base module that a source bundle names: it may be larger and take longer to compile.
        notice: Told where a large module has to be compiled, which takes seconds.

    Raises:
        ModuleError: TW3001 to TW3006, it is refused.
        EngineUnsuitable: TW3101, the engine here cannot run anything.
    """
    module = gate.check(wasm, name, module_bytes=gate.BASE_BYTES if base else gate.MODULE_BYTES)
    manifest = manifest_of(module, gate.escape(name))
    gate.check_wasi(module, name, declared=manifest is not None and manifest.wasi == "virtual")
    digest = hashlib.sha256(wasm).digest()
    bounds = (BASE_CPU_SECONDS, gate.BASE_BYTES) if base else (CPU_SECONDS, gate.MODULE_BYTES)
    what = f"the base module of {name}" if base else name
    compiled, data = _compiled(Request(name, opt_level, wasm, *bounds), digest, cache, _Notice(what, notice))
    abi = (compiled.descriptor.major, compiled.descriptor.minor)
    if manifest is not None and manifest.version_pair() != abi:
        raise ModuleAbiMismatch(
            f"module {gate.escape(name)!r} contradicts itself",
            why=f"its manifest says ABI {manifest.abi}, its descriptor {abi[0]}.{abi[1]}",
            fix="build it with one version of the SDK",
        )
    descriptor = compiled.descriptor
    capacities = tuple(size for _, size in compiled.regions)
    buffers = descriptor.inbox_bytes, descriptor.outbox_bytes
    return Admitted(digest, manifest, data, abi, compiled.pages, *buffers, capacities)


def cache_name(digest: bytes, opt_level: str) -> str:
    """Return the name under which the compiled module is kept: everything that its code depends on."""
    parts = (
        digest.hex(), str(REWRITER_VERSION), WASMTIME_VERSION, ENGINE_PROFILE, opt_level, str(LAYOUT),
        platform.system(), platform.machine(),
    )  # fmt: skip
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class _Notice(NamedTuple):
    """Who is told of a compilation that takes seconds, and what the module is called."""

    what: str
    tell: Callable[[str], None] | None

    def give(self, request: Request, *, kept: bool) -> None:
        if self.tell is not None and len(request.wasm) >= LARGE_BYTES:
            size = f"{len(request.wasm) / 1e6:.0f} MB"
            told = f"compiling {gate.escape(self.what)}, {size}"
            self.tell(f"{told}, for this run and all that follow" if kept else told)


def _compiled(request: Request, digest: bytes, folder: Path | None, notice: _Notice) -> tuple[Compiled, bytes]:
    cache, key = Cache(folder) if folder else None, cache_name(digest, request.opt_level)
    kept = cache.get(key) if cache else None
    if kept is not None:
        return decode_compiled(kept), kept
    notice.give(request, kept=cache is not None)
    data = _compile_in_child(request)
    if cache:
        cache.put(key, data)
    return decode_compiled(data), data


def _compile_in_child(request: Request) -> bytes:
    patience_s = max(TIMEOUT_S, STALL * request.cpu_seconds)
    child = start_child("compile_child")
    try:
        output, _ = child.communicate(msgspec.msgpack.encode(request), timeout=patience_s)
    except subprocess.TimeoutExpired as error:
        raise _stopped(request, f"it was not done after {patience_s} s") from error
    finally:
        child.kill()
        child.wait()
    frame = read_frame(io.BytesIO(output))
    if frame is None:
        raise _stopped(request, f"the compile child ended with status {child.returncode}")
    kind, payload = frame
    if kind == FAILURE:
        raise decode_failure(payload)
    return payload


def _stopped(request: Request, what: str) -> ModuleCompileFailed:
    return ModuleCompileFailed(
        f"compiling module {gate.escape(request.name)!r} was stopped",
        why=f"{what}; it may use {request.cpu_seconds} CPU seconds and 1.5 GiB",
        fix="split large functions, or build with less inlining",
    )
