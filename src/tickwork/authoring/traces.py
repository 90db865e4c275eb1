"""Traps for people: the engine's offsets become functions, files and lines of the agent's own source.

The engine names places in the module it compiled, which is the author's module rewritten; a body keeps its bytes when
it moves, so a place in it is found again in the author's module, and from there in what the build kept beside it.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import ToolchainMissing
from ..packages.files import replace_file
from ..sandbox import wasm
from ..sandbox.rewriter import rewrite
from ..sandbox.scan import scan
from ..sandbox.wasm import CODE, Malformed, Module
from .dwarf import Lines, Place
from .names import function_names
from .sourcemap import SourceMap

_FRAME: Final = re.compile(r"^\s*\d+:\s+0x([0-9a-f]+) - .*<wasm function (\d+)>$", re.MULTILINE)
_CAUSE: Final = re.compile(r"^Caused by:\n\s+(.*)$", re.MULTILINE)

DEBUG_SUFFIX: Final = ".debug.wasm"
MAP_SUFFIX: Final = ".wasm.map"


class CodePlace(NamedTuple):
    """An instruction of a module.

    Attributes:
        function: Index, imports first.
        offset: From the start of the code section's content. Units: bytes.
        file_offset: From the start of the module. Units: bytes.
    """

    function: int
    offset: int
    file_offset: int


class Symbols(NamedTuple):
    """What a build kept of a module's source: debugging information, a source map, or neither.

    Attributes:
        names: Of functions by index, for places that only a source map knows.
    """

    lines: Lines | None = None
    source_map: SourceMap | None = None
    map_shift: int = 0
    names: Mapping[int, str] = {}

    def find(self, at: CodePlace) -> list[Place]:
        """Return where in the source an instruction comes from. Order: inner first; empty where nothing is known."""
        if self.lines is not None:
            return self.lines.find(at.offset)
        found = self.source_map.find(at.offset + self.map_shift) if self.source_map is not None else None
        return [Place(self.name(at), found.file, found.line, found.column)] if found is not None else []

    def name(self, at: CodePlace) -> str:
        """Return what an instruction's function is called."""
        return self.names.get(at.function, f"function {at.function}")


def code_digest(module: Module) -> str:
    """Return what a module and its debug companion share: the SHA-256 of the code section, in hexadecimal."""
    code = module.section(CODE)
    return hashlib.sha256(module.data[code.start : code.end] if code else b"").hexdigest()


def keep_symbols(folder: Path, module: bytes, debug: bytes | None, source_map: bytes | None) -> None:
    """Keep a build's debugging information under the digest of its code, where a later trap is looked up."""
    parsed = wasm.parse(module)
    stem = code_digest(parsed)
    kept = {f"{stem}{DEBUG_SUFFIX}": debug, f"{stem}{MAP_SUFFIX}": _shifted(source_map, parsed)}
    for name, content in kept.items():
        if content is not None:
            replace_file(folder / name, content)


def _shifted(source_map: bytes | None, module: Module) -> bytes | None:
    """Return a source map after a line that says where the code began in the module it was written for."""
    code = module.section(CODE)
    return None if source_map is None or code is None else b"%d\n" % code.start + source_map


def find_symbols(module: Module, folders: Sequence[Path]) -> Symbols | None:
    """Return what is known of a module's source, None where no folder holds debugging information of its code.

    Args:
        folders: Where ``keep_symbols`` kept it, or where a project lies. Order: the first that has it is taken.

    Raises:
        ToolchainMissing: TW5001, debugging information is there and what reads it is not installed.
    """
    stem = code_digest(module)
    for folder in folders:
        for path in (folder / f"{stem}{DEBUG_SUFFIX}", *sorted(folder.glob(f"*{DEBUG_SUFFIX}"))):
            found = _read_debug(path, stem)
            if found is not None:
                return found
        kept = folder / f"{stem}{MAP_SUFFIX}"
        if kept.is_file():
            found = _read_map(kept, _kept_names(folder, stem))
            if found is not None:
                return found
    return None


def _read_debug(path: Path, stem: str) -> Symbols | None:
    try:
        debug = wasm.parse(path.read_bytes())
        return Symbols(Lines(debug)) if code_digest(debug) == stem and debug.custom(".debug_line") else None
    except (OSError, Malformed, ValueError):
        return None


def _read_map(path: Path, names: Mapping[int, str]) -> Symbols | None:
    try:
        shift, _, text = path.read_bytes().partition(b"\n")
        return Symbols(source_map=SourceMap(text), map_shift=int(shift), names=names)
    except (OSError, ValueError, RecursionError):
        return None


def _kept_names(folder: Path, stem: str) -> Mapping[int, str]:
    try:
        debug = wasm.parse((folder / f"{stem}{DEBUG_SUFFIX}").read_bytes())
    except (OSError, Malformed):
        return {}
    return function_names(debug)


def trap_places(detail: str, module: Module) -> Iterator[CodePlace]:
    """Yield the instructions that a trap's text names, in the author's module. Order: inner first."""
    frames = [(int(offset, 16), int(function)) for offset, function in _FRAME.findall(detail)]
    if not frames:
        return
    rewritten = rewrite(module, scan(module))
    counted = {item.wrapper: item.body for item in rewritten.wrapped}
    moved = {body: index for index, body in counted.items()}
    compiled, imported = wasm.parse(rewritten.data), len(module.imports)
    code = module.section(CODE)
    assert code is not None, "a module that trapped has code"
    for offset, function in frames:
        origin = moved.get(function, function)
        if function in counted or not imported <= origin < imported + len(module.bodies):
            continue  # A wrapper that counts depth, or what stands for an import: no code of the author's.
        at = module.bodies[origin - imported][0] + offset - compiled.bodies[function - len(compiled.imports)][0]
        yield CodePlace(origin, at - code.start, at)


def explain(detail: str, data: bytes, folders: Sequence[Path]) -> str:
    """Return a trap's text with the source lines of its calls, as far as they are known.

    A text that names no place of a module comes back as it is.

    Args:
        detail: Of an outcome.
        data: The module as its author built it.
        folders: Where debugging information is looked up.
    """
    try:
        module = wasm.parse(data)
        places = list(trap_places(detail, module))
    except Malformed:
        return detail
    if not places:
        return detail
    try:
        symbols = find_symbols(module, folders)
    except ToolchainMissing as error:
        symbols, missing = None, error.fix
    else:
        missing = ""
    cause = _CAUSE.search(detail)
    lines = [cause[1] if cause else detail.partition("\n")[0]]
    symbols = symbols or Symbols()
    for at in places:
        unknown = f"{symbols.name(at)}, byte {at.file_offset:#x}"
        lines += [f"  at {place}" for place in symbols.find(at)] or [f"  at {unknown}"]
    if missing:
        lines.append(f"  ({missing} shows source lines)")
    return "\n".join(lines)
