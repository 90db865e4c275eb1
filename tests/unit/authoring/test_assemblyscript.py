"""authoring/assemblyscript.py: finding node and asc, and building away from everything else."""

import json
import os
from pathlib import Path

import pytest

from tests.support import need
from tests.unit.authoring.projects import ENVIRONMENT, begun
from tickwork.authoring.assemblyscript import COMPILER_VERSION, toolchain
from tickwork.authoring.build import build, check_reproducible
from tickwork.authoring.project import read_project
from tickwork.authoring.sdk import sdk_folder
from tickwork.authoring.sections import parsed, same_code
from tickwork.authoring.sourcemap import SourceMap
from tickwork.authoring.toolchain import Environment, Found
from tickwork.errors import BuildFailed, ProjectInvalid, ToolchainMissing
from tickwork.sandbox import wasm

HERE = sdk_folder("assemblyscript")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with a folder of programs, in which a node lies, and no compiler anywhere."""

    def elsewhere(_: str) -> Path:
        return tmp_path / "sdk"

    monkeypatch.setattr("tickwork.authoring.assemblyscript.sdk_folder", elsewhere)
    program(tmp_path / "bin" / "node", "echo v20.1.0")
    return tmp_path


def program(path: Path, line: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def compiler(folder: Path, version: str) -> Path:
    """Put a compiler into the packages of a folder; return its script."""
    script = folder / "node_modules" / "assemblyscript" / "bin" / "asc.js"
    script.parent.mkdir(parents=True)
    script.write_text("", encoding="utf-8")
    (script.parent.parent / "package.json").write_text(json.dumps({"version": version}), encoding="utf-8")
    return script


def machine(bare: Path, project: Path | None = None) -> Environment:
    return Environment({"PATH": str(bare / "bin")}, bare / "cache", project)


def test_a_machine_without_node_is_told_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(ToolchainMissing, match="node is missing") as told:
        toolchain.find(Environment({"PATH": str(tmp_path)}, tmp_path))
    assert "Node.js 20 or newer" in told.value.fix


@pytest.mark.skipif(os.name == "nt", reason="the imitated programs are shell scripts")
@pytest.mark.parametrize("line", ["echo v18.19.0", "echo hello", "exit 1"])
def test_a_node_that_is_too_old_or_strange_is_refused(bare: Path, line: str) -> None:
    program(bare / "bin" / "node", line)
    with pytest.raises(ToolchainMissing, match="node is missing"):
        toolchain.find(machine(bare))


@pytest.mark.skipif(os.name == "nt", reason="the imitated programs are shell scripts")
def test_a_node_without_the_quick_option_is_called_without_it(bare: Path) -> None:
    compiler(bare / "sdk", "0.28.20")
    assert "--liftoff-only" in toolchain.find(machine(bare)).command
    program(bare / "bin" / "node", '[ "$1" = --version ] || exit 9\necho v20.1.0')
    assert "--liftoff-only" not in toolchain.find(machine(bare)).command


@pytest.mark.skipif(os.name == "nt", reason="the imitated programs are shell scripts")
def test_a_missing_compiler_is_told_with_the_line_that_installs_it_where_it_is_found(bare: Path) -> None:
    with pytest.raises(ToolchainMissing, match="asc is missing") as told:
        toolchain.find(machine(bare))
    folder = bare / "cache" / "assemblyscript"
    assert told.value.fix == f'npm install --ignore-scripts --prefix "{folder}" assemblyscript@{COMPILER_VERSION}'
    script = compiler(folder, "0.28.20")
    assert toolchain.find(machine(bare)).command[-1] == str(script)


@pytest.mark.skipif(os.name == "nt", reason="the imitated programs are shell scripts")
def test_a_projects_own_compiler_goes_before_all_others(bare: Path) -> None:
    installed = compiler(bare / "lib", "0.28.16")
    (bare / "bin" / "asc").symlink_to(installed)
    installed.chmod(0o755)
    for folder, version in ((bare / "sdk", "0.28.18"), (bare / "project", "0.28.19")):
        found = toolchain.find(machine(bare, bare / "project"))
        assert found.version < version
        compiler(folder, version)
        assert toolchain.find(machine(bare, bare / "project")).version == version
    assert toolchain.find(machine(bare)).version == "0.28.18"


def test_the_locked_compiler_is_the_one_the_install_line_names() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert packages["node_modules/assemblyscript"]["version"] == COMPILER_VERSION
    assert all(entry["integrity"].startswith("sha512-") and "resolved" not in entry for entry in packages.values())
    template = json.loads((HERE / "template" / "package.json").read_text(encoding="utf-8"))
    assert template["devDependencies"] == {"assemblyscript": COMPILER_VERSION}


def test_the_sources_are_those_of_the_entrys_folder(tmp_path: Path) -> None:
    project = begun(tmp_path / "p", "assemblyscript")
    for name in ("assembly/more/part.ts", "elsewhere/other.ts", "assembly/node_modules/x/y.ts", "assembly/notes.txt"):
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).write_text("", encoding="utf-8")
    names = {path.relative_to(project.folder).as_posix() for path in toolchain.sources(project)}
    assert names == {"assembly/index.ts", "assembly/more/part.ts", "asconfig.json"}


@pytest.mark.slow
def test_the_template_builds_to_the_same_bytes_in_two_folders(tmp_path: Path) -> None:
    need("asc")
    built = check_reproducible(begun(tmp_path / "begun", "assemblyscript"), ENVIRONMENT).compiled
    module = parsed(built.module)
    assert [(found.module, found.name) for found in module.imports] == [("env", "abort")]
    assert module.memories[0].maximum == 16
    assert built.debug is not None
    assert built.source_map is not None
    assert same_code(module, parsed(built.debug))
    assert str(tmp_path).encode() not in built.module + built.debug + built.source_map


@pytest.mark.slow
def test_the_source_map_leads_from_code_to_its_line(tmp_path: Path) -> None:
    need("asc")
    project = begun(tmp_path / "begun", "assemblyscript")
    compiled = build(project, ENVIRONMENT).compiled
    assert compiled.source_map is not None
    entry = project.folder / "assembly" / "index.ts"
    line = next(n for n, text in enumerate(entry.read_text().splitlines(), 1) if "tick() % this.every" in text)
    read = SourceMap(compiled.source_map)
    remainder = 0x82  # i64.rem_u
    places = {
        read.find(offset)
        for start, end in parsed(compiled.module).bodies
        for offset in range(start, end)
        if compiled.module[offset] == remainder
    }
    assert ("assembly/index.ts", line) in {(place.file, place.line) for place in places if place}


@pytest.mark.slow
def test_what_does_not_compile_is_told_with_its_line(tmp_path: Path) -> None:
    need("asc")
    project = begun(tmp_path / "begun", "assemblyscript")
    entry = project.folder / "assembly" / "index.ts"
    entry.write_text(entry.read_text() + "\nconst wrong: i32 = missing;\n", encoding="utf-8")
    with pytest.raises(BuildFailed, match="Cannot find name 'missing'") as told:
        build(project, ENVIRONMENT)
    assert f"assembly/index.ts({len(entry.read_text().splitlines())}," in told.value.what
    assert told.value.where == str(project.folder)


@pytest.mark.slow
def test_packages_of_the_project_are_found_and_folders_above_are_not(tmp_path: Path) -> None:
    need("asc")
    project = begun(tmp_path / "above" / "begun", "assemblyscript")
    strange = tmp_path / "above" / "node_modules" / "tickwork-agent"
    strange.mkdir(parents=True)
    (strange / "assembly.ts").write_text("not a program", encoding="utf-8")
    package = project.folder / "node_modules" / "seven"
    package.mkdir(parents=True)
    (package / "index.ts").write_text("export const SEVEN: u64 = 7;\n", encoding="utf-8")
    entry = project.folder / "assembly" / "index.ts"
    text = entry.read_text().replace("every: u64 = 24", "every: u64 = SEVEN")
    entry.write_text('import { SEVEN } from "seven";\n' + text, encoding="utf-8")
    assert wasm.parse(build(project, ENVIRONMENT).compiled.module).exports


def test_a_stack_size_is_refused(tmp_path: Path) -> None:
    project = begun(tmp_path / "p", "assemblyscript")
    text = (project.folder / "agent.toml").read_text()
    (project.folder / "agent.toml").write_text(text.replace("[build]", "[build]\nstack_bytes = 1024"), encoding="utf-8")
    found = Found("asc", COMPILER_VERSION, (), ENVIRONMENT)
    with pytest.raises(ProjectInvalid, match="stack_bytes"):
        toolchain.compile(read_project(project.folder), found, tmp_path / "out")
