import datetime
import gzip
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.unit.plane.skills.calling import CLOCK, Server, reply
from tickwork.plane.egress import Egress, EgressPolicy, Resolve, Response, resolve_name
from tickwork.plane.errors import AddressRefused, OutputTooLarge, PlaneError, SkillFailed, SkillTimeout

HERE = EgressPolicy(hosts=("*:*",), networks=("127.0.0.0/8", "::1/128"))


def ask(
    url: str,
    method: str = "GET",
    policy: EgressPolicy = HERE,
    *,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    deadline_ms: int = 5000,
    resolve: Resolve = resolve_name,
    trust: ssl.SSLContext | None = None,
) -> Response:
    egress = Egress(policy, CLOCK, resolve=resolve, trust=trust)
    return egress.request(method, url, headers, body, deadline_ms=deadline_ms, most_bytes=100_000)


def test_a_request_gets_its_answer() -> None:
    with Server(reply(b"hello", "X-Kind: a", "x-kind: b")) as server:
        made = ask(f"http://{server.place}/path?q=1", "POST", headers=[("x-own", "1")], body=b"body")
    assert (made.status, made.body, made.header("x-kind"), made.header("none")) == (200, b"hello", "a", "")
    request = server.heard[0]
    assert request.startswith(b"POST /path?q=1 HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\nbody")
    assert f"Host: {server.place}".encode() in request
    assert b"x-own: 1" in request


def test_an_answer_streams() -> None:
    with Server(reply(b"a" * 50_000)) as server:
        egress = Egress(HERE, CLOCK)
        with egress.stream("GET", f"http://{server.place}/", deadline_ms=5000, most_bytes=100_000) as made:
            assert made.status == 200
            assert made.header("content-length") == "50000"
            assert sum(map(len, made.chunks)) == 50_000


def _drip(before: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        connection.sendall(before)
        connection.settimeout(0.02)
        for _ in range(200):
            try:
                connection.recv(1)
                return
            except TimeoutError:
                connection.sendall(piece)

    return send


def _hang(connection: socket.socket) -> None:
    connection.recv(1)


@pytest.mark.parametrize(
    "script",
    [
        _hang,
        _drip(b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n"),
        _drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        _drip(b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n", b"x"),
        _drip(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["nothing", "headers", "interim", "body", "chunks"],
)
def test_whatever_drips_in_ends_at_the_deadline(script: Callable[[socket.socket], None]) -> None:
    with Server(script) as server, pytest.raises(SkillTimeout) as told:
        ask(f"http://{server.place}/", deadline_ms=120)
    assert told.value.unsent is False


def _packed(raw: bytes, kind: str) -> bytes:
    return reply(raw, f"content-encoding: {kind}")


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (_packed(gzip.compress(bytes(20_000_000), 1), "gzip"), OutputTooLarge, "more than 100,000"),
        (_packed(zlib.compress(bytes(20_000_000), 1), "deflate"), OutputTooLarge, "more than 100,000"),
        (reply(b"x" * 100_001), OutputTooLarge, "more than 100,000"),
        (reply(b"", "x-long: " + "a" * 70_000), OutputTooLarge, "headers"),
        (reply(b"", *[f"x-{n}: a" for n in range(12000)]), PlaneError, "no HTTP"),
        (_packed(b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 900_000, "gzip"), OutputTooLarge, "more than 100,000"),
        (_packed(zlib.compress(b"")[:2] + b"\x00\x00\x00\xff\xff" * 90_000, "deflate"), OutputTooLarge, "more than"),
        (_packed(b"no gzip", "gzip"), SkillFailed, "no HTTP"),
        (_packed(gzip.compress(b"x" * 999, mtime=0)[:-9], "gzip"), SkillFailed, "cut off"),
        (_packed(b"x", "br"), SkillFailed, "not asked for"),
        (_packed(b"x", "gzip, gzip"), SkillFailed, "not asked for"),
        (b"\x00\x01\x02\r\n\r\n", SkillFailed, "no HTTP"),
        (b"", SkillFailed, "broke off"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf", SkillFailed, "broke off"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n", SkillFailed, "no HTTP"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", SkillFailed, "no HTTP"),
    ],
)  # fmt: skip
def test_a_bad_answer_is_an_error(answer: bytes, kind: type[PlaneError], told: str) -> None:
    with Server(answer) as server, pytest.raises(kind, match=told):
        ask(f"http://{server.place}/")


@pytest.mark.parametrize("kind", ["gzip", "deflate", "identity"])
def test_a_packed_answer_is_unpacked(kind: str) -> None:
    text = b"text" * 100
    packed = {"gzip": gzip.compress(text, mtime=0), "deflate": zlib.compress(text), "identity": text}[kind]
    with Server(_packed(packed, kind)) as server:
        assert ask(f"http://{server.place}/").body == b"text" * 100


@pytest.mark.parametrize("kind", ["gzip", "deflate"])
def test_what_follows_the_end_of_a_packed_answer_is_not_gathered(kind: str) -> None:
    packed = gzip.compress(b"text", mtime=0) if kind == "gzip" else zlib.compress(b"text")

    def endless(connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-encoding: {kind}\r\n\r\n".encode() + packed)
        for _ in range(1000):
            connection.sendall(bytes(1 << 20))

    with Server(endless) as server:
        assert ask(f"http://{server.place}/").body == b"text"


def came_of(server: Server) -> bytes | str:
    """Return the body that a server gives, or the code of the error."""
    try:
        return ask(f"http://{server.place}/").body
    except PlaneError as error:
        return str(error.code)


def test_an_answer_without_a_body_has_none() -> None:
    for status in ("101 Switching Protocols", "204 No Content", "304 Not Modified"):
        with Server(reply(status=status)) as server:
            assert came_of(server) in (b"", "TW7008", "TW7009")


def test_endless_provisional_answers_end_at_the_deadline() -> None:
    def early(connection: socket.socket) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 100)

    with Server(early) as server, pytest.raises(SkillTimeout):
        ask(f"http://{server.place}/", deadline_ms=200)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 9\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello, and a second answer HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello",
    ],
)
def test_an_answer_that_lies_about_its_length_gives_its_own_bytes_or_an_error(answer: bytes) -> None:
    with Server(answer) as server:
        assert came_of(server) in (b"hello", "TW7008", "TW7029")


def test_nobody_there_is_told_as_unsent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(SkillFailed, match="cannot be reached") as told:
        ask(f"http://127.0.0.1:{port}/")
    assert (told.value.unsent, told.value.retryable) == (True, True)


def test_a_broken_connection_is_not_told_as_unsent() -> None:
    with Server(b"") as server, pytest.raises(SkillFailed) as told:
        ask(f"http://{server.place}/")
    assert (told.value.unsent, told.value.retryable) == (False, True)


@pytest.mark.parametrize(
    "place",
    [
        "http://169.254.169.254/latest/meta-data", "http://0x7f.1/", "http://[::ffff:10.0.0.1]/", "//10.0.0.1/",
        "http://user@example.com/", "file:///etc/passwd", "http://10.0.0.1\\@example.com/", "http://exa mple/",
    ],
)  # fmt: skip
def test_a_redirection_is_judged_like_the_first_address(place: str) -> None:
    with Server(reply(b"", f"location: {place}", status="302 Found")) as server, pytest.raises(AddressRefused):
        ask(f"http://{server.place}/")


def test_redirections_are_followed_and_counted() -> None:
    with Server(reply(b"end")) as last, Server(reply(b"", f"location: http://{last.place}/x", status="307 T")) as first:
        secret = [("authorization", "Bearer abc"), ("accept", "text/plain")]
        made = ask(f"http://{first.place}/", headers=secret)
    assert (made.body, made.url) == (b"end", f"http://{last.place}/x")
    assert b"Bearer abc" in first.heard[0]
    # What was sent to one site is not sent to another.
    assert b"Bearer" not in last.heard[0]
    assert b"text/plain" in last.heard[0]
    with Server(reply(b"", "location: /again", status="301 M")) as loop, pytest.raises(SkillFailed, match="5 times"):
        ask(f"http://{loop.place}/", headers=secret)
    assert len(loop.heard) == 6
    assert all(b"Bearer abc" in request for request in loop.heard)


def test_a_request_that_changes_something_is_not_redirected() -> None:
    with Server(reply(b"no", "location: /again", status="307 T")) as server:
        assert ask(f"http://{server.place}/", "POST", body=b"x").status == 307
    assert len(server.heard) == 1


def test_a_name_is_resolved_once_and_the_connection_goes_where_it_was_judged() -> None:
    asked = list[str]()

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        # Whoever asks again is led elsewhere.
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with Server(reply(b"here")) as server:
        made = ask(f"http://rebinding.example:{server.port}/", resolve=resolve)
    assert made.body == b"here"
    assert asked == ["rebinding.example"]
    assert f"Host: rebinding.example:{server.port}".encode() in server.heard[0]


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["::1"], ["fe80::1%eth0"]])
def test_a_name_that_leads_inside_is_refused(addresses: list[str]) -> None:
    with pytest.raises(AddressRefused, match="not public"):
        ask("http://inside.example/", policy=EgressPolicy(hosts=("*",)), resolve=lambda host, port: addresses)


def test_localhost_is_refused_without_a_grant() -> None:
    with pytest.raises(AddressRefused):
        ask("http://localhost/", policy=EgressPolicy(hosts=("*",)))
    assert resolve_name("localhost", 80)


def test_a_name_without_an_address_is_told_as_unsent() -> None:
    def fail(host: str, port: int) -> list[str]:
        raise socket.gaierror

    for resolve in (fail, lambda host, port: [], lambda host, port: ["no address"]):
        with pytest.raises(SkillFailed, match="has no address") as told:
            ask("http://nowhere.example/", resolve=resolve)
        assert told.value.unsent


def test_a_resolver_that_hangs_ends_at_the_deadline() -> None:
    gate = threading.Event()

    def hang(host: str, port: int) -> list[str]:
        gate.wait()
        return []

    with pytest.raises(SkillTimeout) as told:
        ask("http://slow.example/", resolve=hang, deadline_ms=20)
    gate.set()
    assert told.value.unsent


def test_the_second_address_is_tried_where_the_first_does_not_answer() -> None:
    with Server(reply(b"v4")) as server:
        assert ask(f"http://both.example:{server.port}/", resolve=lambda host, port: ["::1", "127.0.0.1"]).body == b"v4"


def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Server(reply(b"direct")) as server:
        assert ask(f"http://{server.place}/").body == b"direct"


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """Return a server's certificate for ``named.example`` and a context that believes it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "named.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("named.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    path.write_bytes(private + public)
    return path, ssl.create_default_context(cadata=public.decode())


def _over_tls(path: Path, names: list[str | None]) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    context.sni_callback = lambda connection, name, _: names.append(name)
    listening = socket.create_server(("127.0.0.1", 0))
    return context.wrap_socket(listening, server_side=True)


def test_tls_is_spoken_with_the_name_and_not_with_the_address(authority: tuple[Path, ssl.SSLContext]) -> None:
    path, trust = authority
    names = list[str | None]()
    with _over_tls(path, names) as listening:
        port = listening.getsockname()[1]

        def serve() -> None:
            for _ in range(2):
                try:
                    connection, _ = listening.accept()
                except ssl.SSLError:
                    continue
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply(b"proven"))

        threading.Thread(target=serve, daemon=True).start()

        def here(host: str, port: int) -> list[str]:
            return ["127.0.0.1"]

        assert ask(f"https://named.example:{port}/", trust=trust, resolve=here).body == b"proven"
        with pytest.raises(SkillFailed, match="cannot prove who it is") as told:
            ask(f"https://other.example:{port}/", trust=trust, resolve=here)
    assert names == ["named.example", "other.example"]
    assert told.value.unsent
