"""Agents in Rust: cargo and the crate ``tickwork``, for the target ``wasm32v1-none``.

Cargo puts the folder of a package into what it compiles. So it runs in a folder of its own, with copies of the
project's sources and of the SDK: no path of this machine reaches the module, and the crate comes from the installed SDK
without a registry being asked. Both outputs come from one run of the compiler.
"""

import hashlib
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from ..errors import BuildFailed, ProjectInvalid, ToolchainMissing
from .project import FILE, Project
from .rust_sysroot import TARGET, Compiler, compilers, private_sysroot
from .sdk import sdk_folder
from .sections import without_custom_sections
from .toolchain import Compiled, Environment, Found, run_tool

SDK_VERSION: Final = "1.0.0"
CRATE: Final = "tickwork"
PACKAGE: Final = "Cargo.toml"
ENTRY: Final = "src/lib.rs"
PAGE_BYTES: Final = 64 * 1024

PAGES: Final = 16
"""Greatest memory where ``agent.toml`` says nothing: 4 for stack and regions, the rest for a heap. Units: 64 KiB."""

STACK_BYTES: Final = 64 * 1024
"""Stack where ``agent.toml`` says nothing. It lies first in memory, so an overflow traps."""

_PROFILE: Final = {
    "panic": '"abort"',
    "lto": '"fat"',
    "codegen-units": "1",
    "incremental": "false",
    "debug": "2",
    "strip": "false",
}
"""What is the same for every agent. How far to optimize is the project's choice."""

_FEATURES: Final = "+bulk-memory,+nontrapping-fptoint,+sign-ext"
"""What every engine of profile tw-1 has beyond the target; spelt out, so that a compiler's version decides nothing."""

_LEFT_OUT: Final = frozenset({"target", "tests", "benches", "node_modules"})
_DEPENDENCIES: Final = ("dependencies", "dev-dependencies", "build-dependencies")

_DECIDING: Final = ("CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_", "CARGO_ENCODED_RUSTFLAGS")
_DECIDING_NAMES: Final = frozenset(
    {"RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTC_BOOTSTRAP", "CARGO_INCREMENTAL"}
)
"""Variables that would change what is built; they stay out."""


class Rust:
    """The toolchain of Rust."""

    language = "rust"
    sdk = f"tickwork-rust {SDK_VERSION}"

    def find(self, environment: Environment) -> Found:
        """Return the first compiler that has the libraries for agents, else one that can make them.

        Raises:
            ToolchainMissing: TW5001, there is neither.
        """
        compiler = _chosen(environment)
        kept = {name: value for name, value in environment.variables.items() if not _decides(name)}
        kept["RUSTC"] = str(compiler.rustc)
        return Found("cargo", compiler.version, (str(compiler.cargo),), environment._replace(variables=kept))

    def sources(self, project: Project) -> Sequence[Path]:
        """Return everything below ``src``, and every Rust file and package file of the folder. Order: by path.

        Raises:
            ProjectInvalid: TW5004, the entry does not exist.
        """
        project.entry(ENTRY)
        files = project.files("src/**/*", "**/*.rs", f"**/{PACKAGE}", "Cargo.lock", "build.rs")
        return [path for path in files if not _set_aside(path.relative_to(project.folder))]

    def compile(self, project: Project, found: Found, out: Path) -> Compiled:
        """Return the module and its debug companion.

        Raises:
            BuildFailed: TW5002. ProjectInvalid: TW5004, the package file is not what it must be.
        """
        others = has_other_crates(project)
        stage, target = out / "build", _target_folder(project, found, out, others=others)
        _fill(stage, project, self.sources(project))
        written = target / TARGET / "release"
        for old in written.glob("*.wasm"):
            old.unlink()
        arguments = ["build", "--release", "--quiet", "--color=never", f"--target={TARGET}", f"--target-dir={target}"]
        arguments += [f"--config=profile.release.{key}={value}" for key, value in _PROFILE.items()]
        arguments += [f'--config=patch.crates-io.{CRATE}.path=".{CRATE}"']
        arguments += [] if others else ["--offline"]
        flags = _flags(project, _chosen(found.environment), found.environment, stage)
        run_tool(found, arguments, cwd=stage, variables={"CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags)})
        whole = _module(written, project).read_bytes()
        return Compiled(without_custom_sections(whole), whole)


def _fill(stage: Path, project: Project, sources: Sequence[Path]) -> None:
    """Copy a project's sources, and the SDK's crate beside them."""
    for path in sources:
        copied = stage / path.relative_to(project.folder)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copied)
    crate = sdk_folder("rust")
    shutil.copytree(crate / "src", stage / f".{CRATE}" / "src")
    shutil.copyfile(crate / PACKAGE, stage / f".{CRATE}" / PACKAGE)


def prepared(environment: Environment) -> Path:
    """Return the sysroot that agents are linked with, made where the compiler does not bring it.

    Raises:
        ToolchainMissing: TW5001. BuildFailed: TW5002, the compiler's own source does not compile.
    """
    compiler = _chosen(environment)
    return compiler.sysroot if compiler.is_ready() else private_sysroot(compiler, environment)


def _chosen(environment: Environment) -> Compiler:
    able: Compiler | None = None
    seen: list[Compiler] = []
    for compiler in compilers(environment):
        if compiler.is_ready():
            return compiler
        seen.append(compiler)
        if able is None and compiler.can_make_libraries():
            able = compiler
    if able is not None:
        return able
    raise _missing(seen)


def _flags(project: Project, compiler: Compiler, environment: Environment, stage: Path) -> list[str]:
    """Return the compiler's flags; none of them names this machine in what is built."""
    stack = project.build.stack_bytes or STACK_BYTES
    if stack % 16:
        raise ProjectInvalid(
            f"build.stack_bytes is {stack}, no multiple of 16",
            where=str(project.folder / FILE),
            why="the stack's top is aligned to 16 bytes",
            fix=f"write {stack // 16 * 16 + 16}",
        )
    variables = environment.variables
    house = variables.get("CARGO_HOME") or f"{variables.get('HOME') or variables.get('USERPROFILE', '')}/.cargo"
    flags = [] if compiler.is_ready() else [f"--sysroot={private_sysroot(compiler, environment)}"]
    flags += [f"-Clinker={compiler.linker}"] if compiler.linker else []
    flags += [f"-Ctarget-feature={_FEATURES}", "-Clink-arg=-z", f"-Clink-arg=stack-size={stack}"]
    flags += [f"-Clink-arg=--max-memory={(project.build.pages or PAGES) * PAGE_BYTES}"]
    flags += compiler.source_mapping()
    # The last that fits is taken, so the widest comes first.
    flags += [f"--remap-path-prefix={house}=cargo", f"--remap-path-prefix={stage}=."]
    # Cargo names what lies in the folder it runs in by relative paths, and everything else by absolute ones.
    return [*flags, f"--remap-path-prefix=.{CRATE}={CRATE}"]


def _target_folder(project: Project, found: Found, out: Path, *, others: bool) -> Path:
    """Return where cargo keeps what it compiles: crates of others in the cache, for they take long."""
    if not others:
        return out / "target"
    name = hashlib.sha256(str(found.environment.project or project.folder).encode()).hexdigest()[:16]
    return found.environment.cache / "rust" / f"target-{name}"


def has_other_crates(project: Project) -> bool:
    """Return whether the project depends on any crate but the SDK's.

    Raises:
        ProjectInvalid: TW5004, its package file cannot be read or does not name the SDK's crate.
    """
    path = project.folder / PACKAGE
    try:
        table: Mapping[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _package_fault(path, f"{PACKAGE} cannot be read", str(error), "mend it") from error
    named = set(_named(table))
    if CRATE not in named:
        why = f"its dependencies are {', '.join(sorted(named)) or 'none'}"
        raise _package_fault(
            path, f"{PACKAGE} does not depend on the crate {CRATE}", why, f'write {CRATE} = "1" under [dependencies]'
        )
    return named != {CRATE}


def _named(table: Mapping[str, object]) -> Iterator[str]:
    """Yield the names of the crates a package file, or one target of it, depends on."""
    for key in _DEPENDENCIES:
        yield from _table(table, key)
    targets = _table(table, "target")
    for name in targets:
        yield from _named(_table(targets, name))


def _table(table: Mapping[str, object], key: str) -> Mapping[str, object]:
    """Return a table in a table, empty where there is none: what else is wrong with it, cargo tells."""
    found = table.get(key)
    return cast(Mapping[str, object], found) if isinstance(found, dict) else {}


def _module(folder: Path, project: Project) -> Path:
    """Return the module that cargo wrote into a folder."""
    for path in folder.glob("*.wasm"):
        return path
    raise BuildFailed(
        "cargo wrote no module",
        where=str(project.folder / PACKAGE),
        why="the package is no library of the kind that becomes a module",
        fix='write crate-type = ["cdylib"] under [lib]',
    )


def _decides(name: str) -> bool:
    return name in _DECIDING_NAMES or name.startswith(_DECIDING)


def _set_aside(path: Path) -> bool:
    """Return whether a file of a project's folder decides no build: what is hidden, made, or for tests."""
    hidden = any(part.startswith(".") for part in path.parts)
    return hidden or (path.parts[0] != "src" and not _LEFT_OUT.isdisjoint(path.parts))


def _package_fault(path: Path, what: str, why: str, fix: str) -> ProjectInvalid:
    return ProjectInvalid(what, where=str(path), why=why, fix=fix)


def _missing(seen: Sequence[Compiler]) -> ToolchainMissing:
    """Return the error, with the one line that installs what is missing."""
    if not seen:
        what, why = "cargo is missing, which agents in Rust are built with", "no rustc with cargo beside it was found"
        debian = "on Debian 12: apt install rustc-web cargo-web rust-web-src lld-22"
        return ToolchainMissing(
            what, why=why, fix=f"install rustup and its target {TARGET}: https://rustup.rs; {debian}"
        )
    names = ", ".join(f"{compiler.version} in {compiler.sysroot}" for compiler in seen)
    return ToolchainMissing(
        f"the Rust libraries for {TARGET} are missing, which agents in Rust are linked with",
        why=f"found Rust {names}, each without them and without its own source",
        fix=f"rustup target add {TARGET}",
    )


toolchain: Final = Rust()
