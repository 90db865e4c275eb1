"""No name that says nothing, no broad except, no catch-all parameters."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.tree import functions, modules
from tests.support import ROOT

OTHER_WORDS = {"action", "blob", "bot", "dlq", "gas", "job", "plugin", "workflow"}
"""Words of others for things that have a word here; docs/concepts/glossary.md has ours."""

PRECISE_WORDS = {
    Path("kernel/outbox.py"): {"action"},
    Path("kernel/apply.py"): {"action"},
    Path("kernel/cast.py"): {"action"},
}
"""Where such a word names something else: a frame of an outbox, checked and bound to what it acts on."""

EMPTY_WORDS = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "misc",
    "base",
    "manager",
    "handler",
    "service",
    "core",
    "data",
    "info",
}

BROAD_EXCEPT_OWNERS = {
    Path("driver/natives.py"),
    Path("driver/performers.py"),
    Path("infer/words.py"),
    Path("plane/asking.py"),
    Path("plane/deadlines.py"),
    Path("plane/planners/proposing.py"),
    Path("plane/skills/own.py"),
    Path("plane/skills/performing.py"),
}
"""Where a stranger's exception becomes a record: performers, planners, skills, and the turn of a native agent. Where it
goes from the thread of a call to whoever waits for it, and where a stranger's source is loaded. And the owner of the
package tokenizers, which raises ``Exception`` itself for a file that it cannot read."""


def test_no_file_is_named_after_nothing() -> None:
    files = [path for path in (*modules(), *_tests()) if {*path.with_suffix("").parts} & EMPTY_WORDS]
    assert files == []


def test_no_class_or_function_is_named_after_nothing() -> None:
    guilty = [
        f"{path}:{name}" for path, tree in modules().items() for name in _defined(tree) if _words(name) & EMPTY_WORDS
    ]
    assert guilty == []


def test_a_thing_has_one_word() -> None:
    guilty = [
        f"{path}:{name}"
        for path, tree in modules().items()
        for name in _defined(tree)
        if set(_snake(name).split("_")) & (OTHER_WORDS - PRECISE_WORDS.get(path, set()))
    ]
    assert guilty == []


def test_the_core_knows_the_type_of_everything() -> None:
    parts = {"kernel", "codec.py", "records.py", "kinds.py", "errors.py"}
    core = [path for path in modules() if path.parts[0] in parts]
    guilty = [
        f"{path}:{node.lineno}"
        for path in core
        for node in ast.walk(modules()[path])
        if isinstance(node, ast.Name) and node.id == "Any"
    ]
    assert guilty == []


def test_types_are_ignored_less_than_once_in_a_thousand_lines() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]
    ignored = sum(len(re.findall(r"# (?:type|pyright): ignore", text)) for text in texts)
    assert ignored * 1000 <= sum(text.count("\n") for text in texts)


def test_a_broad_except_lives_only_where_it_becomes_a_record() -> None:
    guilty = [
        f"{path}:{node.lineno}"
        for path, tree in modules().items()
        if path not in BROAD_EXCEPT_OWNERS
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and _is_broad(node) and not _raises_again(node)
    ]
    assert guilty == []


def test_no_public_function_takes_arguments_it_does_not_name() -> None:
    guilty = [
        f"{path}:{node.name}"
        for path, tree in modules().items()
        for node in functions(tree)
        if node.args.kwarg is not None and not node.name.startswith("_") and not _passes_on(node.args.kwarg)
    ]
    assert guilty == []


def test_no_type_is_ignored_without_saying_which_and_why() -> None:
    pattern = re.compile(r"#\s*(type: ignore|pyright: ignore|noqa)(?!\[|: [A-Z]+\d+)")
    source = ROOT / "src"
    guilty = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in source.rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert guilty == []


def _passes_on(argument: ast.arg) -> bool:
    """Return whether the arguments are another function's, typed by its parameters."""
    return isinstance(argument.annotation, ast.Attribute) and argument.annotation.attr == "kwargs"


def _tests() -> list[Path]:
    return [path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("*.py")]


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def _words(name: str) -> set[str]:
    """Return the whole name in snake case if it is one word or ends in one that says nothing."""
    snake = _snake(name)
    return {snake, snake.rsplit("_", 1)[-1]}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_")


def _is_broad(node: ast.ExceptHandler) -> bool:
    caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}) for kind in caught
    )


def _raises_again(node: ast.ExceptHandler) -> bool:
    """Return whether the handler only cleans up: its last statement is a bare ``raise``."""
    last = node.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None
