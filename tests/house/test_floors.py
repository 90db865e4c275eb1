"""Every module has a floor and imports only what lies below it."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.house.tree import modules
from tests.support import ROOT, run


@pytest.mark.slow
def test_every_import_keeps_to_its_floor() -> None:
    program = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert program is not None, "import-linter is part of the development environment: make setup"
    result = run([program, "--no-cache"], cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_import_hides_behind_type_checking() -> None:
    name = "TYPE" + "_CHECKING"
    guilty = [str(path) for path, tree in modules().items() for node in _names(tree) if node == name]
    assert guilty == []


def _names(tree: object) -> list[str]:
    import ast

    assert isinstance(tree, ast.AST)
    return [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)] + [
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
    ]
