"""cli/model_embed.py: texts become vectors; which embedder says so is told."""

import io
import json
from pathlib import Path

import pytest

from tests.support import missing
from tests.unit.cli.program import call
from tickwork.errors import ModelsMissing
from tickwork.infer import minilm
from tickwork.infer.embeddings import HashedNgrams

TEXTS = ("snow delays flights", "flights delayed by snow", "the cat sleeps")


@pytest.fixture(autouse=True)
def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the usual store, which is empty, and in which nobody trusts anybody yet."""
    monkeypatch.setenv("TICKWORK_MODELS", str(folder / "store"))
    monkeypatch.setenv("TICKWORK_TRUST", str(folder / "trust"))
    return folder / "store"


def test_without_a_model_the_hashed_ngrams_are_taken() -> None:
    answer = call("model", "embed", *TEXTS)
    assert answer.status == 0
    assert answer.out.splitlines()[0] == "hashed-ngrams-1, 384 dimensions"
    first = next(line for line in answer.out.splitlines() if TEXTS[0] in line)
    alike = [float(word) for word in first.split()[-3:]]
    assert alike[0] == 1 > alike[1] > 0.5 > abs(alike[2])


def test_a_document_holds_the_vectors() -> None:
    document = json.loads(call("model", "embed", *TEXTS[:2], "-o", "json").out)
    assert (document["embedder"], document["dimensions"]) == ("hashed-ngrams-1:384", 384)
    assert [row["text"] for row in document["vectors"]] == list(TEXTS[:2])
    assert [tuple(row["vector"]) for row in document["vectors"]] == HashedNgrams().embed(TEXTS[:2])


def test_lines_of_standard_input_are_texts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one\ntwo\n"))
    rows = [json.loads(line) for line in call("model", "embed", "-o", "jsonl").out.splitlines()]
    assert [row["text"] for row in rows] == ["one", "two"]


def test_of_many_texts_each_is_shown_with_the_one_most_like_it() -> None:
    words = ["snow", "snows", "rain", "rainy", "cat", "cats", "tree", "trees", "sea", "seas"]
    lines = call("model", "embed", *words).out.splitlines()[4:]
    assert [line.split()[2] for line in lines] == ["2", "1", "4", "3", "6", "5", "8", "7", "10", "9"]


def test_no_text_and_no_such_model_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    answer = call("model", "embed")
    assert (answer.status, answer.err.split(":")[0]) == (2, "TW1001")
    answer = call("model", "embed", "--model", "absent", "text")
    assert (answer.status, answer.err.split(":")[0]) == (8, "TW6001")


@pytest.mark.slow
def test_minilm_is_added_and_taken_from_then_on() -> None:
    try:
        minilm.find_package()
    except ModelsMissing as error:
        missing(str(error))
    added = call("model", "add", "minilm", "-o", "json")
    assert added.status == 0, added.err
    model = json.loads(added.out)
    assert (model["licence"], model["inputs"][0]["shape"]) == (minilm.LICENCE, ["batch", "sequence"])
    answer = call("model", "embed", "a storm keeps planes on the ground", *TEXTS, "-o", "json")
    assert answer.status == 0, answer.err
    document = json.loads(answer.out)
    assert document["embedder"].startswith("minilm:")
    storm, delays, _, cat = (row["vector"] for row in document["vectors"])
    assert sum(a * b for a, b in zip(storm, delays, strict=True)) > 0.3
    assert sum(a * b for a, b in zip(storm, cat, strict=True)) < 0.2
