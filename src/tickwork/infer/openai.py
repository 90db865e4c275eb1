"""Language models in the words of OpenAI's clients, and back: no network, no model.

What a client asks for and a model here cannot do is refused by name, never left out in silence. Whatever is not said
makes an answer that is always the same: the temperature is 0.

A stream holds the pieces of an answer that is complete: an answer is one fact, and is known when all of it is.

Source: the reference of OpenAI's API, chat completions and completions.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import msgspec

from ..errors import ModelInputInvalid
from .prompts import Message, Prompt, Said

PIECE: Final = 48
"""Characters of an answer in one message of a stream."""

IGNORED: Final = frozenset(
    {"user", "metadata", "store", "service_tier", "prompt_cache_key", "safety_identifier", "stream_options"}
)
"""Fields that change no answer."""

NEUTRAL: Final[Mapping[str, tuple[object, ...]]] = {
    "n": (None, 1), "best_of": (None, 1), "presence_penalty": (None, 0), "frequency_penalty": (None, 0),
    "logprobs": (None, False), "top_logprobs": (None, 0), "echo": (None, False), "suffix": (None, ""),
    "tools": (None, []), "tool_choice": (None, "none", "auto"), "parallel_tool_calls": (None, True, False),
    "logit_bias": (None, {}), "modalities": (None, ["text"]), "functions": (None, []),
    "function_call": (None, "none", "auto"),
}  # fmt: skip
"""Fields for what is not offered, and the values with which they ask for nothing."""

_SPOKEN: Final = frozenset({"role", "content", "name"})

_TAKEN: Final = frozenset(
    {"model", "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop", "stream", "prompt"}
    | {"messages", "response_format"}
)
_ROLES: Final = {"developer": "system"}


class Asked(msgspec.Struct, frozen=True):
    """What a client asks.

    Attributes:
        model: Name of the model, as the store finds it.
        chat: Whether it is a conversation.
        usage: Whether a stream ends with the count of tokens.
    """

    model: str
    prompt: Prompt
    chat: bool
    stream: bool = False
    usage: bool = False


class Answered(msgspec.Struct, frozen=True):
    """Who answered, besides the answer.

    Attributes:
        id: Of this answer; nothing else has it.
        created: Units: seconds since 1970.
        fingerprint: Names the numerics that the answer follows from.
    """

    id: str
    created: int
    model: str
    fingerprint: str


def read_completion(body: bytes, *, chat: bool) -> Asked:
    """Return what a client asks.

    Raises:
        ModelInputInvalid: TW6004, it is no such request, or asks for what is not offered.
    """
    try:
        given = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unfit("the body is no request", str(error)) from error
    _refuse(given)
    asked: dict[str, Any] = {
        "stop": _stops(given.get("stop")),
        "max_tokens": _first(given, "max_completion_tokens", "max_tokens"),
        **{name: given.get(name) for name in ("temperature", "top_p", "seed")},
        "schema": _schema(given.get("response_format")),
    }
    asked["messages" if chat else "prompt"] = _messages(given.get("messages")) if chat else _text(given.get("prompt"))
    try:
        prompt = msgspec.convert({name: value for name, value in asked.items() if value is not None}, Prompt)
        model = msgspec.convert(given.get("model"), str)
        stream = msgspec.convert(given.get("stream") or False, bool)
        options = msgspec.convert(given.get("stream_options") or {}, dict[str, bool])
    except msgspec.ValidationError as error:
        raise _unfit("a field of the request is of another type", str(error)) from error
    return Asked(model, prompt, chat, stream, options.get("include_usage", False))


def completion(asked: Asked, said: Said, answered: Answered) -> bytes:
    """Return the answer as JSON."""
    choice: dict[str, object] = {"index": 0, "finish_reason": said.finish, "logprobs": None}
    if asked.chat:
        choice["message"] = {"role": "assistant", "content": said.text, "refusal": None}
    else:
        choice["text"] = said.text
    kind = "chat.completion" if asked.chat else "text_completion"
    return msgspec.json.encode({**_frame(kind, answered), "choices": [choice], "usage": _usage(said)})


def stream(asked: Asked, said: Said, answered: Answered) -> bytes:
    """Return the answer as server-sent events: its pieces, how it ended, and that it has."""
    frame = _frame("chat.completion.chunk" if asked.chat else "text_completion", answered)
    pieces = [said.text[at : at + PIECE] for at in range(0, len(said.text), PIECE)]
    changes = [{"content": piece} for piece in pieces] if asked.chat else pieces
    if asked.chat:
        changes = [{"role": "assistant", "content": ""}, *changes]
    events: list[dict[str, object]] = [{**frame, "choices": [_change(asked, change)]} for change in changes]
    events.append({**frame, "choices": [_change(asked, {} if asked.chat else "", said.finish)]})
    if asked.usage:
        events.append({**frame, "choices": [], "usage": _usage(said)})
    return b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def models(names: Sequence[tuple[str, int]]) -> bytes:
    """Return the list of models as JSON.

    Args:
        names: Each with when it was made, 0 where nobody knows. Units: seconds since 1970.
    """
    entries = [{"id": name, "object": "model", "created": made, "owned_by": "tickwork"} for name, made in names]
    return msgspec.json.encode({"object": "list", "data": entries})


def failure(status: int, text: str, code: str) -> bytes:
    """Return an error as JSON."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return msgspec.json.encode({"error": {"message": text, "type": kind, "param": None, "code": code}})


def _change(asked: Asked, change: object, finish: str | None = None) -> dict[str, object]:
    return {"index": 0, "delta" if asked.chat else "text": change, "finish_reason": finish, "logprobs": None}


def _frame(kind: str, answered: Answered) -> dict[str, object]:
    return {
        "id": answered.id,
        "object": kind,
        "created": answered.created,
        "model": answered.model,
        "system_fingerprint": answered.fingerprint,
    }


def _usage(said: Said) -> dict[str, int]:
    return {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": said.tokens,
        "total_tokens": said.prompt_tokens + said.tokens,
    }


def _refuse(given: Mapping[str, Any]) -> None:
    for name in sorted(given.keys() - _TAKEN - IGNORED):
        if name not in NEUTRAL:
            raise _unfit(f"the request has a field {name}", "nothing here knows it")
        if not any(_same(given[name], nothing) for nothing in NEUTRAL[name]):
            raise _unfit(f"the request asks for {name}", "it is not offered here")


def _same(one: object, other: object) -> bool:
    """Return whether two values are the same in JSON, where true is not 1 and 0 is 0.0."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _first(given: Mapping[str, Any], *names: str) -> object:
    return next((given[name] for name in names if given.get(name) is not None), None)


def _stops(stop: object) -> object:
    return [stop] if isinstance(stop, str) else stop


def _text(prompt: object) -> object:
    """The prompt; a list of one is that one."""
    if not isinstance(prompt, list):
        return prompt
    several = cast(Sequence[object], prompt)
    return several[0] if len(several) == 1 else several


def _messages(messages: object) -> tuple[Message, ...]:
    try:
        given = msgspec.convert(messages, list[dict[str, Any]])
        for one in given:
            more = next((name for name in sorted(one.keys() - _SPOKEN) if one[name]), None)
            if more is not None:
                raise _unfit(f"a message has a field {more}", "models here read who speaks, and text")
        return tuple(Message(_role(one["role"]), _content(one.get("content"))) for one in given)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise _unfit("the messages are no list of roles and contents", str(error)) from error


def _role(role: object) -> str:
    said = msgspec.convert(role, str)
    return _ROLES.get(said, said)


def _content(content: object) -> str:
    """The text of a message, or of its parts one after the other."""
    if isinstance(content, str):
        return content
    parts = msgspec.convert(content, list[dict[str, Any]])
    if any(part.get("type") != "text" for part in parts):
        raise _unfit("a message holds more than text", "models here read text")
    return "".join(msgspec.convert(part.get("text"), str) for part in parts)


def _schema(form: object) -> dict[str, Any] | None:
    """The schema that the answer is held to."""
    if form is None:
        return None
    try:
        table = msgspec.convert(form, dict[str, Any])
        if table.get("type") == "text":
            return None
        if table.get("type") == "json_object":
            return {"type": "object"}
        if table.get("type") == "json_schema":
            return msgspec.convert(msgspec.convert(table.get("json_schema"), dict[str, Any])["schema"], dict[str, Any])
    except (msgspec.ValidationError, KeyError) as error:
        raise _unfit("response_format holds no schema", str(error)) from error
    raise _unfit("response_format is of no type that is known", "text, json_object or json_schema")


def _unfit(what: str, why: str) -> ModelInputInvalid:
    return ModelInputInvalid(what, why=why, fix="see the guide on language models for what is offered")
