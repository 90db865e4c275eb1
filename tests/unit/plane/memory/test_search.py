"""Retrieval: words and meaning joined by rank, the same order for the same contents."""

from pathlib import Path

import pytest

from tests.unit.plane.stores import Hands, open_store
from tickwork.infer.embeddings import HashedNgrams
from tickwork.plane.memory.items import Memory
from tickwork.plane.memory.search import RANK_OFFSET, RANK_WORTH, search

FACTS = (
    "Snow closes the pass from December to March.",
    "The ferry to the island leaves at nine.",
    "Snowfall in the north delays morning flights.",
    "Orders from Berlin are shipped on Tuesdays.",
    "A full disk on node seven stopped the cluster.",
    "The museum is shut on Mondays.",
)


def _filled(folder: Path, facts: tuple[str, ...], clock: Hands | None = None) -> Memory:
    folder.mkdir()
    store, hands = open_store(folder, clock)
    memory = Memory(store, hands, HashedNgrams())
    for fact in facts:
        memory.add("semantic", fact)
    return memory


def test_what_fits_best_comes_first(memory: Memory) -> None:
    for fact in FACTS:
        memory.add("semantic", fact)
    for question, found in (
        ("when are Berlin orders shipped?", FACTS[3]),
        ("why did the cluster stop", FACTS[4]),
        ("is the museum open on Monday", FACTS[5]),
        ("snow closing passes", FACTS[0]),
    ):
        assert search(memory, question)[0].item.text == found


def test_the_order_depends_on_nothing_but_the_contents(tmp_path: Path) -> None:
    late = Hands()
    late.at_us += 10**12
    one = _filled(tmp_path / "one", FACTS)
    other = _filled(tmp_path / "other", FACTS[::-1], late)
    for question in ("snow and flights in the north", "the island, the museum and the pass", "Tuesdays Mondays"):
        found = [[(hit.item.id, hit.score) for hit in search(memory, question)] for memory in (one, other)]
        assert found[0] == found[1] != []
    one.store.close()
    other.store.close()


def test_a_score_is_what_the_ranks_are_worth(memory: Memory) -> None:
    memory.add("semantic", FACTS[0])
    memory.add("semantic", FACTS[1])
    hit = search(memory, FACTS[0])[0]
    assert (hit.by_words, hit.by_meaning) == (1, 1)
    assert hit.score == 2 * (RANK_WORTH // (RANK_OFFSET + 1))


def test_equal_scores_share_a_rank_and_go_by_id(memory: Memory) -> None:
    items = [memory.add("semantic", f"alpha {word}") for word in ("one", "two", "six", "ten")]
    hits = search(memory, "alpha")
    assert {hit.by_words for hit in hits} == {1}
    by_words = [hit for hit in hits if not hit.by_meaning]
    assert [hit.item.id for hit in by_words] == sorted(hit.item.id for hit in by_words)
    assert {hit.item.id for hit in hits} == {item.id for item in items}


def test_what_is_important_counts_more(memory: Memory) -> None:
    plain = memory.add("semantic", "alpha beta")
    weighty = memory.add("semantic", "alpha beta gamma delta", importance=100)
    assert [hit.item.id for hit in search(memory, "alpha beta")] == [weighty.id, plain.id]


def test_kinds_can_be_told_apart(memory: Memory) -> None:
    memory.add("semantic", "Snow closes the pass.")
    memory.add("summary", "Snow report: succeeded")
    assert [hit.item.kind for hit in search(memory, "snow", kind="summary")] == ["summary"]
    assert len(search(memory, "snow", most=1)) == 1


@pytest.mark.parametrize("question", ["", "?!", '"', "a AND (", "NEAR(x", "col:snow", "*", "\0", "\ud800 snow", "💧"])
def test_any_text_is_a_question(memory: Memory, question: str) -> None:
    memory.add("semantic", "Snow closes the pass.")
    assert len(search(memory, question)) <= 1


def test_spellings_are_found_by_meaning_alone(memory: Memory) -> None:
    memory.add("semantic", "Snowstorms closed mountain roads.")
    hits = search(memory, "snowstorm closing mountains road")
    assert [(hit.by_words, hit.by_meaning) for hit in hits] == [(0, 1)]


def test_accents_make_no_difference_to_words(memory: Memory) -> None:
    memory.add("semantic", "Le café de la gare est fermé.")
    assert search(memory, "CAFE")[0].by_words == 1
