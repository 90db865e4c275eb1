import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import missing
from tickwork.plane.errors import OutputTooLarge, PathRefused, PlaneError, SkillFailed
from tickwork.plane.skills import folders as folders_module
from tickwork.plane.skills.folders import Entry, Folders, fits

linked = pytest.mark.skipif(os.name == "nt", reason="links need a right there that tests do not have")


@pytest.fixture(params=["within", "by path"])
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project; everything holds on systems that open names within folders and on those that cannot."""
    if request.param == "by path":
        monkeypatch.setattr(folders_module, "WITHIN", False)
    elif not folders_module.WITHIN:
        missing("this system opens no names within folders")
    root = tmp_path / "project"
    (root / "docs" / "deep").mkdir(parents=True)
    (root / "docs" / "a.md").write_text("alpha")
    (root / "docs" / "deep" / "b.md").write_text("beta")
    (root / "docs" / "deep" / "c.txt").write_text("gamma")
    (root / "docs" / ".hidden").write_text("hidden")
    (root / "secret.txt").write_text("secret")
    (root / ".tickwork").mkdir()
    (root / ".tickwork" / "state").write_text("own")
    (tmp_path / "outside.txt").write_text("outside")
    return root


def test_what_is_granted_is_read(project: Path) -> None:
    files = Folders(project, read=("docs",))
    assert files.read("docs/a.md", 100) == b"alpha"
    assert files.read("./docs//deep/./b.md", 100) == b"beta"
    assert Folders(project, read=(".",)).read("secret.txt", 100) == b"secret"
    assert Folders(project, read=(str(project / "docs"),)).read(f"{project}/docs/a.md", 100) == b"alpha"
    assert Folders(project, write=("docs",)).read("docs/a.md", 100) == b"alpha"


def test_a_granted_folder_that_is_not_there_is_named_and_how_to_make_it(project: Path) -> None:
    files = Folders(project, read=("texts",), write=("reports/day",))
    told = "the folder reports/day is not there, which the profile grants: make it, such as with `mkdir reports/day`"
    with pytest.raises(SkillFailed, match=told):
        files.write("reports/day/a.md", b"x", mark="m")
    assert not (project / "reports").exists()
    for wanted in (lambda: files.read("texts/a.md", 9), lambda: files.list("texts")):
        with pytest.raises(SkillFailed, match="the folder texts is not there"):
            wanted()
    with pytest.raises(SkillFailed, match=r": docs/none/a\.md is not there"):
        Folders(project, read=("docs",)).read("docs/none/a.md", 9)


OUTSIDE = """
secret.txt docs/../secret.txt ../outside.txt docs/../../outside.txt /etc/passwd docs docs/ . / ~/x
docs\\..\\secret.txt docs/..\\secret.txt C:\\Windows C:/Windows //server/share \\\\server\\share docs/a.md:stream
docs/con docs/NUL.txt docs/com1 docs/aux.md docs/a.md. docs/a.md% docs/a*.md docs/.tickwork/x .tickwork/state
docs/.TICKWORK/state docs/TICKWO~1/state.db tickwo~2/x
""".split()  # fmt: skip


@pytest.mark.parametrize(
    "path", [*OUTSIDE, "docs/a.md\0", "docs/\n", "docs/a.md ", "docs/" + "x" * 300, "d/" * 600, ""]
)
def test_nothing_else_is_read(project: Path, path: str) -> None:
    with pytest.raises((PathRefused, SkillFailed)) as error:
        Folders(project, read=("docs",)).read(path, 100)
    assert str(project) not in error.value.what


@pytest.mark.parametrize("path", [".tickwork/state", "./.tickwork/state", ".TickWork/state"])
def test_the_folder_of_the_runs_is_never_read(project: Path, path: str) -> None:
    with pytest.raises(PathRefused, match="folder of the runs"):
        Folders(project, read=(".",), write=(".",)).read(path, 100)


def test_without_a_grant_nothing_is_read(project: Path) -> None:
    with pytest.raises(PathRefused, match="may not be read"):
        Folders(project).read("docs/a.md", 100)
    with pytest.raises(PathRefused, match="may not be written"):
        Folders(project, read=("docs",)).write("docs/x", b"", mark="m")


@linked
@pytest.mark.parametrize("target", ["../secret.txt", "a.md", "/etc/passwd", "../../outside.txt"])
def test_no_link_is_followed_at_the_end(project: Path, target: str) -> None:
    (project / "docs" / "link").symlink_to(target)
    with pytest.raises(PathRefused):
        Folders(project, read=("docs",)).read("docs/link", 100)


@linked
def test_no_link_is_followed_on_the_way(project: Path) -> None:
    (project / "docs" / "up").symlink_to("..")
    files = Folders(project, read=("docs",), write=("docs",))
    with pytest.raises(PathRefused):
        files.read("docs/up/secret.txt", 100)
    with pytest.raises(PathRefused):
        files.write("docs/up/new.txt", b"x", mark="m")
    with pytest.raises(PathRefused):
        files.list("docs/up")
    assert not (project / "new.txt").exists()
    assert [entry.path for entry in files.list("docs")] == ["docs/a.md", "docs/deep/b.md", "docs/deep/c.txt"]


@linked
def test_the_granted_folder_itself_may_be_a_link(project: Path) -> None:
    (project / "shelf").symlink_to("docs")
    assert Folders(project, read=("shelf",)).read("shelf/a.md", 100) == b"alpha"


@linked
def test_only_plain_files_are_read(project: Path) -> None:
    os.mkfifo(project / "docs" / "pipe")
    files = Folders(project, read=("docs", "/dev"))
    with pytest.raises(PathRefused, match="no plain file"):
        files.read("docs/pipe", 100)
    with pytest.raises(PathRefused, match="no plain file"):
        files.read("/dev/zero", 100)
    with pytest.raises(SkillFailed, match="not what it is taken for"):
        files.read("docs/deep", 100)


def test_a_file_that_is_not_there_is_a_failure(project: Path) -> None:
    files = Folders(project, read=("docs",))
    for path in ("docs/none", "docs/none/x", "docs/a.md/x"):
        with pytest.raises(SkillFailed) as error:
            files.read(path, 100)
        assert not error.value.retryable
    with pytest.raises(OutputTooLarge, match="more than 3 bytes"):
        files.read("docs/a.md", 3)


def test_a_folder_is_listed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Folders(project, read=(".",))
    assert files.list("docs") == [Entry("docs/a.md", 5), Entry("docs/deep/b.md", 4), Entry("docs/deep/c.txt", 5)]
    assert [entry.path for entry in files.list("docs/", "*.md")] == ["docs/a.md"]
    assert [entry.path for entry in files.list(".", "docs/**/*.md")] == ["docs/a.md", "docs/deep/b.md"]
    assert "secret.txt" in [entry.path for entry in files.list("")]
    monkeypatch.setattr(folders_module, "MAX_LISTED", 2)
    with pytest.raises(OutputTooLarge, match="more than 2 files"):
        files.list("docs")


def test_a_file_is_written_whole(project: Path) -> None:
    files = Folders(project, write=("out",))
    (project / "out").mkdir()
    files.write("out/new/report.md", b"one", mark="a" * 64)
    files.write("out/new/report.md", b"two", mark="a" * 64)
    assert (project / "out" / "new" / "report.md").read_bytes() == b"two"
    assert os.listdir(project / "out" / "new") == ["report.md"]


def test_what_a_crash_has_left_is_written_over(project: Path) -> None:
    (project / "docs" / f".{'a' * 16}.partial").write_text("half")
    Folders(project, write=("docs",)).write("docs/a.md", b"new", mark="a" * 64)
    assert (project / "docs" / "a.md").read_bytes() == b"new"
    assert sorted(os.listdir(project / "docs")) == [".hidden", "a.md", "deep"]


@linked
def test_a_link_is_replaced_and_not_written_through(project: Path) -> None:
    (project / "docs" / "link").symlink_to("../secret.txt")
    files = Folders(project, write=("docs",))
    if folders_module.WITHIN:
        files.write("docs/link", b"x", mark="m")
    else:
        with pytest.raises(PathRefused):
            files.write("docs/link", b"x", mark="m")
    assert (project / "secret.txt").read_text() == "secret"


def test_a_folder_is_not_written(project: Path) -> None:
    files = Folders(project, write=("docs",))
    for path in ("docs", "docs/deep", "docs/a.md/x"):
        with pytest.raises((PathRefused, SkillFailed)):
            files.write(path, b"x", mark="m")
    assert (project / "docs" / "a.md").read_text() == "alpha"


@pytest.mark.parametrize(
    ("path", "pattern", "found"),
    [
        ("a.md", "*.md", True), ("d/a.md", "*.md", False), ("d/a.md", "**/*.md", True), ("a.md", "**/*.md", True),
        ("d/e/a.md", "d/**", True), ("d", "d/**", True), ("a.md", "?.md", True), ("ab.md", "?.md", False),
        ("a.md", "**", True), ("x/y/z", "x/**/z", True), ("x/z", "x/**/z", True), ("x/y", "x/**/z", False),
        ("a[1].md", "a[1].md", True),
    ],
)  # fmt: skip
def test_a_pattern_names_files(path: str, pattern: str, found: bool) -> None:
    assert fits(path, pattern) is found


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    assert not fits("a" * 200, "*a" * 100 + "b")
    assert not fits("/".join("a" * 100), "/".join(["**", "a"] * 50) + "/b")


@given(st.text(max_size=60))
def test_whatever_a_path_says_nothing_outside_is_opened(path: str) -> None:
    here = Path(__file__).parent
    try:
        raw = Folders(here, read=("no-such-folder",)).read(path, 10)
    except PlaneError:
        return
    raise AssertionError(raw)
