"""The one way out: requests over HTTP to hosts that a policy names, and to no other address whatever they say.

Invariants:
    * A name is resolved once. Every address that it has is judged, and the connection goes to one of those; the name
      itself is only spoken: in the header ``Host``, and to TLS.
    * A redirection is a new request, judged like the first; what was sent to one site is not sent to another.
    * Nothing of the process's environment has a say: no proxy, no netrc.
    * A request ends at its deadline whatever drips in until then, and an answer at its size, before and after it is
      unpacked.
"""

import ipaddress
import socket
import ssl
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, cast

import httpcore2
import httpx2
import msgspec

from ..clock import Clock
from .addresses import Address, EgressPolicy, Target, parse_url
from .deadlines import Crowded, Overdue, Threads
from .errors import AddressRefused, OutputTooLarge, SkillFailed, SkillTimeout

__all__ = ["Egress", "EgressPolicy", "Response", "Streamed", "resolve_name"]

USER_AGENT: Final = "tickwork"
MAX_HEADERS_BYTES: Final = 65_536
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
KEPT_ACROSS_SITES: Final = frozenset({"accept", "accept-language", "user-agent"})
"""Headers that go along where a redirection leads to another site."""

ENCODINGS: Final = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
MOST_AROUND: Final = 65_536
"""Bytes of a packed answer beside those that come out of it: what has no end and gives nothing is not read for ever."""

CONNECT_MS: Final = 10_000
"""The longest that one address of a host is tried."""

Headers = Sequence[tuple[str, str]]
Resolve = Callable[[str, int], Sequence[str]]
"""Makes addresses of a name and a port."""


class Response(msgspec.Struct, frozen=True):
    """What a server answered.

    Attributes:
        headers: Names in lower case. Order: as sent.
        url: Where the answer came from, after redirections.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    url: str

    def header(self, name: str) -> str:
        """Return the first header of a name, or the empty text."""
        return next((value for key, value in self.headers if key == name), "")


class Streamed(msgspec.Struct):
    """An answer whose body is still coming.

    Attributes:
        chunks: The body, unpacked. Reading may raise what ``Egress.stream`` raises.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    url: str
    chunks: Iterator[bytes]

    def header(self, name: str) -> str:
        """Return the first header of a name, or the empty text."""
        return next((value for key, value in self.headers if key == name), "")


def resolve_name(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, as the system knows them. Order: as it would try them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Egress:
    """Makes requests for one agent.

    Args:
        resolve: Instead of the system's own resolver.
        trust: Whom TLS believes, instead of whom this machine believes.
        threads: For resolving within the deadline.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        clock: Clock,
        *,
        resolve: Resolve = resolve_name,
        trust: ssl.SSLContext | None = None,
        threads: Threads | None = None,
    ) -> None:
        self.policy = policy
        self._clock = clock
        self._resolve = resolve
        self._trust = trust
        self._threads = threads or Threads()

    def request(
        self, method: str, url: str, headers: Headers = (), body: bytes = b"", *, deadline_ms: int, most_bytes: int
    ) -> Response:
        """Return the answer to a request. Redirections of a request that only reads are followed.

        Args:
            deadline_ms: From now, for everything together.
            most_bytes: What the answer's body may have, unpacked.

        Raises:
            AddressRefused: TW7024. SkillTimeout: TW7009. OutputTooLarge: TW7029.
            SkillFailed: TW7008, the host cannot be reached, or what it answers is no HTTP.
        """
        with self.stream(method, url, headers, body, deadline_ms=deadline_ms, most_bytes=most_bytes) as answer:
            return Response(answer.status, answer.headers, b"".join(answer.chunks), answer.url)

    @contextmanager
    def stream(
        self, method: str, url: str, headers: Headers = (), body: bytes = b"", *, deadline_ms: int, most_bytes: int
    ) -> Generator[Streamed]:
        """Yield the answer to a request while its body is coming. Arguments and errors are those of ``request``."""
        attempt = _Attempt(self._clock, self._clock.elapsed_ns() + deadline_ms * 1_000_000)
        follows = self.policy.redirects if method in ("GET", "HEAD") else 0
        target, sent = parse_url(url), list(headers)
        for left in range(follows, -1, -1):
            self.policy.check_target(target)
            with self._once(attempt, method, target, sent, body, most_bytes) as answer:
                place = answer.header("location")
                if answer.status not in REDIRECTS or not place or not follows:
                    yield answer
                    return
            if not left:
                raise _failed(f"{target.place} redirects more than {follows} times")
            onward = _onward(target, place)
            if onward.origin != target.origin:
                sent = [(name, value) for name, value in sent if name.lower() in KEPT_ACROSS_SITES]
            if target.scheme == "https" and onward.scheme == "http":
                raise AddressRefused(f"{target.place} redirects from https to http")
            target = onward

    @contextmanager
    def _once(
        self, attempt: "_Attempt", method: str, target: Target, headers: Headers, body: bytes, most_bytes: int
    ) -> Generator[Streamed]:
        addresses = self._addresses(attempt, target)
        transport = _Transport(_Backend(addresses, attempt), self._context(target))
        given = {name.lower() for name, _ in headers}
        usual = [("user-agent", USER_AGENT), ("accept", "*/*"), ("accept-encoding", "gzip, deflate")]
        lines = [*headers, *((name, value) for name, value in usual if name not in given)]
        with _translated(target, attempt), httpx2.Client(transport=transport, trust_env=False, headers={}) as client:
            client.headers.clear()
            request = client.build_request(method, target.url, headers=lines, content=body or None)
            with _sent(client, request) as response:
                found = tuple((name.lower(), value) for name, value in response.headers.multi_items())
                if sum(len(name) + len(value) for name, value in found) > MAX_HEADERS_BYTES:
                    raise OutputTooLarge(f"the headers of {target.place} have more than {MAX_HEADERS_BYTES:,} bytes")
                chunks = _unpacked(response.iter_raw(), response.headers.get("content-encoding", ""), most_bytes)
                yield Streamed(response.status_code, found, target.url, _guarded(chunks, target, attempt))

    def _addresses(self, attempt: "_Attempt", target: Target) -> Sequence[Address]:
        try:
            found = [ipaddress.ip_address(target.host)]
        except ValueError:
            found = self._look_up(attempt, target)
        self.policy.check_addresses(target.host, found)
        return found

    def _look_up(self, attempt: "_Attempt", target: Target) -> list[Address]:
        try:
            names = self._threads.call(lambda: self._resolve(target.host, target.port), attempt.left_ms())
            # Of an address with an interface, such as fe80::1%eth0, the interface goes too: it is refused anyway.
            found = [ipaddress.ip_address(name.partition("%")[0]) for name in names]
        except Overdue:
            raise attempt.overdue(target, unsent=True) from None
        except (Crowded, OSError, UnicodeError, ValueError):
            raise _failed(f"{target.host} has no address", unsent=True) from None
        if not found:
            raise _failed(f"{target.host} has no address", unsent=True)
        return found

    def _context(self, target: Target) -> ssl.SSLContext | None:
        if target.scheme == "http":
            return None
        if self._trust is None:
            self._trust = httpx2.create_ssl_context(trust_env=False)
        return self._trust


class _Attempt:
    """A request under way: its deadline, and whether anything has been sent."""

    def __init__(self, clock: Clock, deadline_ns: int) -> None:
        self._clock = clock
        self._deadline_ns = deadline_ns
        self.connected = False

    def left_s(self) -> float:
        """Return what is left. Units: seconds.

        Raises:
            httpcore2.ReadTimeout: Nothing is.
        """
        left = (self._deadline_ns - self._clock.elapsed_ns()) / 1e9
        if left <= 0:
            raise httpcore2.ReadTimeout
        return left

    def left_ms(self) -> int:
        return max(1, (self._deadline_ns - self._clock.elapsed_ns()) // 1_000_000)

    def overdue(self, target: Target, *, unsent: bool = False) -> SkillTimeout:
        error = SkillTimeout(f"{target.place} did not answer in time")
        error.unsent = unsent
        return error


class _Backend(httpcore2.NetworkBackend):
    """Connects to addresses that have been judged, and to nothing else."""

    def __init__(self, addresses: Sequence[Address], attempt: _Attempt) -> None:
        self._addresses = addresses
        self._attempt = attempt
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Return a connection to the first of the addresses that takes one; ``host`` was resolved before."""
        fault: Exception = httpcore2.ConnectError()
        for address in self._addresses:
            limit = min(self._attempt.left_s(), CONNECT_MS / 1000)
            try:
                stream = self._inner.connect_tcp(str(address), port, timeout=limit)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                fault = error
                continue
            return _bounded(stream, self._attempt)
        raise fault

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore2.NetworkStream:
        """Refuse: sockets of this machine are not reached."""
        raise httpcore2.ConnectError


class _Stream:
    """A connection on which nothing outlasts the deadline; whatever else it knows, the one that it wraps says."""

    def __init__(self, inner: httpcore2.NetworkStream, attempt: _Attempt) -> None:
        self._inner = inner
        self._attempt = attempt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has come."""
        return self._inner.read(max_bytes, timeout=self._attempt.left_s())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send bytes."""
        limit = self._attempt.left_s()
        self._attempt.connected = True
        self._inner.write(buffer, timeout=limit)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Return the same connection under TLS, with the other side proven to be ``server_hostname``."""
        return _bounded(self._inner.start_tls(ssl_context, server_hostname, self._attempt.left_s()), self._attempt)


def _bounded(inner: httpcore2.NetworkStream, attempt: _Attempt) -> httpcore2.NetworkStream:
    return cast("httpcore2.NetworkStream", _Stream(inner, attempt))


class _Body(httpx2.SyncByteStream):
    """The body of an answer as it comes from the pool."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        """Let the connection go."""
        self._stream.close()


class _Transport(httpx2.BaseTransport):
    """Carries out one request on a connection of its own."""

    def __init__(self, backend: _Backend, context: ssl.SSLContext | None) -> None:
        # A connection is not kept: it would be found again by its host alone, and outlive who judged it.
        self._pool = httpcore2.ConnectionPool(
            ssl_context=context, max_connections=1, max_keepalive_connections=0, network_backend=backend
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer to a request."""
        url = request.url
        place = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        stream: Any = request.stream
        answer = self._pool.handle_request(
            httpcore2.Request(request.method, place, headers=request.headers.raw, content=stream)
        )
        return httpx2.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream))

    def close(self) -> None:
        """Let connections go."""
        self._pool.close()


@contextmanager
def _sent(client: httpx2.Client, request: httpx2.Request) -> Generator[httpx2.Response]:
    response = client.send(request, stream=True, follow_redirects=False)
    try:
        yield response
    finally:
        response.close()


@contextmanager
def _translated(target: Target, attempt: _Attempt) -> Generator[None]:
    """Turn what the packages below raise into errors of skills."""
    try:
        yield
    except httpcore2.TimeoutException:
        raise attempt.overdue(target, unsent=not attempt.connected) from None
    except (httpcore2.NetworkError, httpx2.TransportError) as error:
        text = f"{target.place} cannot be reached" if not attempt.connected else f"{target.place} broke off"
        if isinstance(error.__cause__ or error.__context__, ssl.SSLError) and not attempt.connected:
            text = f"{target.place} cannot prove who it is"
        raise _failed(text, unsent=not attempt.connected) from None
    except httpcore2.RemoteProtocolError as error:
        # The package tells a connection that ended too soon by its words alone.
        if "closed" in str(error) or "disconnected" in str(error):
            raise _failed(f"{target.place} broke off") from None
        raise _failed(f"what {target.place} answers is no HTTP") from None
    except (httpcore2.ProtocolError, httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, zlib.error):
        raise _failed(f"what {target.place} answers is no HTTP") from None


def _guarded(chunks: Iterator[bytes], target: Target, attempt: _Attempt) -> Iterator[bytes]:
    with _translated(target, attempt):
        yield from chunks


def _unpacked(chunks: Iterator[bytes], encoding: str, most_bytes: int) -> Iterator[bytes]:
    """Yield a body unpacked, never holding more of it than it may have.

    Raises:
        OutputTooLarge: TW7029. SkillFailed: TW7008, it is packed in a way that was not asked for.
    """
    kind = encoding.strip().lower()
    if kind and kind != "identity" and kind not in ENCODINGS:
        raise _failed(f"the answer is packed as {kind[:40]!r}, which was not asked for", retryable=False)
    unpack = zlib.decompressobj(ENCODINGS[kind]) if kind in ENCODINGS else None
    room, packed_room = most_bytes, most_bytes + most_bytes // 64 + MOST_AROUND
    for chunk in chunks:
        piece = unpack.decompress(chunk, room + 1) if unpack is not None else chunk
        room -= len(piece)
        packed_room -= len(chunk)
        if min(room, packed_room) < 0 or (unpack is not None and unpack.unconsumed_tail):
            raise OutputTooLarge(f"the answer has more than {most_bytes:,} bytes")
        if piece:
            yield piece
        if unpack is not None and unpack.eof:
            return  # What follows the end of what is packed would only be gathered.
    if unpack is not None and not unpack.eof:
        raise _failed("the packed answer is cut off")


def _onward(target: Target, place: str) -> Target:
    """Return where a redirection leads."""
    if any(character <= " " or character == "\\" for character in place):
        raise AddressRefused("a redirection leads to no address of the web")
    try:
        return parse_url(place if "://" in place[:16] else str(httpx2.URL(target.url).join(place)))
    except (httpx2.InvalidURL, ValueError):
        raise AddressRefused("a redirection leads to no address of the web") from None


def _failed(text: str, *, unsent: bool = False, retryable: bool = True) -> SkillFailed:
    error = SkillFailed(text)
    error.unsent, error.retryable = unsent, retryable
    return error
