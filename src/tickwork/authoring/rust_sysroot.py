"""Rust compilers of this machine, and the libraries that agents are linked with.

An agent needs ``core`` and ``alloc`` compiled for ``wasm32v1-none``. rustup installs them with one command. A compiler
that comes with its source but not with them (Debian's) compiles them once, into a folder of the cache.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import BuildFailed
from .toolchain import Environment

TARGET: Final = "wasm32v1-none"
"""WebAssembly 1.0 with mutable globals, whatever a compiler's version takes for a generic processor."""

SYSTEM_FOLDERS: Final = (Path("/usr/bin"), Path("/usr/local/bin"))
"""Where a system's own compiler lies, which rustup's hides on PATH."""

_LIBRARIES: Final = ("core", "alloc", "compiler_builtins")
_NEWEST_LLD: Final = 40
_OLDEST_LLD: Final = 16


class Compiler(NamedTuple):
    """A Rust compiler.

    Attributes:
        rustc, cargo: The two programs.
        version: For people: ``1.96.0``.
        said: What ``rustc -vV`` says, which decides what it makes.
        sysroot: Where its own libraries lie.
        linker: Path or name of a linker for wasm32, empty where the compiler has its own.
    """

    rustc: Path
    cargo: Path
    version: str
    said: str
    sysroot: Path
    linker: str

    @property
    def source(self) -> Path:
        """Where the source of its libraries lies, if it is installed."""
        return self.sysroot / "lib" / "rustlib" / "src" / "rust"

    @property
    def name_of_source(self) -> str:
        """How the source is called in what is built, on every machine."""
        commit = re.search(r"^commit-hash: (.*)$", self.said, re.MULTILINE)
        return f"/rustc/{commit[1] if commit else self.version}"

    def is_ready(self) -> bool:
        """Return whether the libraries for agents are installed."""
        return has_libraries(self.sysroot)

    def can_make_libraries(self) -> bool:
        """Return whether source, and everything the source depends on, is installed."""
        return (self.source / "library" / "core").is_dir() and (self.source / "library" / "vendor").is_dir()

    def source_mapping(self) -> list[str]:
        """Return the flags that give the source its name."""
        folders = dict.fromkeys((self.source, self.source.resolve()))
        return [f"--remap-path-prefix={folder}={self.name_of_source}" for folder in folders]


def compilers(environment: Environment) -> Iterator[Compiler]:
    """Yield the Rust compilers of this machine.

    Order: the one RUSTC names, PATH, rustup's folder, the system's, rustup's other ones.
    """
    seen: set[Path] = set()
    for rustc in _programs(environment):
        compiler = _asked(rustc, environment)
        if compiler is not None and compiler.sysroot not in seen:
            seen.add(compiler.sysroot)
            yield compiler


def has_libraries(sysroot: Path) -> bool:
    """Return whether the libraries for agents lie in a sysroot."""
    folder = _library_folder(sysroot)
    return all(any(folder.glob(f"lib{name}-*.rlib")) for name in _LIBRARIES)


def private_sysroot(compiler: Compiler, environment: Environment) -> Path:
    """Return a sysroot with the libraries for agents, made in the cache where it is not there yet.

    Raises:
        BuildFailed: TW5002, the compiler's own source does not compile.
    """
    name = hashlib.sha256(f"{compiler.said}\0{compiler.sysroot}\0{_MANIFEST}".encode()).hexdigest()[:16]
    folder = environment.cache / "rust" / f"sysroot-{compiler.version}-{name}"
    if has_libraries(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="making-") as place:
        made = _make(compiler, environment.variables, Path(place))
        try:
            made.rename(folder)
        except OSError:
            # Another build made it in the meantime.
            if not has_libraries(folder):
                raise
    return folder


def _library_folder(sysroot: Path) -> Path:
    return sysroot / "lib" / "rustlib" / TARGET / "lib"


def _programs(environment: Environment) -> Iterator[Path]:
    variables = environment.variables
    name = "rustc.exe" if variables.get("OS") == "Windows_NT" else "rustc"
    for named in (variables.get("RUSTC") or "rustc", "rustc"):
        found = environment.program(named)
        if found is not None:
            yield found
    house = Path(variables.get("HOME") or variables.get("USERPROFILE") or "/nonexistent")
    yield Path(variables.get("CARGO_HOME") or house / ".cargo") / "bin" / name
    yield from (folder / name for folder in SYSTEM_FOLDERS)
    yield from sorted(Path(variables.get("RUSTUP_HOME") or house / ".rustup").glob(f"toolchains/*/bin/{name}"))


def _asked(rustc: Path, environment: Environment) -> Compiler | None:
    """Return what a compiler says of itself, or None where it does not run or has no cargo beside it."""
    if not rustc.is_file():
        return None
    try:
        said, sysroot = (_output([rustc, option], environment.variables) for option in ("-vV", "--print=sysroot"))
    except (OSError, subprocess.CalledProcessError):
        return None
    version = re.search(r"^release: (\S+)", said, re.MULTILINE)
    folder = Path(sysroot.strip())
    # Behind rustup's programs lie the real ones, which start faster and do not depend on the folder they are called in.
    real = folder / "bin" / rustc.name
    rustc = real if real.is_file() else rustc
    cargo = rustc.with_name(rustc.name.replace("rustc", "cargo"))
    if version is None or not cargo.is_file():
        return None
    linker = _linker(folder, said, environment)
    return None if linker is None else Compiler(rustc, cargo, version[1], said, folder, linker)


def _linker(sysroot: Path, said: str, environment: Environment) -> str | None:
    """Return the linker to name, empty where the compiler's own is there, or None where there is none."""
    host = re.search(r"^host: (\S+)", said, re.MULTILINE)
    if host is not None and any((sysroot / "lib" / "rustlib" / host[1] / "bin").glob("rust-lld*")):
        return ""
    for name in ("wasm-ld", *(f"wasm-ld-{number}" for number in range(_NEWEST_LLD, _OLDEST_LLD - 1, -1))):
        found = environment.program(name)
        if found is not None:
            return str(found)
    return None


def _output(command: list[str | Path], variables: Mapping[str, str]) -> str:
    done = subprocess.run(
        [str(word) for word in command], env=dict(variables), stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    return done.stdout.decode(errors="replace")


_MANIFEST: Final = """\
[package]
name = "libraries"
version = "0.0.0"
edition = "2021"

[lib]
path = "lib.rs"

[profile.release]
panic = "abort"
codegen-units = 1
debug = "line-tables-only"
"""


def _make(compiler: Compiler, variables: Mapping[str, str], place: Path) -> Path:
    """Compile the libraries in ``place`` and return a sysroot in it that holds them."""
    package, sysroot = place / "package", place / "sysroot"
    (package / ".cargo").mkdir(parents=True)
    (package / "Cargo.toml").write_text(_MANIFEST, encoding="utf-8")
    (package / "lib.rs").write_text("#![no_std]\n", encoding="utf-8")
    vendored = compiler.source / "library" / "vendor"
    (package / ".cargo" / "config.toml").write_text(
        f"[source.crates-io]\nreplace-with = 'vendored'\n[source.vendored]\ndirectory = '{vendored}'\n",
        encoding="utf-8",
    )
    # A later build optimizes across crates, for which the libraries must hold the compiler's intermediate code.
    flags = ["-Cembed-bitcode=yes", *compiler.source_mapping()]
    own = {
        **variables,
        "RUSTC": str(compiler.rustc),
        # Without this a stable compiler does not compile its own libraries.
        "RUSTC_BOOTSTRAP": "1",
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
    }
    arguments = ("build", "--quiet", "--release", "--offline", f"--target={TARGET}", "-Zbuild-std=core,alloc")
    done = subprocess.run(
        [str(compiler.cargo), *arguments, f"--target-dir={place / 'target'}"],
        cwd=package, env=own, stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BuildFailed(
            f"the libraries for {TARGET} do not compile:\n{done.stderr.decode(errors='replace').strip()}",
            where=str(compiler.source),
            why=f"rustc {compiler.version} compiles them once from its own source",
            fix=f"install them instead: rustup target add {TARGET}",
        )
    target = _library_folder(sysroot)
    target.mkdir(parents=True)
    for name in _LIBRARIES:
        for library in (place / "target" / TARGET / "release" / "deps").glob(f"lib{name}-*.rlib"):
            shutil.copyfile(library, target / library.name)
    return sysroot
