import json
import socket
from typing import Any

import msgspec
import pytest

from tests.unit.plane.llm.stand import (
    KEY,
    Answer,
    Stand,
    account,
    anthropic_events,
    anthropic_whole,
    client_for,
    failing,
    openai_events,
    openai_whole,
    settings_for,
    streamed,
    whole,
)
from tickwork.clock import SystemClock
from tickwork.plane.errors import AddressRefused, ProviderFailed, SkillRefused
from tickwork.plane.llm.client import MAX_ANSWER_BYTES, Client
from tickwork.plane.llm.port import Account, Form, Message, Request
from tickwork.plane.secrets import SecretBox

HI = Request("m", (Message("user", "hi"),), max_tokens=100)
USUAL_BOUND = 100 * 15
"""What 100 tokens of an answer cost at $15 for a million. Units: micro-dollars."""


ANTHROPIC = ("anthropic", "/v1/messages", ("x-api-key", KEY))
OPENAI = ("openai", "/v1/chat/completions", ("authorization", f"Bearer {KEY}"))


@pytest.mark.parametrize(
    ("provider", "answer"),
    [
        (ANTHROPIC, streamed(anthropic_events("hello"))),
        (ANTHROPIC, anthropic_whole("hello")),
        (OPENAI, streamed(openai_events({"content": "hello"}))),
        (OPENAI, openai_whole("hello")),
    ],
)
def test_a_model_is_asked_with_its_key_and_answers(provider: tuple[str, str, tuple[str, str]], answer: Answer) -> None:
    kind, path, header = provider
    with Stand(answer) as stand:
        used = account()
        said = client_for(stand, kind).complete(HI, used)
        assert (said.text, said.finish, said.model) == ("hello", "stop", "m-1")
        assert (stand.heard[0].path, stand.heard[0].headers[header[0]]) == (path, header[1])
        assert stand.heard[0].body["model"] == "m-1"
    assert (used.usage.tokens_in, used.usage.tokens_out, used.usage.requests) == (12, 7, 1)
    assert used.usage.cost_micros == 12 * 3 + 7 * 15
    assert (used.usage.model, used.usage.prices) == ("m-1", "settings")


SPELT = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
"""The key, as no reader of bytes would know it."""


@pytest.mark.parametrize(
    "answer",
    [
        streamed(openai_events({"content": f"it is {KEY[:9]}"}, {"content": KEY[9:]})),
        whole(
            json.dumps({"choices": [{"message": {"content": "it is KEY"}, "finish_reason": "stop"}]})
            .replace("KEY", SPELT)
            .encode()
        ),
        streamed([{"error": {"message": f"it is {KEY}", "type": "x"}}]),
    ],
    ids=["in pieces", "with escapes", "in a fault"],
)
def test_a_key_that_comes_back_is_not_kept_however_it_is_spelt(answer: Answer) -> None:
    with Stand(answer) as stand:
        used, told = account(), ""
        try:
            told = client_for(stand, "openai", retries=0).complete(HI, used).text
        except ProviderFailed as error:
            told = str(error)
    assert "it is secret:" in told
    assert KEY not in told
    assert KEY.encode() not in used.transcript()


def test_a_transcript_is_what_was_sent_and_said_without_the_key() -> None:
    with Stand(failing(529, "overloaded_error", f"no, {KEY}"), anthropic_whole("hello")) as stand:
        used = account()
        client_for(stand).complete(HI, used)
        sent = [heard.body for heard in stand.heard]
    document = json.loads(used.transcript())
    assert [exchange["request"] for exchange in document["exchanges"]] == sent
    assert [exchange["status"] for exchange in document["exchanges"]] == [529, 200]
    assert "overloaded" in document["exchanges"][0]["failure"]
    assert KEY.encode() not in used.transcript()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
def test_what_nobody_bills_for_is_asked_again_after_a_pause(status: int) -> None:
    pauses = list[float]()
    with Stand(failing(status, retry_after="2"), failing(status), anthropic_whole("hello")) as stand:
        used = account()
        assert client_for(stand, pauses=pauses).complete(HI, used).text == "hello"
        assert len(stand.heard) == 3
    assert pauses == [2.0, 1.0]
    assert used.usage.requests == 1


def test_patience_ends_with_the_attempts() -> None:
    with Stand(failing(500)) as stand:
        used = account()
        with pytest.raises(ProviderFailed, match="500") as caught:
            client_for(stand).complete(HI, used)
        assert len(stand.heard) == 3
    assert caught.value.retryable
    assert used.usage.cost_micros == 0


def test_a_long_pause_is_left_to_whoever_plans() -> None:
    pauses = list[float]()
    with Stand(failing(429, "rate_limit_error", retry_after="60")) as stand:
        with pytest.raises(ProviderFailed) as caught:
            client_for(stand, pauses=pauses).complete(HI, account())
        assert len(stand.heard) == 1
    assert (caught.value.retryable, caught.value.retry_after_ms, pauses) == (True, 60_000, [])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_what_will_not_get_better_is_not_asked_again(status: int) -> None:
    with Stand(failing(status, "authentication_error", f"invalid x-api-key {KEY}")) as stand:
        with pytest.raises(ProviderFailed) as caught:
            client_for(stand).complete(HI, account())
        assert len(stand.heard) == 1
    assert not caught.value.retryable
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        streamed(anthropic_events("hello")[:4], cut=True),
        streamed(anthropic_events("hello")[:4]),
        streamed([*anthropic_events("hello")[:3], {"type": "error", "error": {"type": "overloaded_error"}}]),
        streamed([b"data: {garbage\n\n"]),
        streamed([b"data: " + b"x" * 100_000] * 11),
        whole(b'{"content":[{"type":"text","tex'),
        whole(b'{"content":', cut=True),
        whole({"content": "text"}),
        whole(b"<html>busy</html>", headers=(("content-type", "text/html"),)),
        whole({"content": []}, headers=(("content-type", "text/plain"),)),
        whole(b" " * (MAX_ANSWER_BYTES + 10)),
        whole({"content": []}, headers=()),
        Answer(silent=True),
    ],
    ids=[
        "cut",
        "ended",
        "told",
        "garbage",
        "line",
        "half",
        "body-cut",
        "shape",
        "html",
        "text",
        "huge",
        "none",
        "mute",
    ],
)
def test_a_broken_answer_is_asked_once_and_charged_at_its_bound(answer: Answer) -> None:
    with Stand(answer) as stand:
        used = account()
        with pytest.raises(ProviderFailed) as caught:
            client_for(stand).complete(HI, used)
        assert len(stand.heard) == 1
    assert caught.value.retryable
    assert used.usage.requests == 1
    bound = client_for(stand).bound(HI).micros
    assert bound is not None
    assert used.usage.cost_micros == bound > USUAL_BOUND
    assert len(used.exchanges[0].failure) <= 300


def test_an_answer_that_nobody_counted_is_charged_at_its_bound() -> None:
    with Stand(openai_whole("hello", usage=None)) as stand:
        used = account()
        client = client_for(stand, "openai")
        client.complete(HI, used)
        assert (used.usage.cost_micros, used.usage.prices) == (client.bound(HI).micros, "settings, estimated")


def test_a_streamed_answer_ends_where_it_is_too_long() -> None:
    deltas = [{"content": "x" * 200_000}] * 6
    with Stand(streamed(openai_events(*deltas))) as stand, pytest.raises(ProviderFailed) as caught:
        client_for(stand, "openai").complete(HI, account())
    assert "longer than" in caught.value.why


def test_nobody_there_is_asked_again_and_costs_nothing() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        stand = Stand(openai_whole("x"))
        with stand:
            settings = settings_for(stand, base_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        pauses, used = list[float](), account()
        with pytest.raises(ProviderFailed, match="cannot be reached"):
            Client(settings, SystemClock(), pause=pauses.append).complete(HI, used)
    assert (len(pauses), used.usage.requests) == (2, 0)


def test_a_deadline_that_has_passed_sends_nothing() -> None:
    with Stand(anthropic_whole("x")) as stand:
        used = Account(SecretBox({"KEY": KEY}), deadline_ns=1)
        with pytest.raises(ProviderFailed, match="no time left"):
            client_for(stand).complete(HI, used)
        assert stand.heard == []


@pytest.mark.parametrize(
    "answer",
    [
        msgspec.structs.replace(streamed(anthropic_events("hello")[:4]), hangs=True),
        Answer(chunks=(b'{"content":',), hangs=True),
        Answer(429, chunks=(b'{"error":',), hangs=True),
    ],
    ids=["stream", "body", "failure"],
)
def test_an_answer_that_never_ends_is_given_up_at_its_time(answer: Answer) -> None:
    with Stand(answer) as stand:
        used = account()
        with pytest.raises(ProviderFailed) as caught:
            client_for(stand, timeout="50ms").complete(HI, used)
        assert len(stand.heard) == 1
    assert caught.value.retryable
    assert (used.usage.cost_micros > 0) is (answer.status == 200)


def test_a_machine_that_was_not_granted_is_not_reached() -> None:
    with Stand(anthropic_whole("x")) as stand:
        with pytest.raises(AddressRefused):
            client_for(stand, loopback=False).complete(HI, account())
        assert stand.heard == []


def test_a_redirection_is_not_followed_with_the_key() -> None:
    moved = Answer(307, (("location", "http://127.0.0.1:1/v1/messages"),))
    with Stand(moved) as stand:
        with pytest.raises(ProviderFailed, match="307"):
            client_for(stand).complete(HI, account())
        assert len(stand.heard) == 1


def test_a_key_that_is_not_there_is_named() -> None:
    with Stand(anthropic_whole("x")) as stand:
        with pytest.raises(SkillRefused, match="KEY"):
            client_for(stand).complete(HI, Account(SecretBox({})))
        assert stand.heard == []


def test_a_form_comes_as_text_in_whatever_way_it_was_asked_for() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "answer", "input": {"a": 1}}
    request = msgspec.structs.replace(HI, form=Form("answer", {"type": "object"}))
    with Stand(streamed(anthropic_events(call, stop="tool_use"))) as stand:
        said = client_for(stand).complete(request, account())
    assert (said.text, said.finish, said.calls) == ('{"a": 1}', "stop", ())


def test_a_server_that_does_not_stream_may_answer_in_one_piece() -> None:
    with Stand(openai_whole("hello")) as stand:
        assert client_for(stand, "openai", stream=True).complete(HI, account()).text == "hello"
        assert stand.heard[0].body["stream"] is True


def test_a_model_that_nobody_named_is_the_default() -> None:
    with Stand(anthropic_whole("x")) as stand:
        request: Any = msgspec.structs.replace(HI, model="")
        assert client_for(stand).complete(request, account()).text == "x"
        with pytest.raises(ProviderFailed, match="called n"):
            client_for(stand).complete(msgspec.structs.replace(HI, model="n"), account())
