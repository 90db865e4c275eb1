"""The HTTP face of the models' host: sockets, limits and who may ask. What is answered stands in ``infer/face.py``.

Invariants:
    * Without a token only this machine is served, and only what was sent to it by a name of this machine: a page in a
      browser has another machine's name.
    * A request is turned away before it is read where there are too many, or where it says it is too long.
    * Nothing is waited for without end: neither a head, nor a body, nor an answer.
    * An answer never shows a stack of calls.
"""

import hmac
import importlib.util
import ipaddress
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from ..errors import ModelHostLost, ModelsMissing, UsageFault
from .face import ENDPOINTS, OPEN, Answer, Call, Face, Terms, say

LOOPBACK: Final = "127.0.0.1"
START_S: Final = 30
QUIET_S: Final = 30
"""Until a connection must have sent the head of a request. Units: seconds."""

HEAD_BYTES: Final = 1 << 16
SPARE: Final = 4
"""Connections for each request that is answered at a time; what comes beyond them is turned away unread."""

NO_HTTP: Final = f"the request is no HTTP/1.1, or its head has more than {HEAD_BYTES:,} bytes"

TOKEN_CHARACTERS: Final = 16
"""Fewer can be guessed."""


class Door:
    """A face that listens, on a thread of its own.

    Args:
        host: A name or address of this machine. One that others can reach needs a token.
        port: 0 for any that is free.
        token: What a client must show; empty for none.

    Raises:
        ModelsMissing: TW6012, starlette or uvicorn is not installed.
        UsageFault: TW1001, others could reach it and there is no token, or too short a one.
        ModelHostLost: TW6009, the address cannot be listened to.
    """

    def __init__(self, face: Face, *, host: str = LOOPBACK, port: int = 0, token: str = "") -> None:
        _check_place(host, token)
        _check_packages()
        import uvicorn

        self.face = face
        self._opened = threading.Event()
        self._port = 0
        config = uvicorn.Config(
            make_app(face, token),
            host=host,
            port=port,
            http=_impatient(),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=SPARE * face.terms.requests,
            h11_max_incomplete_event_size=HEAD_BYTES,
            timeout_graceful_shutdown=max(1, face.terms.deadline_ms // 1000),
            callback_notify=self._say_open,
        )
        self._server: Any = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="tickwork-http", daemon=True)
        self._thread.start()
        if not self._opened.wait(START_S) or not self._port:
            self.close()
            raise ModelHostLost(
                f"nothing can listen to port {port} of {host}",
                why="somebody else does, or the address is none of this machine",
                fix="choose another port, or 0 for any that is free",
            )
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{self._port}"

    def close(self) -> None:
        """Finish what is being answered and listen no more."""
        self._server.should_exit = True
        self._thread.join()

    async def _say_open(self) -> None:
        """Note where it listens. The server calls this as soon as it does, and now and then afterwards."""
        self._port = self._server.servers[0].sockets[0].getsockname()[1]
        self._opened.set()

    def _serve(self) -> None:
        try:
            self._server.run()
        except SystemExit:
            # How the server says that it cannot listen.
            pass
        finally:
            self._opened.set()


def make_app(face: Face, token: str = "") -> Any:
    """Return the ASGI application of a face.

    Raises:
        ModelsMissing: TW6012.
    """
    _check_packages()
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    def as_response(answer: Answer) -> Response:
        return Response(answer.body, answer.status, dict(answer.headers), media_type=answer.kind)

    def endpoint(name: str) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            return as_response(await _answer(face, token, name, request))

        return answer

    async def lost(request: Request, error: Exception) -> Response:
        status = getattr(error, "status_code", 500)
        text = {404: "there is no such endpoint", 405: "the endpoint takes another method"}.get(status, "it failed")
        return as_response(say(status, text, chatty=request.url.path.startswith("/v1/")))

    routes = [Route(path, endpoint(name), methods=[method]) for method, path, name in ENDPOINTS]
    return Starlette(routes=routes, exception_handlers={404: lost, 405: lost, 500: lost})


async def _answer(face: Face, token: str, name: str, request: Any) -> Answer:
    """Turn a request away, or read it and have it answered on a thread."""
    from starlette.concurrency import run_in_threadpool

    headers: Mapping[str, str] = request.headers
    chatty = request.url.path.startswith("/v1/")
    refused = _refuse(face, token, name, headers)
    if refused is not None:
        face.gauges.refuse(refused[1])
        return say(*refused, chatty=chatty)
    # Only the thread of the server comes here, and it waits for nothing between these two lines.
    face.gauges.in_flight += 1
    try:
        body = await _read(request, face.terms)
        if isinstance(body, Answer):
            face.gauges.refuse("body")
            return body
        call = Call({key: str(value) for key, value in request.path_params.items()}, headers, body)
        return await run_in_threadpool(face.answer, name, call)
    finally:
        face.gauges.in_flight -= 1


def _refuse(face: Face, token: str, name: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
    """Return the status and the reason with which a request is turned away unread; None where it is not."""
    if token:
        given = headers.get("authorization", "")
        if name not in OPEN and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return 401, "a token is needed: Authorization: Bearer TOKEN"
    elif not _named_here(headers):
        return 403, "only this machine is served, by its own name"
    if face.gauges.in_flight >= face.terms.requests:
        return 503, "too many requests are being answered"
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > face.terms.body_bytes:
        return 413, f"a request takes {face.terms.body_bytes:,} bytes at most"
    return None


async def _read(request: Any, terms: Terms) -> bytes | Answer:
    """Return the body, or what is said to one that is too long or too slow."""
    import anyio

    parts, size = list[bytes](), 0
    with anyio.move_on_after(terms.read_ms / 1000):
        async for part in request.stream():
            size += len(part)
            if size > terms.body_bytes:
                return say(413, f"a request takes {terms.body_bytes:,} bytes at most")
            parts.append(part)
        return b"".join(parts)
    return say(408, "the request did not come in time")


def _named_here(headers: Mapping[str, str]) -> bool:
    """Return whether a request was sent to a name of this machine, and by no page of another."""
    names = [headers.get("host", "")]
    if "origin" in headers:
        names.append(headers["origin"].partition("://")[2])
    return all(_is_loopback(_without_port(name)) for name in names)


def _without_port(name: str) -> str:
    """The host of ``HOST:PORT``, where an address of many colons stands in brackets."""
    return name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_place(host: str, token: str) -> None:
    if token and (len(token) < TOKEN_CHARACTERS or not token.isascii() or not token.isprintable()):
        raise UsageFault(
            "the token is too easy to guess",
            why=f"it has {TOKEN_CHARACTERS} printable characters of ASCII at least",
            fix="draw a long one: openssl rand -hex 32",
        )
    if not token and not _is_loopback(host):
        raise UsageFault(
            f"{host} can be reached by other machines",
            why="whoever reaches it could run every model of the store",
            fix="give it a token that clients must show, or serve 127.0.0.1",
        )


def _check_packages() -> None:
    """Refuse to go on without the packages. Raises: ModelsMissing."""
    absent = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    if absent:
        raise ModelsMissing(
            "the HTTP face needs the packages starlette and uvicorn",
            why=f"{' and '.join(absent)} cannot be found",
            fix="pip install 'tickwork[serve]'",
        )


def _impatient() -> Any:
    """Return the protocol of a connection that is ended when it sends no whole head in time."""
    import h11
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        """Ends connections on which nothing is asked."""

        late: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self.late is not None:
                self.late.cancel()

        def send_400_response(self, msg: str) -> None:
            """Answer what cannot be read as a request, as other wrong requests are answered."""
            del msg
            answer = say(400, NO_HTTP)
            headers = [
                (b"content-type", answer.kind.encode()),
                (b"content-length", b"%d" % len(answer.body)),
                (b"connection", b"close"),
            ]
            for event in (h11.Response(status_code=400, headers=headers), h11.Data(data=answer.body)):
                self.transport.write(self.conn.send(event))
            self.transport.close()

        def _watch(self) -> None:
            """Have somebody look after a while, unless a request is being read or answered."""
            cycle: Any = self.cycle
            waits = cycle is None or cycle.response_complete
            if self.late is not None and not waits:
                self.late.cancel()
                self.late = None
            elif self.late is None and waits:
                self.late = self.loop.call_later(QUIET_S, self.transport.close)

    return Impatient
