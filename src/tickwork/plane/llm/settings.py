"""``.tickwork/providers.toml``: who runs language models for this machine, and the names that they have here.

    default = "smart"

    [providers.claude]
    kind = "anthropic"
    key = "secret:ANTHROPIC_API_KEY"

    [providers.local]
    kind = "openai"
    base_url = "http://127.0.0.1:11434/v1"
    loopback = true

    [models.smart]
    provider = "claude"
    model = "claude-sonnet-4-5"

    [models.small]
    provider = "local"
    model = "qwen3:4b"
    free = true

Without a file there are the providers ``anthropic`` and ``openai`` with the keys ``secret:ANTHROPIC_API_KEY`` and
``secret:OPENAI_API_KEY``. A model is named by its name here, or as ``PROVIDER/MODEL``.
"""

import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from msgspec import inspect as shapes

from ...driver.faults import Fault, as_error, choose
from ...driver.places import find_places
from ...driver.shape import shape_faults
from ...errors import WorldSchemaError
from ..addresses import parse_url
from ..errors import AddressRefused, ProviderFailed, SkillInvalid
from ..tables import Duration, Money, Name
from .port import DEFAULT_MAX_TOKENS, Manner, Manners

FILE: Final = "providers.toml"

Kind = Literal["anthropic", "openai"]
KeyHandle = Annotated[
    str, Meta(pattern=r"^(secret:[A-Za-z][A-Za-z0-9_]{0,63})?$", description="The handle of a secret.")
]

ADDRESSES: Final[Mapping[str, str]] = {
    "anthropic": "https://api.anthropic.com",
    "openai": "https://api.openai.com/v1",
}


class ProviderTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who runs language models."""

    kind: Annotated[Kind, Meta(description="The protocol that it speaks.")]
    base_url: Annotated[str, Meta(max_length=2000, description="Its address; empty for the vendor's own.")] = ""
    key: KeyHandle = ""
    stream: Annotated[bool, Meta(description="Whether answers are taken as they are made.")] = True
    form: Annotated[Manner, Meta(description="How an answer is held to a JSON Schema.")] = "schema"
    limit: Annotated[
        Literal["", "max_tokens", "max_completion_tokens"],
        Meta(description="Field of the limit of tokens, where `kind` is `openai`; empty for the usual one."),
    ] = ""
    timeout: Annotated[Duration, Meta(description="For a whole answer.")] = "2m"
    retries: Annotated[int, Meta(ge=0, le=5, description="Further attempts where nobody bills for the first.")] = 2
    prices: Annotated[str, Meta(max_length=64, description="Its name in the price table; empty for its address.")] = ""
    loopback: Annotated[bool, Meta(description="Whether it may be this machine.")] = False
    networks: Annotated[tuple[str, ...], Meta(description="Private networks that it may be in: `10.1.0.0/16`.")] = ()

    @property
    def address(self) -> str:
        """Where it is, without a slash at the end."""
        return (self.base_url or ADDRESSES[self.kind]).rstrip("/")

    def manners(self) -> Manners:
        """Return how it wants to be asked."""
        # The vendor's own models refuse the older name of the field, and many other servers do not know the newer one.
        usual = "max_completion_tokens" if self.address == ADDRESSES["openai"] else "max_tokens"
        return Manners(self.stream, self.form, self.limit or usual)


class ModelTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A language model. Without a price, runs with a limit of money refuse it."""

    provider: Name
    model: Annotated[str, Meta(min_length=1, max_length=256, description="As the provider names it.")]
    max_tokens: Annotated[int, Meta(ge=1, le=1_000_000, description="Of an answer.")] = DEFAULT_MAX_TOKENS
    input_usd: Annotated[Money | Literal[""], Meta(description="For a million tokens; empty for the table.")] = ""
    output_usd: Money | Literal[""] = ""
    free: Annotated[bool, Meta(description="Whether it costs nothing, as on this machine.")] = False


class SettingsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All providers and models."""

    default: Annotated[str, Meta(description="Name of the model where none is named.")] = ""
    providers: dict[Name, ProviderTable] = {}
    models: dict[Name, ModelTable] = {}


class Chosen(msgspec.Struct, frozen=True):
    """A model with who runs it. ``name`` is what it was asked for by."""

    name: str
    who: str
    provider: ProviderTable
    model: ModelTable


USUAL: Final[Mapping[str, ProviderTable]] = {
    "anthropic": ProviderTable("anthropic", key="secret:ANTHROPIC_API_KEY"),
    "openai": ProviderTable("openai", key="secret:OPENAI_API_KEY"),
}
"""Providers that are known where the settings do not name them otherwise."""


class Settings:
    """What ``providers.toml`` says."""

    def __init__(self, table: SettingsTable | None = None) -> None:
        self.table = table or SettingsTable()
        self.providers: Mapping[str, ProviderTable] = {**USUAL, **self.table.providers}

    def names(self) -> list[str]:
        """Return the names of models. Order: by name."""
        return sorted(self.table.models)

    def choose(self, name: str) -> Chosen:
        """Return the model of a name, of ``PROVIDER/MODEL``, or the default for the empty name.

        Raises:
            ProviderFailed: TW7017, there is none.
        """
        models = self.table.models
        wanted = name or self.table.default or (next(iter(models)) if len(models) == 1 else "")
        who, slash, inner = wanted.partition("/")
        model = models.get(wanted)
        if model is None and slash and who in self.providers and inner:
            model = ModelTable(who, inner)
        if model is None:
            raise self._unknown(wanted)
        return Chosen(wanted, model.provider, self.providers[model.provider], model)

    def _unknown(self, wanted: str) -> ProviderFailed:
        known = self.names()
        fix = choose(wanted, known, f"add [models.NAME] to .tickwork/{FILE}, or name PROVIDER/MODEL")
        if wanted:
            return ProviderFailed(f"there is no language model called {wanted}", fix=fix)
        why = "several are set up and none is the default" if known else "none is set up"
        return ProviderFailed("no language model is named", why=why, fix=fix)


def read_settings(folder: Path) -> Settings:
    """Return what ``providers.toml`` in ``.tickwork`` says; without the file, the usual providers and no model.

    Raises:
        SkillInvalid: TW7004, it cannot be read, or is not what it must be; every fault is named.
    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
        document: dict[str, Any] = tomllib.loads(text)
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise SkillInvalid("the settings of language models cannot be read", where=str(path), why=str(error)) from error
    faults = list(shape_faults(document, shapes.type_info(SettingsTable), ()))
    table = SettingsTable()
    if not faults:
        table = msgspec.convert(document, SettingsTable)
        faults = list(_faults(table))
    if faults:
        told = as_error(faults, path, find_places(text))
        raise SkillInvalid(told.what, where=told.where, why=told.why, fix=told.fix)
    return Settings(table)


def _faults(table: SettingsTable) -> Iterator[Fault]:
    """Yield what single values cannot show."""
    known = {**USUAL, **table.providers}
    for name, model in table.models.items():
        place = ("models", name)
        if model.provider not in known:
            fix = choose(model.provider, known, "")
            yield Fault(WorldSchemaError, (*place, "provider"), f"there is no provider {model.provider}", "", fix)
        if bool(model.input_usd) != bool(model.output_usd):
            yield Fault(WorldSchemaError, place, "one price is missing", "a model has both or none", "add the other")
        if model.free and model.input_usd:
            yield Fault(WorldSchemaError, place, "a free model has a price", "", "remove `free`, or the prices")
    for name, provider in table.providers.items():
        yield from _provider_faults(("providers", name), provider)
    if table.default and table.default not in table.models and "/" not in table.default:
        fix = choose(table.default, table.models, "add it, or remove `default`")
        yield Fault(WorldSchemaError, ("default",), f"there is no model {table.default}", "", fix)


def _provider_faults(place: tuple[str, ...], provider: ProviderTable) -> Iterator[Fault]:
    try:
        target = parse_url(provider.address)
    except AddressRefused as error:
        why = error.why or "it begins with https://, or with http:// for this machine"
        yield Fault(WorldSchemaError, (*place, "base_url"), error.what, why, "write the provider's address")
        return
    if target.scheme == "http" and not (provider.loopback or provider.networks):
        why = "on its way, everybody could read what is said, and the key"
        fix = "write https://, or `loopback = true` for a server of this machine"
        yield Fault(WorldSchemaError, (*place, "base_url"), "the address has no https", why, fix)
    for index, network in enumerate(provider.networks):
        try:
            ip_network(network, strict=False)
        except ValueError:
            what = f"{network!r} is no network"
            yield Fault(WorldSchemaError, (*place, "networks", index), what, "", "write it as 10.1.0.0/16")
