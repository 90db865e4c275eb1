"""The protocol of Anthropic's Messages: pure functions from requests to bytes, and from what comes back to answers.

A schema goes out as ``output_config.format`` where it is of the strict kind, and as the schema of a function that the
model must call where it is not, or where the settings say so.

Source: the reference of the Claude API: Messages, streaming, structured outputs, errors; version 2023-06-01.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from .failing import cut, told, unreadable
from .port import Completion, Finish, Form, FunctionCall, Manners, Outgoing, Request, Tokens, is_closed
from .sse import Sent

PATH: Final = "/v1/messages"
VERSION: Final = "2023-06-01"
KEY_HEADER: Final = "x-api-key"

_FINISHES: Final[Mapping[str, Finish]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "calls",
    "refusal": "refusal",
}


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Message(msgspec.Struct):
    content: list[_Block]
    model: str = ""
    stop_reason: str | None = None
    usage: _Usage | None = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Piece(msgspec.Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: _Usage | None = None
    error: _Error | None = None


_messages: Final = msgspec.json.Decoder(_Message)
_pieces: Final = msgspec.json.Decoder(_Piece)


class Anthropic:
    """The protocol."""

    def encode(self, request: Request, manners: Manners) -> Outgoing:
        """Return the request in the protocol's words."""
        body: dict[str, Any] = {
            "model": request.model,
            "max_tokens": request.max_tokens,
            "messages": [{"role": message.role, "content": message.text} for message in request.messages],
        }
        if request.system:
            body["system"] = request.system
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if request.stop:
            body["stop_sequences"] = list(request.stop)
        functions = [
            {"name": function.name, "description": function.description, "input_schema": function.schema}
            for function in request.functions
        ]
        if functions:
            body["tools"] = functions
        if request.form is not None:
            _ask_for_form(body, request.form, manners)
        if manners.stream:
            body["stream"] = True
        headers = (("anthropic-version", VERSION), ("content-type", "application/json"))
        return Outgoing(PATH, headers, msgspec.json.encode(body))

    def whole(self, body: bytes) -> Completion:
        """Return the answer that came in one piece.

        Raises:
            ProviderFailed: TW7017, it is no such answer.
        """
        try:
            read = _messages.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise unreadable(str(error)) from error
        if read.stop_reason is None:
            raise cut("the answer does not say why it ends")
        calls = [
            FunctionCall(block.id, block.name, bytes(block.input).decode())
            for block in read.content
            if block.type == "tool_use"
        ]
        text = "".join(block.text for block in read.content if block.type == "text")
        return _completion(text, calls, read.stop_reason, read.model, _tokens([read.usage]))

    def gather(self) -> "AnthropicGathering":
        """Return what takes a streamed answer."""
        return AnthropicGathering()


def _ask_for_form(body: dict[str, Any], form: Form, manners: Manners) -> None:
    if manners.form == "schema" and is_closed(form.schema):
        body["output_config"] = {"format": {"type": "json_schema", "schema": form.schema}}
    elif manners.form in ("schema", "function"):
        asked = {"name": form.name, "description": "Give the answer.", "input_schema": form.schema}
        body["tools"] = [*body.get("tools", []), asked]
        body["tool_choice"] = {"type": "tool", "name": form.name, "disable_parallel_tool_use": True}


class _Growing(msgspec.Struct):
    """A block of an answer while it comes."""

    type: str
    id: str
    name: str
    parts: list[str]
    closed: bool = False


class AnthropicGathering:
    """Puts a streamed answer together."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Growing] = {}
        self._model = ""
        self._reason: str | None = None
        self._usages: list[_Usage | None] = []
        self._ended = False

    def take(self, sent: Sent) -> str:
        """Take the next piece and return the text that it adds. Kinds that are not known are left out, as agreed.

        Raises:
            ProviderFailed: TW7017, it is no such piece, or the provider reports a failure in it.
        """
        try:
            piece = _pieces.decode(sent.data)
        except (msgspec.DecodeError, RecursionError) as error:
            raise unreadable(f"{error}: {sent.data}") from error
        match piece.type:
            case "message_start" if piece.message is not None:
                self._model = piece.message.model
                self._usages.append(piece.message.usage)
            case "content_block_start" if piece.content_block is not None:
                self._open(piece.index, piece.content_block)
            case "content_block_delta" if piece.delta is not None:
                return self._grow(piece.index, piece.delta)
            case "content_block_stop":
                self._block(piece.index).closed = True
            case "message_delta" if piece.delta is not None:
                self._reason = piece.delta.stop_reason or self._reason
                self._usages.append(piece.usage)
            case "message_stop":
                self._ended = True
            case "error":
                raise told(piece.error.type if piece.error else "", piece.error.message if piece.error else "")
            case _:
                pass
        return ""

    def end(self) -> Completion:
        """Return the whole answer once the stream has ended.

        Raises:
            ProviderFailed: TW7017, it ended before the answer did.
        """
        if not self._ended or self._reason is None:
            raise cut("the stream ended before message_stop")
        blocks = [self._blocks[index] for index in sorted(self._blocks)]
        if not all(block.closed for block in blocks):
            raise cut("the stream ended before one of its blocks did")
        text = "".join(part for block in blocks if block.type == "text" for part in block.parts)
        calls = [
            FunctionCall(block.id, block.name, "".join(block.parts) or "{}")
            for block in blocks
            if block.type == "tool_use"
        ]
        return _completion(text, calls, self._reason, self._model, _tokens(self._usages))

    def _open(self, index: int, block: _Block) -> None:
        if index in self._blocks:
            raise unreadable(f"block {index} begins twice")
        parts = [block.text] if block.type == "text" and block.text else []
        self._blocks[index] = _Growing(block.type, block.id, block.name, parts)

    def _block(self, index: int) -> _Growing:
        block = self._blocks.get(index)
        if block is None or block.closed:
            raise unreadable(f"block {index} goes on and is not open")
        return block

    def _grow(self, index: int, delta: _Delta) -> str:
        block = self._block(index)
        if delta.type == "text_delta" and block.type == "text":
            block.parts.append(delta.text)
            return delta.text
        if delta.type == "input_json_delta" and block.type == "tool_use":
            block.parts.append(delta.partial_json)
        return ""


def _tokens(usages: Sequence[_Usage | None]) -> Tokens:
    """Return what was counted. Later counts hold, since those of a stream grow; a count below 0 is none."""
    last: dict[str, int] = {}
    for usage in usages:
        for name in _Usage.__struct_fields__ if usage is not None else ():
            count: int | None = getattr(usage, name)
            if count is not None:
                last[name] = count
    if "input_tokens" not in last or "output_tokens" not in last or min(last.values()) < 0:
        return Tokens()
    written, cached = last.get("cache_creation_input_tokens", 0), last.get("cache_read_input_tokens", 0)
    total = last["input_tokens"] + written + cached
    return Tokens(total, last["output_tokens"], cached, written, counted=True)


def _completion(text: str, calls: Sequence[FunctionCall], reason: str, model: str, tokens: Tokens) -> Completion:
    ids = [call.id for call in calls]
    if len(set(ids)) != len(ids):
        raise unreadable(f"two calls have the same id: {', '.join(ids)}")
    return Completion(text, _FINISHES.get(reason, "other"), tuple(calls), tokens, model)
