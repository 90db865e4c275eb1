"""Artifacts: bytes by content, found by what is said of them."""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.plane.stores import Hands, open_store
from tickwork.plane.artifacts import ArtifactShelf, Folder, Leaving, RunArtifacts, Wanted, readable
from tickwork.plane.calls import ArtifactRef
from tickwork.plane.errors import ArtifactNotFound, PathRefused, SkillInputInvalid, StoreFailed
from tickwork.plane.skills.skill import Artifacts

BODY = b"station,snow\nnorth,12\n"
DIGEST = hashlib.sha256(BODY).digest()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Return an empty folder of artifacts."""
    return Folder(tmp_path / "artifacts")


@pytest.fixture
def shelf(tmp_path: Path, folder: Folder) -> Iterator[ArtifactShelf]:
    """Return an empty shelf."""
    store, clock = open_store(tmp_path)
    with store:
        yield ArtifactShelf(store, folder, clock)


def _names(shelf: ArtifactShelf, wanted: Wanted) -> list[str]:
    return [one.name for one in shelf.list(wanted)]


def test_what_is_left_is_read_back_by_its_digest(shelf: ArtifactShelf, folder: Folder) -> None:
    ref = shelf.put(Leaving("snow.csv", "text/csv", "table"), BODY)
    assert ref == ArtifactRef("snow.csv", DIGEST, len(BODY), "text/csv", "table")
    assert shelf.get(DIGEST) == BODY
    path = folder.folder / DIGEST.hex()[:2] / DIGEST.hex()
    assert path.read_bytes() == BODY
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_equal_bytes_lie_there_once_and_are_told_of_by_whom(shelf: ArtifactShelf, folder: Folder) -> None:
    for run in ("r_1", "r_2", "r_1"):
        shelf.put(Leaving("snow.csv", "text/csv", run_id=run, step="load"), BODY)
    assert len([path for path in folder.folder.rglob("*") if path.is_file()]) == 1
    assert [one.run_id for one in shelf.list()] == ["r_2", "r_1"]


def test_bytes_that_have_changed_are_not_handed_out(shelf: ArtifactShelf, folder: Folder) -> None:
    said = Leaving("snow.csv", "text/csv")
    shelf.put(said, BODY)
    path = folder.folder / DIGEST.hex()[:2] / DIGEST.hex()
    path.write_bytes(BODY.replace(b"12", b"13"))
    with pytest.raises(ArtifactNotFound, match="damaged"):
        shelf.get(DIGEST)
    shelf.put(said, BODY)
    assert shelf.get(DIGEST) == BODY
    path.unlink()
    with pytest.raises(ArtifactNotFound, match="no artifact with the digest"):
        shelf.get(DIGEST)


@pytest.mark.parametrize("digest", [b"", b"../../etc/passwd", bytes(31), bytes(33)])
def test_what_is_no_digest_names_nothing(shelf: ArtifactShelf, digest: bytes) -> None:
    with pytest.raises(ArtifactNotFound):
        shelf.get(digest)


def test_artifacts_are_found_by_what_is_said_of_them(shelf: ArtifactShelf) -> None:
    shelf.put(Leaving("snow.csv", "text/csv", "table", ("weather", "north"), run_id="r_01a"), BODY)
    shelf.put(Leaving("report.md", "text/markdown", "text", ("weather",), run_id="r_01b"), b"# Snow in the north\n")
    shelf.put(Leaving("chart.png", "image/png", "image", run_id="r_01b"), b"\x89PNG snow")
    assert _names(shelf, Wanted()) == ["chart.png", "report.md", "snow.csv"]
    assert _names(shelf, Wanted(type="table")) == ["snow.csv"]
    assert _names(shelf, Wanted(mime="text/*")) == ["report.md", "snow.csv"]
    assert _names(shelf, Wanted(mime="image/png")) == ["chart.png"]
    assert _names(shelf, Wanted(tags=("weather",))) == ["report.md", "snow.csv"]
    assert _names(shelf, Wanted(tags=("weather", "north"))) == ["snow.csv"]
    assert _names(shelf, Wanted(text="snow north")) == ["report.md", "snow.csv"]
    assert _names(shelf, Wanted(text="chart")) == ["chart.png"]
    assert _names(shelf, Wanted(text="snow", type="text")) == ["report.md"]
    assert _names(shelf, Wanted(run="r_01")) == ["chart.png", "report.md", "snow.csv"]
    assert _names(shelf, Wanted(run="01b")) == ["chart.png", "report.md"]
    assert _names(shelf, Wanted(name="snow.csv")) == ["snow.csv"]
    assert _names(shelf, Wanted(text="?!")) == []
    assert len(shelf.list(most=2)) == 2


@pytest.mark.parametrize("text", ['"', "' OR 1=1 --", "snow%", "_now", "NOT snow", "snow*", "\ud800"])
def test_whatever_stands_in_a_filter_is_only_looked_for(shelf: ArtifactShelf, text: str) -> None:
    shelf.put(Leaving("snow.csv", "text/csv", tags=("x",)), BODY)
    for wanted in (Wanted(tags=(text,)), Wanted(mime=f"{text}/*"), Wanted(run=text), Wanted(type=text)):
        assert shelf.list(wanted) == []
    shelf.list(Wanted(text=text))


def test_an_artifact_is_named_by_id_name_or_digits_of_its_digest(shelf: ArtifactShelf) -> None:
    shelf.put(Leaving("snow.csv", "text/csv", run_id="r_1"), b"older")
    shelf.put(Leaving("snow.csv", "text/csv", run_id="r_2"), BODY)
    newest = shelf.find("snow.csv")
    assert (newest.run_id, newest.digest) == ("r_2", DIGEST)
    assert shelf.find(newest.id) == newest
    assert shelf.find(DIGEST.hex()[:8]) == shelf.find(f"sha256:{DIGEST.hex()}") == newest
    for reference in ("", "ghost", DIGEST.hex()[:7], "%", "________", "\ud800"):
        with pytest.raises(ArtifactNotFound, match="no artifact"):
            shelf.find(reference)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "C:x", "a\0b", "a\nb", "x" * 201, "\ud800", "nul", "Con.md", "a."]
)
def test_a_name_is_a_plain_file_name(shelf: ArtifactShelf, name: str) -> None:
    with pytest.raises(PathRefused):
        shelf.put(Leaving(name, "text/plain"), BODY)
    assert shelf.list() == []


@pytest.mark.parametrize("word", ["", "a\nb", "\ud800", "x" * 129])
def test_a_type_mime_or_tag_is_a_word_that_can_be_asked_for(shelf: ArtifactShelf, word: str) -> None:
    for said in (Leaving("a", word), Leaving("a", "text/plain", word), Leaving("a", "text/plain", tags=(word,))):
        with pytest.raises(SkillInputInvalid, match="no type, mime or tag"):
            shelf.put(said, BODY)
    assert shelf.list() == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreFailed, match="cannot be written"):
        Folder(tmp_path / "file").put(DIGEST, BODY)


def test_skills_leave_artifacts_in_the_name_of_their_step(shelf: ArtifactShelf) -> None:
    own: Artifacts = RunArtifacts(shelf, "r_1", "load", ("outside:http_call",))
    ref = own.put("page.html", "text/html", b"<p>snow</p>", type="page")
    found = shelf.list()[0]
    assert (found.run_id, found.step, found.type, found.labels) == ("r_1", "load", "page", ("outside:http_call",))
    assert own.get(ref.digest) == b"<p>snow</p>"


def test_only_texts_are_looked_into() -> None:
    assert readable("text/plain; charset=utf-8", b"snow") == "snow"
    assert readable("application/geo+json", b'{"a": 1}') == '{"a": 1}'
    assert readable("image/png", b"snow") == readable("application/octet-stream", b"snow") == ""
    assert readable("text/plain", b"\xff\xfesnow\0") == "snow "


def test_the_clock_decides_no_digest(tmp_path: Path, folder: Folder) -> None:
    store, clock = open_store(tmp_path, Hands())
    with store:
        shelf = ArtifactShelf(store, folder, clock)
        first = shelf.put(Leaving("a", "text/plain"), BODY)
        clock.at_us += 1_000_000
        assert shelf.put(Leaving("a", "text/plain"), BODY) == first
        assert len(shelf.list()) == 1
