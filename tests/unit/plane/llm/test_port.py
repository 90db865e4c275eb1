import json
from typing import Any

import msgspec
import pytest

from tickwork.plane.calls import Usage
from tickwork.plane.llm.port import Account, Completion, Exchange, Form, FunctionCall, formed, is_closed
from tickwork.plane.secrets import SecretBox

CLOSED = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
    "required": ["name", "tags"],
    "additionalProperties": False,
}


def test_a_schema_that_leaves_nothing_open_is_closed() -> None:
    assert is_closed(CLOSED)
    assert is_closed(
        {"type": "object", "properties": {"one": CLOSED}, "required": ["one"], "additionalProperties": False}
    )


OPENINGS: list[dict[str, Any]] = [
    {"additionalProperties": True},
    {"required": ["name"]},
    {"properties": {"name": {"type": "string", "minLength": 1}, "tags": {}}},
    {"properties": {"name": {"$ref": "#/$defs/x"}, "tags": {}}},
    {"properties": {"name": {"type": "object"}, "tags": {}}},
    {"properties": {"name": {"anyOf": [{"type": "object", "properties": {"a": {}}}]}, "tags": {}}},
]


@pytest.mark.parametrize("change", OPENINGS)
def test_a_schema_that_leaves_something_open_is_not(change: dict[str, Any]) -> None:
    assert not is_closed({**CLOSED, **change})


def test_the_arguments_of_the_forms_function_are_the_answer() -> None:
    said = Completion("", "calls", (FunctionCall("1", "answer", '{"a":1}'),))
    assert formed(said, Form("answer", {})) == Completion('{"a":1}', "stop")


def test_calls_of_other_functions_stay_calls() -> None:
    said = Completion("", "calls", (FunctionCall("1", "other", "{}"),))
    assert formed(said, Form("answer", {})) == said
    assert formed(said, None) == said


def test_a_transcript_holds_requests_as_they_were_sent() -> None:
    account = Account(SecretBox({}), usage=Usage())
    assert account.transcript() == b""
    account.exchanges.append(Exchange("p", "m", msgspec.Raw(b'{"model":"m","x":1.50}'), 200, Completion("hi", "stop")))
    raw = account.transcript()
    assert b'"request":{"model":"m","x":1.50}' in raw
    assert json.loads(raw)["exchanges"][0]["said"]["text"] == "hi"
