"""What expressions of a step come to."""

from typing import Any

import pytest

from tickwork.plane.calls import MAX_OUTPUT_BYTES, Failure
from tickwork.plane.executor.values import evaluate, is_outside, render, render_text


def deep() -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(5000):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ("${inputs.absent}", "TW7023"),
        ("${1 +}", "TW7022"),
        ("${inputs.deep}", "TW7023"),
        ("text ${inputs.deep}", "TW7023"),
        (["${inputs.long}", "${inputs.long}"], "TW7029"),
        ("${inputs.open", "TW7022"),
    ],
)
def test_what_comes_to_nothing_is_a_failure(template: Any, code: str) -> None:
    found = render(template, {"inputs": {"deep": deep(), "long": "x" * (MAX_OUTPUT_BYTES // 2)}})
    assert isinstance(found, Failure)
    assert (found.code, found.retryable) == (code, False)


def test_a_text_is_a_text() -> None:
    assert render_text("a ${inputs.n}", {"inputs": {"n": 1}}) == "a 1"
    for template in ("${inputs.n}", "${inputs.deep} x", "${inputs.absent}"):
        assert isinstance(render_text(template, {"inputs": {"n": 1, "deep": deep()}}), Failure)


def test_an_expression_that_fails_is_a_failure() -> None:
    assert evaluate("1 + 1", {}) == 2
    assert isinstance(evaluate("1 / 0", {}), Failure)
    assert isinstance(evaluate("1 +", {}), Failure)


def test_only_some_labels_say_that_a_value_comes_from_outside() -> None:
    assert is_outside(("memory", "outside:web"))
    assert not is_outside(("memory", "person:ann"))
