import json
from typing import Any

import pytest

from tests.unit.plane.llm.stand import function, openai_events, openai_whole
from tickwork.plane.errors import ProviderFailed
from tickwork.plane.llm.openai import DONE, OpenAI
from tickwork.plane.llm.port import Completion, Form, Function, FunctionCall, Manners, Message, Request, Tokens
from tickwork.plane.llm.sse import Sent

WIRE = OpenAI()
HI = Request("m-1", (Message("user", "hi"),), max_tokens=50)
CLOSED = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
OPEN = {"type": "object", "properties": {"a": {"type": "integer"}}}


def sent(request: Request, **manners: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(WIRE.encode(request, Manners(**manners)).body)
    return document


def gathered(events: list[object]) -> Completion:
    gathering = WIRE.gather()
    for event in events:
        gathering.take(Sent("", DONE if isinstance(event, bytes) else json.dumps(event)))
    return gathering.end()


def whole(text: str | None, **fields: Any) -> Completion:
    return WIRE.whole(openai_whole(text, **fields).chunks[0])


def test_a_request_says_what_was_asked_and_nothing_else() -> None:
    outgoing = WIRE.encode(HI, Manners(stream=False))
    assert outgoing.path == "/chat/completions"
    assert json.loads(outgoing.body) == {
        "model": "m-1",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_every_wish_has_its_field() -> None:
    request = Request("m", HI.messages, "be brief", 9, 0.5, 1, ("END",), functions=(Function("look", "See.", OPEN),))
    body = sent(request, limit="max_completion_tokens")
    assert body["messages"][0] == {"role": "system", "content": "be brief"}
    assert (body["temperature"], body["seed"], body["stop"], body["max_completion_tokens"]) == (0.5, 1, ["END"], 9)
    assert body["stream_options"] == {"include_usage": True}
    assert body["tools"][0]["function"] == {"name": "look", "description": "See.", "parameters": OPEN}


@pytest.mark.parametrize(("schema", "strict"), [(CLOSED, True), (OPEN, False)])
def test_a_schema_goes_out_as_strict_as_it_is(schema: dict[str, Any], strict: bool) -> None:
    body = sent(Request("m", HI.messages, form=Form("plan", schema)))
    shape = {"name": "plan", "schema": schema, "strict": strict}
    assert body["response_format"] == {"type": "json_schema", "json_schema": shape}


def test_servers_that_know_less_are_asked_in_their_manner() -> None:
    request = Request("m", HI.messages, form=Form("plan", OPEN))
    assert sent(request, form="json")["response_format"] == {"type": "json_object"}
    assert set(sent(request, form="text")) == set(sent(HI))
    asked = sent(request, form="function")
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "plan"}}
    assert asked["tools"][0]["function"]["parameters"] == OPEN


def test_an_answer_is_its_first_choice() -> None:
    said = whole("hello")
    assert said == Completion("hello", "stop", (), Tokens(12, 7, 4, counted=True), "m-1")


def test_a_refusal_is_what_it_says() -> None:
    assert whole(None, refusal="I cannot").finish == "refusal"
    assert whole(None, refusal="I cannot").text == "I cannot"
    assert whole("", finish="content_filter").finish == "refusal"


def test_calls_that_end_as_texts_do_are_calls() -> None:
    said = whole(None, calls=[function("look", {"q": 1})], finish="stop")
    assert (said.finish, said.calls) == ("calls", (FunctionCall("f1", "look", '{"q": 1}'),))


def test_a_stream_is_the_answer_in_one_piece() -> None:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, {"content": "hel"}, {"content": "lo"}]
    said = gathered(openai_events(*deltas))
    assert said == Completion("hello", "stop", (), Tokens(12, 7, counted=True), "m-1")


def test_calls_come_in_pieces_by_their_place() -> None:
    deltas: list[dict[str, Any]] = [
        {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": ""}}]},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "keep", "arguments": "{"}}]},
        {"tool_calls": [{"index": 0, "id": "a", "function": {"arguments": '{"q":1}'}}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "}"}}]},
    ]
    said = gathered(openai_events(*deltas, finish="tool_calls"))
    assert said.calls == (FunctionCall("a", "look", '{"q":1}'), FunctionCall("b", "keep", "{}"))


def test_a_stream_without_its_last_mark_or_usage_is_an_answer_nobody_counted() -> None:
    said = gathered(openai_events({"content": "x"}, usage=False)[:-1])
    assert (said.text, said.tokens.counted) == ("x", False)


def test_a_refusal_comes_in_pieces_too() -> None:
    said = gathered(openai_events({"refusal": "I can"}, {"refusal": "not"}))
    assert (said.finish, said.text) == ("refusal", "I cannot")


def test_a_stream_that_ends_early_is_no_answer() -> None:
    with pytest.raises(ProviderFailed, match="cut off"):
        gathered(openai_events({"content": "x"}, finish=None))


@pytest.mark.parametrize("error", [{"message": "boom", "type": "server_error"}, {"message": None}, "boom"])
def test_a_failure_in_the_middle_is_a_failure(error: object) -> None:
    with pytest.raises(ProviderFailed, match="gave up"):
        gathered([openai_events({"content": "x"})[0], {"error": error}])


@pytest.mark.parametrize(
    "calls",
    [
        [{"index": 0, "id": "a", "function": {"name": "x"}}, {"index": 1, "id": "a", "function": {"name": "y"}}],
        [{"index": 0, "id": "a"}, {"index": 0, "id": "b"}],
        [{"index": -1, "id": "a"}],
        [{"index": 1 << 30, "id": "a"}],
    ],
)
def test_calls_that_cannot_be_told_apart_are_no_answer(calls: list[dict[str, Any]]) -> None:
    with pytest.raises(ProviderFailed, match="cannot be read"):
        gathered(openai_events({"tool_calls": calls}, finish="tool_calls"))


def test_two_calls_with_one_id_are_no_answer() -> None:
    with pytest.raises(ProviderFailed, match="cannot be read"):
        whole(None, calls=[function("look", 1), function("keep", 2)], finish="tool_calls")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[{"index":0}]}', b"<html>", b"[" * 99_999]
)
def test_garbage_is_no_answer(body: bytes) -> None:
    with pytest.raises(ProviderFailed, match="cannot be read"):
        WIRE.whole(body)


def test_an_answer_that_does_not_end_is_cut() -> None:
    with pytest.raises(ProviderFailed, match="cut off"):
        WIRE.whole(b'{"choices":[{"index":0,"message":{"content":"x"},"finish_reason":null}]}')


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": 1}, {"prompt_tokens": 1, "completion_tokens": -1}])
def test_a_usage_that_counts_nothing_is_no_count(usage: object) -> None:
    assert not whole("x", usage=usage).tokens.counted
