import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import environment, need
from tests.unit.plane.skills.calling import Server, failure, output, reply
from tickwork.plane.errors import ServerFailed
from tickwork.plane.secrets import SecretBox
from tickwork.plane.skills.configuration import Configuration
from tickwork.plane.skills.mcp_http import addressed
from tickwork.plane.skills.mcp_pipes import Fate
from tickwork.plane.skills.registry import Registry

SAY = {"text": "hello"}
TOOL = {"name": "echo", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}
JSON = "content-type: application/json"


def result(method: str, text: str) -> dict[str, Any] | None:
    """Return what a server of the older protocol answers; None where it knows no such method."""
    match method:
        case "initialize":
            about = {"name": "h", "version": "1"}
            return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": about}
        case "tools/list":
            return {"tools": [TOOL]}
        case "tools/call":
            return {"content": [{"type": "text", "text": text}]}
        case _:
            return None


def serve(called: Callable[[bytes], bytes]) -> Server:
    """Return a server over HTTP; ``called`` makes the answer to a call of what would be a good one."""

    def talk(connection: socket.socket) -> None:
        head, _, body = server.heard[-1].partition(b"\r\n\r\n")
        if not head.startswith(b"POST"):
            connection.sendall(reply(status="405 No"))
            return
        message = json.loads(body)
        if "id" not in message:
            connection.sendall(reply(status="202 Accepted"))
            return
        made = result(message["method"], message.get("params", {}).get("arguments", {}).get("text", ""))
        error = {"error": {"code": -32601, "message": "no"}}
        said = {"jsonrpc": "2.0", "id": message["id"], **({"result": made} if made else error)}
        raw = json.dumps(said).encode()
        connection.sendall(called(raw) if message["method"] == "tools/call" else reply(raw, JSON, "connection: close"))

    server = Server(talk)
    return server


def opened(server: Server, project: Path, **keys: Any) -> Registry:
    table = {"url": f"http://{server.place}/mcp", "start_timeout": "5s", **keys}
    return Registry.load(Configuration({}, {"h": table}, project, SecretBox({"T": "tok-12345"})), installed=False)


def good(raw: bytes) -> bytes:
    return reply(raw, JSON, "connection: close")


def test_a_server_at_an_address_is_spoken_to(tmp_path: Path) -> None:
    with serve(good) as server, opened(server, tmp_path, headers={"authorization": "Bearer secret:T"}) as registry:
        assert output(registry.find("h.echo"), SAY)["text"] == "hello"
        head = server.heard[0].lower()
        assert b"authorization: bearer tok-12345" in head
        assert b"accept-encoding: identity" in head


@pytest.mark.parametrize(
    ("called", "told"),
    [
        (lambda raw: good(raw[:-4]), "TW7026 the server h answered otherwise than the protocol says"),
        (lambda raw: reply(status="500 Broken"), "TW7008 the server h refused the call"),
        (lambda raw: reply(raw, JSON, "content-encoding: gzip"), "TW7026 the server h packs its answers"),
        (lambda raw: good(b" " * (17 << 20)), "TW7026 the server h sent a message of more than 16,777,216 bytes"),
        (lambda raw: reply(b"", "location: http://127.0.0.2:9/", status="307 Away"), "TW7008 the server h refused"),
    ],
)  # fmt: skip
def test_a_server_that_answers_badly_fails_the_call(
    tmp_path: Path, called: Callable[[bytes], bytes], told: str
) -> None:
    with serve(called) as server, opened(server, tmp_path) as registry:
        text = failure(registry.find("h.echo"), SAY, timeout_ms=2000)
        assert text.startswith(told), text


def test_an_address_where_nobody_answers_is_told_of(tmp_path: Path) -> None:
    with serve(good) as server:
        pass
    with opened(server, tmp_path) as registry, pytest.raises(ServerFailed, match="the server h"):
        registry.find("h.echo")


def test_a_transport_that_is_not_entered_connects_to_nothing() -> None:
    fate = Fate()
    addressed("http://127.0.0.1:1/", {}, fate)
    assert not fate.reason


@pytest.mark.slow
def test_a_published_server_is_spoken_to_over_http(tmp_path: Path) -> None:
    script = need("mcp:server-everything")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["node", script, "streamableHttp"]
    variables = {**environment(), "PORT": str(port)}
    with subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        while b"listening" not in process.stderr.readline():
            pass
        table = {"url": f"http://127.0.0.1:{port}/mcp"}
        with Registry.load(Configuration({}, {"h": table}, tmp_path), installed=False) as registry:
            assert output(registry.find("h.get-sum"), {"a": 2, "b": 40})["text"] == "The sum of 2 and 40 is 42."
            assert failure(registry.find("h.get-sum"), {"a": 2}).startswith("TW7006")
            process.terminate()
            process.communicate()
            assert failure(registry.find("h.get-sum"), {"a": 2, "b": 40}).startswith("TW70")
