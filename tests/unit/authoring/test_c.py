"""authoring/c.py: how C and C++ are compiled, and what is said where that fails."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from tests.support import ROOT, need
from tests.unit.authoring.projects import ENVIRONMENT, SOURCE, TOML, begun, small
from tickwork.authoring import c
from tickwork.authoring.build import build
from tickwork.authoring.project import read_project
from tickwork.authoring.sections import parsed, same_code
from tickwork.authoring.toolchain import Environment
from tickwork.errors import BuildFailed, ProjectInvalid, ToolchainMissing

PROBE = ROOT / "tests" / "modules" / "probe.c"


@pytest.mark.slow
@pytest.mark.parametrize("language", ["c", "cpp"])
def test_the_template_builds_and_its_debug_companion_is_the_same_code(language: str, tmp_path: Path) -> None:
    need("zig")
    built = build(begun(tmp_path / "begun", language), ENVIRONMENT)
    assert built.compiled.debug is not None
    module, debug = parsed(built.compiled.module), parsed(built.compiled.debug)
    assert same_code(module, debug)
    assert {section.name for section in debug.sections} >= {".debug_info", ".debug_line", "name"}
    assert {section.name for section in module.sections} == {"", "tickwork.manifest"}


@pytest.mark.slow
def test_no_folder_of_this_machine_is_named_in_debugging_information(tmp_path: Path) -> None:
    need("zig")
    debug = build(small(tmp_path / "private" / "small"), ENVIRONMENT).compiled.debug
    assert debug is not None
    for named in (str(tmp_path), str(ROOT), "private", "ziglang/zig"):
        assert named.encode() not in debug


@pytest.mark.slow
def test_who_wants_the_c_library_is_told_how_to_get_it(tmp_path: Path) -> None:
    need("zig")
    with pytest.raises(BuildFailed, match=r"'stdio\.h' file not found") as caught:
        build(small(tmp_path, "c", "#include <stdio.h>\n" + SOURCE), ENVIRONMENT)
    assert "libc = true" in caught.value.fix


@pytest.mark.slow
def test_a_source_that_does_not_compile_is_told_with_its_line(tmp_path: Path) -> None:
    need("zig")
    source = '#include "tickwork.h"\nstatic int32_t init(void) { return nothing; }\n'
    with pytest.raises(BuildFailed, match=r"agent\.c:2:\d+: error"):
        build(small(tmp_path, source=source), ENVIRONMENT)


@pytest.mark.slow
def test_a_variable_of_the_environment_has_no_say_in_the_module(tmp_path: Path) -> None:
    need("zig")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "extra.h").write_text("")
    variables = {**ENVIRONMENT.variables, "CPATH": str(tmp_path / "elsewhere")}
    project = small(tmp_path / "small", source=SOURCE.replace('.h"', '.h"\n#include "extra.h"', 1))
    with pytest.raises(BuildFailed, match=r"'extra\.h' file not found"):
        build(project, ENVIRONMENT._replace(variables=variables))


@pytest.mark.slow
def test_every_source_beside_the_entry_is_compiled(tmp_path: Path) -> None:
    need("zig")
    project = small(tmp_path, source=SOURCE.replace("{ return TW_OK; }\nTW", "{ return other(); }\nTW"))
    entry = tmp_path / "agent.c"
    entry.write_text(entry.read_text().replace('.h"\n', '.h"\n#include "other.h"\n', 1))
    (tmp_path / "other.h").write_text("int other(void);\n")
    (tmp_path / "other.c").write_text('#include "other.h"\nint other(void) { return 0; }\n')
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "broken.c").write_text("no C at all\n")
    assert [path.name for path in c.toolchain.sources(project)] == ["agent.c", "other.c", "other.h"]
    assert build(project, ENVIRONMENT).pages == 3


@pytest.mark.slow
def test_what_is_c_is_also_cpp(tmp_path: Path) -> None:
    need("zig")
    (tmp_path / "agent.toml").write_text(TOML.format(language="cpp"))
    shutil.copy(PROBE, tmp_path / "agent.cpp")
    module = parsed(build(read_project(tmp_path), ENVIRONMENT).compiled.module)
    assert module.imports == ()


def test_a_stack_that_is_no_multiple_of_16_is_refused(tmp_path: Path) -> None:
    project = small(tmp_path)
    path = tmp_path / "agent.toml"
    path.write_text(path.read_text().replace("8192", "8200"))
    with pytest.raises(ProjectInvalid, match="no multiple of 16") as caught:
        c.toolchain.compile(read_project(project.folder), c.toolchain.find(ENVIRONMENT), tmp_path)
    assert "8208" in caught.value.fix


class TestFinding:
    """Which compiler is taken."""

    @pytest.fixture(autouse=True)
    def without_ziglang(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    def place(self, folder: Path, version: str, name: str = "clang", linker: str = "wasm-ld") -> Environment:
        for program, text in (
            (name, f'[ "$1" = --version ] && echo "Debian clang version {version} (7)" || echo {linker}'),
            ("wasm-ld", "exit 0"),
        ):
            path = folder / program
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)
        return Environment({"PATH": str(folder)}, folder)

    def test_without_any_compiler_the_line_that_installs_one_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(ToolchainMissing) as caught:
            c.toolchain.find(Environment({"PATH": str(tmp_path)}, tmp_path))
        assert caught.value.fix == 'pip install "tickwork[sdk-c]"'
        assert "ziglang" in caught.value.why

    def test_the_systems_clang_is_second(self, tmp_path: Path) -> None:
        found = c.toolchain.find(self.place(tmp_path, "16.0.6"))
        assert (found.tool, found.version) == ("clang", "16.0.6")

    def test_a_clang_that_carries_its_version_in_its_name_is_found(self, tmp_path: Path) -> None:
        self.place(tmp_path, "14.0.0", "clang++")
        found = c.cpp_toolchain.find(self.place(tmp_path, "19.1.7", "clang++-19"))
        assert (found.version, found.command) == (
            "19.1.7",
            (str(tmp_path / "clang++-19"), f"-fuse-ld={tmp_path / 'wasm-ld'}"),
        )

    @pytest.mark.parametrize(("version", "linker"), [("14.0.0", "wasm-ld"), ("16.0.6", "nowhere")])
    def test_a_clang_that_is_old_or_has_no_linker_is_not_taken(self, version: str, linker: str, tmp_path: Path) -> None:
        with pytest.raises(ToolchainMissing, match="no compiler"):
            c.toolchain.find(self.place(tmp_path, version, linker=linker))
