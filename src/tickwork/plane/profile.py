"""What an agent is: on whose behalf a run is, what it may use, what it may spend, and who is asked.

Agents are written as tables of TOML or JSON. A run pins the version that was current when it began, so a change is for
runs to come.

Invariants:
    * A plan asks and a profile allows: nothing that a planner or a model writes can widen what stands here.
    * What is denied stays denied, whatever else allows it.
    * The digest of a version follows from its table alone.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta
from msgspec import inspect as shapes

from ..driver.faults import Fault, as_error
from ..driver.places import Path as Keys
from ..driver.places import find_places
from ..driver.shape import is_table, kind_name, shape_faults
from ..errors import WorldSchemaError
from .compiled import AgentPin, Budget
from .errors import ExpressionInvalid, ProfileInvalid
from .money import parse_usd
from .tables import BudgetTable, Duration, Money, Name

DEFAULT: Final = "default"
"""The profile of whoever names none."""

SECTIONS: Final = ("blocks", "semantic", "episodic", "history", "summaries")
"""What a context is made of. Order: as a planner reads it."""

_DURATION_PART: Final = re.compile(r"(\d+)(ms|s|m|h|d)")
_UNIT_US: Final = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_RULE: Final = re.compile(r"^(?P<skill>\S+)(?: if (?P<expression>.+))?$", re.DOTALL)

_SKILL: Final = re.compile(r"^[a-z][a-z0-9_.-]{0,127}(@[0-9A-Za-z.+-]{1,32})?$")

SkillPattern = Annotated[
    str,
    Meta(
        pattern=r"^(\*|[a-z][a-z0-9_.-]{0,127}\*?)(@[0-9A-Za-z.+-]{1,32})?$",
        description="A skill, `NAME` or `NAME@VERSION`; a `*` at the end of the name stands for any rest.",
    ),
]


class SkillsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which skills the agent may use. What is neither allowed nor denied is refused."""

    allow: tuple[SkillPattern, ...] = ()
    deny: Annotated[tuple[SkillPattern, ...], Meta(description="Refused even where `allow` names it.")] = ()


class PlannerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who makes a plan of a goal."""

    kind: Annotated[
        str,
        Meta(
            pattern=r"^[a-z][a-z0-9_-]{0,63}$",
            description="`template`, `llm`, or a planner that an installed package brings.",
        ),
    ] = "template"
    model: Annotated[str, Meta(description="Alias of a language model; for `llm`.")] = ""
    repairs: Annotated[int, Meta(ge=0, le=2, description="How often a plan with faults is sent back.")] = 2
    max_steps: Annotated[int, Meta(ge=1, le=1000, description="Steps that a plan may have.")] = 50
    plans: Annotated[tuple[str, ...], Meta(description="Names of templates that may be used; empty for all.")] = ()


class RateTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often runs may begin."""

    runs: Annotated[int, Meta(ge=0, le=1_000_000, description="Runs in `per`; 0 for any number.")] = 0
    per: Duration = "1m"
    burst: Annotated[int, Meta(ge=1, le=1_000_000, description="Runs that may begin at once.")] = 1


class SpendingTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all runs of the agent may spend together. Days and months are those of UTC."""

    day_usd: Money | Literal[""] = ""
    month_usd: Money | Literal[""] = ""
    total_usd: Money | Literal[""] = ""


class MemoryTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the agent remembers, and how much of it a planner is shown. The shares are percents of ``tokens``."""

    recall: Annotated[bool, Meta(description="Whether memory is read before planning.")] = True
    remember: Annotated[bool, Meta(description="Whether a run is summarised into memory at its end.")] = True
    tokens: Annotated[int, Meta(ge=0, le=1_000_000, description="Tokens that a context may have.")] = 2_000
    blocks: Annotated[int, Meta(ge=0, le=100, description="Notes that always are in the context.")] = 20
    semantic: Annotated[int, Meta(ge=0, le=100, description="Facts.")] = 30
    episodic: Annotated[int, Meta(ge=0, le=100, description="What happened.")] = 20
    history: Annotated[int, Meta(ge=0, le=100, description="What was said last.")] = 15
    summaries: Annotated[int, Meta(ge=0, le=100, description="What became of earlier runs.")] = 15


class GrantsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What of this machine and of the network the agent's skills may reach. Nothing is reachable that is not here."""

    hosts: Annotated[
        tuple[str, ...],
        Meta(description="Hosts that may be reached, as `api.example.com`, `*.example.com`, `host:8080`; `*` for any."),
    ] = ()
    loopback: Annotated[bool, Meta(description="Whether `hosts` may be addresses of this machine.")] = False
    read: Annotated[tuple[str, ...], Meta(description="Folders whose files may be read.")] = ()
    write: Annotated[tuple[str, ...], Meta(description="Folders in which files may be written.")] = ()
    databases: Annotated[
        tuple[str, ...], Meta(description="Databases that may be read: files, or `secret:NAME` of an address.")
    ] = ()
    writable: Annotated[tuple[str, ...], Meta(description="Those of them that may be changed.")] = ()
    secrets: Annotated[tuple[str, ...], Meta(description="Secrets that parameters may name.")] = ()


class ProfileTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An agent."""

    name: Name
    format: Annotated[int, Meta(ge=1, le=1, description="Layout of this table.")] = 1
    description: Annotated[str, Meta(max_length=10_000)] = ""
    owner: Annotated[str, Meta(max_length=256, description="Who answers for it.")] = ""
    skills: SkillsTable = SkillsTable()
    grants: GrantsTable = GrantsTable()
    planner: PlannerTable = PlannerTable()
    rate: RateTable = RateTable()
    budget: Annotated[BudgetTable, Meta(description="What one run may use.")] = BudgetTable()
    spending: SpendingTable = SpendingTable()
    tainted: Annotated[
        tuple[str, ...],
        Meta(
            description="Skills that may change something outside although their parameters hold outside values: "
            "`SKILL`, or `SKILL if EXPRESSION` over `params` and `labels`."
        ),
    ] = ()
    approvers: Annotated[tuple[str, ...], Meta(description="Who decides where a rule asks; empty for anybody.")] = ()
    memory: MemoryTable = MemoryTable()

    def allows(self, name: str, version: str = "") -> bool:
        """Return whether the agent may use a skill. Law: what ``deny`` names is refused, whatever ``allow`` says."""
        return _named(self.skills.allow, name, version) and not _named(self.skills.deny, name, version)

    def digest(self) -> bytes:
        """Return what tells this table from every other. Shape: 32 bytes."""
        return hashlib.sha256(encode_profile(self)).digest()

    def limits(self) -> Budget:
        """Return what one run may use."""
        budget = self.budget
        return Budget(
            parse_usd(budget.usd) if budget.usd else -1,
            parse_usd(budget.soft_usd) if budget.soft_usd else -1,
            budget.tokens or -1,
            budget.calls or -1,
        )

    def pin(self, version: int) -> AgentPin:
        """Return what a run pins of the agent."""
        anywhere = any(host == "*" or host.startswith("*:") for host in self.grants.hosts)
        return AgentPin(self.name, version, self.digest(), self.tainted, self.approvers, self.limits(), anywhere)


class Profile(msgspec.Struct, frozen=True):
    """A version of a profile.

    Attributes:
        kept: Whether it lies in the store; False for the default one that nobody has changed.
    """

    table: ProfileTable
    version: int
    status: str
    by: str = ""
    created_us: int = 0
    kept: bool = True

    @property
    def name(self) -> str:
        """Return its name."""
        return self.table.name


HARMLESS: Final = ("json_transform", "text_search", "model_infer")
"""What the profile of whoever names none may use: skills that compute. They reach no network and no file, spend no
money and change nothing, so the worst a bad plan can do with them is to waste time."""

DEFAULT_TABLE: Final = ProfileTable(
    DEFAULT,
    description="Whoever names no profile: may compute, and neither read, send, spend nor change anything.",
    skills=SkillsTable(HARMLESS),
)


def encode_profile(table: ProfileTable) -> bytes:
    """Return a table as JSON, canonical: keys in order, defaults left out."""
    return msgspec.json.encode(table, order="deterministic")


def decode_profile(raw: bytes) -> ProfileTable:
    """Return a table of the store. Law: the inverse of ``encode_profile``."""
    return msgspec.json.decode(raw, type=ProfileTable)


def duration_us(text: str) -> int:
    """Return a duration such as ``1h30m`` in microseconds."""
    return sum(int(amount) * _UNIT_US[unit] for amount, unit in _DURATION_PART.findall(text))


def read_profile(path: Path) -> ProfileTable:
    """Return the profile in a file of TOML, or of JSON where its name ends so.

    Raises:
        ProfileInvalid: TW7015, it cannot be read, or is not what it must be; every fault is named.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        fix = "name a file of TOML or JSON that you may read"
        raise ProfileInvalid("a profile cannot be read", where=str(path), why=why or "", fix=fix) from error
    return parse_profile(text, path)


def parse_profile(text: str, path: Path) -> ProfileTable:
    """Return the profile written in ``text``; ``path`` says whether it is JSON, and is named in errors.

    Raises:
        ProfileInvalid: TW7015.
    """
    is_json = path.suffix == ".json"
    try:
        document: object = json.loads(text) if is_json else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if is_json else "TOML"
        raise ProfileInvalid(
            f"a profile is not {kind}", where=str(path), why=str(error), fix=f"mend the {kind} at that place"
        ) from error
    return check_profile(document, path, {} if is_json else find_places(text))


def check_profile(document: object, path: Path, lines: Mapping[Keys, int]) -> ProfileTable:
    """Return a document as a profile.

    Raises:
        ProfileInvalid: TW7015; every fault is named, with its line where ``lines`` has it.
    """
    table = None
    if not is_table(document):
        faults = [_fault((), "a profile is a table", f"found {kind_name(document)}", 'begin with {"name": ...}')]
    elif not is_unicode(document):
        faults = [_fault((), "a text holds half a character", "texts are of whole ones", "write it out")]
    else:
        faults = list(shape_faults(document, shapes.type_info(ProfileTable), ()))
    if not faults:
        table = msgspec.convert(document, ProfileTable)
        faults = list(_rule_faults(table))
    if table is None or faults:
        told = as_error(faults, path, lines)
        raise ProfileInvalid(told.what, where=told.where, why=told.why, fix=told.fix)
    return table


def _rule_faults(table: ProfileTable) -> Iterator[Fault]:
    """Yield what single values cannot show."""
    limits, memory = table.limits(), table.memory
    if limits.soft_micros > limits.hard_micros >= 0:
        yield _fault(
            ("budget", "soft_usd"), "the soft limit is above the hard one", "it would never be told of", "lower it"
        )
    if (shares := sum(getattr(memory, name) for name in SECTIONS)) > 100:
        why = f"{', '.join(SECTIONS)} are percents of one whole"
        yield _fault(("memory",), f"the shares of the context are {shares} percent", why, "lower some of them")
    if table.planner.kind == "llm" and not table.planner.model:
        why = "the planner llm asks a language model"
        yield _fault(("planner", "model"), "the planner has no model", why, "name an alias of providers.toml")
    for index, folder in enumerate(table.grants.writable):
        if folder not in table.grants.databases:
            why = "only what may be read may be changed"
            yield _fault(
                ("grants", "writable", index), f"{folder!r} is no database of the profile", why, "add it to databases"
            )
    for index, rule in enumerate(table.tainted):
        yield from _taint_faults(rule, ("tainted", index))


def _taint_faults(rule: str, path: Keys) -> Iterator[Fault]:
    """Yield what is wrong with a rule about outside values."""
    found = _RULE.match(rule)
    if found is None or not _SKILL.match(found["skill"]):
        why = "it is SKILL, or SKILL if EXPRESSION"
        yield _fault(path, f"{rule!r} is no rule about outside values", why, 'write "notify"')
    elif found["expression"]:
        from .cel import check  # Loads the engine of expressions, which few profiles need.

        try:
            check(found["expression"], ("params", "labels"))
        except ExpressionInvalid as error:
            yield _fault(path, f"{rule!r}: {error.what}", error.why, error.fix)


def is_unicode(document: object) -> bool:
    """Return whether all texts of a document are of whole characters, and so can be written anywhere."""
    try:
        msgspec.json.encode(document)
    except UnicodeEncodeError:
        return False
    return True


def _fault(path: Keys, what: str, why: str, fix: str) -> Fault:
    return Fault(WorldSchemaError, path, what, why, fix)


def _named(patterns: tuple[str, ...], name: str, version: str) -> bool:
    return any(_matches(pattern, name, version) for pattern in patterns)


def _matches(pattern: str, name: str, version: str) -> bool:
    wanted, _, at = pattern.partition("@")
    if at and at != version:
        return False
    return name.startswith(wanted[:-1]) if wanted.endswith("*") else name == wanted


def with_changes(table: ProfileTable, changes: Mapping[str, Any], where: str = "options") -> ProfileTable:
    """Return a profile with some values replaced; a key is ``owner``, or ``memory.tokens`` inside a table.

    Raises:
        ProfileInvalid: TW7015, the whole is no profile any more.
    """
    document: dict[str, Any] = msgspec.to_builtins(table)
    for key, value in changes.items():
        place = document
        *outer, last = key.split(".")
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = value
    return check_profile(json.loads(msgspec.json.encode(document)), Path(where), {})
