"""``.tickwork/skills.toml``: what the names of skills stand for on this machine, and what is asked of their users.

    [skills.orders]                 # A skill called orders, of the kind sql_query.
    kind = "sql_query"
    database = "orders.db"

    [skills.orders.policy]          # What holds instead of the kind's own rule.
    approval = "params.sql.contains('salary')"

    [skills.shout]                  # One that a file of the project brings.
    kind = "shout.py:Shout"

    [servers.everything]            # Skills called everything.NAME.
    command = ["npx", "-y", "@modelcontextprotocol/server-everything"]

    [skills."everything.echo".policy]   # What holds for one skill of a server; [servers.everything.policy] for all.
    effect_class = "pure"
    side_effects = false

Beside the keys of its table a maker finds ``name``, what the skill is to be called, and ``project``, the folder that
relative paths count from, and ``cache``, the folder of compiled modules; one of a server also ``secrets``. Both may
be None.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec

from ...driver.faults import Fault, key_text
from ...driver.places import find_places, line_of
from ...driver.shape import is_array, is_table, shape_faults
from ...errors import WorldSchemaError
from ...kinds import EffectClass
from ..compiled import CostHint, RetryRule
from ..errors import SkillInvalid
from ..money import parse_usd
from ..profile import duration_us
from ..secrets import HANDLE, Secrets
from ..tables import Duration, Expression, Money, RetryTable
from .skill import Traits

FILE: Final = "skills.toml"
NAME: Final = re.compile(r"^[a-z][a-z0-9_-]{0,63}(\.[a-z0-9_-]{1,64})?$")
GIVEN: Final = ("kind", "policy", "name", "project", "secrets", "cache")
"""Keys that no kind has for itself."""

KEYED: Final = frozenset({"llm_invoke"})
"""Kinds whose settings name secrets of their own, which no parameter can name: their makers are given the secrets."""

COMPILED: Final = frozenset({"wasm"})
"""Kinds that compile what they are made of: their makers are given the folder of compiled modules."""

T = TypeVar("T", bound=msgspec.Struct)


class NoKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table of a skill that has nothing to configure."""


class PolicyTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What holds for a skill on this machine instead of what its author has said."""

    approval: Expression = ""
    timeout: Duration | Literal[""] = ""
    retry: RetryTable | None = None
    cost_usd: Money | Literal[""] = ""
    effect_class: Literal["", "pure", "idempotent", "unsafe"] = ""
    side_effects: bool | None = None
    outside: bool | None = None

    def applied(self, traits: Traits) -> Traits:
        """Return traits with what stands here put in."""
        return msgspec.structs.replace(
            traits,
            approval=self.approval or traits.approval,
            timeout_ms=duration_us(self.timeout) // 1000 if self.timeout else traits.timeout_ms,
            retry=_rule(self.retry) if self.retry is not None else traits.retry,
            cost=CostHint(per_call_micros=parse_usd(self.cost_usd)) if self.cost_usd else traits.cost,
            effect_class=EffectClass[self.effect_class.upper()] if self.effect_class else traits.effect_class,
            side_effects=traits.side_effects if self.side_effects is None else self.side_effects,
            outside=traits.outside if self.outside is None else self.outside,
        )


def _rule(table: RetryTable) -> RetryRule:
    initial, longest = duration_us(table.initial) // 1000, duration_us(table.longest) // 1000
    return RetryRule(table.max, initial, round(table.factor * 1000), longest, table.jitter, table.never)


class Configuration(msgspec.Struct, frozen=True):
    """What a machine says of its skills.

    Attributes:
        skills, servers: Tables by name.
        project: Folder that relative paths count from.
        secrets: Those of this user, for servers that are started with some and for kinds that have keys.
        cache: Folder of compiled modules; None keeps none.
    """

    skills: Mapping[str, Mapping[str, Any]] = {}
    servers: Mapping[str, Mapping[str, Any]] = {}
    project: Path = Path()
    secrets: Secrets | None = None
    cache: Path | None = None

    def of_skill(self, name: str) -> dict[str, Any]:
        """Return what the maker of a skill is given."""
        table = self.skills.get(name, {})
        kind = str(table.get("kind", name))
        keyed = {"secrets": self.secrets} if kind in KEYED else {}
        compiled = {"cache": self.cache} if kind in COMPILED else {}
        return {**self._given(name, table), **keyed, **compiled}

    def of_server(self, name: str) -> dict[str, Any]:
        """Return what the maker of a server is given."""
        return {**self._given(name, self.servers[name]), "secrets": self.secrets}

    def is_of_server(self, name: str) -> bool:
        """Return whether a skill is one of a server: its table, if there is one, says nothing but a policy."""
        server, dot, _ = name.partition(".")
        return bool(dot) and server in self.servers and not {*self.skills.get(name, {})} - {"policy"}

    def named_secrets(self) -> frozenset[str]:
        """Return the names of the secrets that the tables name, wherever in them."""
        found, todo = set[str](), list[Any]([*self.skills.values(), *self.servers.values()])
        while todo:
            item = todo.pop()
            if isinstance(item, str):
                found.update(HANDLE.findall(item))
            elif is_table(item):
                todo += item.values()
            elif is_array(item):
                todo += item
        return frozenset(found)

    def policy(self, name: str) -> PolicyTable:
        """Return what holds for a skill here.

        Raises:
            SkillInvalid: TW7004.
        """
        return _convert(self.skills.get(name, {}).get("policy", {}), PolicyTable, f"skills.{name}.policy")

    def policy_of_server(self, name: str) -> PolicyTable:
        """Return what holds for every skill of a server.

        Raises:
            SkillInvalid: TW7004.
        """
        return _convert(self.servers[name].get("policy", {}), PolicyTable, f"servers.{name}.policy")

    def _given(self, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
        own = {key: value for key, value in table.items() if key not in ("kind", "policy")}
        return {**own, "name": name, "project": str(self.project.absolute())}


def read_configuration(folder: Path) -> Configuration:
    """Return what ``skills.toml`` in a folder says; an empty configuration where there is no such file.

    Args:
        folder: ``.tickwork`` of a project; relative paths count from the folder it lies in.

    Raises:
        SkillInvalid: TW7004, the file cannot be read, or holds something else than skills and servers.
    """
    path, project = folder / FILE, folder.absolute().parent
    try:
        text = path.read_text(encoding="utf-8")
        document: dict[str, Any] = tomllib.loads(text)
    except FileNotFoundError:
        return Configuration(project=project)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise SkillInvalid("the skills' configuration cannot be read", where=str(path), why=str(error)) from error
    lines = find_places(text)
    for key, value in document.items():
        if key not in ("skills", "servers") or not isinstance(value, dict):
            where = f"{path}:{line_of(lines, (key,))}, {key}"
            fix = "write [skills.NAME] or [servers.NAME]"
            raise SkillInvalid(f"{key} is neither a table of skills nor of servers", where=where, fix=fix)
        for name, table in value.items():  # pyright: ignore[reportUnknownVariableType]
            place = f"{path}:{line_of(lines, (key, str(name)))}, {key}.{name}"  # pyright: ignore[reportUnknownArgumentType]
            if not NAME.match(str(name)):  # pyright: ignore[reportUnknownArgumentType]
                why = "a name has lower-case letters, digits, underscores and hyphens, and begins with a letter"
                raise SkillInvalid(f"{name} is no name of a skill", where=place, why=why)
            if not isinstance(table, dict):
                raise SkillInvalid(f"{key}.{name} is no table", where=place, fix=f"write [{key}.{name}]")
    return Configuration(document.get("skills", {}), document.get("servers", {}), project)


def read_keys(config: Mapping[str, Any], shape: type[T]) -> T:
    """Return the keys of a skill's table as a struct; ``name`` and ``project`` are left out.

    Raises:
        SkillInvalid: TW7004, a key is unknown, missing or not what it must be; every fault is named.
    """
    own = {key: value for key, value in config.items() if key not in GIVEN}
    return _convert(own, shape, f"skills.{config.get('name', '?')}")


def _convert(table: Any, shape: type[T], place: str) -> T:
    faults = list[Fault](shape_faults(table, msgspec.inspect.type_info(shape), ()))
    if faults:
        first = faults[0]
        others = [f"  also:  {key_text(fault.path)}: {fault.what}" for fault in faults[1:]]
        where = f"{place}.{key_text(first.path)}" if first.path else place
        what = first.what.replace("the file lacks", "the skill lacks")
        raise SkillInvalid(what, where=where, why=first.why, fix="\n".join([first.fix, *others]))
    try:
        return msgspec.convert(table, shape)
    except msgspec.ValidationError as error:
        raise SkillInvalid(f"{error}", where=place) from error


def fault_of_key(config: Mapping[str, Any], key: str, what: str, *, fix: str = "") -> SkillInvalid:
    """Return the error of one key of a skill's table."""
    fault = Fault(WorldSchemaError, (key,), what, "", fix)
    return SkillInvalid(fault.what, where=f"skills.{config.get('name', '?')}.{key}", fix=fault.fix)
