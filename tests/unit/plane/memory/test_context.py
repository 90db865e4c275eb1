"""The context: shares that are never passed, texts that are whole."""

import pytest

from tickwork.plane.memory.context import BYTES_PER_TOKEN, Piece, fill, recall, share_bytes
from tickwork.plane.memory.items import Memory, Source
from tickwork.plane.profile import SECTIONS, MemoryTable

GOAL = "Will snow close the pass?"


def _filled(memory: Memory) -> None:
    with memory.store.begin():
        for number in range(40):
            memory.add("semantic", f"Fact {number}: snow closes the pass, " + "and so on " * (number % 7))
            memory.add("episodic", f"On day {number} snow closed the pass for {number} hours.")
            memory.add("summary", f"Will snow close the pass {number}?\nsucceeded: no")
            memory.say(f"{number:03d}", "user", f"question {number} " + "ä" * (number % 5))
        for label in ("persona", "rules", "zoo"):
            memory.set_block(label, "x" * 100)


@pytest.mark.parametrize("tokens", [0, 1, 50, 333, 2000])
def test_no_section_passes_its_share(memory: Memory, tokens: int) -> None:
    _filled(memory)
    table = MemoryTable(tokens=tokens)
    sections = recall(memory, table, GOAL).context.sections
    assert tuple(section.name for section in sections) == SECTIONS
    for section in sections:
        assert section.bytes == sum(len(piece.text.encode()) for piece in section.items) <= section.of
        assert section.of == share_bytes(table, section.name)
    assert sum(section.of for section in sections) <= tokens * BYTES_PER_TOKEN


def test_the_same_contents_and_goal_give_the_same_context(memory: Memory) -> None:
    _filled(memory)
    assert recall(memory, MemoryTable(), GOAL) == recall(memory, MemoryTable(), GOAL)


def test_an_empty_memory_gives_empty_sections(memory: Memory) -> None:
    found = recall(memory, MemoryTable(), GOAL)
    assert [(section.items, section.bytes, section.left_out) for section in found.context.sections] == [((), 0, 0)] * 5
    assert found.labels == ()


def test_what_does_not_fit_is_left_out_whole_and_counted() -> None:
    pieces = [Piece("a", "12345"), Piece("b", "1234567"), Piece("c", "ää")]
    section = fill("semantic", pieces, 10)
    assert ([piece.id for piece in section.items], section.bytes, section.left_out) == (["a", "c"], 9, 1)


def test_history_is_the_latest_without_a_gap_in_the_order_it_was_said(memory: Memory) -> None:
    for key, text in (("1", "short"), ("2", "x" * 600), ("3", "third"), ("4", "fourth")):
        memory.say(key, "user", text)
    table = MemoryTable(tokens=1000)
    section = next(one for one in recall(memory, table, GOAL).context.sections if one.name == "history")
    assert [piece.text for piece in section.items] == ["user: third", "user: fourth"]
    assert section.left_out == 2


def test_blocks_are_there_whatever_the_goal(memory: Memory) -> None:
    memory.set_block("persona", "terse")
    section = recall(memory, MemoryTable(), "anything at all").context.sections[0]
    assert section.items == (Piece("persona", "persona: terse"),)


def test_only_what_is_shown_gives_its_labels(memory: Memory) -> None:
    memory.add("semantic", "Snow closes the pass.", Source(labels=("outside:http_call",)))
    memory.add("semantic", "The museum is shut on Mondays.", Source(labels=("outside:web_read",)))
    memory.say("1", "agent", "the page says so", Source(labels=("outside:mcp",)))
    assert recall(memory, MemoryTable(), GOAL).labels == ("outside:http_call", "outside:mcp")
    assert recall(memory, MemoryTable(tokens=0), GOAL).labels == ()
