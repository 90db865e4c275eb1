"""A server of skills at an address, which the owner of this machine has written down.

Invariants:
    * Nothing of the process's environment has a say, and a redirection leads to the same site or nowhere.
    * An answer that is read whole ends at its size.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import httpx2
from anyio.streams.memory import MemoryObjectSendStream
from mcp.client import Transport
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage

from .mcp_pipes import MOST_MESSAGE_BYTES, Fate

CONNECT_S: Final = 10.0
"""The longest that connecting takes."""

SILENT_S: Final = 300.0
"""The longest that a stream of messages may be silent. Source: MCP's SDK."""


def addressed(url: str, headers: Mapping[str, str], fate: Fate) -> Transport:
    """Return a transport to a server over HTTP, which is connected when something is said."""
    return _addressed(url, headers, fate)


@asynccontextmanager
async def _addressed(url: str, headers: Mapping[str, str], fate: Fate) -> AsyncGenerator[Any]:
    limits = httpx2.Timeout(CONNECT_S, read=SILENT_S)
    # A packed answer could be a thousand times its size.
    lines = {"accept-encoding": "identity", **headers}
    client = httpx2.AsyncClient(transport=_Bounded(fate), headers=lines, timeout=limits, trust_env=False)
    talk = streamable_http_client(url, http_client=client, max_sse_event_size=MOST_MESSAGE_BYTES)
    async with client, talk as (incoming, outgoing):
        arriving, heard = anyio.create_memory_object_stream[Any](0)
        task = asyncio.ensure_future(_hear(incoming, arriving, fate))
        try:
            yield heard, outgoing
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            heard.close()


async def _hear(incoming: Any, arriving: MemoryObjectSendStream[Any], fate: Fate) -> None:
    """Pass on what a server says, for as long as it is worth listening to."""
    with arriving:
        async for item in incoming:
            if isinstance(item, SessionMessage) and not fate.hear(item.message, _size(item)):
                return
            await arriving.send(item)


def _size(item: SessionMessage) -> int:
    return len(item.message.model_dump_json(by_alias=True))


class _Bounded(httpx2.AsyncBaseTransport):
    """Requests whose answers end at their size."""

    def __init__(self, fate: Fate) -> None:
        self._inner = httpx2.AsyncHTTPTransport(trust_env=False)
        self._fate = fate

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the answer to a request."""
        answer = await self._inner.handle_async_request(request)
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            await answer.aclose()
            self._fate.end("packs its answers, which it was not asked to")
            raise httpx2.RemoteProtocolError("a packed answer", request=request)
        if kind == "text/event-stream":
            # A stream of messages may go on for as long as it likes; each of them has its bound.
            return answer
        stream = answer.stream
        assert isinstance(stream, httpx2.AsyncByteStream)
        body = _Body(stream, request, self._fate)
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=body, extensions=answer.extensions)

    async def aclose(self) -> None:
        """Let connections go."""
        await self._inner.aclose()


class _Body(httpx2.AsyncByteStream):
    """The body of an answer, to its bound."""

    def __init__(self, inner: httpx2.AsyncByteStream, request: httpx2.Request, fate: Fate) -> None:
        self._inner = inner
        self._request = request
        self._fate = fate

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MOST_MESSAGE_BYTES
        async for chunk in self._inner:
            left -= len(chunk)
            if left < 0:
                self._fate.end(f"sent a message of more than {MOST_MESSAGE_BYTES:,} bytes")
                raise httpx2.RemoteProtocolError("too large", request=self._request)
            yield chunk

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._inner.aclose()
