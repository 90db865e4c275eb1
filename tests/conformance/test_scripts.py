"""One script, one golden file, every language: what is told to an agent of the examples or a new one, and what it does.

Modules that are committed are tried as they are; what is not committed is built, where its toolchain is there.
"""

from pathlib import Path

import pytest

from tests.support import ROOT, missing, need
from tests.unit.authoring.projects import begun
from tickwork.authoring.build import build
from tickwork.authoring.languages import LANGUAGES
from tickwork.authoring.project import Project, read_project
from tickwork.authoring.scripts import read_script
from tickwork.authoring.sdk import template_folder
from tickwork.authoring.trials import Trial, compare, play
from tickwork.cli.config import base_folders, build_environment, load_settings
from tickwork.driver.options import Options
from tickwork.errors import ToolchainMissing
from tickwork.packages.package import read_package

EXAMPLES = ("echo", "market")
TOOLS = {"c": "zig", "cpp": "zig", "rust": "rust", "assemblyscript": "asc"}
OPTIONS = Options(cache=ROOT / ".cache" / "modules")
TEMPLATES = [language for language in LANGUAGES if template_folder(language).is_dir()]


def package(project: Project, out: Path) -> Path:
    """Return a project's package: the committed one, else one that is built now."""
    committed = project.folder / f"{project.name}.wasm"
    if committed.is_file():
        return committed
    if project.table.language in TOOLS:
        need(TOOLS[project.table.language])
    try:
        compiled = build(project, build_environment(load_settings())).compiled
    except ToolchainMissing as error:
        missing(str(error))
        raise
    path = out / f"{project.name}{compiled.suffix}"
    path.write_bytes(compiled.module)
    return path


def tried(project: Project, out: Path, *, every_way: bool) -> dict[str, str]:
    """Return how each script of a project differs from its golden file."""
    path = package(project, out)
    manifest = read_package(path.read_bytes(), name=path.name).manifest
    assert manifest is not None
    found = dict[str, str]()
    for script in sorted((project.folder / "tests").glob("*.toml")):
        trial = Trial(read_script(script), manifest, path, base_folders())
        found[script.stem] = compare(trial, play(trial, OPTIONS, every_way=every_way))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("agent", EXAMPLES)
def test_an_example_does_what_its_script_expects_in_every_way(agent: str, language: str, tmp_path: Path) -> None:
    project = read_project(ROOT / "examples" / agent / language)
    assert set(tried(project, tmp_path, every_way=True).values()) == {""}


@pytest.mark.slow
@pytest.mark.parametrize("language", TEMPLATES)
def test_a_new_agent_does_what_its_script_expects(language: str, tmp_path: Path) -> None:
    project = begun(tmp_path / "begun", language)
    assert tried(project, tmp_path, every_way=False) == {"first": ""}


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in (folder / "tests").iterdir() if path.is_file()}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("agent", EXAMPLES)
def test_every_language_has_the_same_scripts_and_golden_files(agent: str, language: str) -> None:
    folder = ROOT / "examples" / agent
    assert texts(folder / language) == texts(folder / "c")
    assert len(texts(folder / "c")) == 2


@pytest.mark.parametrize("language", [language for language in TEMPLATES if language != "python"])
def test_every_template_of_a_compiled_language_has_the_same_script_and_golden_file(language: str) -> None:
    assert texts(template_folder(language)) == texts(template_folder("c"))
