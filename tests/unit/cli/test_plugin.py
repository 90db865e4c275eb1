"""The plugin of pytest: its fixture runs worlds, and loading it costs nothing."""

import sys
from pathlib import Path

import pytest

from tests.support import ROOT, environment, need, python, run
from tests.unit.cli.program import call, make_world

TESTS = """
import pytest


def test_what_the_agents_say(world):
    run = world("world.toml", ticks=6, inputs=[(2, "listener", "hello")])
    assert run.status == "complete"
    assert run.failures() == ()
    assert [sent.to for sent in run.sent("talker")] == ["count"] * 5
    assert run.value("count") == run.sent("talker")[-1].body
    assert run.check() == run.head


@pytest.mark.parametrize("seed", [1, 2])
def test_a_seed_replaces_the_file_s(world, seed):
    assert world(seed=seed).head != world().head
"""


def outcome(folder: Path, *options: str) -> str:
    """Return what pytest says of a folder's tests, warnings taken as errors."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        *options,
        folder,
    ]
    done = run(command, cwd=folder, env=environment(PYTHONPATH=str(ROOT / "src")))
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


@pytest.mark.slow
def test_a_test_gets_a_fixture_that_runs_worlds(folder: Path) -> None:
    make_world(folder)
    (folder / "tests").mkdir()
    (folder / "tests" / "test_it.py").write_text(TESTS, encoding="utf-8")
    said = outcome(folder)
    assert said.startswith("0\n"), said
    assert "3 passed" in said


@pytest.mark.slow
def test_a_fixture_of_the_same_name_takes_its_place(folder: Path) -> None:
    (folder / "conftest.py").write_text(
        "import pytest\n\n\n@pytest.fixture\ndef world():\n    return 'mine'\n", encoding="utf-8"
    )
    (folder / "test_it.py").write_text("def test_it(world):\n    assert world == 'mine'\n", encoding="utf-8")
    assert outcome(folder).startswith("0\n")


@pytest.mark.slow
def test_a_project_is_built_for_its_world(folder: Path) -> None:
    need("zig")
    call("agent", "new", "c", "counter")
    text = 'def test_it(world):\n    assert world(inputs=[(2, "counter", "a")]).sent("counter")\n'
    (folder / "counter" / "tests" / "test_counter.py").write_text(text, encoding="utf-8")
    said = outcome(folder / "counter")
    assert said.startswith("0\n"), said
    assert (folder / "counter" / "counter.wasm").is_file()


@pytest.mark.slow
def test_a_world_that_is_not_there_is_told(folder: Path) -> None:
    (folder / "test_it.py").write_text('def test_it(world):\n    world("absent.toml")\n', encoding="utf-8")
    assert "TW1103: there is no world absent.toml" in outcome(folder)


@pytest.mark.slow
def test_loading_the_plugin_loads_nothing_else_of_the_package() -> None:
    code = "import sys, pytest; import tickwork.cli.plugin; print([n for n in sys.modules if n.startswith('tickwork')])"
    assert python(code).stdout.strip() == "['tickwork', 'tickwork.cli', 'tickwork.cli.plugin']"


def test_pytest_finds_it_by_its_entry_point() -> None:
    from importlib.metadata import entry_points

    (found,) = [entry for entry in entry_points(group="pytest11") if entry.name == "tickwork"]
    assert found.value == "tickwork.cli.plugin"
