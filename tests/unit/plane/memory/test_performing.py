"""The performers of what a plan's run asks of memory."""

import msgspec

from tickwork import codec
from tickwork.kinds import EffectClass
from tickwork.plane.calls import Answer, KeepRequest, RecallRequest, SkillCall
from tickwork.plane.compiled import KEEP, RECALL
from tickwork.plane.memory.items import Memory, Source
from tickwork.plane.memory.performing import SUMMARY_BYTES, memory_performers
from tickwork.plane.profile import MemoryTable
from tickwork.records import Effect, Encoding, Result


def _effect(skill: str, request: msgspec.Struct | bytes, number: int = 5, labels: tuple[str, ...] = ()) -> Effect:
    params = request if isinstance(request, bytes) else msgspec.json.encode(request)
    call = SkillCall(number, "", "system", 1, skill, params, labels)
    return Effect(9, 1, 0, skill, EffectClass.IDEMPOTENT, bytes(31) + b"k", Encoding.MSGPACK, codec.encode(call))


def _answer(memory: Memory, effect: Effect) -> Answer:
    result = memory_performers(memory, MemoryTable(), "r_1")[effect.skill].perform(effect)
    assert isinstance(result, Result)
    assert (result.number, result.code, result.encoding) == (9, 0, Encoding.MSGPACK)
    return msgspec.msgpack.decode(result.body, type=Answer)


def test_a_goal_gets_its_context_by_section_with_the_labels_of_what_is_in_it(memory: Memory) -> None:
    memory.set_block("persona", "terse")
    item = memory.add("semantic", "Snow closes the pass.", Source(labels=("outside:http_call",)))
    effect = _effect(RECALL, RecallRequest("Is there snow on the pass?"), labels=("outside:signal",))
    answer = _answer(memory, effect)
    sections = msgspec.json.decode(answer.output)["sections"]
    assert [section["name"] for section in sections] == ["blocks", "semantic", "episodic", "history", "summaries"]
    assert sections[1] == {
        "name": "semantic",
        "items": [{"id": item.id, "text": item.text}],
        "bytes": 21,
        "of": 1800,
        "left_out": 0,
    }
    assert (answer.number, answer.labels) == (5, ("outside:http_call", "outside:signal"))
    assert _answer(memory, effect) == answer


def test_a_profile_that_does_not_read_its_memory_is_shown_nothing_of_it(memory: Memory) -> None:
    memory.set_block("persona", "terse")
    performer = memory_performers(memory, MemoryTable(recall=False), "r_1")[RECALL]
    result = performer.perform(_effect(RECALL, RecallRequest("anything")))
    assert isinstance(result, Result)
    assert msgspec.msgpack.decode(result.body, type=Answer) == Answer(5, b'{"sections":[]}')


def test_a_summary_is_kept_once_and_what_was_said_with_it(memory: Memory) -> None:
    effect = _effect(KEEP, KeepRequest("Is there snow?", "succeeded", "yes, 12 cm"), labels=("outside:sql_query",))
    for _ in range(2):
        assert _answer(memory, effect) == Answer(5)
    (item,) = memory.items()
    assert (item.kind, item.text, item.run_id) == ("summary", "Is there snow?\nsucceeded: yes, 12 cm", "r_1")
    assert item.labels == ("outside:sql_query",)
    assert [(turn.role, turn.text, turn.labels) for turn in memory.turns()] == [
        ("user", "Is there snow?", ()),
        ("agent", "succeeded: yes, 12 cm", ("outside:sql_query",)),
    ]


def test_what_one_run_keeps_the_next_recalls(memory: Memory) -> None:
    _answer(memory, _effect(KEEP, KeepRequest("Is there snow on the pass?", "succeeded", "12 cm in the morning")))
    answer = _answer(memory, _effect(RECALL, RecallRequest("How much snow was on the pass?")))
    texts = {
        section["name"]: [piece["text"] for piece in section["items"]]
        for section in msgspec.json.decode(answer.output)["sections"]
    }
    assert texts["summaries"] == ["Is there snow on the pass?\nsucceeded: 12 cm in the morning"]
    assert texts["history"] == ["user: Is there snow on the pass?", "agent: succeeded: 12 cm in the morning"]


def test_a_run_without_a_goal_and_summary_leaves_nothing(memory: Memory) -> None:
    assert _answer(memory, _effect(KEEP, KeepRequest("", "succeeded", " \n"))) == Answer(5)
    assert (memory.items(), memory.turns()) == ([], [])


def test_a_long_summary_is_cut_at_a_character(memory: Memory) -> None:
    _answer(memory, _effect(KEEP, KeepRequest("goal", "failed", "ä\0" * 100_000)))
    (item,) = memory.items()
    assert SUMMARY_BYTES < len(item.text.encode()) <= SUMMARY_BYTES + 20
    assert item.text.endswith("ä")


def test_a_request_that_is_none_fails_the_call_and_not_the_run(memory: Memory) -> None:
    for params in (b"{}", b"[1]", b"nonsense"):
        failure = _answer(memory, _effect(RECALL, params)).failure
        assert failure is not None
        assert (failure.code, failure.retryable) == ("TW7006", False)


def test_a_store_that_is_gone_fails_the_call_and_not_the_run(memory: Memory) -> None:
    memory.store.close()
    failure = _answer(memory, _effect(KEEP, KeepRequest("goal", "succeeded", "done"))).failure
    assert failure is not None
    assert failure.code.startswith("TW")
