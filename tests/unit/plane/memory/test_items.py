"""What is remembered, as rows."""

import pytest

from tickwork.infer.embeddings import HashedNgrams
from tickwork.plane.errors import SkillInputInvalid
from tickwork.plane.memory.items import MAX_TEXT_BYTES, Memory, Source
from tickwork.plane.memory.search import search


def _other(memory: Memory, profile: str) -> Memory:
    return Memory(memory.store, memory.clock, memory.embedder, profile=profile)


def test_a_text_is_remembered_once(memory: Memory) -> None:
    first = memory.add("semantic", " Snow closes the pass. ", Source("r_1", "read", ("outside:http_call",)))
    assert memory.add("semantic", "Snow closes the pass.") == first
    assert (first.text, first.labels, first.run_id) == ("Snow closes the pass.", ("outside:http_call",), "r_1")
    assert memory.add("episodic", "Snow closes the pass.").id != first.id
    assert [item.kind for item in memory.items()] == ["episodic", "semantic"]
    assert [item.kind for item in memory.items("semantic")] == ["semantic"]


def test_ids_follow_from_what_is_remembered(memory: Memory) -> None:
    item = memory.add("semantic", "Snow closes the pass.")
    assert memory.forget(item.id)
    assert memory.add("semantic", "Snow closes the pass.").id == item.id


def test_what_is_forgotten_is_found_no_more(memory: Memory) -> None:
    item = memory.add("semantic", "Snow closes the pass.")
    assert memory.forget(item.id)
    assert not memory.forget(item.id)
    assert (memory.items(), search(memory, "snow")) == ([], [])


def test_an_item_can_take_the_place_of_another(memory: Memory) -> None:
    old = memory.add("semantic", "The pass is closed in winter.")
    new = memory.add("semantic", "The pass is open all year since the tunnel.", replaces=old.id)
    assert [item.id for item in memory.items()] == [new.id]
    assert [hit.item.id for hit in search(memory, "is the pass open or closed in winter?")] == [new.id]
    with pytest.raises(SkillInputInvalid, match="no item"):
        memory.add("semantic", "third", replaces="ghost")
    assert len(memory.items()) == 1


def test_profiles_do_not_share_their_memory(memory: Memory) -> None:
    item = memory.add("semantic", "Snow closes the pass.")
    memory.set_block("persona", "terse")
    memory.say("1", "user", "hello")
    other = _other(memory, "analyst")
    assert (other.items(), other.blocks(), other.turns(), search(other, "snow pass")) == ([], [], [], [])
    assert not other.forget(item.id)
    assert other.add("semantic", "Snow closes the pass.").id != item.id


def test_what_was_replaced_can_hold_again(memory: Memory) -> None:
    old = memory.add("semantic", "The pass is closed in winter.")
    new = memory.add("semantic", "The pass is open all year.", replaces=old.id)
    assert memory.add("semantic", "The pass is closed in winter.", replaces=new.id) == old
    assert [item.id for item in memory.items()] == [old.id]


@pytest.mark.parametrize("text", ["", "  \n", "a\0b", "\ud800", "x" * (MAX_TEXT_BYTES + 1)])
def test_what_is_no_text_is_not_remembered(memory: Memory, text: str) -> None:
    with pytest.raises(SkillInputInvalid, match="cannot be remembered"):
        memory.add("semantic", text)
    assert memory.items() == []


@pytest.mark.parametrize("importance", [-1, 101])
def test_importance_has_bounds(memory: Memory, importance: int) -> None:
    with pytest.raises(SkillInputInvalid, match="importance"):
        memory.add("semantic", "text", importance=importance)


def test_a_block_has_a_limit_and_counts_its_versions(memory: Memory) -> None:
    assert memory.set_block("persona", "terse").version == 1
    assert memory.set_block("persona", "terse").version == 1
    assert memory.set_block("persona", "terse, with sources").version == 2
    with pytest.raises(SkillInputInvalid, match="4,097 bytes"):
        memory.set_block("persona", "x" * 4097)
    assert memory.set_block("persona", "x" * 4097, limit=5000).limit == 5000
    assert memory.set_block("persona", "y" * 4999).limit == 5000
    with pytest.raises(SkillInputInvalid):
        memory.set_block("persona", "", limit=1 << 20)
    for text in ("\ud800", "a\0b"):
        with pytest.raises(SkillInputInvalid, match="no text"):
            memory.set_block("persona", text)
    memory.set_block("house", "rules")
    assert [block.label for block in memory.blocks()] == ["house", "persona"]
    assert memory.drop_block("house")
    assert not memory.drop_block("house")


@pytest.mark.parametrize("label", ["", "a b", "a/b", "ä", "x" * 65])
def test_a_block_has_a_plain_name(memory: Memory, label: str) -> None:
    with pytest.raises(SkillInputInvalid, match="no name"):
        memory.set_block(label, "text")


def test_what_was_said_is_kept_in_order_and_once(memory: Memory) -> None:
    for key, role, text in (("1", "user", "hello"), ("2", "agent", "hi"), ("1", "user", "hello again")):
        memory.say(key, role, text)
    memory.say("3", "user", "elsewhere", thread="other")
    assert [(turn.role, turn.text) for turn in memory.turns()] == [("user", "hello"), ("agent", "hi")]
    assert [turn.text for turn in memory.turns(most=1)] == ["hi"]
    assert [turn.text for turn in memory.turns(thread="other")] == ["elsewhere"]


def test_vectors_of_another_embedder_are_not_compared_until_they_are_made_anew(memory: Memory) -> None:
    item = memory.add("semantic", "Snowstorms closed mountain roads.")
    wider = Memory(memory.store, memory.clock, HashedNgrams(64))
    assert [hit.by_meaning for hit in search(wider, "mountain roads closed snowstorms")] == [0]
    assert wider.reindex() == 1
    assert wider.reindex() == 0
    hits = search(wider, "mountain roads closed snowstorms")
    assert [(hit.item.id, hit.by_meaning) for hit in hits] == [(item.id, 1)]
