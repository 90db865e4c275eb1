import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickwork.plane.errors import SkillRefused
from tickwork.plane.secrets import Revealed, SecretBox

BOX = SecretBox({"KEY": 'k-9"é/+0123', "OTHER": "other-secret"}, frozenset({"KEY"}))


def test_a_secret_is_shown_by_its_handle() -> None:
    assert BOX.reveal("secret:KEY") == BOX.reveal("KEY") == 'k-9"é/+0123'


@pytest.mark.parametrize(("handle", "told"), [("OTHER", "not granted"), ("NONE", "not granted")])
def test_a_secret_that_is_not_granted_is_refused(handle: str, told: str) -> None:
    with pytest.raises(SkillRefused, match=told):
        BOX.reveal(handle)


def test_a_secret_that_is_not_there_is_refused() -> None:
    with pytest.raises(SkillRefused, match="no secret called NONE"):
        SecretBox({}).reveal("NONE")
    with pytest.raises(SkillRefused, match="no secret called NONE"):
        Revealed(None).reveal("secret:NONE")


def test_a_text_is_filled_with_what_it_names() -> None:
    assert Revealed(BOX).fill("Bearer secret:KEY; secret:") == 'Bearer k-9"é/+0123; secret:'
    with pytest.raises(SkillRefused):
        Revealed(BOX).fill("secret:OTHER")


SECRET = 'k-9"é/+0123'


@pytest.mark.parametrize(
    "spelt",
    [
        SECRET.encode(),
        json.dumps(SECRET).encode(),
        json.dumps(SECRET, ensure_ascii=False).encode(),
        b"k-9%22%C3%A9/%2B0123",
        b"k-9%22%C3%A9%2F%2B0123",
        SECRET.encode().hex().encode(),
        SECRET.encode().hex().upper().encode(),
        base64.b64encode(SECRET.encode()),
        base64.b64encode(b"x" + SECRET.encode() + b"yy"),
        base64.urlsafe_b64encode(b"xy" + SECRET.encode()),
    ],
)
def test_a_secret_is_taken_out_however_it_is_spelt(spelt: bytes) -> None:
    shown = Revealed(BOX)
    assert shown.hide(spelt) == spelt, "what nobody was shown is not looked for"
    shown.reveal("KEY")
    hidden = shown.hide(b"before " + spelt + b" after")
    assert b"secret:KEY" in hidden
    assert hidden.startswith(b"before ")
    assert hidden.endswith(b" after")


@given(st.text(min_size=6, max_size=40), st.binary(max_size=20), st.binary(max_size=20))
def test_no_secret_is_left_in_a_text(secret: str, before: bytes, after: bytes) -> None:
    try:
        raw = secret.encode()
    except UnicodeEncodeError:
        return
    if b"secret:NAME".find(raw) >= 0:
        return
    shown = Revealed(SecretBox({"NAME": secret}))
    shown.reveal("NAME")
    assert raw not in shown.hide(before + raw + after).replace(b"secret:NAME", b"") or raw in before + after


def test_of_two_secrets_the_longer_is_taken_out_first() -> None:
    shown = Revealed(SecretBox({"SHORT": "abcdef", "LONG": "abcdefghij"}))
    shown.reveal("SHORT"), shown.reveal("LONG")
    assert shown.hide(b"abcdefghij abcdef") == b"secret:LONG secret:SHORT"
