"""The protocol of OpenAI's chat completions, which many servers speak: pure functions of bytes.

A schema goes out as ``response_format``, strict where it is of the strict kind; as a function that the model must call,
as a wish for any JSON, or not at all, where the settings say so: servers differ in what they know.

Source: the reference of OpenAI's API: chat completions, streaming, structured outputs, error codes.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from .failing import cut, told, unreadable
from .port import Completion, Finish, Form, FunctionCall, Manners, Outgoing, Request, Tokens, is_closed
from .sse import Sent

PATH: Final = "/chat/completions"
DONE: Final = "[DONE]"
MAX_CALLS: Final = 128
"""Calls of one answer; what names a later one is no answer."""

_FINISHES: Final[Mapping[str, Finish]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "calls",
    "function_call": "calls",
    "content_filter": "refusal",
}


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    id: str | None = None
    index: int | None = None
    function: _Function | None = None


class _Said(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: _Error | str | None = None


_chunks: Final = msgspec.json.Decoder(_Chunk)


class OpenAI:
    """The protocol."""

    def encode(self, request: Request, manners: Manners) -> Outgoing:
        """Return the request in the protocol's words."""
        messages = [{"role": "system", "content": request.system}] if request.system else []
        messages += [{"role": message.role, "content": message.text} for message in request.messages]
        body: dict[str, Any] = {"model": request.model, "messages": messages, manners.limit: request.max_tokens}
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.seed is not None:
            body["seed"] = request.seed
        if request.stop:
            body["stop"] = list(request.stop)
        functions = [_function(function.name, function.description, function.schema) for function in request.functions]
        if functions:
            body["tools"] = functions
        if request.form is not None:
            _ask_for_form(body, request.form, manners)
        if manners.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return Outgoing(PATH, (("content-type", "application/json"),), msgspec.json.encode(body))

    def whole(self, body: bytes) -> Completion:
        """Return the answer that came in one piece.

        Raises:
            ProviderFailed: TW7017, it is no such answer.
        """
        read = _read(body)
        choice = next((choice for choice in read.choices or () if choice.index == 0), None)
        if choice is None or choice.message is None:
            raise unreadable("the answer has no first choice")
        if choice.finish_reason is None:
            raise cut("the answer does not say why it ends")
        calls = [_Growing(call) for call in choice.message.tool_calls or ()]
        said = choice.message
        return _completion(said.content or "", said.refusal or "", calls, choice.finish_reason, read)

    def gather(self) -> "OpenAIGathering":
        """Return what takes a streamed answer."""
        return OpenAIGathering()


def _function(name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def _ask_for_form(body: dict[str, Any], form: Form, manners: Manners) -> None:
    match manners.form:
        case "schema":
            shape = {"name": form.name, "schema": form.schema, "strict": is_closed(form.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        case "function":
            body["tools"] = [*body.get("tools", []), _function(form.name, "Give the answer.", form.schema)]
            body["tool_choice"] = {"type": "function", "function": {"name": form.name}}
        case "json":
            body["response_format"] = {"type": "json_object"}
        case "text":
            pass


def _read(body: bytes | str) -> _Chunk:
    try:
        read = _chunks.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        shown = body if isinstance(body, str) else body.decode("utf-8", "replace")
        raise unreadable(f"{error}: {shown}") from error
    if isinstance(read.error, str):
        raise told("error", read.error)
    if read.error is not None:
        raise told(read.error.type or "error", read.error.message or "")
    return read


class _Growing:
    """A call of an answer while it comes."""

    def __init__(self, call: _Call) -> None:
        self.id = ""
        self.name = ""
        self.parts: list[str] = []
        self.grow(call)

    def grow(self, call: _Call) -> None:
        """Take a piece; the id and the name may come again with each."""
        if call.id:
            if self.id and self.id != call.id:
                raise unreadable(f"call {self.id} becomes call {call.id}")
            self.id = call.id
        if call.function is not None:
            self.name = self.name or call.function.name or ""
            self.parts.append(call.function.arguments or "")


class OpenAIGathering:
    """Puts a streamed answer together."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _Growing] = {}
        self._reason: str | None = None
        self._last = _Chunk()

    def take(self, sent: Sent) -> str:
        """Take the next piece and return the text that it adds.

        Raises:
            ProviderFailed: TW7017, it is no such piece, or the provider reports a failure in it.
        """
        if sent.data.strip() == DONE:
            return ""
        read = _read(sent.data)
        self._last.model = read.model or self._last.model
        self._last.usage = read.usage or self._last.usage
        added = ""
        for choice in read.choices or ():
            if choice.index == 0:
                self._reason = choice.finish_reason or self._reason
                added += self._grow(choice.delta) if choice.delta is not None else ""
        return added

    def _grow(self, said: _Said) -> str:
        self._text.append(said.content or "")
        self._refusal.append(said.refusal or "")
        for place, call in enumerate(said.tool_calls or ()):
            index = place if call.index is None else call.index
            if not 0 <= index < MAX_CALLS:
                raise unreadable(f"a call at place {index}")
            if index in self._calls:
                self._calls[index].grow(call)
            else:
                self._calls[index] = _Growing(call)
        return said.content or ""

    def end(self) -> Completion:
        """Return the whole answer once the stream has ended. Some servers send no last mark, so why it ends counts.

        Raises:
            ProviderFailed: TW7017, it ended before the answer did.
        """
        if self._reason is None:
            raise cut("the stream ended before the answer did")
        calls = [self._calls[index] for index in sorted(self._calls)]
        return _completion("".join(self._text), "".join(self._refusal), calls, self._reason, self._last)


def _completion(text: str, refusal: str, growing: Sequence[_Growing], reason: str, read: _Chunk) -> Completion:
    calls = tuple(FunctionCall(call.id, call.name, "".join(call.parts) or "{}") for call in growing)
    ids = [call.id for call in calls if call.id]
    if len(set(ids)) != len(ids):
        raise unreadable(f"two calls have the same id: {', '.join(ids)}")
    finish: Finish = "refusal" if refusal else _FINISHES.get(reason, "other")
    # Servers that speak this protocol by halves end calls as they end texts.
    if calls and finish == "stop":
        finish = "calls"
    return Completion(refusal or text, finish, calls, _tokens(read.usage), read.model or "")


def _tokens(usage: _Usage | None) -> Tokens:
    if usage is None or usage.prompt_tokens is None or usage.completion_tokens is None:
        return Tokens()
    details = usage.prompt_tokens_details
    cached = details.cached_tokens or 0 if details is not None else 0
    if min(usage.prompt_tokens, usage.completion_tokens, cached) < 0:
        return Tokens()
    return Tokens(usage.prompt_tokens, usage.completion_tokens, min(cached, usage.prompt_tokens), counted=True)
