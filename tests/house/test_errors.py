"""Every error has a code, a place in the tree that is drawn, and a page."""

import inspect
import re

import pytest

from tests.support import ROOT
from tickwork import errors
from tickwork.plane import errors as of_goals

TREES = (errors, of_goals)
"""The modules that hold exceptions. Those of goals stand apart: modules of agents in Python carry the others."""

PAGES = ROOT / "docs" / "errors"
SECTIONS = ["## What happened", "## How to fix it", "## Usual causes"]


def _coded() -> dict[str, type[errors.TickworkError]]:
    return {kind.code: kind for kind in _kinds() if kind is not errors.TickworkError}


def _kinds() -> list[type[errors.TickworkError]]:
    """Return every exception that has a code, once."""
    found = {
        kind: None
        for tree in TREES
        for _, kind in inspect.getmembers(tree, inspect.isclass)
        if issubclass(kind, errors.TickworkError) and "code" in kind.__dict__
    }
    return list(found)


def test_no_two_errors_share_a_code() -> None:
    found = [kind.code for kind in _kinds()]
    assert len(found) == len(set(found))


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert sorted(_coded()) == sorted(path.stem for path in PAGES.glob("TW*.md"))


@pytest.mark.parametrize("code", sorted(_coded()))
def test_a_page_says_what_happened_and_what_to_do(code: str) -> None:
    text = (PAGES / f"{code}.md").read_text(encoding="utf-8")
    kind = _coded()[code]
    assert text.startswith(f"# {code}: ")
    assert [line for line in text.splitlines() if line.startswith("## ")] == SECTIONS
    assert f"`{kind.__name__}`" in text
    assert f"exit status {kind.exit_status}" in text
    assert 12 <= len(text.splitlines()) <= 40


def test_the_index_of_errors_is_complete() -> None:
    listed = re.findall(r"\[(TW\d{4})\]\(\1\.md\)", (PAGES / "index.md").read_text(encoding="utf-8"))
    assert listed == sorted(_coded())


def test_the_drawn_tree_holds_every_error() -> None:
    drawn = dict(pair for tree in TREES for pair in re.findall(r"(\w+)\s+(TW\d{4})", tree.__doc__ or ""))
    assert drawn == {kind.__name__: code for code, kind in _coded().items()}


def test_every_error_is_raised_or_caught_somewhere() -> None:
    source = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py") if path.name != "errors.py"
    )
    unused = [kind.__name__ for kind in _coded().values() if not re.search(rf"\b{kind.__name__}\b", source)]
    assert unused == []


def test_the_page_of_exit_statuses_has_them_all() -> None:
    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    listed = {int(status) for status in re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE)}
    assert {kind.exit_status for kind in _coded().values()} <= listed
    from tickwork.cli import app

    documented = {
        int(part)
        for row in re.findall(r"^\| ([\d, ]+) \|", app.__doc__ or "", flags=re.MULTILINE)
        for part in row.split(",")
    }
    assert documented == listed
