"""A server of MCP that is being spoken to: the SDK's session, on a loop of its own in a thread of its own.

Invariants:
    * Whoever calls waits no longer than they said, whatever the server does.
    * After ``close`` there is no loop, and no process but one that the system itself cannot end.
    * Nothing that a server sends is believed for its form: it is checked before it is looked at.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, Final, TypeVar, cast

import mcp_types as types
import msgspec
from mcp import Client, MCPError
from mcp.client import ClientSession, Transport
from pydantic import ValidationError

from ..errors import PlaneError, ServerFailed, SkillFailed, SkillInputInvalid
from ..json_text import write_json
from .mcp_pipes import Fate
from .offers import MOST_OFFER_BYTES, MOST_OFFERS, Offer

MOST_PAGES: Final = 100
CLOSING_S: Final = 8.0
"""How long a link has to close; longer than a process has to end."""

_SILENT: Final = logging.NullHandler()
KEY: Final = "tickwork/idempotency-key"
"""Where a server finds the key of a call, in its ``_meta``."""

T = TypeVar("T")


class Block(msgspec.Struct, frozen=True):
    """A part of an answer that is no text.

    Attributes:
        kind: ``image``, ``audio``, ``resource`` or ``link``.
        body: Base64 of bytes; empty for a link.
    """

    kind: str
    mime: str
    uri: str = ""
    text: str = ""
    body: str = ""


class Said(msgspec.Struct, frozen=True):
    """What a server answered to a call.

    Attributes:
        structured: None where there is none, else a list of the one value.
    """

    text: str
    structured: list[Any] | None
    blocks: tuple[Block, ...]
    failed: bool = False


class Link:
    """A conversation with a server.

    Args:
        name: What the server is called here.
        connect: Makes the transport, in the thread of the loop.
        version: Of this program.
        hide: Takes secrets out of a text.
    """

    def __init__(
        self, name: str, connect: Callable[[Fate], Transport], version: str, *, hide: Callable[[str], str]
    ) -> None:
        self._name = name
        self._connect = connect
        self._hide = hide
        self._client = types.Implementation(name="tickwork", version=version)
        self._fate = Fate()
        self._session: ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._talk: asyncio.Task[None] | None = None
        self._fault: BaseException | None = None
        self._opened = threading.Event()
        self._count = threading.Lock()
        self._calls = 0
        self._thread = threading.Thread(target=self._run, name=f"tickwork-mcp-{name}", daemon=True)

    @property
    def calls(self) -> int:
        """How many calls are being waited for."""
        with self._count:
            return self._calls

    @property
    def lost(self) -> bool:
        """Whether nothing can be said to the server any more."""
        return bool(self._fate.reason) or (self._opened.is_set() and not self._thread.is_alive())

    def open(self, within_ms: int) -> None:
        """Start the server and agree on a version of the protocol.

        Raises:
            ServerFailed: TW7026. Nothing is left of it then.
        """
        # The SDK tells a log of each thing that a server does wrong, and the log, where nobody has asked for one, tells
        # the terminal.
        logging.getLogger("mcp").addHandler(_SILENT)
        self._thread.start()
        in_time = self._opened.wait(within_ms / 1000)
        if in_time and self._session is not None:
            return
        if not in_time:
            self._fate.hung = True
            self._fate.end("did not introduce itself in time")
        fault = self._fault
        self.close()
        raise self._broken(fault)

    def offers(self, within_ms: int) -> list[Offer]:
        """Return what the server offers now. Order: as it lists them.

        Raises:
            ServerFailed: TW7026; that nothing was changed is certain then.
        """
        try:
            return self._ask(self._list, within_ms)
        except PlaneError as error:
            failed = error if isinstance(error, ServerFailed) else self._failed(error.what)
            failed.unsent = True
            raise failed from None

    def call(self, tool: str, given: dict[str, Any], key: str, within_ms: int) -> Said:
        """Return what the server answers to a call.

        Raises:
            ServerFailed: TW7026. SkillInputInvalid: TW7006 and SkillFailed: TW7008, the server says so.
        """
        with self._count:
            self._calls += 1
        try:
            return self._ask(lambda session: _called(session, tool, given, key), within_ms)
        finally:
            with self._count:
                self._calls -= 1

    def close(self) -> None:
        """End the conversation, and the process."""
        self._fate.end("was closed")
        if self._loop is not None and self._talk is not None and self._thread.is_alive():
            # The loop may just have ended by itself.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._talk.cancel)
        if self._thread.is_alive():
            self._thread.join(CLOSING_S)

    def hang_up(self) -> None:
        """End the conversation with a server that does not answer; its process is not asked first."""
        self._fate.hung = True
        self._fate.end("did not answer")
        self.close()

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._talk = asyncio.ensure_future(self._converse())
        if self._fate.reason:
            # Closed before it began.
            self._talk.cancel()
        await asyncio.wait({self._talk})
        if not self._talk.cancelled():
            self._fault = self._talk.exception()
        self._fate.end("broke off")
        self._opened.set()

    async def _converse(self) -> None:
        async with Client(self._connect(self._fate), cache=None, client_info=self._client) as client:
            self._session = client.session
            self._opened.set()
            await asyncio.Event().wait()

    def _ask(self, question: Callable[[ClientSession], Coroutine[Any, Any, T]], within_ms: int) -> T:
        if self._session is None or self._loop is None or self.lost:
            failed = self._broken(None)
            failed.unsent = True
            raise failed
        coroutine = question(self._session)
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:
            coroutine.close()
            raise self._broken(None) from None
        try:
            fault = future.exception(within_ms / 1000)
        except TimeoutError:
            future.cancel()
            raise self._failed("did not answer in time") from None
        except CancelledError:
            raise self._broken(None) from None
        if fault is None:
            return future.result()
        raise self._translated(fault)

    def _translated(self, fault: BaseException) -> PlaneError:
        """Return what went wrong in a conversation as an error of skills."""
        if isinstance(fault, PlaneError):
            return fault
        if isinstance(fault, MCPError) and fault.code == types.CONNECTION_CLOSED:
            return self._broken(None)
        if isinstance(fault, MCPError) and fault.code == types.PARSE_ERROR:
            return self._failed("answered otherwise than the protocol says", retryable=False)
        if isinstance(fault, MCPError):
            text = f"the server {self._name} refused the call: {self._hide(fault.message)[:500]}"
            if fault.code == types.INVALID_PARAMS:
                return SkillInputInvalid(text)
            failed = SkillFailed(text)
            failed.retryable = fault.code == types.INTERNAL_ERROR
            return failed
        if isinstance(fault, ValidationError | ValueError):
            return self._failed("answered otherwise than the protocol says", retryable=False)
        return self._broken(fault)

    def _broken(self, fault: BaseException | None) -> ServerFailed:
        """Return the error of a conversation that is over."""
        leaf = _first(fault)
        reason = self._fate.reason or "broke off"
        if isinstance(leaf, OSError) and not isinstance(leaf, TimeoutError):
            reason = f"cannot be reached or started ({type(leaf).__name__})"
        elif isinstance(leaf, MCPError) and leaf.code != types.CONNECTION_CLOSED:
            reason = f"does not agree on a version: {self._hide(leaf.message)[:200]}"
        elif leaf is not None and reason == "broke off":
            reason = f"cannot be spoken to ({type(leaf).__name__})"
        return self._failed(reason)

    def _failed(self, reason: str, *, retryable: bool = True) -> ServerFailed:
        written = self._hide(self._fate.told.decode(errors="replace").strip())
        failed = ServerFailed(
            f"the server {self._name} {reason}",
            where=f"servers.{self._name}",
            why=f"it wrote: {written[-500:]}" if written else "",
            fix="start it by hand to see what it says; its command or address stands in skills.toml",
        )
        failed.retryable = retryable
        return failed

    async def _list(self, session: ClientSession) -> list[Offer]:
        found, cursor = list[Offer](), None
        for _ in range(MOST_PAGES):
            page = await session.list_tools(params=types.PaginatedRequestParams(cursor=cursor))
            found += [self._without_secrets(_offer(tool)) for tool in page.tools]
            cursor = page.next_cursor
            if len(found) > MOST_OFFERS:
                break
            if cursor is None:
                return found
        raise self._failed(f"offers more than {MOST_OFFERS:,} skills, or lists them without end", retryable=False)

    def _without_secrets(self, offer: Offer) -> Offer:
        """Return an offer as it may be kept, shown to people and told to models."""
        said = msgspec.json.encode(offer).decode()
        hidden = self._hide(said)
        if hidden == said:
            return offer
        try:
            return msgspec.json.decode(hidden.encode(), type=Offer)
        except (msgspec.DecodeError, UnicodeError):
            raise self._failed("offers a skill that holds a secret", retryable=False) from None


def _offer(tool: types.Tool) -> Offer:
    if len(write_json([tool.description, tool.input_schema, tool.output_schema])) > MOST_OFFER_BYTES:
        # An offer that takes nothing, which no call of a plan that means it can fit.
        return Offer(tool.name, "What it takes is described at too great a length.", {"not": {}}, None)
    return Offer(tool.name, tool.description or "", tool.input_schema, tool.output_schema)


async def _called(session: ClientSession, tool: str, given: dict[str, Any], key: str) -> Said:
    meta = cast("types.RequestParamsMeta", {KEY: key})
    parameters = types.CallToolRequestParams(name=tool, arguments=given, _meta=meta)
    # The session's own method would check the answer with whatever schema it knows by then; here it is checked with
    # the one that was pinned.
    request = types.CallToolRequest(params=parameters)
    answer = await session.send_request(request, types.CallToolResult)
    structured = [answer.structured_content] if "structured_content" in answer.model_fields_set else None
    texts = [block.text for block in answer.content if isinstance(block, types.TextContent)]
    blocks = tuple(_block(block) for block in answer.content if not isinstance(block, types.TextContent))
    return Said("\n".join(texts), structured, blocks, answer.is_error)


def _block(block: types.ContentBlock) -> Block:
    if isinstance(block, types.ImageContent | types.AudioContent):
        return Block(block.type, block.mime_type, body=block.data)
    if isinstance(block, types.ResourceLink):
        return Block("link", block.mime_type or "", str(block.uri), block.description or block.name)
    if isinstance(block, types.TextContent):
        return Block("text", "text/plain", text=block.text)
    inner = block.resource
    if isinstance(inner, types.TextResourceContents):
        return Block("resource", inner.mime_type or "text/plain", str(inner.uri), inner.text)
    return Block("resource", inner.mime_type or "application/octet-stream", str(inner.uri), body=inner.blob)


def _first(fault: BaseException | None) -> BaseException | None:
    """Return the first of a group of faults, which is what tasks that ran together come to."""
    while isinstance(fault, BaseExceptionGroup):
        inner = cast("tuple[BaseException, ...]", fault.exceptions)  # pyright: ignore[reportUnknownMemberType]
        fault = inner[0]
    return fault
