import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import need
from tests.unit.plane.skills.calling import Server, answer, failure, found, output, reply
from tickwork.plane.errors import SkillInvalid
from tickwork.plane.profile import GrantsTable
from tickwork.plane.skills.configuration import Configuration
from tickwork.plane.skills.page_reader import Page, Request, unreadable
from tickwork.plane.skills.pages import read_page
from tickwork.plane.skills.registry import Found, Registry
from tickwork.plane.skills.web import WebKeys, WebRead

HTML = "content-type: text/html; charset=utf-8"
SENTENCE = "Rain fell on the hills for two days, and the river rose by a metre. "
PAGE = f"""<!DOCTYPE html><html lang="en"><head><title>Rain</title><meta name="author" content="Ann Other">
<meta property="article:published_time" content="2024-03-01"><meta property="og:site_name" content="The Gauge"></head>
<body><nav><a href="/home">Home</a></nav><article><h1>Rain</h1><p>{SENTENCE * 8}</p>
<p>More stands in <a href="two?q=1#part">the second part</a> of this report about rivers.</p></article>
<div class="comments"><p>A reader says something.</p></div></body></html>""".encode()


class Here:
    """Reads pages in this process, so that a test of what is read starts no other."""

    def read(self, request: Request, within_ms: int) -> Page:
        try:
            return read_page(request.text, request.url, markdown=request.markdown, comments=request.comments)
        except ValueError as error:
            raise unreadable(request, str(error)) from None

    def close(self) -> None:
        pass


class Maker:
    """Makes the skill with such a reader."""

    def from_config(self, config: Mapping[str, Any]) -> WebRead:
        return WebRead(WebKeys(), Here())


@pytest.fixture
def web() -> Found:
    return Registry(Configuration(), {"web_read": Maker()}).find("web_read")


def page(body: bytes, *lines: str, status: str = "200 OK") -> Server:
    return Server(reply(body, *(lines or (HTML,)), status=status))


def test_a_page_is_read_without_what_is_around_it(web: Found) -> None:
    with page(PAGE) as server:
        made = answer(web, {"url": f"http://{server.place}/rain/one"}, server.grants)
    said = json.loads(made.output)
    assert (said["title"], said["author"], said["date"], said["site"]) == (
        "Rain", "Ann Other", "2024-03-01", "The Gauge",
    )  # fmt: skip
    assert SENTENCE.strip() in said["text"]
    assert "Home" not in said["text"]
    assert [link["url"].partition("/")[2] for link in said["links"]] == [
        f"/{server.place}/home", f"/{server.place}/rain/two?q=1",
    ]  # fmt: skip
    assert said["cut"] is False
    assert made.labels == ("host:127.0.0.1",)


def test_a_page_can_be_had_as_markdown_and_cut(web: Found) -> None:
    with page(PAGE) as server:
        url = f"http://{server.place}/"
        made = output(web, {"url": url, "format": "markdown"}, server.grants)
        assert made["text"].startswith("# Rain\n")
        assert "[the second part](" in made["text"]
        made = output(web, {"url": url, "most_chars": 4}, server.grants)
        assert (made["text"], made["cut"]) == ("Rain", True)


@pytest.mark.parametrize(
    ("body", "lines", "text"),
    [
        ("Größe ändern".encode(), ("content-type: text/plain; charset=utf-8",), "Größe ändern"),
        ("<p>Größe</p>".encode("latin-1"), ("content-type: text/html; charset=iso-8859-1",), "Größe"),
        ('<meta charset="latin1"><p>Größe</p>'.encode("latin-1"), ("content-type: text/html",), "Größe"),
        ("<p>Größe</p>".encode(), ("content-type: text/html; charset=nonsense",), "Größe"),
        (b"<p>a\x00b\xff</p>", (HTML,), "a\ufffdb\ufffd"),
        (b"<script>evil()</script><style>p{}</style><p>Short.</p>", (HTML,), "Short."),
    ],
)
def test_a_text_is_read_in_its_own_characters(web: Found, body: bytes, lines: tuple[str, ...], text: str) -> None:
    with page(body, *lines) as server:
        assert output(web, {"url": f"http://{server.place}/"}, server.grants)["text"] == text


@pytest.mark.parametrize(
    ("server", "told"),
    [
        (lambda: page(b"no", HTML, status="404 Not Found"), "answered 404"),
        (lambda: page(b"{}", "content-type: application/json"), "answered with application/json, which is no page"),
        (lambda: page(b""), "cannot be read: it is empty"),
        (lambda: page(b"<div>" * 60_000), "cannot be read: its elements lie"),
        (lambda: page(b"<p>a</p>" * 100_001), "cannot be read: it has more than 100,000 elements"),
    ],
)
def test_what_is_no_page_is_a_failure(web: Found, server: Callable[[], Server], told: str) -> None:
    with server() as standing:
        text = failure(web, {"url": f"http://{standing.place}/"}, standing.grants)
        assert text.startswith("TW7008")
        assert told in text


def test_a_page_of_another_host_than_the_profile_grants_is_not_read(web: Found) -> None:
    with page(PAGE) as server:
        grants = GrantsTable(("example.com",), loopback=True)
        assert failure(web, {"url": f"http://{server.place}/"}, grants).startswith("TW7024")
        assert server.heard == []


def test_a_page_that_is_too_large_is_not_read(web: Found) -> None:
    with page(b"a" * (5 << 20)) as server:
        assert failure(web, {"url": f"http://{server.place}/"}, server.grants).startswith("TW7029")


@pytest.mark.slow
def test_a_page_that_takes_too_long_to_read_is_given_up_and_the_next_one_is_read() -> None:
    web = found("web_read")
    many = " ".join(f"a{number}=1" for number in range(300_000))
    with page(f"<p {many}>x</p>".encode()) as server:
        text = failure(web, {"url": f"http://{server.place}/"}, server.grants, timeout_ms=900)
        assert text == "TW7009 the page takes too long to read"
    with page(b"<p>Short.</p>") as server:
        assert output(web, {"url": f"http://{server.place}/"}, server.grants)["text"] == "Short."
    with page(b"<div>" * 60_000) as server:
        assert "its elements lie" in failure(web, {"url": f"http://{server.place}/"}, server.grants)
    web.skill.close()  # type: ignore[attr-defined]


def test_a_browser_is_configured_as_one() -> None:
    with pytest.raises(SkillInvalid, match="are of a browser"):
        found("shown", kind="web_read", program="/usr/bin/chromium")
    assert found("shown", kind="web_read", browser=True).traits.capabilities == ("network", "browser")


SCRIPT = """<title>Made</title><div id=a></div><script>
navigator.sendBeacon('/told', 'x'); fetch('/posted', {method: 'POST', body: 'x'}).catch(e => 0);
new WebSocket('ws://%s/socket'); fetch('http://127.0.0.1:%s/elsewhere').catch(e => 0);
fetch('/part.json').then(r => r.json()).then(d => {
  document.getElementById('a').innerHTML = '<article id=done><p>' + d.text.repeat(8) + '</p></article>';
});</script>"""


@pytest.mark.slow
def test_a_browser_runs_the_scripts_of_a_page_and_reaches_nothing_but_what_is_granted(tmp_path: Path) -> None:
    program = need("chromium")
    with page(b"secret") as other:

        def talk(connection: socket.socket) -> None:
            line = server.heard[-1].partition(b"\r\n")[0]
            parts = {b"GET / ": reply((SCRIPT % (server.place, other.port)).encode(), HTML)}
            part = reply(json.dumps({"text": SENTENCE}).encode(), "content-type: application/json")
            parts[b"GET /part.json "] = part
            connection.sendall(next((said for start, said in parts.items() if line.startswith(start)), reply()))

        with Server(talk) as server:
            keys: dict[str, Any] = {"browser": True, "program": program, "sandbox": False}
            skill = found("shown", tmp_path, kind="web_read", **keys)
            url = f"http://{server.place}/"
            made = output(skill, {"url": url, "wait_for": "#done"}, server.grants, timeout_ms=60_000)
            skill.skill.close()  # type: ignore[attr-defined]
            paths = sorted(raw.partition(b" HTTP")[0] for raw in server.heard)
    assert SENTENCE.strip() in made["text"]
    assert paths == [b"GET /", b"GET /part.json"]
    assert other.heard == []
