"""Secrets are in nothing that is written or said, whatever way they are given and whatever way they come back."""

import base64
import html
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support import ROOT
from tests.unit.cli.program import call
from tests.unit.plane.llm.stand import Stand, openai_whole
from tests.unit.plane.skills.calling import Server, reply

pytestmark = pytest.mark.slow

CANARIES = {name: f'cAnary<{name}>/+"{name * 2}" 0123' for name in ("HEAD", "OWN", "HOOK", "SERVER", "PROVIDER")}
NAMED = {name: secret.encode().hex() for name, secret in CANARIES.items()}
"""As they go into headers, which hold no quotation marks."""

SKILLS = """
[skills.told]
kind = "notify"
url = "http://PLACE/hook"
secret = "secret:HOOK"

[skills.own]
kind = "http_call"
methods = ["GET", "POST"]
headers = { "127.0.0.1" = { authorization = "Bearer secret:OWN" } }

[servers.strange]
command = COMMAND
env = { TOKEN = "secret:SERVER" }
"""
PROVIDERS = """
[providers.stand]
kind = "openai"
base_url = "URL/v1"
loopback = true
key = "secret:PROVIDER"

[models.parrot]
provider = "stand"
model = "parrot-1"
free = true
"""
PLAN = {
    "name": "leaky",
    "goal": "Say it",
    "steps": [
        {
            "id": "head",
            "skill": "http_call@1",
            "params": {"url": "http://PLACE/a", "headers": {"x-key": "secret:HEAD"}},
        },
        {"id": "later", "skill": "http_call@1", "depends_on": ["head"], "params": {"url": "http://PLACE/b"}},
        {
            "id": "kept",
            "skill": "http_call@1",
            "depends_on": ["head"],
            "params": {"url": "http://PLACE/c", "keep_as": "page.html"},
        },
        {"id": "own", "skill": "own@1", "params": {"url": "http://PLACE/d", "method": "POST", "json": {"a": 1}}},
        {
            "id": "moved",
            "skill": "http_call@1",
            "depends_on": ["later"],
            "on_error": "continue",
            "params": {"url": "http://PLACE/moved"},
        },
        {"id": "hook", "skill": "told@1", "params": {"data": {"a": 1}}},
        {"id": "server", "skill": "strange.echo", "params": {"text": "hello"}},
        {"id": "think", "skill": "llm_invoke@1", "params": {"prompt": "Say ${steps.later.output.text}"}},
    ],
    "outputs": {"all": "${[steps.later.output, steps.server.output, steps.think.output]}"},
}


def spellings(secret: str) -> Iterator[bytes]:
    """Yield a secret in every spelling that a server would send it back in."""
    raw = secret.encode()
    for one in (raw, secret.encode("utf-16-le"), secret.encode("utf-16-be")):
        yield from (one, base64.b64encode(one), base64.urlsafe_b64encode(b"x" + one), one.hex().encode())
    upper = quote(secret, safe="")
    yield from (upper.encode(), upper.lower().encode(), html.escape(secret).encode(), raw.upper(), raw.lower())
    yield from (json.dumps(secret)[1:-1].encode(), json.dumps(json.dumps(secret))[3:-3].encode())
    yield "".join(f"\\u{ord(letter):04x}" for letter in secret).encode()


def everything() -> bytes:
    """Return all secrets in all spellings, one beside the other."""
    return b" ; ".join(one for secret in (*CANARIES.values(), *NAMED.values()) for one in spellings(secret))


def says(connection: socket.socket) -> None:
    connection.sendall(reply(everything(), "content-type: text/plain", "etag: " + NAMED["HEAD"]))


def moves(connection: socket.socket) -> None:
    connection.sendall(reply(b"", f"location: http://{NAMED['OWN'][:60]}.example/{NAMED['OWN']}", status="302 Found"))


def test_secrets_are_in_nothing_that_is_written_or_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKWORK_MODELS", str(folder / "models"))
    for name in CANARIES:
        monkeypatch.setenv(f"TICKWORK_SECRET_{name}", NAMED[name])
    own = folder / ".tickwork"
    own.mkdir()
    strange = json.dumps([sys.executable, str(ROOT / "tests" / "servers" / "strange.py"), "env"])
    said = [everything().decode("utf-8", "replace"), NAMED["PROVIDER"], NAMED["HEAD"]]
    with Server(says) as server, Stand(*(openai_whole(text) for text in said)) as stand:
        (own / "skills.toml").write_text(SKILLS.replace("PLACE", server.place).replace("COMMAND", strange))
        (own / "providers.toml").write_text(PROVIDERS.replace("URL", stand.url))
        (folder / "plan.json").write_text(json.dumps(PLAN).replace("PLACE", server.place))
        told = [call("allow"), call("skill", "accept", "strange")]
        allowed = [part for name in ("*", "strange.*") for part in ("--allow", name)]
        told.append(call("profile", "add", "leaky", *allowed, "--host", server.place, "--loopback", "--secret", "HEAD"))
        assert [one.status for one in told] == [0, 0, 0], told
        done = call("plan", "run", "plan.json", "--profile", "leaky")
        told.append(done)
        assert done.status in (0, 6), done.out + done.err
        (run,) = json.loads(call("runs", "-o", "json").out)["runs"]
        while waiting := json.loads(call("approval", "list", "-o", "json").out)["approvals"]:
            told += [call("approval", "grant", one["id"], "--by", "ann") for one in waiting]
        told += [call("show", run["run_id"], "-o", "json"), call("explain", run["run_id"])]
        told += [call("artifact", "show", "page.html"), call("artifact", "export", "page.html", "--to", "out")]
        told += [call("pack", run["run_id"], "-o", "run.twk"), call("show", "run.twk", "-o", "json")]
    heard = b"".join(server.heard)
    assert NAMED["HEAD"].encode() in heard, "the secret did go out"
    assert f"Bearer {NAMED['OWN']}".encode() in heard
    written = {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "models" not in path.relative_to(folder).parts
    }
    assert any(b"secret:HEAD" in raw for raw in written.values())
    said_all = {f"{number} {one.status}": (one.out + one.err).encode() for number, one in enumerate(told)}
    for place, raw in (written | said_all).items():
        lower = raw.lower()
        for name, secret in NAMED.items():
            for spelt in spellings(secret):
                assert spelt.lower() not in lower, (place, name, spelt)
