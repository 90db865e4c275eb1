"""authoring/templates.py and sdk.py: a new project is a copy with its name written in."""

from pathlib import Path

import pytest

from tests.support import need
from tests.unit.authoring.projects import ENVIRONMENT, begun
from tickwork.authoring.build import build
from tickwork.authoring.languages import LANGUAGES
from tickwork.authoring.project import read_project
from tickwork.authoring.report import examine
from tickwork.authoring.sdk import template_folder
from tickwork.authoring.templates import PLACEHOLDER, write_template
from tickwork.driver.world import read_world


def test_the_name_is_written_into_texts_and_file_names(tmp_path: Path) -> None:
    template = tmp_path / "template"
    (template / "src").mkdir(parents=True)
    (template / "src" / f"{PLACEHOLDER}.c").write_text(f"// {PLACEHOLDER}, twice {PLACEHOLDER}\n")
    (template / "picture").write_bytes(b"\xff\x00")
    written = write_template(template, tmp_path / "made", "trader")
    assert [path.relative_to(tmp_path / "made").as_posix() for path in written] == ["picture", "src/trader.c"]
    assert written[0].read_bytes() == b"\xff\x00"
    assert written[1].read_text() == "// trader, twice trader\n"


@pytest.mark.parametrize("language", [name for name in LANGUAGES if template_folder(name).is_dir()])
def test_every_template_is_a_project_with_a_world_and_a_page(language: str, tmp_path: Path) -> None:
    written = write_template(template_folder(language), tmp_path / "made", "made")
    names = {path.relative_to(tmp_path / "made").as_posix() for path in written}
    assert names >= {"agent.toml", "world.toml", "README.md", ".gitignore"}
    project = read_project(tmp_path / "made")
    assert (project.name, project.table.language) == ("made", language)
    read_world(tmp_path / "made" / "world.toml")
    assert not any(PLACEHOLDER in path.read_text(encoding="utf-8") for path in written)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "tool"), [("c", "zig"), ("cpp", "zig"), ("rust", "rust"), ("assemblyscript", "asc")]
)
def test_a_template_gives_no_cause_for_concern_and_saves_its_state(language: str, tool: str, tmp_path: Path) -> None:
    need(tool)
    report = examine(build(begun(tmp_path / "made", language), ENVIRONMENT).compiled.module, "made.wasm")
    assert not report.refused
    assert [finding.what for finding in report.findings if finding.level == "hazard"] == []
    assert "another version of it can only begin anew" not in [finding.what for finding in report.findings]
