"""The front door: what it offers is listed, typed, documented, and there."""

import ast
import re

import pytest

import tickwork
from tests.house.tree import modules
from tests.support import ROOT, SOURCE


def test_every_name_of_the_front_door_is_there() -> None:
    missing = [name for name in tickwork.__all__ if not hasattr(tickwork, name)]
    assert missing == []
    assert list(tickwork.__all__) == sorted(tickwork.__all__, key=lambda name: (name != "__version__", name))


def test_the_stub_names_what_the_front_door_offers() -> None:
    stub = ast.parse((SOURCE / "__init__.pyi").read_text(encoding="utf-8"))
    named = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert named | {"__version__"} == set(tickwork.__all__)


def test_the_stub_imports_each_name_from_its_home() -> None:
    stub = ast.parse((SOURCE / "__init__.pyi").read_text(encoding="utf-8"))
    homes = {alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert homes == tickwork._HOMES


@pytest.mark.parametrize("name", sorted(set(tickwork.__all__) - {"__version__"}))
def test_every_name_of_the_front_door_is_documented(name: str) -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    assert re.search(rf"`{name}[`(]", page), f"docs/reference/python.md does not mention {name}"
    assert getattr(tickwork, name).__doc__


def test_every_list_of_exports_is_sorted() -> None:
    unsorted = []
    for path, tree in modules().items():
        for node in tree.body:
            names = _exports(node)
            if names != sorted(names):
                unsorted.append(str(path))
    assert unsorted == []


def _exports(node: ast.stmt) -> list[str]:
    """Return the literal names of an ``__all__``."""
    if not isinstance(node, ast.Assign) or not any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
        return []
    assert isinstance(node.value, ast.List | ast.Tuple)
    return [item.value for item in node.value.elts if isinstance(item, ast.Constant) and item.value != "__version__"]


def test_every_module_says_what_it_is() -> None:
    silent = [str(path) for path, tree in modules().items() if not ast.get_docstring(tree)]
    assert silent == []
