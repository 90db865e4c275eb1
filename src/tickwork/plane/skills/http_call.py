"""``http_call``: one request to a host that the profile grants."""

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
import pydantic
from msgspec import Meta

from ...kinds import EffectClass
from ..addresses import EgressPolicy, parse_host, parse_url
from ..calls import MAX_OUTPUT_BYTES
from ..compiled import NETWORK
from ..egress import Egress, Response
from ..errors import AddressRefused, SkillFailed, SkillInputInvalid, SkillRefused
from ..json_text import read_json, write_json
from .configuration import fault_of_key, read_keys
from .granting import fill_named, fill_secrets, part_of
from .shapes import ModelShape
from .skill import CallContext, Shape, Traits

READING: Final = ("GET", "HEAD")
METHODS: Final = (*READING, "OPTIONS", "PUT", "DELETE", "POST", "PATCH")
REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Methods of which twice is as good as once. Source: RFC 9110, 9.2.2."""

KEPT_HEADERS: Final = frozenset({"content-language", "content-type", "etag", "last-modified", "link", "location"})
"""Headers of an answer that a plan sees. The others are of the connection, or name the time."""

MAX_KEPT_BYTES: Final = 64 << 20
AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
UNDONE: Final = frozenset({425, 429})
"""Answers of a server that has not begun."""

MAX_RETRY_AFTER_S: Final = 86_400


class HttpKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a table of the kind ``http_call`` may say."""

    methods: Annotated[tuple[Literal["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"], ...], Meta()] = (
        READING
    )
    hosts: tuple[str, ...] = ()
    headers: dict[str, dict[str, str]] = {}
    receiver_honours_key: bool = False


class Given(pydantic.BaseModel):
    """What goes in: at most one of ``json`` and ``text`` is sent."""

    model_config = pydantic.ConfigDict(extra="forbid")

    url: str = pydantic.Field(max_length=8192, description="Begins with https:// or http://.")
    method: Literal["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"] = "GET"
    headers: dict[str, str] = pydantic.Field(default={}, max_length=64, description="May name `secret:NAME`.")
    query: dict[str, str | int | float | bool] = pydantic.Field(default={}, max_length=256)
    json_: pydantic.JsonValue = pydantic.Field(default=None, alias="json", description="Sent as JSON.")
    text: str | None = pydantic.Field(default=None, description="Sent as it is.")
    accept_status: list[int] = pydantic.Field(
        default=[], max_length=64, description="Statuses of 400 and more that are a result and no failure."
    )
    keep_as: str = pydantic.Field(default="", max_length=200, description="Keep the body as an artifact of this name.")


class Made(pydantic.BaseModel):
    """What comes out. The body is ``json`` where the server says that it is, else ``text``, else ``base64``."""

    status: int
    headers: dict[str, str]
    json_: pydantic.JsonValue = pydantic.Field(default=None, alias="json", serialization_alias="json")
    text: str | None = None
    base64: str | None = None
    artifact: str | None = None


class HttpCall:
    """Makes a request, and follows redirections of one that only reads."""

    def __init__(self, keys: HttpKeys) -> None:
        self._keys = keys
        writes = any(method not in READING for method in keys.methods)
        safe = keys.receiver_honours_key or all(method in REPEATABLE for method in keys.methods)
        self.traits = Traits(
            "http_call",
            "1",
            f"Make an HTTP request ({', '.join(keys.methods)}) to a host that the profile grants.",
            EffectClass.IDEMPOTENT if safe else EffectClass.UNSAFE,
            side_effects=writes,
            outside=True,
            capabilities=(NETWORK,),
        )

    @property
    def shapes(self) -> tuple[Shape, Shape]:
        """What goes in and what comes out."""
        return _SHAPES

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "HttpCall":
        """Return the skill.

        Raises:
            SkillInvalid: TW7004.
        """
        keys = read_keys(config, HttpKeys)
        if not keys.methods:
            raise fault_of_key(config, "methods", "no method is left", fix='write methods = ["GET"]')
        for host in keys.headers:
            try:
                usual = parse_host(host)
            except AddressRefused as error:
                raise fault_of_key(config, "headers", error.what, fix='write [skills.NAME.headers."host"]') from error
            if usual != host:
                raise fault_of_key(config, "headers", f"{host} is not how a host is spelt", fix=f"write {usual}")
        return cls(keys)

    def call(self, given: Given, context: CallContext) -> Any:
        """Return the answer.

        Raises:
            AddressRefused: TW7024. SkillRefused: TW7005, a method that is not granted. SkillInputInvalid: TW7006.
            SkillFailed: TW7008, no answer, or one that says that it failed.
        """
        if given.method not in self._keys.methods:
            raise SkillRefused(f"the skill makes no {given.method} requests", fix="add it to `methods` of the skill")
        egress = part_of(context, "network", Egress)
        target = parse_url(with_query(given.url, given.query))
        if self._keys.hosts:
            EgressPolicy(hosts=self._keys.hosts, loopback=True).check_target(target)
        body, kind = _body(given)
        headers = {"content-type": kind} if kind else {}
        headers |= {name.lower(): fill_named(context, value) for name, value in given.headers.items()}
        own = self._keys.headers.get(target.host, {})
        headers |= {name.lower(): fill_secrets(context, value) for name, value in own.items()}
        if given.method not in READING:
            headers.setdefault("idempotency-key", context.key)
        most = MAX_KEPT_BYTES if given.keep_as else MAX_OUTPUT_BYTES
        lines = list(_checked(headers).items())
        left = context.left_ms(60_000)
        answer = egress.request(given.method, target.url, lines, body, deadline_ms=left, most_bytes=most)
        context.labels.add(f"host:{parse_url(answer.url).host}")
        if answer.status >= 400 and answer.status not in given.accept_status:
            raise _refusal(target.place, answer)
        return _made(given, answer, context)


def with_query(url: str, query: Mapping[str, str | int | float | bool]) -> str:
    """Return an address with more parameters. Order: as given."""
    if not query:
        return url
    address, mark, fragment = url.partition("#")
    pairs = "&".join(f"{quoted(name)}={quoted(_plain(value))}" for name, value in query.items())
    return f"{address}{'&' if '?' in address else '?'}{pairs}{mark}{fragment}"


def quoted(text: str) -> str:
    """Return a text as a part of an address spells it. Source: RFC 3986, 2.3."""
    raw = text.encode()
    return "".join(
        chr(byte) if (chr(byte).isalnum() and byte < 128) or byte in b"-._~" else f"%{byte:02X}" for byte in raw
    )


def _plain(value: str | int | float | bool) -> str:
    return value if isinstance(value, str) else write_json(value).decode()


def _body(given: Given) -> tuple[bytes, str]:
    sends_json = "json_" in given.model_fields_set
    if sends_json and given.text is not None:
        raise SkillInputInvalid("at most one of json and text is sent")
    if given.method in READING and (sends_json or given.text is not None):
        raise SkillInputInvalid(f"a {given.method} request sends nothing")
    if sends_json:
        return write_json(given.json_), "application/json"
    return (given.text.encode(), "text/plain; charset=utf-8") if given.text is not None else (b"", "")


def _checked(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        token = name.isascii() and all(character.isalnum() or character in "!#$%&'*+-.^_`|~" for character in name)
        if not name or not token or any(not character.isprintable() for character in value):
            raise SkillInputInvalid(f"{name[:80]!r} is no header that can be sent")
        if name in ("host", "content-length", "transfer-encoding", "connection"):
            raise SkillInputInvalid(f"the header {name} is not given by plans")
        if not value.isascii():
            raise SkillInputInvalid(f"the header {name} holds more than ASCII")
    return headers


def _refusal(place: str, answer: Response) -> SkillFailed:
    failed = SkillFailed(f"{place} answered {answer.status}")
    failed.retryable = answer.status in AGAIN
    failed.unsent = answer.status in UNDONE
    wait = answer.header("retry-after")
    if wait.isascii() and wait.isdigit() and len(wait) < 9:
        failed.retry_after_ms = min(int(wait), MAX_RETRY_AFTER_S) * 1000
    return failed


def _made(given: Given, answer: Response, context: CallContext) -> dict[str, Any]:
    made: dict[str, Any] = {
        "status": answer.status,
        "headers": {name: value for name, value in answer.headers if name in KEPT_HEADERS},
    }
    kind = answer.header("content-type").partition(";")[0].strip().lower()
    if given.keep_as:
        kept = context.artifacts.put(given.keep_as, kind or "application/octet-stream", answer.body)
        context.kept.append(kept)
        return {**made, "artifact": kept.digest.hex()}
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return {**made, "json": read_json(answer.body) if answer.body else None}
        except ValueError as error:
            raise SkillFailed(f"the answer says that it is JSON and is none: {error}") from None
    try:
        return {**made, "text": answer.body.decode()}
    except UnicodeDecodeError:
        return {**made, "base64": base64.b64encode(answer.body).decode()}


_SHAPES: Final[tuple[Shape, Shape]] = (ModelShape(Given), ModelShape(Made))
