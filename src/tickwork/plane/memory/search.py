"""Finds what is remembered: by words and by meaning, the two joined by rank.

The full-text index ranks by BM25 over all that the store remembers; the vectors are compared one by one, so nothing is
missed. An item's score is the sum over both lists of what its rank is worth.

Invariants:
    * The order is a function of what the store holds: scores are whole numbers, equal scores share a rank, and ties go
      by id.
    * Vectors of different embedders are never compared.

Source: Cormack and others, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods", 2009.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from ...infer.embeddings import Vector
from ..store.sql import Connection, select, text
from ..store.tables import memory_item
from ..words import match_any
from .items import MAX_IMPORTANCE, Item, Memory, item_of
from .vectors import LIKENESS, likeness

CANDIDATES: Final = 100
"""How many items either list may bring."""

RANK_OFFSET: Final = 60
"""How little the first ranks differ; the number of the paper."""

RANK_WORTH: Final = 1_000_000

LEAST_LIKENESS: Final = LIKENESS // 4
"""Vectors less alike than this say nothing: so far hashed n-grams go by the little words that most texts share."""

_BY_WORDS: Final = text(
    "SELECT item.id AS id, CAST(round(bm25(memory_words) * -1000000) AS INTEGER) AS score "
    "FROM memory_words JOIN memory_item AS item ON item.id = memory_words.id "
    "WHERE memory_words MATCH :words AND item.tenant_id = :tenant AND item.profile = :profile "
    "AND item.superseded_by IS NULL AND (:kind = '' OR item.kind = :kind) ORDER BY score DESC, id LIMIT :most"
)


class Hit(msgspec.Struct, frozen=True):
    """An item that was found.

    Attributes:
        by_words, by_meaning: Its rank in either list, from 1; 0 where it is not in it.
    """

    item: Item
    score: int
    by_words: int
    by_meaning: int


def vector_of(memory: Memory, question: str) -> Vector:
    """Return the vector of a question, whatever stands in it."""
    return memory.embedder.embed([question.encode("utf-8", "replace").decode()])[0]


def search(memory: Memory, question: str, *, kind: str = "", most: int = 20, vector: Vector | None = None) -> list[Hit]:
    """Return what memory holds on a question. Order: score, then id.

    Args:
        vector: The question's, where the caller has it already.
    """
    vector = vector_of(memory, question) if vector is None else vector
    with memory.store.reading() as connection:
        words = _ranks(_by_words(connection, memory, question, kind))
        meaning = _ranks(_by_meaning(connection, memory, vector, kind))
        found = _items(connection, {*words, *meaning})
    hits = [
        Hit(item, _score(item, words.get(key, 0), meaning.get(key, 0)), words.get(key, 0), meaning.get(key, 0))
        for key, item in found.items()
    ]
    return sorted(hits, key=lambda hit: (-hit.score, hit.item.id))[:most]


def _score(item: Item, *ranks: int) -> int:
    worth = sum(RANK_WORTH // (RANK_OFFSET + rank) for rank in ranks if rank)
    return worth * (MAX_IMPORTANCE + item.importance) // MAX_IMPORTANCE


def _by_words(connection: Connection, memory: Memory, question: str, kind: str) -> list[tuple[str, int]]:
    words = match_any(question)
    if not words:
        return []
    given = {"words": words, "tenant": memory.tenant, "profile": memory.profile, "kind": kind, "most": CANDIDATES}
    return [(row.id, row.score) for row in connection.execute(_BY_WORDS, given)]


def _by_meaning(connection: Connection, memory: Memory, vector: Vector, kind: str) -> list[tuple[str, int]]:
    c = memory_item.c
    query = select(c.id, c.embedding).where(
        c.tenant_id == memory.tenant,
        c.profile == memory.profile,
        c.superseded_by.is_(None),
        c.model == memory.embedder.name,
    )
    if kind:
        query = query.where(c.kind == kind)
    size = len(vector) * 4
    rows = ((row.id, row.embedding) for row in connection.execute(query))
    scored = ((key, likeness(vector, raw)) for key, raw in rows if len(raw) == size)
    near = sorted((found for found in scored if found[1] >= LEAST_LIKENESS), key=lambda found: (-found[1], found[0]))
    return near[:CANDIDATES]


def _ranks(scored: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return the rank of each item, from 1. Law: equal scores have equal ranks."""
    ranks = dict[str, int]()
    last, rank = None, 0
    for key, score in scored:
        rank += score != last
        last = score
        ranks[key] = rank
    return ranks


def _items(connection: Connection, keys: set[str]) -> dict[str, Item]:
    rows = connection.execute(select(memory_item).where(memory_item.c.id.in_(sorted(keys)))).mappings()
    return {row["id"]: item_of(row) for row in rows}
