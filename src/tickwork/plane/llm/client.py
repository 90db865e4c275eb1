"""Asks providers over HTTP: keys, deadlines, attempts, sizes and money. What is said stands in the protocols' files.

Invariants:
    * A key goes into one header of one request, and is taken out of whatever is told of the answer.
    * A request goes out again by itself only where nobody bills for the first: a connection that was refused, or a
      status that says so. An answer that was cut off is charged at its bound, since nobody knows what it cost.
    * Nothing is kept of an answer that is larger than any answer may be.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from ...clock import Clock
from ..addresses import EgressPolicy, parse_url
from ..calls import MAX_OUTPUT_BYTES
from ..egress import Egress, Streamed
from ..errors import OutputTooLarge, PlaneError, ProviderFailed, SkillFailed, SkillTimeout
from ..profile import duration_us
from ..secrets import Revealed, SecretBox, Secrets
from .anthropic import KEY_HEADER, Anthropic
from .failing import cut, of_status, shown, unreachable, unreadable
from .openai import OpenAI
from .port import Account, Bound, Completion, Exchange, Gathering, Outgoing, Request, Tokens, Wire, formed
from .pricing import Pricing, added
from .settings import Chosen, Settings, read_settings
from .sse import StreamReader

MAX_ANSWER_BYTES: Final = 4 * MAX_OUTPUT_BYTES
"""Of an answer in one piece, as JSON."""

MAX_STREAM_BYTES: Final = 64 * MAX_OUTPUT_BYTES
"""Of a streamed one: each word of it comes in some 300 bytes."""

MAX_FAILURE_BYTES: Final = 64 << 10
LONGEST_PAUSE_MS: Final = 10_000
"""A provider that asks for a longer pause is left to whoever plans: the run may do something else meanwhile."""

FIRST_PAUSE_MS: Final = 500
WIRES: Final[Mapping[str, Wire]] = {"anthropic": Anthropic(), "openai": OpenAI()}


def network_to(chosen: Chosen, clock: Clock) -> Egress:
    """Return the way to one provider, and to nobody else. Redirections are not followed: the key would go along."""
    provider = chosen.provider
    place = parse_url(provider.address).place
    return Egress(EgressPolicy((place,), provider.loopback, provider.networks, redirects=0), clock)


class Client:
    """Language models of this machine's settings.

    Args:
        secrets: Where keys are; None for the account's.
        network: Makes the way to a provider.
        pause: Waits. Units: seconds.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        *,
        secrets: Secrets | None = None,
        pricing: Pricing | None = None,
        network: Callable[[Chosen, Clock], Egress] = network_to,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self.settings = settings
        self.pricing = pricing or Pricing(clock)
        self.clock = clock
        self._network = network
        self._secrets = secrets
        self._pause = pause or threading.Event().wait

    def complete(self, request: Request, account: Account) -> Completion:
        """Return what a model says; ``request.model`` is a name of the settings, or empty for their default.

        Raises:
            ProviderFailed: TW7017, there is no such model, or its provider gave no whole answer.
            SkillRefused: TW7005, the provider's key may not be used.
            AddressRefused: TW7024, its address may not be reached.
        """
        chosen, outgoing = self._asked(request)
        attempt = _Attempt(self, chosen, outgoing, account)
        for number in range(chosen.provider.retries + 1):
            try:
                completion = attempt.make(self._network(chosen, self.clock), self._secrets or account.secrets)
            except PlaneError as error:
                self._note(attempt, request, None, error)
                pause_ms = self._pause_after(error, number, attempt)
                if pause_ms is None:
                    raise
                self._pause(pause_ms / 1000)
            else:
                completion = formed(completion, request.form)
                self._note(attempt, request, completion, None)
                return completion
        raise AssertionError("the last attempt returns or raises")

    def bound(self, request: Request) -> Bound:
        """Return what an answer uses at most."""
        chosen, outgoing = self._asked(request)
        return self.pricing.bound(chosen, outgoing, request.max_tokens)

    def _asked(self, request: Request) -> tuple[Chosen, Outgoing]:
        chosen = self.settings.choose(request.model)
        named = msgspec.structs.replace(request, model=chosen.model.model)
        return chosen, WIRES[chosen.provider.kind].encode(named, chosen.provider.manners())

    def _note(self, attempt: "_Attempt", request: Request, said: Completion | None, error: PlaneError | None) -> None:
        """Charge an attempt, where somebody may bill for it, and keep what was said."""
        account, chosen, outgoing = attempt.account, attempt.chosen, attempt.outgoing
        if attempt.billed:
            tokens = said.tokens if said is not None else Tokens()
            used = self.pricing.charged(chosen, outgoing, request.max_tokens, tokens)
            account.usage = added(account.usage, used)
        failure = "" if error is None else shown(f"{error.what}: {error.why}" if error.why else error.what)
        body = msgspec.Raw(outgoing.body)
        account.exchanges.append(Exchange(chosen.who, chosen.model.model, body, attempt.status, said, failure))

    def _pause_after(self, error: PlaneError, number: int, attempt: "_Attempt") -> int | None:
        """Return how long to wait before the same request goes out again; None where it does not."""
        if not error.retryable or attempt.billed or number >= attempt.chosen.provider.retries:
            return None
        pause_ms = error.retry_after_ms or FIRST_PAUSE_MS << number
        return None if pause_ms > LONGEST_PAUSE_MS or pause_ms >= attempt.left_ms() else pause_ms


class _Attempt:
    """A request that goes out, and goes out again.

    Attributes:
        status: Of the last answer; 0 where there was none.
        billed: Whether somebody may bill for it.
    """

    def __init__(self, client: Client, chosen: Chosen, outgoing: Outgoing, account: Account) -> None:
        self.chosen = chosen
        self.outgoing = outgoing
        self.account = account
        self.status = 0
        self.billed = False
        self._clock = client.clock

    def left_ms(self) -> int:
        """Return how long an answer may take from now on. Bounds: 0 where the time is up."""
        most = duration_us(self.chosen.provider.timeout) // 1000
        if not self.account.deadline_ns:
            return most
        return max(0, min(most, (self.account.deadline_ns - self._clock.elapsed_ns()) // 1_000_000))

    def make(self, network: Egress, secrets: Secrets) -> Completion:
        """Send the request and return the answer.

        Raises:
            PlaneError: There was none, or none that can be read.
        """
        self.status, self.billed = 0, False
        within_ms = self.left_ms()
        if within_ms <= 0:
            raise ProviderFailed("there was no time left to ask the provider", fix="give the step a longer timeout")
        headers, revealed = self._headers(secrets)
        url = self.chosen.provider.address + self.outgoing.path
        try:
            with network.stream(
                "POST", url, headers, self.outgoing.body, deadline_ms=within_ms, most_bytes=MAX_STREAM_BYTES
            ) as reply:
                return self._read(reply, revealed)
        except (SkillFailed, SkillTimeout) as error:
            # What was sent and came to no status may have been worked on, and may be billed.
            self.billed = self.billed or not (self.status or error.unsent)
            raise (unreachable(error.what) if error.unsent else cut(error.what)) from error
        except OutputTooLarge as error:
            raise unreadable(error.what) from error

    def _read(self, reply: Streamed, revealed: Revealed) -> Completion:
        self.status = reply.status
        if not 200 <= reply.status < 300:
            words = revealed.hide(_whole(reply, MAX_FAILURE_BYTES))
            raise of_status(reply.status, dict(reversed(reply.headers)), words, self._clock)
        self.billed = True
        kind = reply.header("content-type").partition(";")[0].strip().lower()
        wire = WIRES[self.chosen.provider.kind]
        if kind == "text/event-stream":
            try:
                return _without_key(_gathered(wire.gather(), reply), revealed)
            except PlaneError as error:
                error.what, error.why = _hidden(error.what, revealed), _hidden(error.why, revealed)
                raise
        body = revealed.hide(_whole(reply, MAX_ANSWER_BYTES))
        if kind != "application/json" and not kind.endswith("+json"):
            raise unreadable(f"it is {kind or 'of no type'}: {body[:400].decode('utf-8', 'replace')}")
        if len(body) > MAX_ANSWER_BYTES:
            raise unreadable(f"it is longer than {MAX_ANSWER_BYTES:,} bytes")
        return _without_key(wire.whole(body), revealed)

    def _headers(self, secrets: Secrets) -> tuple[list[tuple[str, str]], Revealed]:
        """Return the headers with the key, and what takes the key out of what comes back."""
        headers, handle = [*self.outgoing.headers], self.chosen.provider.key
        if not handle:
            return headers, Revealed(None)
        key = secrets.reveal(handle)
        own = self.chosen.provider.kind == "anthropic"
        headers.append((KEY_HEADER, key) if own else ("authorization", f"Bearer {key}"))
        name = handle.removeprefix("secret:")
        revealed = Revealed(SecretBox({name: key}))
        revealed.reveal(name)
        return headers, revealed


def _hidden(text: str, revealed: Revealed) -> str:
    return revealed.hide(text.encode(errors="replace")).decode(errors="replace")


def _without_key(said: Completion, revealed: Revealed) -> Completion:
    """Return what was said without the key: in pieces, or with escapes, it passes whoever looks at the bytes."""
    return msgspec.json.decode(revealed.hide(msgspec.json.encode(said)), type=Completion)


def _gathered(gathering: Gathering, reply: Streamed) -> Completion:
    """Return a streamed answer once all of it is there."""
    reader, said = StreamReader(), 0
    for chunk in reply.chunks:
        try:
            pieces = reader.feed(chunk)
        except ValueError as error:
            raise unreadable(str(error)) from error
        said += sum(len(gathering.take(sent).encode("utf-8", "replace")) for sent in pieces)
        if said > MAX_OUTPUT_BYTES:
            raise unreadable(f"it is longer than {MAX_OUTPUT_BYTES:,} bytes")
    for sent in reader.end():
        gathering.take(sent)
    return gathering.end()


def _whole(reply: Streamed, most: int) -> bytes:
    """Return a body, at most a little more than ``most`` of it."""
    parts, size = list[bytes](), 0
    for chunk in reply.chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > most:
            break
    return b"".join(parts)


def open_models(folder: Path, clock: Clock, secrets: Secrets | None = None) -> Client:
    """Return the language models that ``providers.toml`` in a folder names.

    Args:
        folder: ``.tickwork`` of a project.
        secrets: Where the providers' keys are. They need no grant of a profile: no parameter can name them.

    Raises:
        SkillInvalid: TW7004, the settings are not what they must be.
    """
    return Client(read_settings(folder), clock, secrets=secrets)
