"""``text_search``: the passages of given texts that fit a question best, with where they stand."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import pydantic

from ...kinds import EffectClass
from .configuration import NoKeys, read_keys
from .shapes import ModelShape
from .skill import CallContext, Shape, Traits

SATURATION: Final = 1.2
LENGTH_SHARE: Final = 0.75
"""Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009."""

MAX_PASSAGE: Final = 1200
"""Characters after which a paragraph is cut at the end of a line."""

_WORD: Final = re.compile(r"\w+")
_BLANK: Final = re.compile(r"\n[ \t]*\n")


class Text(pydantic.BaseModel):
    """A text and how it is cited."""

    model_config = pydantic.ConfigDict(extra="forbid")

    id: str = pydantic.Field(max_length=1024)
    text: str


class Given(pydantic.BaseModel):
    """What goes in."""

    model_config = pydantic.ConfigDict(extra="forbid")

    query: str = pydantic.Field(max_length=4096)
    texts: list[Text | str] = pydantic.Field(max_length=10_000, description="A text alone is cited by its number.")
    most: int = pydantic.Field(default=5, ge=1, le=100)


class Passage(pydantic.BaseModel):
    """A passage. ``line`` counts from 1."""

    id: str
    line: int
    text: str
    score: float


class Made(pydantic.BaseModel):
    """What comes out. Order: best first; of equals, as given."""

    passages: list[Passage]


class TextSearch:
    """Ranks passages by the words that they share with a question. Pure: it reaches nothing."""

    traits = Traits(
        "text_search",
        "1",
        "Find the passages of given texts that fit a question best, with where they stand.",
        EffectClass.PURE,
        timeout_ms=20_000,
    )

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """What goes in and what comes out."""
        return _SHAPES

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "TextSearch":
        """Return the skill; there is nothing to configure.

        Raises:
            SkillInvalid: TW7004.
        """
        read_keys(config, NoKeys)
        return cls()

    def call(self, given: Given, context: CallContext) -> Any:
        """Return the passages."""
        places = [
            _Place(text.id if isinstance(text, Text) else str(number), line, passage)
            for number, text in enumerate(given.texts)
            for line, passage in cut(text.text if isinstance(text, Text) else text)
        ]
        scores = rank(given.query, [place.text for place in places])
        best = sorted(range(len(places)), key=lambda index: (-scores[index], index))[: given.most]
        return {
            "passages": [
                {"id": places[index].id, "line": places[index].line, "text": places[index].text, "score": scores[index]}
                for index in best
                if scores[index] > 0
            ]
        }


class _Place(msgspec.Struct, frozen=True):
    id: str
    line: int
    text: str


def cut(text: str) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of a text with the line on which each begins; a long one in pieces of whole lines."""
    line, start = 1, 0
    for found in (*_BLANK.finditer(text), None):
        end = found.start() if found is not None else len(text)
        yield from _pieces(text[start:end], line)
        if found is not None:
            line += text.count("\n", start, found.end())
            start = found.end()


def _pieces(paragraph: str, line: int) -> Iterator[tuple[int, str]]:
    kept, first, size = list[str](), line, 0
    for offset, row in enumerate(paragraph.split("\n")):
        if not row.strip() and not kept:
            continue
        if kept and size + len(row) > MAX_PASSAGE:
            yield first, "\n".join(kept).strip()
            kept, size = [], 0
        if not kept:
            first = line + offset
        kept.append(row)
        size += len(row) + 1
    if kept:
        yield first, "\n".join(kept).strip()


def words(text: str) -> list[str]:
    """Return the words of a text, without regard to capitals; an English plural counts as its singular."""
    return [_stem(word) for word in _WORD.findall(text.casefold())]


def _stem(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def rank(query: str, passages: Sequence[str]) -> list[float]:
    """Return how well each passage fits a question; 0 where they share no word. Order: as given.

    Law: the order of the passages changes no score.
    """
    counts = [Counter(words(passage)) for passage in passages]
    lengths = [count.total() for count in counts]
    usual = max(1.0, sum(lengths) / max(1, len(lengths)))
    asked = sorted(set(words(query)))
    weights = dict[str, float]()
    for word in asked:
        holding = sum(1 for count in counts if word in count)
        weights[word] = math.log(1 + (len(counts) - holding + 0.5) / (holding + 0.5))
    scores = list[float]()
    for count, length in zip(counts, lengths, strict=True):
        share = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * length / usual)
        found = sum(weights[word] * count[word] * (SATURATION + 1) / (count[word] + share) for word in asked)
        scores.append(round(found, 6))
    return scores


_SHAPES: Final[tuple[Shape, Shape]] = (ModelShape(Given), ModelShape(Made))
