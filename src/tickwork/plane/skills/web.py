"""``web_read``: what a page of the web says, for a plan that goes on with it."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final, Literal, Protocol

import msgspec
import pydantic

from ...kinds import EffectClass
from ..addresses import parse_url
from ..compiled import NETWORK
from ..egress import Egress, Response
from ..errors import SkillFailed
from ..extras import missing_package
from .configuration import fault_of_key, read_keys
from .granting import part_of
from .page_reader import Page, PageReader, Request
from .shapes import ModelShape
from .skill import CallContext, Shape, Traits

MOST_PAGE_BYTES: Final = 4 << 20
MOST_TEXT: Final = 500_000
AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
READABLE: Final = frozenset({"text/html", "application/xhtml+xml", "text/plain", "text/markdown"})
ACCEPT: Final = "text/html,application/xhtml+xml;q=0.9,text/plain;q=0.8"


_CHARSET: Final = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)


class WebKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a table of the kind ``web_read`` may say.

    Attributes:
        browser: Whether scripts of pages are run, in a browser without a network of its own.
        program: The browser; empty for the one that ``playwright install chromium`` has brought.
        sandbox: Whether the browser confines its pages. A machine that forbids what that takes has to say no.
    """

    browser: bool = False
    program: str = ""
    sandbox: bool = True


class Given(pydantic.BaseModel):
    """What goes in."""

    model_config = pydantic.ConfigDict(extra="forbid")

    url: str = pydantic.Field(max_length=8192, description="Begins with https:// or http://.")
    format: Literal["text", "markdown"] = pydantic.Field(default="text", description="How the text is given.")
    comments: bool = pydantic.Field(default=False, description="Whether comments of readers are part of it.")
    most_chars: int = pydantic.Field(default=50_000, ge=1, le=MOST_TEXT, description="The text is cut there.")
    wait_for: str = pydantic.Field(
        default="", max_length=200, description="With a browser: a CSS selector that has to match first."
    )
    keep_as: str = pydantic.Field(default="", max_length=200, description="Keep the page as an artifact of this name.")


class PageLink(pydantic.BaseModel):
    """An address that a page names."""

    url: str
    text: str


class Made(pydantic.BaseModel):
    """What comes out; what a page does not say is empty."""

    url: str = pydantic.Field(description="Where the page was, after redirections.")
    title: str
    author: str
    date: str
    site: str
    language: str
    text: str
    cut: bool = pydantic.Field(description="Whether the text goes on.")
    links: list[PageLink]
    artifact: str | None = None


class Reading(Protocol):
    """Whoever reads pages."""

    def read(self, request: Request, within_ms: int) -> Page:
        """Return what a page says.

        Raises:
            SkillTimeout: TW7009. SkillFailed: TW7008.
        """
        ...

    def close(self) -> None:
        """Let go of what it takes."""
        ...


class WebRead:
    """Reads a page of a host that the profile grants.

    Args:
        reader: A process of its own, where nothing is said.
    """

    def __init__(self, keys: WebKeys, reader: Reading | None = None) -> None:
        self._keys = keys
        self._reader = reader or PageReader()
        how = ", after its scripts have run in a browser" if keys.browser else ""
        self.traits = Traits(
            "web_read",
            "1",
            f"Read a page of the web: its title, text and links{how}.",
            EffectClass.IDEMPOTENT,
            outside=True,
            timeout_ms=60_000 if keys.browser else 30_000,
            capabilities=(NETWORK, "browser") if keys.browser else (NETWORK,),
        )

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """What goes in and what comes out."""
        return _SHAPES

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "WebRead":
        """Return the skill.

        Raises:
            SkillInvalid: TW7004. GoalsMissing: TW7020, there is no Playwright.
        """
        keys = read_keys(config, WebKeys)
        if not keys.browser and (keys.program or not keys.sandbox):
            raise fault_of_key(
                config, "browser", "a program and a sandbox are of a browser", fix="write browser = true"
            )
        if find_spec("trafilatura") is None:
            raise missing_package(ImportError(name="trafilatura"))
        if keys.browser:
            _browser()
        return cls(keys)

    def close(self) -> None:
        """End the process that reads pages."""
        self._reader.close()

    def call(self, given: Given, context: CallContext) -> Any:
        """Return what the page says.

        Raises:
            AddressRefused: TW7024. SkillFailed: TW7008, it is not there, or no page. SkillTimeout: TW7009.
        """
        egress = part_of(context, "network", Egress)
        answer = egress.request(
            "GET",
            given.url,
            [("accept", ACCEPT)],
            deadline_ms=context.left_ms(60_000),
            most_bytes=MOST_PAGE_BYTES,
        )
        context.labels.add(f"host:{parse_url(answer.url).host}")
        kind = _checked(answer)
        text = decoded(answer.body, answer.header("content-type"))
        if kind in ("text/plain", "text/markdown"):
            made: dict[str, Any] = {"title": "", "author": "", "date": "", "site": "", "language": "", "links": []}
            return self._made(given, answer, context, {**made, "text": text})
        if self._keys.browser:
            text = _browser().show(
                answer,
                context,
                egress,
                program=self._keys.program,
                sandboxed=self._keys.sandbox,
                wait_for=given.wait_for,
            )
        request = Request(text, answer.url, given.format == "markdown", given.comments)
        page = self._reader.read(request, context.left_ms(60_000))
        links = [{"url": url, "text": label} for url, label in page.links]
        return self._made(given, answer, context, {**msgspec.structs.asdict(page), "links": links})

    def _made(self, given: Given, answer: Response, context: CallContext, found: dict[str, Any]) -> dict[str, Any]:
        made = {**found, "url": answer.url, "text": found["text"][: given.most_chars]}
        made["cut"] = len(found["text"]) > given.most_chars
        if given.keep_as:
            kind = answer.header("content-type").partition(";")[0].strip().lower()
            kept = context.artifacts.put(given.keep_as, kind or "text/html", answer.body)
            context.kept.append(kept)
            made["artifact"] = kept.digest.hex()
        return made


def _checked(answer: Response) -> str:
    """Return the type of an answer that is a page.

    Raises:
        SkillFailed: TW7008.
    """
    place = parse_url(answer.url).place
    if answer.status != 200:
        failed = _failed(f"{place} answered {answer.status}")
        failed.retryable = answer.status in AGAIN
        raise failed
    kind = answer.header("content-type").partition(";")[0].strip().lower() or "text/html"
    if kind not in READABLE:
        raise _failed(f"{place} answered with {kind[:80]}, which is no page")
    return kind


def decoded(body: bytes, content_type: str) -> str:
    """Return the text of a body: as its header says, else as its own first lines say, else as UTF-8."""
    for found in (_CHARSET.search(content_type), _CHARSET.search(body[:2048].decode("latin-1"))):
        if found is not None:
            try:
                return body.decode(found[1], errors="replace")
            except LookupError:
                continue
    return body.decode("utf-8-sig", errors="replace")


def _browser() -> Any:
    """Return the module that drives a browser. It is loaded where one is configured alone."""
    try:
        from . import browser
    except ImportError as error:
        raise missing_package(error) from error
    return browser


def _failed(text: str) -> SkillFailed:
    failed = SkillFailed(text)
    failed.retryable = False
    return failed


_SHAPES: Final[tuple[Shape, Shape]] = (ModelShape(Given), ModelShape(Made))
