"""Providers of language models over loopback: they speak their protocol, well or badly, as they were told to."""

import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import msgspec

from tickwork.clock import SystemClock
from tickwork.plane.llm.client import Client
from tickwork.plane.llm.port import Account
from tickwork.plane.llm.settings import ModelTable, ProviderTable, Settings, SettingsTable
from tickwork.plane.secrets import SecretBox

KEY = "sk-test-0123456789abcdef"


class Answer(msgspec.Struct):
    """What a server answers once.

    Attributes:
        chunks: The body as it is sent.
        cut: Whether the connection ends before the body does.
        silent: Whether the connection ends before anything is said.
        hangs: Whether nothing follows the chunks, and the connection stays.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    chunks: Sequence[bytes] = ()
    cut: bool = False
    silent: bool = False
    hangs: bool = False


class Heard(msgspec.Struct):
    """A request as a server got it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Stand:
    """A server of one provider. Answers are given one after the other; the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.heard = list[Heard]()
        self._answers = list(answers)
        self._leaving = threading.Event()
        stand = self

        class Page(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                size = int(self.headers.get("content-length", 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                stand.heard.append(Heard(self.path, headers, json.loads(self.rfile.read(size))))
                stand._send(self, stand._next())

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def _next(self) -> Answer:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def _send(self, page: BaseHTTPRequestHandler, answer: Answer) -> None:
        page.close_connection = True
        if answer.silent:
            return
        page.send_response(answer.status)
        for name, value in answer.headers:
            page.send_header(name, value)
        page.send_header("transfer-encoding", "chunked")
        page.end_headers()
        try:
            for chunk in answer.chunks:
                page.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
                page.wfile.flush()
            if answer.hangs:
                self._leaving.wait(10)
                return
            page.wfile.write(b"ff\r\n..." if answer.cut else b"0\r\n\r\n")
        except OSError:
            # Whoever has heard enough goes away.
            return


def whole(body: object, **fields: Any) -> Answer:
    """Return an answer in one piece."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(chunks=(raw,), **fields)


def streamed(events: Sequence[object], *, cut: bool = False) -> Answer:
    """Return a streamed answer; an event is a document with its type, or bytes as they are."""
    chunks = list[bytes]()
    for event in events:
        if isinstance(event, bytes):
            chunks.append(event)
        else:
            assert isinstance(event, dict)
            named = f"event: {event['type']}\n" if "type" in event else ""
            chunks.append(f"{named}data: {json.dumps(event)}\n\n".encode())
    return Answer(headers=(("content-type", "text/event-stream; charset=utf-8"),), chunks=chunks, cut=cut)


def failing(status: int, kind: str = "api_error", message: str = "no", **headers: str) -> Answer:
    """Return a failure as providers say it."""
    body = {"type": "error", "error": {"type": kind, "message": message}}
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(status, (("content-type", "application/json"), *named), (json.dumps(body).encode(),))


def anthropic_whole(*content: object, stop: str | None = "end_turn", tokens: tuple[int, int] = (12, 7)) -> Answer:
    """Return an answer of Anthropic's protocol; a text stands for a block of it."""
    blocks = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    usage = {"input_tokens": tokens[0], "output_tokens": tokens[1], "cache_read_input_tokens": None}
    message = {"id": "m1", "type": "message", "role": "assistant", "model": "m-1", "content": blocks}
    return whole({**message, "stop_reason": stop, "stop_sequence": None, "usage": usage})


def anthropic_events(
    *content: str | dict[str, Any], stop: str = "end_turn", tokens: tuple[int, int] = (12, 7)
) -> list[object]:
    """Return the events of the same answer as a stream."""
    start: dict[str, Any] = {
        "id": "m1",
        "model": "m-1",
        "content": [],
        "usage": {"input_tokens": tokens[0], "output_tokens": 1},
    }
    events: list[object] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, part in enumerate(content):
        block: dict[str, Any] = {"type": "text", "text": ""} if isinstance(part, str) else {**part, "input": {}}
        text = part if isinstance(part, str) else json.dumps(part["input"])
        kind, key = ("text_delta", "text") if isinstance(part, str) else ("input_json_delta", "partial_json")
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        for piece in _pieces(text):
            delta = {"type": kind, key: piece}
            events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
    usage = {"output_tokens": tokens[1]}
    events.append({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": usage})
    events.append({"type": "message_stop"})
    return events


def openai_whole(
    text: str | None, *, calls: Sequence[object] = (), finish: str = "stop", refusal: str | None = None, **fields: Any
) -> Answer:
    """Return an answer of OpenAI's protocol."""
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": refusal}
    if calls:
        message["tool_calls"] = list(calls)
    usage = {"prompt_tokens": 12, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4}}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return whole(
        {"id": "c1", "object": "chat.completion", "model": "m-1", "choices": [choice], "usage": usage, **fields}
    )


def openai_events(*deltas: dict[str, Any], finish: str | None = "stop", usage: bool = True) -> list[object]:
    """Return the events of an answer as a stream."""
    head = {"id": "c1", "object": "chat.completion.chunk", "model": "m-1"}
    events: list[object] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    last: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": finish}
    events.append({**head, "choices": [last]})
    if usage:
        events.append({**head, "choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 7}})
    return [*events, b"data: [DONE]\n\n"]


def function(name: str, arguments: object, id: str = "f1") -> dict[str, Any]:
    """Return a call as OpenAI's protocol writes it."""
    return {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def _pieces(text: str) -> list[str]:
    return [text[at : at + 5] for at in range(0, len(text), 5)]


def settings_for(stand: Stand, kind: str = "anthropic", **fields: Any) -> Settings:
    """Return settings with one model, ``m``, that costs $3 and $15 for a million tokens."""
    url = stand.url + ("/v1" if kind == "openai" else "")
    provider = msgspec.convert(
        {"kind": kind, "base_url": url, "key": "secret:KEY", "loopback": True, **fields}, ProviderTable
    )
    model = ModelTable("p", "m-1", max_tokens=100, input_usd="3", output_usd="15")
    return Settings(SettingsTable(default="m", providers={"p": provider}, models={"m": model}))


def client_for(stand: Stand, kind: str = "anthropic", pauses: list[float] | None = None, **fields: Any) -> Client:
    """Return a client of that model, which notes its pauses and makes none."""
    noted = [] if pauses is None else pauses
    return Client(settings_for(stand, kind, **fields), SystemClock(), pause=noted.append)


def account() -> Account:
    """Return what asking may use."""
    return Account(SecretBox({"KEY": KEY}))
