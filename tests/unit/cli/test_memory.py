"""cli/memory*.py: what profiles remember is added, found, shown and forgotten."""

import io
import json
from pathlib import Path

import pytest

from tests.unit.cli.program import call

FACT = "Snow closes the pass from December to March."


@pytest.fixture(autouse=True)
def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store of models be one that is empty."""
    monkeypatch.setenv("TICKWORK_MODELS", str(folder / "models"))


def _add(*words: str) -> str:
    answer = call("memory", "add", *words, "-o", "json")
    assert answer.status == 0, answer.err
    return str(answer.document()["id"])


def test_what_is_added_is_listed_and_found() -> None:
    key = _add(FACT)
    assert _add(FACT) == key
    _add("--kind", "episodic", "The forecast of 3 May was off by 4 degrees.")
    assert len(call("memory", "list").out.splitlines()) == 4
    listed = call("memory", "list", "--kind", "semantic", "-o", "json").rows("items")
    assert [(item["id"], item["text"], item["embedder"]) for item in listed] == [(key, FACT, "hashed-ngrams-1:384")]
    hits = call("memory", "search", "when is the pass closed?", "-o", "json").rows("hits")
    assert [hit["id"] for hit in hits] == [key]
    assert FACT in call("memory", "search", "the pass").out
    assert "remembers nothing about that" in call("memory", "search", "quantum chromodynamics").err


def test_each_line_of_standard_input_is_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("first fact\n\nsecond fact\n"))
    lines = call("memory", "add", "-o", "jsonl").out.splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["first fact", "second fact"]


def test_items_are_forgotten_and_replaced() -> None:
    old, new = _add(FACT), _add("The pass is open all year.")
    assert _add("The pass is open all year.", "--replaces", old) == new
    assert call("memory", "forget", new).out == "removed 1\n"
    assert "remembers nothing" in call("memory", "list").err
    answer = call("memory", "forget", new)
    assert (answer.status, answer.err.split(":")[0]) == (2, "TW1001")
    assert call("memory", "forget").status == 2


def test_the_context_shows_what_each_section_has_used_of_its_share() -> None:
    _add(FACT)
    call("memory", "block", "persona", "Answers in one paragraph.")
    answer = call("memory", "context", "Will the pass be open next week?", "--texts")
    assert answer.status == 0
    rows = {line.split()[0]: line.split()[1:] for line in answer.out.splitlines()[2:8]}
    assert rows["blocks"] == ["1", "12", "400"]
    assert rows["semantic"] == ["1", "15", "600"]
    assert rows["history"] == ["0", "0", "300"]
    assert rows["all"] == ["27", "2,000"]
    assert FACT in answer.out
    answer = call("memory", "context", "Will the pass be open?", "-o", "json")
    sections = answer.rows("sections")
    assert [(one["name"], one["of"]) for one in sections] == [
        ("blocks", 1200),
        ("semantic", 1800),
        ("episodic", 1200),
        ("history", 900),
        ("summaries", 900),
    ]
    assert sections[1]["items"][0]["text"] == FACT


def test_a_profile_has_a_memory_and_shares_of_its_own() -> None:
    _add(FACT)
    call("profile", "add", "analyst", "--context-tokens", "100", "--no-recall")
    answer = call("memory", "context", "the pass", "--profile", "analyst")
    assert "does not read its memory" in answer.out
    assert [line.split()[3] for line in answer.out.splitlines()[2:7]] == ["20", "30", "20", "15", "15"]
    assert "remembers nothing" in call("memory", "list", "--profile", "analyst").err
    answer = call("memory", "list", "--profile", "ghost")
    assert (answer.status, answer.err.split(":")[0]) == (8, "TW7014")


def test_blocks_are_written_shown_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "has no blocks" in call("memory", "block").err
    assert call("memory", "block", "persona", "terse", "-o", "json").document()["version"] == 1
    monkeypatch.setattr("sys.stdin", io.StringIO("two\nlines\n"))
    assert call("memory", "block", "rules", "-", "-o", "json").document()["value"] == "two\nlines"
    assert call("memory", "block", "rules", "--limit", "100", "-o", "json").document()["limit"] == 100
    assert len(call("memory", "block").out.splitlines()) >= 4
    assert "terse" in call("memory", "block", "persona").out
    assert "is removed" in call("memory", "block", "persona", "--remove").err
    assert "there was no block" in call("memory", "block", "persona", "--remove").err
    assert call("memory", "block", "persona").status == 2
    assert call("memory", "block", "--remove").status == 2
    answer = call("memory", "block", "rules", "x" * 101)
    assert (answer.status, answer.err.split(":")[0]) == (2, "TW7006")


def test_nothing_was_said_before_the_first_run() -> None:
    assert "nothing was said" in call("memory", "list", "--kind", "history").err
    assert call("memory", "list", "--kind", "history", "-o", "json").rows("turns") == []


def test_vectors_are_made_anew_when_asked() -> None:
    _add(FACT)
    assert call("memory", "reindex").out == "0 items have new vectors, of hashed-ngrams-1\n"
    assert call("memory", "reindex", "-o", "json").document()["items"] == 0


@pytest.mark.parametrize("words", [("",), ("x", "--importance", "101"), ("x", "--replaces", "ghost")])
def test_what_cannot_be_remembered_is_said(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    answer = call("memory", "add", *words)
    assert (answer.status, answer.err.split(":")[0]) == (2, "TW7006")
    assert call("memory", "list", "-o", "json").rows("items") == []
