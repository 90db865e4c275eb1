import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.unit.plane.skills.calling import CLOCK, Server, answer, failure, found, output, reply
from tickwork.plane.errors import SkillInvalid, SkillRefused
from tickwork.plane.skills.notify import sign

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


def _lines(request: bytes) -> dict[str, str]:
    head = request.partition(b"\r\n\r\n")[0].decode()
    return dict(line.split(": ", 1) for line in head.split("\r\n")[1:])


def test_a_message_is_signed_as_receivers_check_it() -> None:
    with Server(reply(b"", status="204 No Content")) as server:
        skill = found("notify", url=f"http://{server.place}/hook", secret="secret:HOOK")
        given = {"type": "report.ready", "data": {"b": 1, "a": "x"}}
        made = output(skill, given, server.grants, secrets={"HOOK": SECRET})
    lines, body = _lines(server.heard[0]), server.heard[0].partition(b"\r\n\r\n")[2]
    assert json.loads(body) == given
    assert made == {"id": lines["webhook-id"], "status": 204}
    assert abs(int(lines["webhook-timestamp"]) - CLOCK.now_us() // 1_000_000) < 60
    signed = f"{lines['webhook-id']}.{lines['webhook-timestamp']}.".encode() + body
    digest = hmac.new(b"0123456789abcdef01234567", signed, hashlib.sha256).digest()
    assert lines["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"


def test_the_example_of_the_standard_holds() -> None:
    # Source: Standard Webhooks, the vector of its libraries.
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    signature = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_repetition_bears_the_same_id() -> None:
    with Server(reply(b"")) as server:
        skill = found("notify", url=f"http://{server.place}/hook")
        for attempt in (1, 2):
            answer(skill, {"data": 1}, server.grants, attempt=attempt)
    assert len({_lines(request)["webhook-id"] for request in server.heard}) == 1
    assert "webhook-signature" not in _lines(server.heard[0])


@pytest.mark.parametrize(
    ("status", "retryable"), [("500 E", True), ("404 N", True), ("410 Gone", False), ("302 F", False)]
)
def test_what_is_not_received_is_a_failure(status: str, retryable: bool) -> None:
    with Server(reply(b"", "location: http://169.254.169.254/", status=status)) as server:
        told = answer(found("notify", url=f"http://{server.place}/"), {"data": 1}, server.grants).failure
    assert told is not None
    assert (told.code, told.retryable) == ("TW7008", retryable)
    assert len(server.heard) == 1


def test_an_address_may_be_a_secret() -> None:
    with Server(reply(b"", status="500 E")) as server:
        url = f"http://{server.place}/services/T0/B0/token"
        text = failure(found("notify", url="secret:URL"), {"data": 1}, server.grants, secrets={"URL": url})
    assert "token" not in text
    assert server.heard[0].startswith(b"POST /services/T0/B0/token")


def test_a_host_that_is_not_granted_is_not_told() -> None:
    with Server(reply(b"")) as server:
        assert failure(found("notify", url=f"http://{server.place}/"), {"data": 1}).startswith("TW7024")
    assert server.heard == []


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, 'lacks "url"'),
        ({"url": "ftp://x"}, "no address"),
        ({"url": "https://x/", "secret": "whsec_plain"}, "stands in the settings"),
    ],
)
def test_a_bad_table_is_refused(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(SkillInvalid, match=told):
        found("notify", **keys)


def test_a_secret_that_is_no_base64_is_refused() -> None:
    with pytest.raises(SkillRefused, match="no base64"):
        sign("whsec_???", "a", "1", b"")
