"""The front door: what it offers is listed, typed, documented, and there."""

import ast
import inspect
import re
from importlib import import_module
from typing import Any

import pytest

from tests.house.tree import modules
from tests.support import ROOT, SOURCE

# Looked at as it is, not as its stub says it is.
FRONT_DOOR: Any = import_module("tickwork")
NAMES: list[str] = list(FRONT_DOOR.__all__)


def test_every_name_of_the_front_door_is_there() -> None:
    missing = [name for name in NAMES if not hasattr(FRONT_DOOR, name)]
    assert missing == []
    assert sorted(NAMES, key=lambda name: (name != "__version__", name)) == NAMES


def test_the_stub_names_what_the_front_door_offers() -> None:
    stub = ast.parse((SOURCE / "__init__.pyi").read_text(encoding="utf-8"))
    named = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert named | {"__version__"} == set(NAMES)


def test_the_stub_imports_each_name_from_its_home() -> None:
    stub = ast.parse((SOURCE / "__init__.pyi").read_text(encoding="utf-8"))
    homes = {alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert homes == FRONT_DOOR._HOMES


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"__version__"}))
def test_every_name_of_the_front_door_is_documented(name: str) -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    assert re.search(rf"`{name}[`(]", page), f"docs/reference/python.md does not mention {name}"
    assert getattr(FRONT_DOOR, name).__doc__


@pytest.mark.parametrize("name", ["Difference", "Divergence", "Edit", "Options", "Progress", "Run", "Verification"])
def test_every_field_of_a_noun_is_documented(name: str) -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    fields: tuple[str, ...] = getattr(FRONT_DOOR, name).__struct_fields__
    assert [field for field in fields if f"`{field}`" not in page] == []


@pytest.mark.parametrize("name", ["diff", "fork", "load_world", "make_world", "replay", "resume", "run", "verify"])
def test_every_verb_is_documented_with_its_parameters(name: str) -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    parameters = inspect.signature(getattr(FRONT_DOOR, name)).parameters.values()
    shown = re.search(rf"^\| `{name}\((.*)\)` \|", page, flags=re.MULTILINE)
    assert shown is not None
    named = re.findall(r"(\w+)(?:=[^,]*)?(?:, |$)", shown[1].replace("*, ", "").replace("Path()", "PATH"))
    assert named == [parameter.name for parameter in parameters]


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
    names = [item.value for item in node.value.elts if isinstance(item, ast.Constant)]
    return [name for name in names if isinstance(name, str) and name != "__version__"]


def test_every_module_says_what_it_is() -> None:
    silent = [str(path) for path, tree in modules().items() if not ast.get_docstring(tree)]
    assert silent == []
