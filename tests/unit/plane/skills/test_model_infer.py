from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.infer import nets
from tests.unit.infer.kept import keep
from tests.unit.plane.skills.calling import answer, failure, found, output
from tickwork.errors import ModelHostLost, ModelInputInvalid, ModelQueueFull, ModelRunFailed, ModelTimeout
from tickwork.infer.client import Models
from tickwork.infer.store import ModelStore
from tickwork.plane.skills.model_infer import _told


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    folder = tmp_path_factory.mktemp("models")
    keep(ModelStore(folder), "divide", nets.divide())
    with Models(folder) as asked:
        # Its processes begin here, and not within the first test that asks.
        asked.load("divide")
        yield asked


@pytest.mark.slow
def test_a_model_answers_in_lists(models: Models) -> None:
    parts = {"models": models}
    made = output("model_infer", {"model": "divide", "inputs": {"a": [12], "b": [4]}}, parts=parts)
    assert list(made["outputs"].values()) == [[3]]
    assert made["model"] == models.find("divide").model.hex()
    fixed = found("model_infer", model="divide")
    assert output(fixed, {"inputs": {"a": [9], "b": [3]}}, parts=parts)["model"] == made["model"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"model": "none", "inputs": {}}, "TW7008 the model none: "),
        ({"model": "divide", "inputs": {"a": ["x"], "b": [1]}}, "TW7006 the model divide: "),
        ({"model": "divide", "inputs": {"a": [1]}}, "TW7006"),
        ({"inputs": {}}, "TW7006 no model is named"),
        ({"model": "divide", "inputs": {}, "profile": "wild"}, "TW7006"),
    ],
)
def test_a_bad_question_is_a_failure(models: Models, given: dict[str, Any], told: str) -> None:
    assert failure("model_infer", given, parts={"models": models}).startswith(told)


def test_a_skill_of_one_model_asks_no_other() -> None:
    skill = found("model_infer", model="divide")
    assert failure(skill, {"model": "other", "inputs": {}}).startswith("TW7006")


def test_without_models_none_is_asked(tmp_path: Path) -> None:
    made = answer("model_infer", {"model": "divide", "inputs": {}}).failure
    assert made is not None
    assert made.code == "TW7005"


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (ModelTimeout("late"), "TW7009", True),
        (ModelInputInvalid("odd"), "TW7006", False),
        (ModelQueueFull("full"), "TW7008", True),
        (ModelHostLost("gone"), "TW7008", True),
        (ModelRunFailed("bad"), "TW7008", False),
    ],
)
def test_failures_of_models_are_failures_of_the_skill(error: Any, code: str, retryable: bool) -> None:
    told = _told("m", error)
    assert (told.code, told.retryable) == (code, retryable)
