"""What a language model is asked and what it says, whoever runs it: no network and no provider's own words.

Invariants:
    * Nothing here is trusted because a model said it: a text is a text until somebody has checked it.
    * Tokens are what the provider counted. Where it counted nothing, ``counted`` is false and a bound is charged.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Protocol, cast

import msgspec

from ..calls import Usage
from ..secrets import Secrets
from .sse import Sent

DEFAULT_MAX_TOKENS: Final = 4096

Manner = Literal["schema", "function", "json", "text"]
"""How an answer is held to a schema: by the provider's own switch, as the arguments of a function, as any JSON, or by
the prompt alone."""

Finish = Literal["stop", "length", "refusal", "calls", "other"]


class Message(msgspec.Struct, frozen=True):
    """A turn of a conversation."""

    role: Literal["user", "assistant"]
    text: str


class Function(msgspec.Struct, frozen=True):
    """What a model may ask for, instead of or besides saying something."""

    name: str
    description: str
    schema: Mapping[str, Any]


class FunctionCall(msgspec.Struct, frozen=True):
    """What a model asks for.

    Attributes:
        arguments: JSON as the model wrote it, unchecked.
    """

    id: str
    name: str
    arguments: str


class Form(msgspec.Struct, frozen=True):
    """The JSON Schema that an answer is to fit."""

    name: str
    schema: Mapping[str, Any]


class Request(msgspec.Struct, frozen=True):
    """What a model is asked.

    Attributes:
        model: As the provider names it.
        temperature, seed: Not sent where they are None: some models refuse them.
    """

    model: str
    messages: tuple[Message, ...]
    system: str = ""
    max_tokens: int = DEFAULT_MAX_TOKENS
    temperature: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    form: Form | None = None
    functions: tuple[Function, ...] = ()


class Tokens(msgspec.Struct, frozen=True):
    """What a provider counted.

    Attributes:
        input: All tokens of the prompt, with ``cached`` and ``written``.
        cached: Those that were read from the provider's cache.
        written: Those that were written to it.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    written: int = 0
    counted: bool = False


class Completion(msgspec.Struct, frozen=True):
    """What a model said.

    Attributes:
        text: With a form, the JSON that is to fit it. Of a refusal, its words.
        model: As the provider named it in its answer.
    """

    text: str
    finish: Finish
    calls: tuple[FunctionCall, ...] = ()
    tokens: Tokens = Tokens()
    model: str = ""


class Manners(msgspec.Struct, frozen=True):
    """How one provider wants to be asked.

    Attributes:
        limit: Name of the field for ``max_tokens``, where the protocol has two.
    """

    stream: bool = True
    form: Manner = "schema"
    limit: str = "max_tokens"


class Outgoing(msgspec.Struct, frozen=True):
    """A request as it goes out, but for the key. ``path`` begins with a slash and follows the provider's address."""

    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Gathering(Protocol):
    """Puts a streamed answer together."""

    def take(self, sent: Sent) -> str:
        """Take the next piece and return the text that it adds.

        Raises:
            ProviderFailed: TW7017, it is no such piece, or the provider reports a failure in it.
        """
        ...

    def end(self) -> Completion:
        """Return the whole answer once the stream has ended.

        Raises:
            ProviderFailed: TW7017, it ended before the answer did.
        """
        ...


class Wire(Protocol):
    """A provider's protocol: functions of bytes."""

    def encode(self, request: Request, manners: Manners) -> Outgoing:
        """Return the request in the protocol's words."""
        ...

    def whole(self, body: bytes) -> Completion:
        """Return the answer that came in one piece.

        Raises:
            ProviderFailed: TW7017, it is no such answer.
        """
        ...

    def gather(self) -> Gathering:
        """Return what takes a streamed answer."""
        ...


class Exchange(msgspec.Struct, frozen=True):
    """One request and what came of it, verbatim: for transcripts. It holds no key and no address.

    Attributes:
        request: The body that was sent, JSON.
        status: Of HTTP; 0 where nothing came.
        said: What the model said; None where it said nothing whole.
        failure: Why not, with the beginning of what came instead.
    """

    provider: str
    model: str
    request: msgspec.Raw
    status: int = 0
    said: Completion | None = None
    failure: str = ""


class Account(msgspec.Struct):
    """What asking may use, and what it has used: also where it failed.

    Attributes:
        deadline_ns: On the clock's ``elapsed_ns``; 0 for none.
        usage: Tokens and money so far. What may have been billed and nobody counted is charged at its bound.
        exchanges: Order: time.
    """

    secrets: Secrets
    deadline_ns: int = 0
    usage: Usage = Usage()
    exchanges: list[Exchange] = msgspec.field(default_factory=list[Exchange])

    def transcript(self) -> bytes:
        """Return the exchanges as JSON; empty where there were none."""
        return msgspec.json.encode({"exchanges": self.exchanges}) if self.exchanges else b""


class Bound(msgspec.Struct, frozen=True):
    """What an answer uses at most. Units: tokens, micro-dollars; None where nobody knows what it costs."""

    tokens: int
    micros: int | None = None


class ModelPort(Protocol):
    """Language models by the names that this machine gives them."""

    def complete(self, request: Request, account: Account) -> Completion:
        """Return what a model says; ``request.model`` is a name of the settings, or empty for their default.

        Raises:
            ProviderFailed: TW7017, there is no such model, or its provider gave no whole answer.
            SkillRefused: TW7005, the provider's key may not be used.
        """
        ...

    def bound(self, request: Request) -> Bound:
        """Return what an answer uses at most."""
        ...


def formed(completion: Completion, form: Form | None) -> Completion:
    """Return an answer with the arguments of the form's function as its text, where it was asked for in that way."""
    if form is None:
        return completion
    fitting = [call for call in completion.calls if call.name == form.name]
    if len(fitting) != 1 or len(completion.calls) != 1:
        return completion
    finish: Finish = "stop" if completion.finish == "calls" else completion.finish
    return msgspec.structs.replace(completion, text=fitting[0].arguments, calls=(), finish=finish)


def is_closed(schema: object) -> bool:
    """Return whether a schema is of the strict kind that providers can hold a model to token by token.

    Every object in it names all its properties, wants each of them, and takes no others; it refers to nothing and
    bounds no numbers or lengths.

    Source: the guides of OpenAI and Anthropic to structured outputs.
    """
    if isinstance(schema, list):
        return all(is_closed(part) for part in cast("Sequence[object]", schema))
    if not isinstance(schema, dict):
        return True
    table = cast("Mapping[str, Any]", schema)
    if not _STRICT.issuperset(table):
        return False
    properties: Mapping[str, Any] = table.get("properties") or {}
    if table.get("type") == "object" or "properties" in table:
        wanted: Sequence[str] = table.get("required") or ()
        if table.get("additionalProperties") is not False or set(wanted) != set(properties):
            return False
    inner = [table[key] for key in ("items", "anyOf") if key in table]
    return all(is_closed(part) for part in (*properties.values(), *inner))


_STRICT: Final = frozenset(
    {
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "anyOf",
        "enum",
        "const",
        "description",
        "title",
    }
)
