"""The pages agree with the program: links lead somewhere, commands and options exist, generated pages are current."""

import re
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.docs.blocks import blocks
from tests.support import ROOT, run

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"))]
PAGES += sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
REFERENCE = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
"""Every command with its options; another test compares it with the program."""

GROUPS = sorted(set(re.findall(r"^## tickwork ([a-z-]+) ", REFERENCE, flags=re.MULTILINE)))
COMMAND = re.compile(rf"(?:^\$ |`)tickwork ((?:(?:{'|'.join(GROUPS)}) )?[a-z][a-z-]*)([^`\n]*)", flags=re.MULTILINE)


def _links(page: Path) -> list[Path]:
    text = page.read_text(encoding="utf-8")
    targets = [target for target in LINK.findall(text) if "://" not in target]
    return [(page.parent / target).resolve() for target in targets]


def test_every_link_leads_somewhere() -> None:
    dead = [f"{page.relative_to(ROOT)} -> {link}" for page in PAGES for link in _links(page) if not link.exists()]
    assert dead == []


def test_every_page_can_be_reached_from_the_first() -> None:
    seen, todo = set[Path](), [DOCS / "index.md"]
    while todo:
        page = todo.pop()
        if page not in seen and page.suffix == ".md" and page.exists():
            seen.add(page)
            todo.extend(_links(page))
    assert sorted(str(page) for page in PAGES if page.is_relative_to(DOCS) and page not in seen) == []


def _mentioned() -> dict[str, dict[str, set[str]]]:
    """Return the commands pages mention, their options, and the pages that mention each."""
    found: dict[str, dict[str, set[str]]] = {}
    for page in PAGES:
        for command, rest in COMMAND.findall(page.read_text(encoding="utf-8")):
            options = found.setdefault(command, {})
            for option in re.findall(r"(?<![\w-])(--?[a-z][a-z-]*)", rest) or [""]:
                options.setdefault(option, set()).add(str(page.relative_to(ROOT)))
    return found


@cache
def _options() -> dict[str, set[str]]:
    """Return every command with its options."""
    sections = re.split(r"^## tickwork ", REFERENCE, flags=re.MULTILINE)[1:]
    usual = {"", "--help", "--version"}
    return dict.fromkeys(GROUPS, usual) | {text.split("\n", 1)[0]: usual | _named(text) for text in sections}


def _named(text: str) -> set[str]:
    named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))
    return named | {f"--no-{option.removeprefix('--')}" for option in named}


@pytest.mark.parametrize("command", sorted(_mentioned()))
def test_every_command_and_option_a_page_names_exists(command: str) -> None:
    assert command in _options(), _mentioned()[command]
    unknown = {option: pages for option, pages in _mentioned()[command].items() if option not in _options()[command]}
    assert unknown == {}


@pytest.mark.slow
def test_generated_pages_are_what_the_code_says() -> None:
    result = run([sys.executable, DOCS / "generate.py", "--check"])
    assert result.returncode == 0, result.stderr


def test_every_key_of_a_shown_world_is_known(tmp_path: Path) -> None:
    from tickwork.driver.world import read_world

    for page in PAGES:
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language == "toml" and block.text.startswith("schema"):
                path = tmp_path / "world.toml"
                path.write_text(block.text, encoding="utf-8")
                read_world(path)


def test_every_decision_tells_context_choice_and_cost() -> None:
    for page in (DOCS / "internals" / "decisions").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, flags=re.MULTILINE) == ["Context", "Choice", "Cost"], page.name


def test_every_test_the_determinism_ledger_names_exists() -> None:
    text = (DOCS / "concepts" / "determinism.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", text))
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert len(named) >= 15
    assert sorted(named - defined) == []


def test_the_architecture_names_only_what_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    paths = re.findall(r"`((?:src|sdk|examples|bench|docs|tests)/[\w./-]*)`", text)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert len(re.findall(r"^- \*\*", text.partition("## Invariants")[2], flags=re.MULTILINE)) >= 20


def test_the_architecture_has_a_line_for_every_part_of_the_package() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    parts = [path.name for path in (ROOT / "src" / "tickwork").iterdir() if path.name[0] not in "_."]
    missing = [name for name in parts if not re.search(rf"^\| `{name}/?` \|", text, flags=re.MULTILINE)]
    assert [name for name in missing if name != "py.typed"] == []
