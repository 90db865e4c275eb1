import json
from typing import Any

import pytest

from tests.unit.plane.skills.calling import Server, answer, failure, found, output, reply
from tickwork.kinds import EffectClass
from tickwork.plane.calls import MAX_OUTPUT_BYTES
from tickwork.plane.errors import SkillInvalid
from tickwork.plane.profile import GrantsTable
from tickwork.plane.skills.http_call import quoted, with_query

JSON = "Content-Type: application/json"
ALL = ["GET", "POST", "PUT", "DELETE", "PATCH"]


def test_json_comes_as_json_and_text_as_text() -> None:
    with Server(reply(b'{"a": [1]}', JSON, "ETag: x", "Date: now")) as server:
        made = output("http_call", {"url": f"http://{server.place}/"}, server.grants)
    assert made["json"] == {"a": [1]}
    assert made["headers"] == {"content-type": "application/json", "etag": "x"}, "the time is no part of a result"
    with Server(reply("grün".encode(), "content-type: text/plain")) as server:
        assert output("http_call", {"url": f"http://{server.place}/"}, server.grants)["text"] == "grün"
    with Server(reply(b"\xff", "content-type: image/png")) as server:
        assert output("http_call", {"url": f"http://{server.place}/"}, server.grants)["base64"] == "/w=="
    with Server(reply(b"", JSON)) as server:
        assert output("http_call", {"url": f"http://{server.place}/"}, server.grants)["json"] is None


def test_a_request_is_made_of_its_parameters() -> None:
    skill = found("http_call", methods=ALL)
    given = {
        "method": "POST",
        "query": {"q": "a b&ü", "n": 1, "t": True},
        "json": {"b": 1, "a": 2},
        "headers": {"X-Own": "v"},
    }
    with Server(reply(b"")) as server:
        made = answer(skill, {**given, "url": f"http://{server.place}/a?x=1"}, server.grants)
    assert made.failure is None
    head, _, body = server.heard[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /a?x=1&q=a%20b%26%C3%BC&n=1&t=true HTTP/1.1")
    assert body == b'{"a":2,"b":1}'
    lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert lines["x-own"] == "v"
    assert lines["content-type"] == "application/json"
    assert len(lines["idempotency-key"]) == 64
    assert made.labels == ("host:127.0.0.1",)


def test_the_key_is_the_same_for_every_attempt() -> None:
    skill, keys = found("http_call", methods=["POST"]), set[bytes]()
    with Server(reply(b"")) as server:
        for attempt in (1, 2):
            answer(skill, {"url": f"http://{server.place}/", "method": "POST"}, server.grants, attempt=attempt)
        keys = {line for request in server.heard for line in request.split(b"\r\n") if line.startswith(b"idempotency")}
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("status", "retryable", "wait"),
    [("404 N", False, 0), ("500 E", True, 0), ("429 T", True, 7000), ("503 U", True, 7000), ("401 U", False, 7000)],
)
def test_a_bad_status_is_a_failure(status: str, retryable: bool, wait: int) -> None:
    lines = ["retry-after: 7"] if wait else []
    with Server(reply(b"why", *lines, status=status)) as server:
        told = answer("http_call", {"url": f"http://{server.place}/"}, server.grants).failure
        assert told is not None
        assert (told.code, told.retryable, told.retry_after_ms) == ("TW7008", retryable, wait)
        accepted = {"url": f"http://{server.place}/", "accept_status": [int(status[:3])]}
        assert output("http_call", accepted, server.grants)["status"] == int(status[:3])


@pytest.mark.parametrize(("status", "retryable"), [("500 E", False), ("429 T", True), ("503 U", False)])
def test_what_may_have_changed_something_is_not_repeated(status: str, retryable: bool) -> None:
    skill = found("http_call", methods=["POST"])
    with Server(reply(b"", status=status)) as server:
        told = answer(skill, {"url": f"http://{server.place}/", "method": "POST"}, server.grants).failure
    assert told is not None
    assert told.retryable is retryable


@pytest.mark.parametrize(
    ("keys", "effect_class", "side_effects"),
    [
        ({}, EffectClass.IDEMPOTENT, False),
        ({"methods": ["PUT", "DELETE"]}, EffectClass.IDEMPOTENT, True),
        ({"methods": ["POST"]}, EffectClass.UNSAFE, True),
        ({"methods": ["POST"], "receiver_honours_key": True}, EffectClass.IDEMPOTENT, True),
    ],
)
def test_the_class_follows_from_the_methods(keys: dict[str, Any], effect_class: int, side_effects: bool) -> None:
    pin = found("http_call", **keys).pin
    assert (pin.effect_class, pin.side_effects, pin.outside) == (effect_class, side_effects, True)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": "http://127.1/"}, "TW7024 127.1 is an address in an unusual spelling"),
        ({"url": "http://169.254.169.254/"}, "TW7024"),
        ({"url": "http://example.com/"}, "TW7024 example.com may not be reached"),
        ({"url": "file:///etc/passwd"}, "TW7024"),
        ({"url": "nothing"}, "TW7024"),
        ({"url": "http://127.0.0.1:1/", "method": "POST"}, "TW7005 the skill makes no POST requests"),
        ({"url": "http://127.0.0.1:1/", "json": 1}, "TW7006 a GET request sends nothing"),
        ({"url": "http://127.0.0.1:1/", "headers": {"Host": "x"}}, "TW7006 the header host"),
        ({"url": "http://127.0.0.1:1/", "headers": {"a b": "x"}}, "TW7006"),
        ({"url": "http://127.0.0.1:1/", "headers": {"a": "x\r\ny: z"}}, "TW7006"),
        ({"url": "http://127.0.0.1:1/", "headers": {"a": "é"}}, "TW7006"),
        ({"url": "http://127.0.0.1:1/", "headers": {"a": "secret:TOKEN"}}, "TW7005 the secret TOKEN is not granted"),
        ({"url": "http://127.0.0.1:1/"}, "TW7008 127.0.0.1:1 cannot be reached"),
        ({"url": "http://127.0.0.1:1/", "follow": True}, "TW7006"),
    ],
)
def test_a_bad_call_is_refused(given: dict[str, Any], told: str) -> None:
    grants = GrantsTable(("127.0.0.1:1", "169.254.169.254", "127.1"), loopback=True)
    assert failure("http_call", given, grants, secrets={"TOKEN": "tok-0123"}).startswith(told)


def test_a_body_has_one_source() -> None:
    skill = found("http_call", methods=["POST"])
    given = {"url": "http://127.0.0.1:1/", "method": "POST", "json": 1, "text": "a"}
    assert failure(skill, given, GrantsTable(("*:*",), loopback=True)).startswith("TW7006")


def test_without_a_grant_nothing_is_reached() -> None:
    with Server(reply(b"")) as server:
        assert failure("http_call", {"url": f"http://{server.place}/"}).startswith("TW7024")
        assert failure("http_call", {"url": f"http://{server.place}/"}, GrantsTable((server.place,))).startswith(
            "TW7024"
        )
    assert server.heard == []


def test_secrets_go_where_the_settings_or_the_profile_let_them() -> None:
    own = {"127.0.0.1": {"authorization": "Bearer secret:OWN"}}
    skill = found("http_call", headers=own)
    secrets = {"OWN": "own-012345", "NAMED": "named-012345"}
    with Server(reply(b'{"said": "own-012345 named-012345"}', JSON)) as server:
        grants = GrantsTable((server.place,), loopback=True, secrets=("NAMED",))
        given = {"url": f"http://{server.place}/", "headers": {"x-key": "k=secret:NAMED"}}
        made = answer(skill, given, grants, secrets=secrets)
        assert failure(skill, {**given, "headers": {"x": "secret:OWN"}}, grants, secrets=secrets).startswith("TW7005")
    assert b"authorization: Bearer own-012345" in server.heard[0]
    assert b"x-key: k=named-012345" in server.heard[0]
    assert json.loads(made.output)["json"] == {"said": "secret:OWN secret:NAMED"}


def test_a_skill_may_be_narrowed_to_hosts() -> None:
    with Server(reply(b"")) as server:
        grants = GrantsTable(("*:*",), loopback=True)
        skill = found("http_call", hosts=["api.example.com"])
        assert failure(skill, {"url": f"http://{server.place}/"}, grants).startswith("TW7024")
        assert output(found("http_call", hosts=[server.place]), {"url": f"http://{server.place}/"}, grants)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"a":1,"a":2}', "TW7008 the answer says that it is JSON"),
        (b"[NaN]", "TW7008"),
        (b"[" * 10_000, "TW7008"),
        (b"x" * (MAX_OUTPUT_BYTES + 1), "TW7029"),
        (b'"' + b"\x01" * 10, "TW7008"),
    ],
)
def test_a_bad_answer_is_a_failure(body: bytes, told: str) -> None:
    with Server(reply(body, JSON)) as server:
        assert failure("http_call", {"url": f"http://{server.place}/"}, server.grants).startswith(told)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"methods": []}, "no method is left"),
        ({"methods": ["TRACE"]}, ""),
        ({"headers": {"127.1": {}}}, "unusual spelling"),
        ({"headers": {"API.example.com": {}}}, "not how a host is spelt"),
        ({"timeout": 5}, "unknown key"),
    ],
)
def test_a_bad_table_is_refused(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(SkillInvalid) as error:
        found("http_call", **keys)
    assert told in error.value.what
    assert error.value.where.startswith("skills.http_call")


def test_queries_are_spelt_so_that_nothing_is_added() -> None:
    assert with_query("http://a/#x", {"a": "1&b=2"}) == "http://a/?a=1%26b%3D2#x"
    assert with_query("http://a/", {}) == "http://a/"
    assert quoted("a-._~é/²") == "a-._~%C3%A9%2F%C2%B2"
