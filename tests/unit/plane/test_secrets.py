import base64
import html
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
        b"k-9%22%c3%a9%2f%2b0123",
        b"%6B%2d%39%22%C3%a9%2F%2b%30%31%32%33",
        b"K-9%22%C3%89".replace(b"%C3%89", b"%C3%A9") + b"/+0123",
        json.dumps(json.dumps(SECRET)).encode(),
        json.dumps(SECRET).replace("/", "\\/").encode(),
        b"\\u006B-9\\u0022\\u00E9/\\u002b0123",
        html.escape(SECRET).encode(),
        b"k-9&#x22;&#233;/&#43;0123",
        SECRET.encode("utf-16-le"),
        SECRET.encode("utf-16-be"),
        json.dumps(
            SECRET.encode("utf-16-le").decode("latin-1").replace("\xe9\0", "\xe9\0"), ensure_ascii=True
        ).encode(),
        base64.b64encode(SECRET.encode("utf-16-le")),
        base64.b64encode(b"x" + SECRET.encode("utf-16-be")),
        SECRET.encode("utf-16-le").hex().encode(),
        SECRET.upper().encode().replace("\u00c9".encode(), "\u00e9".encode()),
    ],
)
def test_a_secret_is_taken_out_however_it_is_spelt(spelt: bytes) -> None:
    hidden = Revealed(BOX).hide(b"before " + spelt + b" after")
    assert b"secret:KEY" in hidden
    assert hidden.startswith(b"before ")
    assert hidden.endswith(b" after")


@pytest.mark.slow
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


def test_a_secret_that_another_call_was_shown_is_taken_out_too() -> None:
    assert Revealed(BOX).hide(b"other-secret") == b"other-secret", "no call is shown it, and it may be a word"
    other = SecretBox({"OTHER": "sk-0123456789abcdef"}, frozenset())
    assert Revealed(other).hide(b"an sk-0123456789abcdef") == b"an secret:OTHER"
    assert Revealed(SecretBox({"OTHER": "other-secret"})).hide(b"an other-secret") == b"an secret:OTHER"


@pytest.mark.parametrize(
    "address",
    ["postgresql://ann:pass-word@db:5432/shop", "host=db user=ann password=pass-word", "password='pass-word'"],
)
def test_the_password_of_an_address_is_taken_out_without_the_rest(address: str) -> None:
    assert Revealed(SecretBox({"SHOP": address})).hide(b"for ann: pass-word") == b"for ann: secret:SHOP"


def test_a_text_that_holds_a_secret_is_told() -> None:
    box = SecretBox({"KEY": SECRET, "OTHER": "other-secret", "PIN": "123456"}, frozenset())
    assert box.held_in(json.dumps({"a": SECRET}).encode()) == "KEY"
    assert box.held_in(b"an other-secret") == "OTHER"
    assert box.held_in(b"secret:KEY and 123456") == "", "what is short may be there by chance"


def test_a_long_text_of_many_escapes_is_looked_through_at_once() -> None:
    text = b"\\u006b\\\\%6B&#107;+" * 40_000
    assert Revealed(SecretBox({"KEY": "k" * 40 + "!"})).hide(text) == text


@pytest.mark.parametrize("secret", ["abcdefgh12345678", "\\x\\\\y\\\\\\\\z12345678"])
@pytest.mark.parametrize("unit", [b"\\", b"\\u", b"&#0", b"0", b"%", b"a\\\\", b"x\\"])
def test_a_long_row_of_what_begins_an_escape_is_looked_through_once(secret: str, unit: bytes) -> None:
    # Every pair of places in a million would be a day.
    text = b"%\\&#" + unit * (1_000_000 // len(unit))
    assert Revealed(SecretBox({"KEY": secret})).hide(text) in (text, text.replace(secret.encode(), b"secret:KEY"))


@given(st.text(alphabet='\\"/u0a\n', min_size=8, max_size=24).filter(lambda one: len(set(one)) > 1), st.integers(0, 3))
def test_a_secret_of_what_json_escapes_is_found_in_json_within_json(secret: str, deep: int) -> None:
    text = f"<{secret}>"
    for _ in range(deep):
        text = json.dumps(text)[1:-1]
    hidden = Revealed(SecretBox({"KEY": secret + "!"})).hide(text.replace(">", "!>").encode())
    # Backslashes before it may be the secret's or those of JSON, and say nothing.
    assert hidden.strip(b"<>\\") == b"secret:KEY"


def test_of_two_secrets_the_longer_is_taken_out_first() -> None:
    shown = Revealed(SecretBox({"SHORT": "abcdef", "LONG": "abcdefghij"}))
    shown.reveal("SHORT"), shown.reveal("LONG")
    assert shown.hide(b"abcdefghij abcdef") == b"secret:LONG secret:SHORT"
