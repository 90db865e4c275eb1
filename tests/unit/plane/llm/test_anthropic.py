import json
from typing import Any

import pytest

from tests.unit.plane.llm.stand import anthropic_events
from tickwork.plane.errors import ProviderFailed
from tickwork.plane.llm.anthropic import Anthropic
from tickwork.plane.llm.port import Completion, Form, Function, FunctionCall, Manners, Message, Request, Tokens
from tickwork.plane.llm.sse import Sent

WIRE = Anthropic()
HI = Request("m-1", (Message("user", "hi"),), max_tokens=50)
CLOSED = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
OPEN = {"type": "object", "properties": {"a": {"type": "integer"}}}


def sent(request: Request, **manners: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(WIRE.encode(request, Manners(**manners)).body)
    return document


def gathered(events: list[object]) -> Completion:
    gathering = WIRE.gather()
    for event in events:
        gathering.take(Sent("", json.dumps(event)))
    return gathering.end()


def test_a_request_says_what_was_asked_and_nothing_else() -> None:
    outgoing = WIRE.encode(HI, Manners(stream=False))
    assert outgoing.path == "/v1/messages"
    assert dict(outgoing.headers) == {"anthropic-version": "2023-06-01", "content-type": "application/json"}
    assert json.loads(outgoing.body) == {
        "model": "m-1",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_every_wish_has_its_field() -> None:
    request = Request(
        "m", (Message("user", "a"), Message("assistant", "b"), Message("user", "c")), "be brief", 9, 0.5, 1, ("END",),
        functions=(Function("look", "Look it up.", OPEN),),
    )  # fmt: skip
    body = sent(request)
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert (body["system"], body["temperature"], body["stop_sequences"], body["stream"]) == (
        "be brief",
        0.5,
        ["END"],
        True,
    )
    assert body["tools"] == [{"name": "look", "description": "Look it up.", "input_schema": OPEN}]


def test_a_closed_schema_goes_out_as_the_format_of_the_output() -> None:
    body = sent(Request("m", HI.messages, form=Form("plan", CLOSED)))
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": CLOSED}}
    assert "tools" not in body


@pytest.mark.parametrize(("schema", "manner"), [(OPEN, "schema"), (CLOSED, "function")])
def test_any_other_schema_goes_out_as_a_function_that_must_be_called(schema: dict[str, Any], manner: str) -> None:
    body = sent(Request("m", HI.messages, form=Form("plan", schema)), form=manner)
    assert body["tools"][0]["input_schema"] == schema
    assert body["tool_choice"] == {"type": "tool", "name": "plan", "disable_parallel_tool_use": True}


def test_by_the_prompt_alone_nothing_is_said_of_a_schema() -> None:
    assert set(sent(Request("m", HI.messages, form=Form("plan", OPEN)), form="text")) == set(sent(HI))


def test_tokens_of_the_cache_are_tokens_of_the_prompt() -> None:
    usage = {"input_tokens": 5, "output_tokens": 2, "cache_creation_input_tokens": 30, "cache_read_input_tokens": 100}
    body: dict[str, Any] = {
        "content": [{"type": "text", "text": "x"}],
        "stop_reason": "end_turn",
        "usage": usage,
        "model": "m-1",
    }
    assert WIRE.whole(json.dumps(body).encode()).tokens == Tokens(135, 2, 100, 30, counted=True)


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": 1}, {"input_tokens": -5, "output_tokens": 2}])
def test_a_usage_that_counts_nothing_is_no_count(usage: object) -> None:
    body: dict[str, Any] = {"content": [], "stop_reason": "end_turn", "usage": usage}
    assert not WIRE.whole(json.dumps(body).encode()).tokens.counted


def test_what_a_model_thinks_is_no_part_of_what_it_says() -> None:
    body: dict[str, Any] = {
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "x"}],
        "stop_reason": "end_turn",
    }
    assert WIRE.whole(json.dumps(body).encode()).text == "x"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("refusal", "refusal"),
        ("tool_use", "calls"),
        ("new", "other"),
    ],
)
def test_an_end_has_one_of_five_names(reason: str, finish: str) -> None:
    assert gathered(anthropic_events("x", stop=reason)).finish == finish


def test_a_stream_is_the_answer_in_one_piece() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "look", "input": {"q": "weather in Oslo"}}
    said = gathered(anthropic_events("one two three", call, stop="tool_use"))
    assert said.text == "one two three"
    assert said.calls == (FunctionCall("t1", "look", '{"q": "weather in Oslo"}'),)
    assert said.tokens == Tokens(12, 7, counted=True)


def test_events_and_deltas_of_kinds_to_come_are_left_out() -> None:
    events = anthropic_events("x")
    events[3:3] = [{"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}}]
    events[1:1] = [{"type": "telemetry", "n": 1}]
    assert gathered(events).text == "x"


@pytest.mark.parametrize("left", range(1, 7))
def test_a_stream_that_ends_early_is_no_answer(left: int) -> None:
    events = anthropic_events("x")
    with pytest.raises(ProviderFailed, match="cut off") as caught:
        gathered(events[: len(events) - left])
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("kind", "retryable"), [("overloaded_error", True), ("api_error", True), ("invalid_request_error", False)]
)
def test_a_failure_in_the_middle_says_whether_to_try_again(kind: str, retryable: bool) -> None:
    event = {"type": "error", "error": {"type": kind, "message": "Overloaded"}}
    with pytest.raises(ProviderFailed, match=kind) as caught:
        gathered([*anthropic_events("x")[:3], event])
    assert caught.value.retryable is retryable


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}],
        [{"type": "content_block_stop", "index": 3}],
        [{"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}] * 2,
        [{"type": "message_start", "message": {"content": "text"}}],
        [{"kind": "message_start"}],
        ["message_start"],
    ],
)
def test_events_in_no_order_are_no_answer(events: list[object]) -> None:
    with pytest.raises(ProviderFailed, match="cannot be read"):
        gathered(events)


def test_two_calls_with_one_id_are_no_answer() -> None:
    block: dict[str, Any] = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
    with pytest.raises(ProviderFailed, match="cannot be read") as caught:
        WIRE.whole(json.dumps({"content": [block, block], "stop_reason": "tool_use"}).encode())
    assert "same id: t1, t1" in caught.value.why
    with pytest.raises(ProviderFailed, match="cannot be read"):
        gathered(anthropic_events(block, block, stop="tool_use"))


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[1]", b"{", b'{"content":"x"}', b"[" * 100_000, b'{"content":[{"type":7}]}', b"\xff{}"]
)
def test_garbage_is_no_answer(body: bytes) -> None:
    with pytest.raises(ProviderFailed, match="cannot be read") as caught:
        WIRE.whole(body)
    assert len(caught.value.why) <= 300
    assert caught.value.retryable
