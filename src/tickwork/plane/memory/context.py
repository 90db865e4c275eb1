"""What a planner is shown of memory: five sections, each with a share of the context that it never passes.

Invariants:
    * A section's texts have at most its share of bytes; a text is shown whole or not at all.
    * Three bytes are counted as one token: of the texts that tokenizers split, few give more tokens than that.
    * The context holds texts and ids alone, and follows from what the store holds and the goal.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from ..profile import SECTIONS, MemoryTable
from .items import Memory
from .search import search, vector_of

BYTES_PER_TOKEN: Final = 3
LOOKED_AT: Final = 50
"""Texts that a section may be chosen from."""


class Piece(msgspec.Struct, frozen=True):
    """A text of the context, and which item, block or turn it is."""

    id: str
    text: str


class Section(msgspec.Struct, frozen=True):
    """A part of the context. Units: bytes.

    Attributes:
        bytes: Of all its texts.
        of: What they may have together.
        left_out: Texts that were found and did not fit.
    """

    name: str
    items: tuple[Piece, ...]
    bytes: int
    of: int
    left_out: int = 0


class Context(msgspec.Struct, frozen=True):
    """What a planner is shown. Order of sections: as ``profile.SECTIONS``."""

    sections: tuple[Section, ...]


class Recalled(msgspec.Struct, frozen=True):
    """A context, and where what it holds comes from. Order of labels: sorted."""

    context: Context
    labels: tuple[str, ...]


def share_bytes(table: MemoryTable, section: str) -> int:
    """Return what a section may have. Units: bytes. Law: all shares together are at most ``tokens`` times three."""
    return table.tokens * int(getattr(table, section)) // 100 * BYTES_PER_TOKEN


def recall(memory: Memory, table: MemoryTable, goal: str) -> Recalled:
    """Return what is shown of memory to whoever plans for a goal."""
    labels, vector = set[str](), vector_of(memory, goal)
    sections = [
        fill(
            "blocks",
            (Piece(block.label, f"{block.label}: {block.value}") for block in memory.blocks()),
            share_bytes(table, "blocks"),
        )
    ]
    for name, kind in (("semantic", "semantic"), ("episodic", "episodic"), ("summaries", "summary")):
        found = {hit.item.id: hit.item for hit in search(memory, goal, kind=kind, most=LOOKED_AT, vector=vector)}
        section = fill(name, (Piece(key, item.text) for key, item in found.items()), share_bytes(table, name))
        labels.update(label for piece in section.items for label in found[piece.id].labels)
        sections.append(section)
    section, heard = _history(memory, share_bytes(table, "history"))
    sections.insert(SECTIONS.index("history"), section)
    labels.update(heard)
    return Recalled(Context(tuple(sections)), tuple(sorted(labels)))


def _history(memory: Memory, most: int) -> tuple[Section, set[str]]:
    """Return what was said last, as much as fits without a gap, and its labels. Order: oldest first."""
    said = memory.turns(most=LOOKED_AT)
    fitting, labels, used = list[Piece](), set[str](), 0
    for turn in reversed(said):
        piece = Piece(turn.id, f"{turn.role}: {turn.text}")
        size = len(piece.text.encode())
        if used + size > most:
            break
        fitting.append(piece)
        labels.update(turn.labels)
        used += size
    return Section("history", tuple(reversed(fitting)), used, most, len(said) - len(fitting)), labels


def fill(name: str, pieces: Iterable[Piece], most: int) -> Section:
    """Return a section of the pieces that fit, the first ones first."""
    taken = list[Piece]()
    used = left_out = 0
    for piece in pieces:
        size = len(piece.text.encode())
        if used + size > most:
            left_out += 1
            continue
        taken.append(piece)
        used += size
    return Section(name, tuple(taken), used, most, left_out)
