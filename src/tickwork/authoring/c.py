"""The toolchain of C and C++: clang, as the PyPI package ``ziglang`` brings it or as the system has it.

The same sources give the same bytes in any folder and on any machine: paths are mapped away, nothing of the
environment enters, and the processor's features are spelt out. Both outputs come from one run of the compiler: what is
run is the file with debugging information without its custom sections, so that code and offsets are the same.
"""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import BuildFailed, ProjectInvalid, ToolchainMissing
from .project import FILE, Project
from .sdk import sdk_folder
from .sections import without_custom_sections
from .toolchain import Compiled, Environment, Found, run_tool

SDK_VERSION: Final = "1.0.0"
PAGE_BYTES: Final = 64 * 1024

PAGES: Final = 4
STACK_BYTES: Final = 16 * 1024
"""Stack of a module unless its project says otherwise. It lies first in memory, so an overflow traps."""

NEWEST_CLANG: Final = 30
"""How far up names such as ``clang-19`` are looked for."""

OLDEST_CLANG: Final = 16
"""The first that lays out C++20 and the features below as this SDK is tested with."""

LIBRARY_PAGES: Final = 16
LIBRARY_STACK_BYTES: Final = 32 * 1024
"""The same with a C library, whose printf alone takes half a page of stack."""

_FLAGS: Final = (
    "-O2",
    "-g",
    # A loop that copies must not become a call of memcpy, which is such a loop itself.
    "-fno-builtin",
    # Numbers wrap around, as they do in WebAssembly: no compiler may assume that they do not.
    "-fwrapv",
    "-fno-exceptions",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
    "-fno-ident",
    "-fno-sanitize=undefined",
    "-Wall",
    "-Wextra",
    "-Werror",
    # A build must not know when it was made.
    "-Wdate-time",
    "-Wl,--export-memory",
)
_BARE_FLAGS: Final = ("-nostdlib", "-ffreestanding", "-Wl,--no-entry")
_LIBRARY_FLAGS: Final = ("-mexec-model=reactor", "-D_GNU_SOURCE")

_FEATURES: Final = ("bulk-memory", "mutable-globals", "nontrapping-fptoint", "sign-ext")
"""Spelt out, since a compiler's notion of a generic WebAssembly processor changes between its versions."""

_ZIG_TARGET: Final = ("-mcpu=mvp+bulk_memory_opt+" + "+".join(feature.replace("-", "_") for feature in _FEATURES),)
_CLANG_TARGET: Final = ("-mcpu=mvp", *(f"-m{feature}" for feature in _FEATURES))


class Dialect(NamedTuple):
    """What differs between the two languages.

    Attributes:
        zig, clang: What the compiler is called there.
        words: How the compiler is told what the language is.
        suffixes: Of the files that are compiled.
        entry: The file a project begins with unless it names another.
        folders: Of the SDK, where headers lie.
    """

    zig: str
    clang: str
    words: tuple[str, ...]
    suffixes: frozenset[str]
    entry: str
    folders: tuple[str, ...]


C: Final = Dialect("cc", "clang", ("-std=c11",), frozenset({".c"}), "agent.c", ("c",))
CPP: Final = Dialect(
    "c++",
    "clang++",
    ("-std=c++20", "-fno-rtti", "-fno-threadsafe-statics", "-nostdinc++"),
    frozenset({".cpp", ".cc", ".cxx"}),
    "agent.cpp",
    ("cpp", "c"),
)

_HEADERS: Final = frozenset({".h", ".hpp", ".inc"})


class ClangToolchain:
    """The toolchain of one of the two languages."""

    def __init__(self, language: str, dialect: Dialect) -> None:
        self.language = language
        self.sdk = f"tickwork-{language} {SDK_VERSION}"
        self.dialect = dialect

    def find(self, environment: Environment) -> Found:
        """Return ``ziglang`` of this Python, else the system's clang.

        Raises:
            ToolchainMissing: TW5001, neither is there.
        """
        zig = importlib.util.find_spec("ziglang")
        if zig is not None:
            version = importlib.metadata.version("ziglang")
            return Found("ziglang", version, (sys.executable, "-m", "ziglang", self.dialect.zig), environment)
        for clang in _clangs(environment, self.dialect.clang):
            version, linker = _usable(clang, environment)
            if linker:
                # Debian's compiler looks for its linker under a name with a version, which may not be there.
                return Found("clang", version, (str(clang), f"-fuse-ld={linker}"), environment)
        raise _missing(
            f"the package ziglang is not among those of {sys.executable}, and PATH has no clang of version "
            f"{OLDEST_CLANG} or newer with wasm-ld"
        )

    def sources(self, project: Project) -> Sequence[Path]:
        """Return the C or C++ files of the folder the entry lies in, hidden folders and ``tests`` left out."""
        folder = project.entry(self.dialect.entry).parent
        wanted = self.dialect.suffixes | _HEADERS
        return [
            path
            for path in sorted(folder.rglob("*"))
            if path.suffix in wanted and path.is_file() and not _set_aside(path.relative_to(folder))
        ]

    def compile(self, project: Project, found: Found, out: Path) -> Compiled:
        """Return the module and its debug companion: every source beside the entry, compiled and linked.

        Raises:
            BuildFailed: TW5002.
        """
        units = [path for path in self.sources(project) if path.suffix in self.dialect.suffixes]
        build = project.build
        if build.stack_bytes % 16:
            raise ProjectInvalid(
                f"build.stack_bytes is {build.stack_bytes}, no multiple of 16",
                where=str(project.folder / FILE),
                why="the stack's top is aligned to 16 bytes",
                fix=f"write {build.stack_bytes // 16 * 16 + 16}",
            )
        pages, stack = (LIBRARY_PAGES, LIBRARY_STACK_BYTES) if build.libc else (PAGES, STACK_BYTES)
        request = Request(units, project.folder, build.pages or pages, build.stack_bytes or stack, build.libc)
        try:
            return compile_units(self.dialect, request, found, out)
        except BuildFailed as error:
            if _HEADER_MISSING in error.what and not build.libc:
                error.fix = "do without it, or link the C library: libc = true under [build] in agent.toml"
            raise


_HEADER_MISSING: Final = "' file not found"

toolchain: Final = ClangToolchain("c", C)
cpp_toolchain: Final = ClangToolchain("cpp", CPP)


class Request(NamedTuple):
    """What is compiled.

    Attributes:
        units: Source files.
        folder: What paths in debugging information are relative to.
        pages: Declared maximum of the memory. Units: 64 KiB.
        stack_bytes: A multiple of 16.
        library: Whether the C library, and that of C++, is linked.
    """

    units: Sequence[Path]
    folder: Path
    pages: int = PAGES
    stack_bytes: int = STACK_BYTES
    library: bool = False


def _target(request: Request, found: Found) -> tuple[str, ...]:
    """Return what tells the compiler the machine it compiles for, and whether that has a library.

    Raises:
        ToolchainMissing: TW5001, the library comes with ``ziglang`` only.
    """
    zig = found.tool == "ziglang"
    if request.library and not zig:
        raise _missing("the C library for agents comes with the package ziglang")
    machine = "wasm32-wasi" if request.library else "wasm32-freestanding" if zig else "wasm32-unknown-unknown"
    kind = _LIBRARY_FLAGS if request.library else _BARE_FLAGS
    return (f"--target={machine}", *(_ZIG_TARGET if zig else _CLANG_TARGET), *kind)


def compile_units(dialect: Dialect, request: Request, found: Found, out: Path) -> Compiled:
    """Return the module that source files become, and its debug companion.

    Raises:
        BuildFailed: TW5002, with the compiler's text.
    """
    module = out / "module.wasm"
    headers = [sdk_folder(name) for name in dialect.folders]
    mapped = {request.folder: ".", sdk_folder("c").parent: "sdk", **_own_folders(found)}
    arguments: list[str | Path] = [word for word in dialect.words if not request.library or word != "-nostdinc++"]
    arguments += [*_FLAGS, *_target(request, found)]
    arguments += [f"-I{folder}" for folder in headers]
    arguments += [f"-ffile-prefix-map={folder}={name}" for folder, name in mapped.items()]
    arguments += ["-fdebug-compilation-dir=.", f"-Wl,-z,stack-size={request.stack_bytes}"]
    arguments += [f"-Wl,--max-memory={request.pages * PAGE_BYTES}", *request.units, "-o", module]
    cache = found.environment.cache / "zig"
    run_tool(
        _undisturbed(found),
        arguments,
        cwd=out,
        variables={"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache)},
    )
    if not module.is_file():
        raise BuildFailed("the compiler wrote no module", where=str(request.folder), fix="install ziglang again")
    debug = module.read_bytes()
    return Compiled(without_custom_sections(debug), debug)


_DISTURBING: Final = frozenset({
    "CCC_OVERRIDE_OPTIONS", "COMPILER_PATH", "CPATH", "CPLUS_INCLUDE_PATH", "C_INCLUDE_PATH", "LIBRARY_PATH",
    "SOURCE_DATE_EPOCH",
})  # fmt: skip
"""Environment variables by which a machine would have a say in the module."""


def _undisturbed(found: Found) -> Found:
    variables = {name: value for name, value in found.environment.variables.items() if name not in _DISTURBING}
    return found._replace(environment=found.environment._replace(variables=variables))


def _own_folders(found: Found) -> dict[Path, str]:
    """Return where the compiler's own headers lie, whose place depends on the machine, and what they are called."""
    if found.tool == "ziglang":
        spec = importlib.util.find_spec("ziglang")
        places = spec.submodule_search_locations if spec else None
        return {path: "ziglang" for place in places or () for path in (Path(place), Path(place).resolve())}
    return {Path(run_tool(found, ["-print-resource-dir"], cwd=Path.cwd()).strip()): "clang"}


def _set_aside(path: Path) -> bool:
    return path.parts[0] == "tests" or any(part.startswith(".") for part in path.parts)


def _clangs(environment: Environment, name: str) -> Iterator[Path]:
    """Yield the compilers of that name on PATH. Order: the plain name, then those with a version, newest first."""
    for version in ("", *(f"-{number}" for number in range(NEWEST_CLANG, OLDEST_CLANG - 1, -1))):
        found = environment.program(name + version)
        if found is not None:
            yield found


def _usable(clang: Path, environment: Environment) -> tuple[str, str]:
    """Return the version of a compiler and its linker for WebAssembly; no linker for a compiler that does not serve."""

    def said(argument: str) -> str:
        done = subprocess.run(
            [clang, argument], env=dict(environment.variables), capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    told = re.search(r"version ((\d+)[\d.]*)", said("--version"))
    if told is None or int(told[2]) < OLDEST_CLANG:
        return "", ""
    # A linker that is not there is answered with its bare name.
    linker = environment.program(said("-print-prog-name=wasm-ld"))
    return told[1], str(linker) if linker else ""


def _missing(why: str) -> ToolchainMissing:
    return ToolchainMissing("no compiler for C and C++ was found", why=why, fix='pip install "tickwork[sdk-c]"')
