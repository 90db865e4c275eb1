"""authoring/build.py: from a project to what is written beside it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import need
from tests.unit.authoring.projects import ENVIRONMENT, begun, small
from tickwork.authoring import build as building
from tickwork.authoring.build import Built, build, check_reproducible, write_built
from tickwork.authoring.project import Project
from tickwork.authoring.sections import parsed
from tickwork.authoring.toolchain import Compiled, Environment, Found
from tickwork.errors import BuildFailed, BuildNotReproducible, ModuleAbiMismatch
from tickwork.sandbox import gate
from tickwork.sandbox.manifest import read_manifest
from tickwork.sandbox.wasm import CUSTOM, MAGIC, encode_name, encode_section

pytestmark = pytest.mark.slow


def test_the_manifest_says_what_the_project_says_and_what_the_build_knows(tmp_path: Path) -> None:
    need("zig")
    project = small(tmp_path)
    built = build(project, ENVIRONMENT)
    manifest = read_manifest(built.compiled.module)
    assert manifest is not None
    assert (manifest.name, manifest.version, manifest.abi) == ("small", "1.2.3", "1.0")
    assert (manifest.language, manifest.sdk) == ("c", "tickwork-c 1.0.0")
    assert manifest.capabilities.publish == ("out",)
    assert manifest.limits.memory_pages == built.pages == 3
    assert manifest.source == project.source_digest([tmp_path / "agent.c"])


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_a_template_builds_to_the_same_bytes_in_two_folders(language: str, tmp_path: Path) -> None:
    need("zig")
    project = begun(tmp_path / "begun", language)
    assert check_reproducible(project, ENVIRONMENT).compiled == build(project, ENVIRONMENT).compiled


class Leaking:
    """A toolchain whose output names the folder of the project."""

    language, sdk = "c", "leaking 1"

    def __init__(self, package: Callable[[bytes], Compiled]) -> None:
        self.package = package

    def find(self, environment: Environment) -> Found:
        return Found("leaking", "1", (), environment)

    def sources(self, project: Project) -> list[Path]:
        return [project.entry("agent.c")]

    def compile(self, project: Project, found: Found, out: Path) -> Compiled:
        return self.package(str(project.folder).encode())


@pytest.mark.parametrize(
    ("package", "place"),
    [
        (lambda leak: Compiled(leak, suffix=".bundle"), "package: .* the first difference at byte"),
        (lambda leak: Compiled(b"", encode_section(CUSTOM, encode_name("name") + leak), suffix=".bundle"), "debugging"),
        (lambda leak: Compiled(MAGIC + encode_section(CUSTOM, encode_name("name") + leak)), "package: section name"),
    ],
)
def test_what_differs_between_two_builds_is_named(
    package: Callable[[bytes], Compiled], place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "toolchain_of", lambda _: Leaking(package))
    monkeypatch.setattr(gate, "check", lambda data, _: parsed(data))
    with pytest.raises(BuildNotReproducible, match="two builds of small differ") as caught:
        check_reproducible(small(tmp_path), ENVIRONMENT)
    assert re.search(place, caught.value.where)


def test_a_module_that_no_host_takes_is_not_built(tmp_path: Path) -> None:
    need("zig")
    with pytest.raises(ModuleAbiMismatch, match="tw_desc"):
        build(small(tmp_path, source="int nothing(void) { return 0; }\n"), ENVIRONMENT)


def test_the_package_is_written_signed_and_its_companion_is_not(tmp_path: Path) -> None:
    need("zig")
    project = small(tmp_path)
    built = build(project, ENVIRONMENT)
    written = write_built(project, built, lambda package, name: name.encode() + package)
    assert [path.name for path in written] == ["small.wasm", "small.debug.wasm"]
    assert written[0].read_bytes() == b"small.wasm" + built.compiled.module
    assert written[1].read_bytes() == built.compiled.debug
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "agent.c",
        "agent.toml",
        "small.debug.wasm",
        "small.wasm",
    ]


def test_a_package_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    project = small(tmp_path)
    (tmp_path / "small.wasm").mkdir()
    found = Found("none", "1", (), ENVIRONMENT)
    with pytest.raises(BuildFailed, match=r"small\.wasm cannot be written"):
        write_built(project, Built(Compiled(b"package"), found, 1))


def test_a_link_where_the_package_goes_is_replaced_and_not_followed(tmp_path: Path) -> None:
    project = small(tmp_path / "p")
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    for name in ("small.wasm", ".small.wasm.partial", "small.debug.wasm"):
        (project.folder / name).symlink_to(victim)
    write_built(project, Built(Compiled(b"code", b"lines"), Found("none", "1", (), ENVIRONMENT), 1))
    assert (project.folder / "small.wasm").read_bytes() == b"code"
    assert not (project.folder / "small.wasm").is_symlink()
    assert victim.read_text(encoding="utf-8") == "mine"
