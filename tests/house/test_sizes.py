"""A file stays under 600 lines, a function under 70, and neither takes more than a reader can hold."""

import ast
from statistics import median

from tests.house.tree import functions, lines_without_docstring, modules
from tests.support import ROOT, SOURCE

FILE_LINES = 600
FUNCTION_LINES = 70
MEDIAN_FUNCTION_LINES = 9
PARAMETERS = 8


def test_no_file_of_the_package_is_longer_than_600_lines() -> None:
    long = {
        str(path): count
        for path in modules()
        if (count := len((SOURCE / path).read_text(encoding="utf-8").splitlines())) > FILE_LINES
    }
    assert long == {}


def test_no_test_file_is_longer_than_600_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in (ROOT / "tests").rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES
    }
    assert long == {}


def test_no_function_is_longer_than_70_lines() -> None:
    long = {
        f"{path}:{node.name}": count
        for path, tree in modules().items()
        for node in functions(tree)
        if (count := lines_without_docstring(node)) > FUNCTION_LINES
    }
    assert long == {}


def test_half_of_all_functions_are_short() -> None:
    counts = [lines_without_docstring(node) for tree in modules().values() for node in functions(tree)]
    assert median(counts) <= MEDIAN_FUNCTION_LINES


def test_no_function_takes_more_than_eight_parameters() -> None:
    guilty = {
        f"{path}:{node.name}": count
        for path, tree in modules().items()
        if path.parts[0] != "cli"  # A command's parameters are its options.
        for node in functions(tree)
        if (count := _parameter_count(node)) > PARAMETERS
    }
    assert guilty == {}


def _parameter_count(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len([argument for argument in named if argument.arg not in {"self", "cls"}])
