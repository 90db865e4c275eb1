"""authoring/rust.py: how Rust is compiled, and what is said where that fails."""

import os
from pathlib import Path

import pytest

from tests.support import ROOT, need
from tests.unit.authoring.projects import ENVIRONMENT, begun
from tickwork.authoring import rust, rust_sysroot
from tickwork.authoring.build import build, check_reproducible
from tickwork.authoring.project import Project, read_project
from tickwork.authoring.rust import toolchain
from tickwork.authoring.sections import parsed, same_code
from tickwork.authoring.toolchain import Environment
from tickwork.errors import AuthoringError, BuildFailed, ProjectInvalid, ToolchainMissing


def here(**changes: str) -> Environment:
    return ENVIRONMENT._replace(variables={**os.environ, **changes})


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A new project."""
    need("rust")
    return begun(tmp_path / "private" / "begun", "rust")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.slow
def test_the_template_builds_the_same_in_any_folder_and_names_none(project: Project) -> None:
    built = check_reproducible(project, here(RUSTFLAGS="-Copt-level=0", CARGO_PROFILE_RELEASE_OPT_LEVEL="0"))
    assert built.compiled == build(project, here()).compiled
    assert built.compiled.debug is not None
    module, debug = parsed(built.compiled.module), parsed(built.compiled.debug)
    assert same_code(module, debug)
    assert {section.name for section in debug.sections} >= {".debug_info", ".debug_line", "name"}
    assert {section.name for section in module.sections} == {"", "tickwork.manifest"}
    assert (module.memories[0].maximum, built.pages) == (16, 16)
    for named in ("/private", str(ROOT), str(rust_sysroot.SYSTEM_FOLDERS[0]), os.environ["HOME"], "/tickwork-"):
        assert named.encode() not in built.compiled.debug


@pytest.mark.slow
def test_a_source_that_does_not_compile_is_told_with_its_line(project: Project) -> None:
    edit(project.folder / "src" / "lib.rs", "self.total += 1;", "self.total += nothing;")
    line = next(
        number
        for number, text in enumerate((project.folder / "src" / "lib.rs").read_text().splitlines(), 1)
        if "nothing" in text
    )
    with pytest.raises(BuildFailed, match=rf"src/lib\.rs:{line}:\d+") as told:
        build(project, here())
    assert told.value.where == str(project.folder)
    assert '"reason"' not in told.value.what


@pytest.mark.slow
def test_stack_and_memory_are_what_the_project_says(project: Project) -> None:
    edit(project.folder / "agent.toml", "stack_bytes = 65_536", "stack_bytes = 262_144")
    edit(project.folder / "agent.toml", "pages = 16 ", "pages = 7 ")
    memory = parsed(build(read_project(project.folder), here()).compiled.module).memories[0]
    assert (memory.minimum, memory.maximum) == (7, 7)


def test_only_what_decides_a_build_is_a_source(tmp_path: Path) -> None:
    project = begun(tmp_path, "rust")
    for name in ("src/data.json", "Cargo.lock", "build.rs", "inner/Cargo.toml", "inner/src/lib.rs"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x\n")
    for name in ("target/debug/made.rs", "tests/script.toml", ".hidden/lib.rs", "README.txt", "inner/target/made.rs"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x\n")
    found = {path.relative_to(tmp_path).as_posix() for path in toolchain.sources(project)}
    wanted = {"Cargo.lock", "Cargo.toml", "build.rs", "inner/Cargo.toml", "inner/src/lib.rs", "src/data.json"}
    assert found == wanted | {"src/lib.rs"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('tickwork = "1"', "", "does not depend on the crate tickwork"),
        ("[dependencies]", "[dependencies", "Cargo.toml cannot be read"),
        ("[package]", "target = 3\n[package]", "invalid type: integer `3`"),
        ('tickwork = "1"', 'dependencies = { tickwork = "1" }', "does not depend on the crate tickwork"),
    ],
)
def test_a_package_file_that_cannot_be_built_is_told(project: Project, old: str, new: str, told: str) -> None:
    edit(project.folder / "Cargo.toml", old, new)
    with pytest.raises(AuthoringError, match=told):
        build(project, here())


def test_crates_of_others_are_seen_wherever_they_are_named(tmp_path: Path) -> None:
    project = begun(tmp_path, "rust")
    assert not rust.has_other_crates(project)
    for table in ("dev-dependencies", "target.'cfg(unix)'.dependencies", "dependencies.log"):
        (tmp_path / "Cargo.toml").write_text(f"[dependencies]\ntickwork = '1'\n[{table}]\nlog = '0.4'\n")
        assert rust.has_other_crates(project)


@pytest.mark.slow
def test_a_package_that_makes_no_module_is_told(project: Project) -> None:
    edit(project.folder / "Cargo.toml", '["cdylib"]', '["rlib"]')
    with pytest.raises(BuildFailed, match="cargo wrote no module") as told:
        build(project, here())
    assert "cdylib" in told.value.fix


@pytest.mark.slow
def test_a_stack_that_is_not_aligned_is_refused(project: Project) -> None:
    edit(project.folder / "agent.toml", "65_536", "65_530")
    with pytest.raises(ProjectInvalid, match="no multiple of 16") as told:
        build(read_project(project.folder), here())
    assert told.value.fix == "write 65536"


def test_a_source_that_does_not_exist_is_told(tmp_path: Path) -> None:
    project = begun(tmp_path, "rust")
    (tmp_path / "src" / "lib.rs").unlink()
    with pytest.raises(ProjectInvalid, match="does not exist"):
        toolchain.sources(project)


# --- finding a compiler ---

COMPILER = """#!/bin/sh
case "$1" in
-vV) printf 'rustc {version}\\ncommit-hash: abc\\nhost: here\\nrelease: {version}\\n' ;;
--print=sysroot) echo '{sysroot}' ;;
esac
"""


def install(folder: Path, version: str, *, libraries: bool = False, source: bool = False, linker: bool = True) -> Path:
    """Install a compiler that only tells its version, and return the folder of its programs."""
    programs, rustlib = folder / "bin", folder / "lib" / "rustlib"
    programs.mkdir(parents=True)
    (programs / "rustc").write_text(COMPILER.format(version=version, sysroot=folder))
    (programs / "cargo").write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    if libraries:
        place = rustlib / rust_sysroot.TARGET / "lib"
        place.mkdir(parents=True)
        for name in ("core", "alloc", "compiler_builtins"):
            (place / f"lib{name}-0.rlib").touch()
    if source:
        for name in ("core", "vendor"):
            (rustlib / "src" / "rust" / "library" / name).mkdir(parents=True)
    if linker:
        (rustlib / "here" / "bin").mkdir(parents=True)
        (rustlib / "here" / "bin" / "rust-lld").touch()
    return programs


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Environment:
    """A machine without any compiler."""
    if os.name != "posix":
        pytest.fail("the compilers of this test are shell scripts")
    monkeypatch.setattr(rust_sysroot, "SYSTEM_FOLDERS", (tmp_path / "system" / "bin",))
    return Environment({"PATH": str(tmp_path / "path" / "bin"), "HOME": str(tmp_path)}, tmp_path / "cache")


def test_where_there_is_no_compiler_the_way_to_one_is_told(bare: Environment) -> None:
    with pytest.raises(ToolchainMissing, match="cargo is missing") as told:
        toolchain.find(bare)
    assert "rustup" in told.value.fix
    assert "apt install rustc-web cargo-web rust-web-src lld-22" in told.value.fix


def test_where_only_the_libraries_are_missing_one_command_is_told(bare: Environment, tmp_path: Path) -> None:
    install(tmp_path / "path", "1.95.0")
    with pytest.raises(ToolchainMissing, match="libraries for wasm32v1-none are missing") as told:
        toolchain.find(bare)
    assert told.value.fix == "rustup target add wasm32v1-none"
    assert f"1.95.0 in {tmp_path / 'path'}" in told.value.why


def test_a_compiler_with_the_libraries_is_preferred(bare: Environment, tmp_path: Path) -> None:
    install(tmp_path / "path", "1.95.0")
    source = install(tmp_path / "system", "1.96.0", source=True)
    assert toolchain.find(bare).command == (str(source / "cargo"),)
    ready = install(tmp_path / ".rustup" / "toolchains" / "nightly", "1.97.0", libraries=True)
    found = toolchain.find(bare)
    assert (found.command, found.version) == ((str(ready / "cargo"),), "1.97.0")
    assert found.environment.variables["RUSTC"] == str(ready / "rustc")


def test_a_compiler_without_a_linker_is_none(bare: Environment, tmp_path: Path) -> None:
    programs = install(tmp_path / "path", "1.96.0", libraries=True, linker=False)
    with pytest.raises(ToolchainMissing):
        toolchain.find(bare)
    (programs / "wasm-ld-22").write_text("")
    (programs / "wasm-ld-22").chmod(0o755)
    assert toolchain.find(bare).version == "1.96.0"


def test_libraries_that_do_not_compile_are_told(bare: Environment, tmp_path: Path) -> None:
    install(tmp_path / "path", "1.96.0", source=True)
    with pytest.raises(BuildFailed, match="broken") as told:
        rust.prepared(bare)
    assert told.value.fix == "install them instead: rustup target add wasm32v1-none"


def test_libraries_are_compiled_once(bare: Environment, tmp_path: Path) -> None:
    programs = install(tmp_path / "path", "1.96.0", source=True)
    (programs / "cargo").write_text(
        "#!/bin/sh\n"
        'for word; do case "$word" in --target-dir=*) made="${word#*=}/wasm32v1-none/release/deps" ;; esac; done\n'
        '/bin/mkdir -p "$made"\n'
        'for name in core alloc compiler_builtins; do echo "$RUSTC_BOOTSTRAP" >"$made/lib$name-1.rlib"; done\n'
    )
    made = rust.prepared(bare)
    assert made.parent == tmp_path / "cache" / "rust"
    assert rust_sysroot.has_libraries(made)
    (programs / "cargo").write_text("#!/bin/sh\nexit 3\n")
    assert rust.prepared(bare) == made
    assert [path.name for path in made.parent.iterdir()] == [made.name]
