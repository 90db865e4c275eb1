"""authoring/python.py: a base module found, and sources packed after what can be seen in them was judged."""

from pathlib import Path

import pytest

from tickwork.authoring.build import build, check_reproducible
from tickwork.authoring.project import Project, read_project
from tickwork.authoring.python import toolchain
from tickwork.authoring.toolchain import Environment
from tickwork.driver.bundles import read_bundle
from tickwork.errors import BuildFailed, ProjectInvalid, ToolchainMissing
from tickwork.packages.bundle import unpack_bundle

BASE = "ab" * 32
AGENT = """class Told:
    def init(self, config, context):
        return None, context.outbox()

    def turn(self, state, inbox, context):
        return state, context.outbox()

    def shutdown(self, state, context):
        return state, context.outbox()
"""


@pytest.fixture
def machine(tmp_path: Path) -> Environment:
    """A machine with a file in the place of a base module; a build does not look into it."""
    folder = tmp_path / "bases"
    folder.mkdir()
    (folder / f"{BASE}.wasm").write_bytes(b"")
    (folder / "current").write_text(f"{BASE}\n")
    return Environment({}, tmp_path / "cache", bases=(tmp_path / "nothing", folder))


def project(folder: Path, **files: str) -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "agent.toml").write_text('name = "told"\nversion = "1.0.0"\nlanguage = "python"\n')
    for name, text in {"agent.py": AGENT, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return read_project(folder)


def refused(machine: Environment, folder: Path, source: str) -> str:
    with pytest.raises(BuildFailed) as told:
        build(project(folder, **{"agent.py": source}), machine)
    assert told.value.where.startswith("agent.py")
    return told.value.what


def test_a_machine_without_a_base_is_told_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ToolchainMissing, match="base module of Python agents") as told:
        toolchain.find(Environment({}, tmp_path, bases=(tmp_path / "bases",)))
    assert str(tmp_path / "bases") in told.value.where
    assert "./ci toolchains" in told.value.fix


def test_a_bundle_holds_the_sources_and_names_its_base(machine: Environment, tmp_path: Path) -> None:
    more = {
        "parts/__init__.py": "",
        "parts/deep/words.py": "x = 1\r\n",
        "rules.py": "import parts\n",
        "tests/a.py": "no(",
    }
    built = build(project(tmp_path / "told", **more), machine)
    assert built.compiled.suffix == ".bundle"
    files = unpack_bundle(built.compiled.module)
    assert sorted(files) == ["agent.py", "manifest.json", "parts/__init__.py", "parts/deep/words.py", "rules.py"]
    assert files["parts/deep/words.py"] == b"x = 1\n"
    bundle = read_bundle(built.compiled.module, "told.bundle")
    assert bundle.interpreter.hex() == BASE
    assert (bundle.manifest.name, bundle.manifest.language) == ("told", "python")


def test_equal_sources_give_equal_bundles(machine: Environment, tmp_path: Path) -> None:
    check_reproducible(project(tmp_path / "told"), machine)


def test_a_line_that_is_no_python_is_named(machine: Environment, tmp_path: Path) -> None:
    assert "agent.py:2: '(' was never closed" in refused(machine, tmp_path / "told", f"\nprint(\n{AGENT}")


@pytest.mark.parametrize("line", ["import socket", "import numpy as np", "from os import path", "import os.path"])
def test_an_import_that_is_not_there_inside_is_named(machine: Environment, tmp_path: Path, line: str) -> None:
    what = refused(machine, tmp_path / "told", f"import json\n{line}\n{AGENT}")
    assert "agent.py:2: there is no module" in what


def test_an_import_that_may_fail_is_the_authors_to_judge(machine: Environment, tmp_path: Path) -> None:
    source = f"try:\n    import numpy\nexcept ImportError:\n    numpy = None\n{AGENT}"
    build(project(tmp_path / "told", **{"agent.py": source}), machine)


def test_a_source_without_an_agents_class_is_refused(machine: Environment, tmp_path: Path) -> None:
    assert "no class defines init, turn and shutdown" in refused(machine, tmp_path / "told", "class Told: ...\n")


def test_two_classes_need_a_choice(machine: Environment, tmp_path: Path) -> None:
    two = AGENT + AGENT.replace("Told", "Other")
    assert "agent.py:10: a second class is an agent's" in refused(machine, tmp_path / "told", two)
    build(project(tmp_path / "told", **{"agent.py": f"{two}\nAGENT = Other\n"}), machine)


def test_a_project_needs_its_agent(machine: Environment, tmp_path: Path) -> None:
    made = project(tmp_path / "told")
    (tmp_path / "told" / "agent.py").unlink()
    with pytest.raises(ProjectInvalid):
        build(made, machine)
