from hypothesis import given
from hypothesis import strategies as st

from tests.unit.plane.skills.calling import failure, output
from tickwork.plane.skills.text_search import MAX_PASSAGE, cut, rank, words

TEXTS = [
    {"id": "wind.md", "text": "# Wind\n\nStorms bring wind.\nGusts are short.\n\nCalm days follow."},
    {"id": "rain.md", "text": "Rain falls.\n\nA storm may bring rain and wind."},
    "A text alone about storms.",
]


def test_the_best_passages_come_first_with_their_place() -> None:
    found = output("text_search", {"query": "wind of a storm", "texts": TEXTS, "most": 4})["passages"]
    assert [(one["id"], one["line"]) for one in found] == [("rain.md", 3), ("2", 1), ("wind.md", 3), ("wind.md", 1)]
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
    assert found[2]["text"] == "Storms bring wind.\nGusts are short."
    assert len(output("text_search", {"query": "wind of a storm", "texts": TEXTS, "most": 2})["passages"]) == 2


def test_a_question_without_a_common_word_finds_nothing() -> None:
    assert output("text_search", {"query": "zebra", "texts": TEXTS}) == {"passages": []}
    assert output("text_search", {"query": "", "texts": TEXTS}) == {"passages": []}
    assert output("text_search", {"query": "x", "texts": []}) == {"passages": []}


def test_bad_parameters_are_refused() -> None:
    assert failure("text_search", {"query": "x", "texts": [5]}).startswith("TW7006")
    assert failure("text_search", {"query": "x", "texts": [], "most": 0}).startswith("TW7006")


@given(st.text(alphabet="ab \n", max_size=400))
def test_a_text_is_cut_without_losing_words(text: str) -> None:
    pieces = list(cut(text))
    assert " ".join(piece for _, piece in pieces).split() == text.split()
    lines = text.split("\n")
    for line, piece in pieces:
        assert lines[line - 1].strip() == piece.split("\n")[0].strip()


def test_a_long_paragraph_is_cut_at_ends_of_lines() -> None:
    row = "word " * 20
    pieces = list(cut("\n".join([row] * 100)))
    assert len(pieces) > 5
    assert all(len(piece) <= MAX_PASSAGE + len(row) for _, piece in pieces)


def test_words_are_alike_without_regard_to_capitals_and_number() -> None:
    assert words("Storms STORM gases bodies class this bus") == [
        "storm",
        "storm",
        "gase",
        "body",
        "class",
        "this",
        "bus",
    ]


@given(st.lists(st.text(alphabet="abc ", max_size=20), max_size=6), st.randoms())
def test_the_order_of_the_passages_changes_no_score(passages: list[str], random: object) -> None:
    scores = dict(zip(passages, rank("a b", passages), strict=True))
    turned = list(reversed(passages))
    assert dict(zip(turned, rank("a b", turned), strict=True)) == scores
