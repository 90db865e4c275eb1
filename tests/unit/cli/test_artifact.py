"""cli/artifact*.py: artifacts are listed, shown and exported."""

import json
import os
from pathlib import Path

import pytest

from tests.unit.cli.program import call

CSV = "station,snow\nnorth,12\n"


@pytest.fixture(autouse=True)
def snow(folder: Path) -> Path:
    """Return a file that is kept as an artifact, with another beside it."""
    path = folder / "snow.csv"
    path.write_text(CSV, encoding="utf-8")
    (folder / "report.md").write_text("# Snow\n\n12 cm in the north.\n", encoding="utf-8")
    assert call("artifact", "add", path, "--type", "table", "--tag", "weather", "--mime", "text/csv").status == 0
    assert call("artifact", "add", "report.md", "--name", "final.md", "--mime", "text/markdown").status == 0
    return path


def _names(*words: str) -> list[object]:
    found = call("artifact", "list", *words, "-o", "json").rows("artifacts")
    return [one["name"] for one in found]


def test_artifacts_are_listed_by_what_is_said_of_them() -> None:
    assert _names() == ["final.md", "snow.csv"]
    assert _names("--type", "table") == _names("--tag", "weather") == _names("--mime", "text/csv") == ["snow.csv"]
    assert _names("--text", "snow north") == ["final.md", "snow.csv"]
    assert _names("--name", "final.md") == _names("--most", "1") == ["final.md"]
    assert _names("--run", "r_1") == []
    assert len(call("artifact", "list").out.splitlines()) == 4
    assert "no such artifact" in call("artifact", "list", "--type", "image").err


def test_an_artifact_is_shown_with_its_text() -> None:
    answer = call("artifact", "show", "snow.csv")
    assert "outside:file" in answer.out
    assert answer.out.endswith("north,12\n")
    document = call("artifact", "show", "snow.csv", "-o", "json").document()
    assert (document["bytes"], document["tags"]) == (len(CSV), ["weather"])
    assert call("artifact", "show", str(document["digest"])[:12], "-o", "json").document() == document


def test_artifacts_are_exported_and_nothing_is_written_over(folder: Path) -> None:
    answer = call("artifact", "export", "snow.csv", "final.md", "--to", "out")
    assert answer.out.split() == [str(Path("out") / "snow.csv"), str(Path("out") / "final.md")]
    assert (folder / "out" / "snow.csv").read_text(encoding="utf-8") == CSV
    assert call("artifact", "export", "snow.csv", "--to", "out").status == 0
    (folder / "out" / "snow.csv").write_text("mine", encoding="utf-8")
    answer = call("artifact", "export", "final.md", "snow.csv", "--to", "out")
    assert (answer.status, answer.err.split(":")[0]) == (2, "TW1001")
    assert (folder / "out" / "snow.csv").read_text(encoding="utf-8") == "mine"
    answer = call("artifact", "export", "snow.csv", "--to", "out", "--force", "-o", "json")
    assert json.loads(answer.out)["artifacts"][0]["path"] == str(Path("out") / "snow.csv")
    assert (folder / "out" / "snow.csv").read_text(encoding="utf-8") == CSV


def test_an_artifact_goes_to_standard_output() -> None:
    assert call("artifact", "export", "snow.csv", "--to", "-").out == CSV


def test_what_is_damaged_or_absent_is_not_exported(folder: Path) -> None:
    (kept,) = (
        path
        for path in (folder / ".tickwork" / "artifacts").rglob("*")
        if path.is_file() and b"station" in path.read_bytes()
    )
    kept.write_bytes(b"station,snow\nnorth,99\n")
    for words in (("show", "snow.csv"), ("export", "snow.csv", "--to", "out"), ("show", "ghost"), ("export", "ghost")):
        answer = call("artifact", *words)
        assert (answer.status, answer.err.split(":")[0]) == (8, "TW7027")
    assert not (folder / "out").exists()
    assert call("artifact", "add", "snow.csv", "--type", "table").status == 0
    assert call("artifact", "show", "snow.csv").status == 0


def test_what_cannot_be_added_or_exported_is_said(folder: Path) -> None:
    assert call("artifact", "export").status == 2
    assert call("artifact", "add", "absent.csv").status == 2
    answer = call("artifact", "add", "snow.csv", "--name", "../escape")
    assert (answer.status, answer.err.split(":")[0]) == (4, "TW7025")


def test_the_settings_say_where_the_bytes_lie(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "objects").mkdir()
    for place in (str(folder / "elsewhere"), (folder / "objects").as_uri()):
        monkeypatch.setenv("TICKWORK_ARTIFACTS", place)
        assert call("artifact", "show", "snow.csv").status == 8
        assert call("artifact", "add", "snow.csv").status == 0
        assert call("artifact", "show", "snow.csv").status == 0
    assert len(list((folder / "objects").rglob("*"))) == 2


def test_a_projects_settings_do_not_say_where_results_go(folder: Path) -> None:
    (folder / "tickwork.toml").write_text('artifacts = "s3://somebody"\n', encoding="utf-8")
    answer = call("artifact", "list")
    assert (answer.status, answer.err.split(":")[0]) == (78, "TW1102")


def test_two_artifacts_of_one_name_are_not_written_over_each_other(folder: Path) -> None:
    ids = [one["id"] for one in call("artifact", "list", "-o", "json").rows("artifacts")]
    for number, name in enumerate(("same.txt", "same.txt", "SAME.txt")):
        (folder / "in.txt").write_text(str(number), encoding="utf-8")
        ids.append(call("artifact", "add", "in.txt", "--name", name, "-o", "json").document()["id"])
    one, two, other = ids[-3:]
    for pair in ((one, two), (one, other)):
        answer = call("artifact", "export", *pair, "--to", "out", "--force")
        assert (answer.status, answer.err.split(":")[0]) == (2, "TW1001")
    assert not (folder / "out").exists()
    assert call("artifact", "export", one, one, "--to", "out").status == 0


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
@pytest.mark.parametrize("name", ["snow.csv", ".snow.csv.partial"])
def test_nothing_is_written_through_a_link(folder: Path, name: str) -> None:
    (folder / "out").mkdir()
    (folder / "mine").write_text("mine", encoding="utf-8")
    (folder / "out" / name).symlink_to(folder / "mine")
    assert call("artifact", "export", "snow.csv", "--to", "out", "--force").status == 0
    assert (folder / "mine").read_text(encoding="utf-8") == "mine"
    assert (folder / "out" / "snow.csv").read_text(encoding="utf-8") == CSV
    assert not (folder / "out" / "snow.csv").is_symlink()
