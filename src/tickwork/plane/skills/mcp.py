"""Servers of MCP as providers of skills: ``SERVER.NAME`` for everything that a server offers.

A server is a stranger. What it says of the effects of its skills is not believed: each is unsafe, changes something
outside and answers from outside, until the configuration of this machine says otherwise. What it offers is pinned: a
skill's version is the digest of its schemas and description, and is looked at again before every call.

Invariants:
    * A server runs from the first time that it is asked to ``close``, one process or connection, begun anew where it
      was lost.
    * A failure before anything was sent says that nothing was, so that even an unsafe skill may be tried again.
"""

import base64
import binascii
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import pydantic
from mcp.client import Transport
from msgspec import Meta

from ... import __version__
from ...driver.faults import choose
from ...kinds import EffectClass
from ..errors import ServerFailed, SkillFailed, SkillInvalid, SkillNotFound, SkillOutputInvalid
from ..json_text import read_json, write_json
from ..profile import duration_us
from ..secrets import Revealed, Secrets
from ..tables import Duration
from .configuration import read_keys
from .mcp_http import addressed
from .mcp_link import Block, Link, Said
from .mcp_pipes import Fate, piped
from .offers import Accepted, Offer, by_name, changes, told
from .shapes import ModelShape, SchemaShape
from .skill import CallContext, Shape, Traits

CALL_MS: Final = 60_000
MOST_DESCRIPTION: Final = 2000
MOST_TEXT: Final = 500
"""Characters of what a server says about its failure that are kept."""


class McpKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a table of the kind ``mcp`` may say: exactly one of ``command`` and ``url``."""

    command: Annotated[tuple[str, ...], Meta(max_length=256)] = ()
    url: str = ""
    env: dict[str, str] = {}
    headers: dict[str, str] = {}
    start_timeout: Duration = "30s"


class Resource(pydantic.BaseModel):
    """A text that a server has sent along, or an address that it names."""

    uri: str
    mime: str
    text: str


class Kept(pydantic.BaseModel):
    """Bytes that a server has sent along."""

    mime: str
    size: int
    artifact: str


class Made(pydantic.BaseModel):
    """What comes out of a skill whose server does not say what comes out."""

    text: str
    structured: pydantic.JsonValue = None
    resources: list[Resource] = []
    artifacts: list[Kept] = []


class McpServer:
    """A server, which is not spoken to before it is asked for something.

    Args:
        connect: Makes the transport.
        shown: Secrets that the server was given.
    """

    def __init__(
        self, name: str, connect: Callable[[Fate], Transport], accepted: Accepted, *, start_ms: int, shown: Revealed
    ) -> None:
        self.name = name
        self.shown = shown
        self._connect = connect
        self._accepted = accepted
        self._start_ms = start_ms
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._offers: dict[str, Offer] | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "McpServer":
        """Return the server.

        Raises:
            SkillInvalid: TW7004. SkillRefused: TW7005, it is to be given a secret that is not there.
        """
        name, project = str(config["name"]), Path(config["project"])
        keys = _read(config)
        source: Secrets | None = config.get("secrets")
        shown = Revealed(source)
        environment = {key: shown.fill(value) for key, value in keys.env.items()}
        headers = {key: shown.fill(value) for key, value in keys.headers.items()}

        def connect(fate: Fate) -> Transport:
            if keys.url:
                return addressed(keys.url, headers, fate)
            return piped(keys.command, environment, project, fate)

        start_ms = duration_us(keys.start_timeout) // 1000
        return cls(name, connect, Accepted(project, name), start_ms=start_ms, shown=shown)

    def names(self) -> Sequence[str]:
        """Return the names of its skills. Order: by name.

        Raises:
            ServerFailed: TW7026.
        """
        return list(self._offered())

    def find(self, name: str) -> "McpSkill":
        """Return a skill.

        Raises:
            SkillNotFound: TW7003. ServerFailed: TW7026, also where it is not offered as it was accepted.
        """
        offers = self._offered()
        if name not in offers:
            raise SkillNotFound(
                f"the server {self.name} has no skill called {name}",
                why="it does not offer it, or offers several that would have this name",
                fix=choose(name, offers, f"see `tickwork skill list --servers`, {self.name}.NAME"),
            )
        offer, before = offers[name], (self._accepted.read() or {}).get(name)
        if before is None:
            raise self.changed(name, ["it is new"])
        if before != offer:
            raise self.changed(name, changes(before, offer))
        return McpSkill(self, name, offer)

    def accept(self) -> list[str]:
        """Accept what is offered now, and return what has changed since. Order: by name.

        Raises:
            ServerFailed: TW7026. StoreFailed: TW7018.
        """
        before, offers = self._accepted.read() or {}, self._offered(again=True)
        found = [f"{name} is gone" for name in before if name not in offers]
        for name, offer in offers.items():
            if name not in before:
                found.append(f"{name} is new")
            elif before[name] != offer:
                found.append(f"{name}: {told(changes(before[name], offer))}")
        self._accepted.write(offers)
        return sorted(found)

    def call(self, name: str, offer: Offer, given: dict[str, Any], context: CallContext) -> Said:
        """Return what the server answers, after a look at whether it still offers the skill as it did.

        Raises:
            ServerFailed: TW7026. SkillInputInvalid: TW7006. SkillFailed: TW7008.
        """
        link, now = self._look(context)
        current = by_name(now).get(name)
        if current != offer:
            raise self.changed(name, ["it is gone"] if current is None else changes(offer, current))
        return link.call(offer.tool, given, context.key, context.left_ms(CALL_MS))

    def changed(self, name: str, found: Sequence[str]) -> ServerFailed:
        """Return the error of a skill that is not what was accepted."""
        failed = ServerFailed(
            f"the server {self.name} offers {name} otherwise than was accepted: {told(found)}",
            where=f"servers.{self.name}",
            fix=f"look at it, and if it is as you want it: tickwork skill accept {self.name}",
        )
        failed.retryable, failed.unsent = False, True
        return failed

    def close(self) -> None:
        """Let the server go, also one that is just being begun: whoever waits for it is told."""
        link = self._link
        if link is not None:
            link.close()

    def _offered(self, *, again: bool = False) -> dict[str, Offer]:
        """Return the offers by name. What a server offers the first time is accepted."""
        if self._offers is None or again:
            offers = by_name(self._talk(self._start_ms).offers(self._start_ms))
            if self._accepted.read() is None:
                self._accepted.write(offers)
            self._offers = offers
        return self._offers

    def _look(self, context: CallContext) -> tuple[Link, list[Offer]]:
        """Return a server that answers, and what it offers.

        One that hangs is started anew, once, unless others wait for what they have asked it: it may be busy with that.
        """
        link = self._talk(context.left_ms(self._start_ms))
        # Half of the time is left for another attempt, and for the call itself.
        within = max(1, min(self._start_ms, context.left_ms(CALL_MS) // 2))
        try:
            return link, link.offers(within)
        except ServerFailed:
            if link.calls and not link.lost:
                raise
            link.hang_up()
        link = self._talk(context.left_ms(self._start_ms))
        return link, link.offers(context.left_ms(self._start_ms))

    def _talk(self, within_ms: int) -> Link:
        with self._lock:
            if self._link is not None and not self._link.lost:
                return self._link
            if self._link is not None:
                self._link.close()
            self._link = Link(self.name, self._connect, __version__, hide=self._hidden)
            self._link.open(within_ms)
            return self._link

    def _hidden(self, text: str) -> str:
        return self.shown.hide(text.encode(errors="replace")).decode(errors="replace")


class McpSkill:
    """What a server offers under one name."""

    def __init__(self, server: McpServer, name: str, offer: Offer) -> None:
        self._server = server
        self._name = name
        self._offer = offer
        self.traits = Traits(
            f"{server.name}.{name}",
            offer.version,
            _shown(offer.description),
            EffectClass.UNSAFE,
            side_effects=True,
            outside=True,
            timeout_ms=CALL_MS,
            capabilities=(f"server:{server.name}",),
        )
        try:
            made: Shape = _MADE if offer.made is None else SchemaShape(offer.made)
            self.shapes: tuple[Shape, Shape] = (SchemaShape(offer.given), made)
        except ValueError as error:
            failed = ServerFailed(f"the server {server.name} offers {name} with {error}")
            failed.retryable = False
            raise failed from None

    def call(self, given: Any, context: CallContext) -> Any:
        """Return what the server answers: as its schema says, else its texts and what it sent along.

        Raises:
            ServerFailed: TW7026, it hangs, has died, or offers something else by now. SkillInputInvalid: TW7006.
            SkillFailed: TW7008, it says that it failed. SkillOutputInvalid: TW7007.
        """
        said = self._server.call(self._name, self._offer, given, context)
        if said.failed:
            raise SkillFailed(
                f"{self.traits.name} failed: {self._hidden(said.text)[:MOST_TEXT] or 'it does not say why'}"
            )
        kept = [_keep(block, context, self._name, self._server.shown) for block in said.blocks if block.body]
        if self._offer.made is not None:
            if said.structured is None:
                raise SkillOutputInvalid(
                    f"result of {self.traits.name}: its server says what comes out, and sent nothing"
                )
            return self._hidden(said.structured[0])
        links = [block for block in said.blocks if not block.body]
        return self._hidden(
            {
                "text": said.text,
                "structured": said.structured[0] if said.structured else None,
                "resources": [{"uri": block.uri, "mime": block.mime, "text": block.text} for block in links],
                "artifacts": kept,
            }
        )

    def _hidden(self, value: Any) -> Any:
        """Return a value without the secrets that the server was given.

        Raises:
            SkillOutputInvalid: TW7007, it is no JSON that others would read so too.
        """
        try:
            return read_json(self._server.shown.hide(write_json(value)))
        except ValueError as error:
            raise SkillOutputInvalid(f"result of {self.traits.name}: {error}") from None


def _keep(block: Block, context: CallContext, name: str, shown: Revealed) -> dict[str, Any]:
    try:
        body = shown.hide(base64.b64decode(block.body, validate=True))
    except (binascii.Error, ValueError):
        raise SkillOutputInvalid(f"result of {name}: its {block.kind} is no base64") from None
    title = shown.hide((block.uri.rstrip("/").rpartition("/")[2] or name).encode(errors="replace")).decode()
    ref = context.artifacts.put(title[:200], block.mime, body, type=_TYPES.get(block.kind, "file"))
    context.kept.append(ref)
    return {"mime": block.mime, "size": len(body), "artifact": ref.digest.hex()}


def _shown(description: str) -> str:
    """Return what a server says of a skill, without characters that people do not see and models do."""
    return "".join(letter if letter.isprintable() else " " for letter in description[:MOST_DESCRIPTION]).strip()


def _read(config: Mapping[str, Any]) -> McpKeys:
    place = f"servers.{config['name']}"
    try:
        keys = read_keys(config, McpKeys)
    except SkillInvalid as error:
        where = error.where.replace("skills.", "servers.", 1)
        raise SkillInvalid(error.what, where=where, why=error.why, fix=error.fix) from None
    if bool(keys.command) == bool(keys.url):
        fix = 'write command = ["PROGRAM", "ARGUMENT"], or url = "https://HOST/mcp"'
        raise SkillInvalid("a server has either a command or a url", where=place, fix=fix)
    if keys.url and (keys.env or not keys.url.startswith(("https://", "http://"))):
        raise SkillInvalid("a url begins with https:// or http://, and has no env", where=f"{place}.url")
    if keys.command and keys.headers:
        raise SkillInvalid("headers are sent to a url", where=f"{place}.headers", fix="write them as env")
    return keys


_MADE: Final[Shape] = ModelShape(Made)
_TYPES: Final = {"image": "image", "audio": "audio"}
