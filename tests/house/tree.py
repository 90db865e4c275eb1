"""What the house tests look at: the tracked files and the source as syntax trees."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support import ROOT, SOURCE

TEXT_SUFFIXES = {
    ".c",
    ".cpp",
    ".css",
    ".csv",
    ".h",
    ".html",
    ".js",
    ".json",
    ".lock",
    ".md",
    ".py",
    ".rs",
    ".toml",
    ".txt",
    ".yml",
}


@cache
def tracked() -> tuple[Path, ...]:
    """Return the files git knows or would add, relative to the root. Order: sorted."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return tuple(sorted(Path(name) for name in listing.split("\0") if name and (ROOT / name).is_file()))


def text_files() -> Iterator[tuple[Path, str]]:
    """Yield every tracked text file with its text."""
    for path in tracked():
        if path.suffix in TEXT_SUFFIXES or path.suffix == "":
            yield path, (ROOT / path).read_text(encoding="utf-8")


@cache
def modules() -> dict[Path, ast.Module]:
    """Return the syntax tree of every file of the package, by path relative to the package's folder."""
    return {
        path.relative_to(SOURCE): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
        if "__pycache__" not in path.parts
    }


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function and method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many lines a function takes, its docstring not counted."""
    assert node.end_lineno is not None
    total = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        assert first.end_lineno is not None
        total -= first.end_lineno - first.lineno + 1
    return total
