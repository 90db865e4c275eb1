"""Every dependency has a reason, is used, and is pinned by digest without an address."""

import re
import tomllib
from typing import Any

import pytest

from tests.house.tree import modules
from tests.support import ROOT

LOCKS = [
    "requirements-bench.lock", "requirements-build.lock", "requirements-dev.lock", "requirements-goals.lock",
    "requirements-minilm.lock", "requirements-models.lock", "requirements.lock",
]  # fmt: skip
DISTRIBUTIONS = 25


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return found[0].lower()


def _base() -> list[str]:
    return [_name(line) for line in _project()["project"]["dependencies"]]


def _locked(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", text, flags=re.MULTILINE))


def test_the_readme_gives_a_reason_for_every_dependency() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z0-9-]+)` \| \S.+ \|$", text, flags=re.MULTILINE)
    assert [name for name in listed if name in _base()] == _base()


def test_the_readme_gives_a_reason_for_every_package_of_an_extra() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    extras = _project()["project"]["optional-dependencies"]
    missing = [
        (extra, name)
        for extra, lines in extras.items()
        for name in map(_name, lines)
        if f"`{name}`" not in text or f"tickwork[{extra}]" not in text
    ]
    assert missing == []


def test_every_dependency_is_imported() -> None:
    import ast

    used = {name.split(".")[0] for tree in modules().values() for node in ast.walk(tree) for name in _imported(node)}
    assert [name for name in _base() if name not in used] == []


def _imported(node: object) -> list[str]:
    import ast

    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module]
    # The engine's library is looked up and loaded without its binding.
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "find_spec":
        return [item.value for item in node.args if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    return []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_pins_by_digest_and_names_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    pinned = re.findall(r"^[a-z0-9][^\n]*(?:\n    --hash=[^\n]*)*", text, flags=re.MULTILINE)
    assert pinned
    assert all("==" in entry and "--hash=sha256:" in entry for entry in pinned)
    assert not re.search(r"://|--index|--find-links|--extra-index| @ ", text)


@pytest.mark.parametrize("lock", ["requirements-bench.lock", "requirements-dev.lock", "requirements-models.lock"])
def test_a_larger_lock_file_agrees_with_the_smaller_one(lock: str) -> None:
    larger = _locked(lock)
    assert {name: larger.get(name) for name in _locked("requirements.lock")} == _locked("requirements.lock")


def test_the_base_install_stays_small() -> None:
    assert len(_locked("requirements.lock")) <= DISTRIBUTIONS


def test_every_declared_dependency_is_locked() -> None:
    project = _project()
    groups = project["dependency-groups"]
    wanted = {*_base(), *(_name(line) for name in ("test", "check", "build", "sdk", "models") for line in groups[name])}
    assert sorted(wanted - _locked("requirements-dev.lock").keys()) == []
