import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.infer.askers import FakeAsker, keep_model
from tickwork.clock import SteppedClock
from tickwork.errors import ModelInputInvalid, ModelRunFailed, ModelTimeout
from tickwork.infer.asking import Reply
from tickwork.infer.face import EVENTS, Answer, Call, Face, Terms
from tickwork.infer.manifest import LLM, ModelConfig
from tickwork.infer.openai import read_completion
from tickwork.infer.prompts import INPUTS, OUTPUTS, Message, Prompt, Said, read_prompt, write_said
from tickwork.infer.store import ModelStore
from tickwork.records import Encoding, Refusal

SCHEMA = {"type": "object", "properties": {"goal": {"type": "string"}}}
SAID = Said('{"goal":"' + "x" * 100 + '"}', "stop", 7, 111)


class Stand:
    """A store with a language model that says one thing, and one that is no language model."""

    def __init__(self, folder: Path) -> None:
        store = ModelStore(folder / "store")
        tiny = ModelConfig(
            name="tiny", version="1", kind=LLM, entry="genai_config.json", inputs=INPUTS, outputs=OUTPUTS
        )
        digest = keep_model(store, folder, tiny)
        keep_model(store, folder, ModelConfig(name="numbers", version="1", entry="m.onnx"))
        self.prompts = list[Prompt]()
        self.reply: Reply | None = None
        self.face = Face(store, FakeAsker(store, {digest: self._say}), SteppedClock(), Terms())

    def _say(self, body: bytes, encoding: int) -> bytes | Reply:
        self.prompts.append(read_prompt(body, encoding))
        return self.reply or write_said(SAID, encoding)

    def ask(self, name: str, body: dict[str, Any]) -> Answer:
        return self.face.answer(name, Call(body=json.dumps(body).encode()))


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(tmp_path)


def prompt_of(*, chat: bool = True, **fields: object) -> Prompt:
    given = {"messages": [{"role": "user", "content": "hi"}]} if chat else {"prompt": "hi"}
    return read_completion(json.dumps({"model": "tiny", **given, **fields}).encode(), chat=chat).prompt


def test_a_conversation_is_answered_as_the_clients_of_openai_read_it(stand: Stand) -> None:
    answer = stand.ask("chat", {"model": "tiny", "messages": [{"role": "user", "content": "plan"}]})
    document = json.loads(answer.body)
    assert (answer.status, document["object"], document["model"]) == (200, "chat.completion", "tiny")
    (choice,) = document["choices"]
    assert choice["message"] == {"role": "assistant", "content": SAID.text, "refusal": None}
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert document["usage"] == {"prompt_tokens": 7, "completion_tokens": 111, "total_tokens": 118}
    assert document["id"].startswith("chatcmpl-")
    assert len(document["system_fingerprint"]) == 16


def test_a_text_is_gone_on_with(stand: Stand) -> None:
    document = json.loads(stand.ask("complete", {"model": "tiny:1", "prompt": "Once"}).body)
    assert (document["object"], document["choices"][0]["text"]) == ("text_completion", SAID.text)
    assert stand.prompts == [Prompt(prompt="Once")]


@pytest.mark.parametrize(("name", "chat"), [("chat", True), ("complete", False)])
def test_the_pieces_of_a_stream_are_the_answer(stand: Stand, name: str, chat: bool) -> None:
    given: dict[str, Any] = {"messages": [{"role": "user", "content": "plan"}]} if chat else {"prompt": "Once"}
    answer = stand.ask(name, {"model": "tiny", "stream": True, "stream_options": {"include_usage": True}, **given})
    assert answer.kind == EVENTS
    lines = answer.body.decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    events = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    choices = [event["choices"][0] for event in events[:-1]]
    pieces = [choice["delta"].get("content", "") if chat else choice["text"] for choice in choices]
    assert "".join(pieces) == SAID.text
    assert len([piece for piece in pieces if piece]) > 1
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert events[-1]["usage"]["completion_tokens"] == 111
    assert len({event["id"] for event in events}) == 1


def test_without_being_told_an_answer_is_greedy() -> None:
    assert prompt_of() == Prompt(messages=(Message("user", "hi"),))
    assert prompt_of(temperature=None, seed=None, stop=None, max_tokens=None) == prompt_of()


def test_what_is_asked_for_reaches_the_model() -> None:
    asked = prompt_of(
        max_completion_tokens=9, max_tokens=5, temperature=0.5, top_p=0.9, seed=3, stop="\n", user="u", n=1, tools=[]
    )
    assert (asked.max_tokens, asked.temperature, asked.top_p, asked.seed, asked.stop) == (9, 0.5, 0.9, 3, ("\n",))
    nothing: dict[str, Any] = {
        "tools": [],
        "tool_choice": "auto",
        "functions": [],
        "function_call": "none",
        "frequency_penalty": 0.0,
    }
    assert prompt_of(**nothing) == prompt_of()
    called: list[dict[str, Any]] = [{"role": "assistant", "content": "a", "tool_calls": []}]
    assert prompt_of(messages=called).messages[0].content == "a"
    assert prompt_of(stop=["a", "b"]).stop == ("a", "b")
    assert prompt_of(chat=False, prompt=["only"]).prompt == "only"


def test_an_answer_is_held_to_the_schema_it_must_fit() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "plan", "strict": True, "schema": SCHEMA}}
    assert prompt_of(response_format=form).schema == SCHEMA
    assert prompt_of(response_format={"type": "json_object"}).schema == {"type": "object"}
    assert prompt_of(response_format={"type": "text"}).schema is None


def test_messages_may_come_in_parts_and_from_developers() -> None:
    messages = [
        {"role": "developer", "content": "be brief", "name": "x"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    assert prompt_of(messages=messages).messages == (Message("system", "be brief"), Message("user", "ab"))


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"tools": [{"type": "function"}]},
        {"tools": {}},
        {"tools": [], "tool_choice": "required"},
        {"functions": [{"name": "f"}]},
        {"messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function"}]}]},
        {"messages": [{"role": "tool", "content": "5", "tool_call_id": "1"}]},
        {"n": True},
        {"logprobs": 0},
        {"logprobs": True},
        {"presence_penalty": 0.5},
        {"logit_bias": {"1": 2}},
        {"surprise": 1},
        {"response_format": {"type": "xml"}},
        {"response_format": {"type": "json_schema"}},
        {"response_format": "json"},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {"messages": [{"content": "x"}]},
        {"messages": "x"},
        {"model": None},
        {"model": 1},
        {"temperature": "hot"},
        {"stream": "yes"},
        {"stop": [1]},
    ],
)
def test_what_is_not_offered_is_refused_and_never_left_out(fields: dict[str, Any]) -> None:
    with pytest.raises(ModelInputInvalid):
        prompt_of(**fields)


DEEP = b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"model": "tiny", "prompt": ["a", "b"]}', DEEP])
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(ModelInputInvalid):
        read_completion(body, chat=False)


def test_only_language_models_are_listed_and_asked(stand: Stand) -> None:
    listed = json.loads(stand.face.answer("language_models", Call()).body)
    assert [entry["id"] for entry in listed["data"]] == ["tiny", "tiny:1"]
    one = stand.face.answer("language_model", Call({"model": "tiny"}))
    assert json.loads(one.body)["id"] == "tiny"
    for model in ("absent", "numbers"):
        answer = stand.ask("complete", {"model": model, "prompt": "x"})
        error = json.loads(answer.body)["error"]
        assert (answer.status, error["code"], error["type"]) == (404, "TW6001", "invalid_request_error")


def test_a_model_that_fails_is_an_error_of_the_server_without_its_words(stand: Stand) -> None:
    told = ModelRunFailed("the language model reported an error", where="/nowhere", why="at 0x7fff")
    stand.reply = Reply(Refusal.FAILED, Encoding.BYTES, b"", error=told)
    answer = stand.ask("complete", {"model": "tiny", "prompt": "x"})
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["type"], error["code"]) == (500, "server_error", "TW6014")
    assert error["message"] == "TW6014: the language model reported an error"


def test_a_model_that_is_late_says_so(stand: Stand) -> None:
    stand.reply = Reply(Refusal.TIMEOUT, Encoding.BYTES, b"late", error=ModelTimeout("late"))
    assert stand.ask("complete", {"model": "tiny", "prompt": "x"}).status == 504
