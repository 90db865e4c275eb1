"""authoring/project.py: agent.toml is read whole and every fault is told."""

from pathlib import Path

import msgspec
import pytest

from tests.docs.blocks import blocks
from tests.support import ROOT
from tests.unit.authoring.projects import TOML, small
from tickwork.authoring.project import BuildTable, ProjectTable, read_project
from tickwork.errors import ProjectInvalid
from tickwork.sandbox.manifest import Capabilities, ManifestLimits


def refused(folder: Path, text: str) -> ProjectInvalid:
    (folder / "agent.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ProjectInvalid) as caught:
        read_project(folder)
    return caught.value


def test_a_folder_without_a_project_is_told_how_to_begin_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectInvalid, match="no agent's project") as caught:
        read_project(tmp_path)
    assert "tickwork agent new" in caught.value.fix


def test_every_fault_is_told_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    text = TOML.format(language="c").replace("publish", "publishes").replace("1.2.3", "one")
    error = refused(tmp_path, text)
    assert "agent.toml:2, version" in error.where
    assert 'unknown key "publishes"' in error.fix
    error = refused(tmp_path, TOML.format(language="c").replace("publish", "publishes"))
    assert "agent.toml:8, capabilities.publishes" in error.where
    assert 'did you mean "publish"?' in error.fix


@pytest.mark.parametrize(
    ("before", "after", "why", "fix"),
    [
        ('"1.2.3"', '"1"', "it is a semantic version of three numbers", 'write "1.0.0", for example'),
        ('version = "1.2.3"', "", "version is a semantic version of three numbers and has no default", "add version ="),
        (
            "[capabilities]",
            "[limits]\nfuel = -5\n[capabilities]",
            "an integer, 0 or more",
            "write an integer, 0 or more",
        ),
        ("[capabilities]", '[limits]\nfuel = ""\n[capabilities]', "found the text ''", "write an integer, 0 or more"),
    ],
)
def test_what_a_key_may_be_is_said_in_words(before: str, after: str, why: str, fix: str, tmp_path: Path) -> None:
    error = refused(tmp_path, TOML.format(language="c").replace(before, after))
    assert why in error.why
    assert fix in error.fix


@pytest.mark.parametrize("name", ["Small", "a/b", "", "1a", "a" * 65, "ä"])
def test_a_name_is_one_that_files_and_packages_can_have(name: str, tmp_path: Path) -> None:
    assert "name" in refused(tmp_path, TOML.format(language="c").replace('"small"', f'"{name}"')).where


def test_a_language_is_one_of_those_that_are_known(tmp_path: Path) -> None:
    assert "assemblyscript" in refused(tmp_path, TOML.format(language="cobol")).why


def test_a_file_that_is_not_toml_is_told(tmp_path: Path) -> None:
    assert "line 1" in refused(tmp_path, "name = \n").why


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    project = small(tmp_path)
    assert project.entry("agent.c") == tmp_path / "agent.c"
    with pytest.raises(ProjectInvalid, match=r"nowhere\.c does not exist"):
        project.entry("nowhere.c")
    (tmp_path.parent / "outside.c").write_text("")
    with pytest.raises(ProjectInvalid, match="outside the project"):
        project.entry("../outside.c")


def test_the_digest_of_sources_knows_names_and_contents_and_no_line_ends(tmp_path: Path) -> None:
    project = small(tmp_path)
    first, second = tmp_path / "a.h", tmp_path / "b.h"
    first.write_bytes(b"one\n")
    second.write_bytes(b"two\n")
    before = project.source_digest([first, second])
    assert project.source_digest([second, first]) == before
    first.write_bytes(b"one\r\n")
    assert project.source_digest([first, second]) == before
    first.write_bytes(b"One\n")
    assert project.source_digest([first, second]) != before
    first.write_bytes(b"two\n")
    second.write_bytes(b"one\n")
    assert project.source_digest([first, second]) != before


def test_files_are_found_by_patterns_each_once(tmp_path: Path) -> None:
    project = small(tmp_path)
    assert [path.name for path in project.files("*.c", "agent.*")] == ["agent.c", "agent.toml"]


@pytest.mark.parametrize("table", [ProjectTable, BuildTable, Capabilities, ManifestLimits])
def test_every_key_of_a_project_stands_on_its_page(table: type[msgspec.Struct]) -> None:
    page = (ROOT / "docs" / "reference" / "agent.md").read_text(encoding="utf-8")
    tables = {"build", "capabilities", "limits"}
    missing = [key for key in table.__struct_fields__ if f"| `{key}` |" not in page and key not in tables]
    assert missing == []


def test_the_project_on_that_page_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "reference" / "agent.md").read_text(encoding="utf-8")
    [shown] = [block for block in blocks(page) if block.language == "toml"]
    (tmp_path / "agent.toml").write_text(shown.text, encoding="utf-8")
    assert read_project(tmp_path).table.capabilities.send == ("*",)


def test_a_link_that_leads_out_of_the_folder_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text("PASSWORD = 'x'\n", encoding="utf-8")
    project = small(tmp_path / "p")
    (project.folder / "mine.py").write_text("", encoding="utf-8")
    assert [path.name for path in project.files("*.py")] == ["mine.py"]
    (project.folder / "settings.py").symlink_to(tmp_path / "secret.py")
    with pytest.raises(ProjectInvalid, match="lies outside the project"):
        project.files("*.py")
