"""The root holds what it must and nothing else."""

import re
import tomllib

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
    "requirements-goals.lock",
    "requirements-minilm.lock",
    "requirements-models.lock",
    "requirements.lock",
}
FOLDERS = {".ci", ".github", "bench", "docs", "examples", "sdk", "src", "tests"}


def test_the_root_holds_only_what_is_listed() -> None:
    files = {path.name for path in tracked() if len(path.parts) == 1}
    folders = {path.parts[0] for path in tracked() if len(path.parts) > 1}
    assert (sorted(files), sorted(folders)) == (sorted(FILES), sorted(FOLDERS))


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 140
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_both_scripts_can_be_executed() -> None:
    import subprocess

    listing = subprocess.run(["git", "ls-files", "--stage", "ci", ".ci/run"], cwd=ROOT, capture_output=True, check=True)
    modes = {line.split()[3]: line.split()[0] for line in listing.stdout.decode().splitlines()}
    assert modes == {"ci": "100755", ".ci/run": "100755"}


def test_the_workflow_runs_on_what_the_package_claims() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    claimed = [line.rsplit(" ", 1)[1] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)]
    found = re.search(r"python: \[(.*)\]", workflow)
    systems = re.search(r"os: \[(.*)\]", workflow)
    assert found is not None
    assert systems is not None
    assert re.findall(r"\d+\.\d+", found[1]) == claimed
    # Every job uploads its heads, and each head must come from every job.
    assert f'= "{len(claimed) * len(systems[1].split(","))}"' in workflow
