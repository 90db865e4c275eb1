"""The root holds what it must and nothing else."""

from tests.house.tree import tracked
from tests.support import ROOT

FILES = {
    ".gitattributes",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "ci",
    "pyproject.toml",
    "requirements-bench.lock",
    "requirements-build.lock",
    "requirements-dev.lock",
    "requirements.lock",
}
FOLDERS = {".ci", ".github", "bench", "docs", "examples", "sdk", "src", "tests"}


def test_the_root_holds_only_what_is_listed() -> None:
    files = {path.name for path in tracked() if len(path.parts) == 1}
    folders = {path.parts[0] for path in tracked() if len(path.parts) > 1}
    assert (sorted(files), sorted(folders)) == (sorted(FILES), sorted(FOLDERS))


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_both_scripts_can_be_executed() -> None:
    import subprocess

    listing = subprocess.run(["git", "ls-files", "--stage", "ci", ".ci/run"], cwd=ROOT, capture_output=True, check=True)
    modes = {line.split()[3]: line.split()[0] for line in listing.stdout.decode().splitlines()}
    assert modes == {"ci": "100755", ".ci/run": "100755"}
