"""What the commands that write profiles share: their options, and how a profile is shown."""

import re
from dataclasses import dataclass, fields
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter

from ..errors import UsageFault
from ..packages.times import format_time
from ..plane.compiled import Budget
from ..plane.money import usd_text
from ..plane.profile import SECTIONS, Profile, ProfileTable
from .output import Document

_RATE: Final = re.compile(r"(\d{1,7})/((?:\d+(?:ms|s|m|h|d))+)")


def _many(text: str) -> Parameter:
    return Parameter(negative="", help=f"{text}; may be repeated.")


@dataclass(frozen=True)
class ProfileOptions:
    """Values of a profile as options; what is not given stays as it is. A list is given whole."""

    description: str | None = None
    owner: Annotated[str | None, Parameter(help="Who answers for it.")] = None
    allow: Annotated[list[str] | None, _many("Skill it may use, as NAME, NAME@VERSION or PREFIX*")] = None
    deny: Annotated[list[str] | None, _many("Skill it may not use, whatever else allows it")] = None
    host: Annotated[list[str] | None, _many("Host that may be reached, as api.example.com")] = None
    loopback: Annotated[bool | None, Parameter(help="Whether hosts may be addresses of this machine.")] = None
    read: Annotated[list[str] | None, _many("Folder whose files may be read")] = None
    write: Annotated[list[str] | None, _many("Folder in which files may be written")] = None
    database: Annotated[list[str] | None, _many("Database that may be read: a file, or secret:NAME")] = None
    writable: Annotated[list[str] | None, _many("One of the databases that may be changed")] = None
    secret: Annotated[list[str] | None, _many("Secret that parameters may name")] = None
    planner: Annotated[str | None, Parameter(help="Who plans: template, llm, or an installed one.")] = None
    model: Annotated[str | None, Parameter(help="Alias of a language model, for the planner llm.")] = None
    rate: Annotated[str | None, Parameter(help="Runs that may begin in a time, as 10/1m; 0/1m for any.")] = None
    burst: Annotated[int | None, Parameter(help="Runs of them that may begin at once.")] = None
    budget_usd: Annotated[str | None, Parameter(help="Dollars that one run may spend.")] = None
    soft_usd: Annotated[str | None, Parameter(help="Dollars of one run from which on it is told of.")] = None
    tokens: Annotated[int | None, Parameter(help="Tokens of language models that one run may use; 0 for any.")] = None
    calls: Annotated[int | None, Parameter(help="Calls of skills that one run may make; 0 for any number.")] = None
    day_usd: Annotated[str | None, Parameter(help="Dollars that all its runs may spend in a day of UTC.")] = None
    month_usd: Annotated[str | None, Parameter(help="The same, in a month.")] = None
    total_usd: Annotated[str | None, Parameter(help="The same, ever.")] = None
    tainted: Annotated[list[str] | None, _many("Skill that may be given outside values: SKILL if EXPRESSION")] = None
    approver: Annotated[list[str] | None, _many("Who decides where a rule asks")] = None
    context_tokens: Annotated[int | None, Parameter(help="Tokens of memory that a planner is shown.")] = None
    recall: Annotated[bool | None, Parameter(help="Whether memory is read before planning.")] = None
    remember: Annotated[bool | None, Parameter(help="Whether runs are summarised into memory.")] = None

    def changes(self) -> dict[str, object]:
        """Return what was given, by the key of the profile it stands for.

        Raises:
            UsageFault: TW1001, a rate that is none.
        """
        given = {field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None}
        changed: dict[str, object] = {}
        for name, value in given.items():
            if name == "rate":
                found = _RATE.fullmatch(str(value))
                if found is None:
                    raise UsageFault(f"--rate {value} is not understood", fix="write runs and a time, as 10/1m")
                changed |= {"rate.runs": int(found[1]), "rate.per": found[2]}
            else:
                changed[KEYS.get(name, name)] = value
        return changed


KEYS: Final = {
    "allow": "skills.allow", "deny": "skills.deny",
    "host": "grants.hosts", "loopback": "grants.loopback", "read": "grants.read", "write": "grants.write",
    "database": "grants.databases", "writable": "grants.writable", "secret": "grants.secrets",
    "planner": "planner.kind", "model": "planner.model", "burst": "rate.burst",
    "budget_usd": "budget.usd", "soft_usd": "budget.soft_usd", "tokens": "budget.tokens", "calls": "budget.calls",
    "day_usd": "spending.day_usd", "month_usd": "spending.month_usd", "total_usd": "spending.total_usd",
    "approver": "approvers", "context_tokens": "memory.tokens", "recall": "memory.recall",
    "remember": "memory.remember",
}  # fmt: skip
"""Which key of a profile an option stands for; every other has the option's name."""


def profile_document(found: Profile) -> Document:
    """Return a version of a profile as a document; ``table`` is what a file would say."""
    return {
        "name": found.name,
        "version": found.version,
        "status": found.status,
        "digest": found.table.digest().hex(),
        "by": found.by,
        "created": format_time(found.created_us) if found.kept else "",
        "table": msgspec.to_builtins(found.table),
    }


def profile_facts(found: Profile) -> list[tuple[str, object]]:
    """Return a version of a profile as named values, for people."""
    table = found.table
    grants, memory, planner = table.grants, table.memory, table.planner
    shares = ", ".join(f"{name} {getattr(memory, name)} %" for name in SECTIONS)
    return [
        ("profile", found.name),
        ("version", f"{found.version}, {table.digest().hex()[:12]}"),
        ("status", found.status),
        *_said(("description", table.description), ("owner", table.owner)),
        ("may use", ", ".join(table.skills.allow) or "no skill"),
        *_said(
            ("may not use", ", ".join(table.skills.deny)),
            ("may reach", ", ".join(grants.hosts) + (", also on this machine" if grants.loopback else "")),
            ("may read", ", ".join((*grants.read, *grants.databases))),
            ("may change", ", ".join((*grants.write, *grants.writable))),
            ("secrets", ", ".join(grants.secrets)),
        ),
        ("planner", f"{planner.kind} {planner.model}".strip()),
        *_said(
            ("rate", f"{table.rate.runs} runs in {table.rate.per}" if table.rate.runs else ""),
            ("a run", budget_text(table.limits())),
            ("all runs", spending_text(table)),
            ("outside values", ", ".join(table.tainted)),
            ("approvers", ", ".join(table.approvers)),
        ),
        ("memory", f"{memory.tokens:,} tokens: {shares}" if memory.recall else "is not read"),
        ("runs", "are summarised" if memory.remember else "are not summarised"),
    ]


def _said(*facts: tuple[str, str]) -> list[tuple[str, object]]:
    return [(name, value) for name, value in facts if value]


def budget_text(budget: Budget) -> str:
    """Return what one run may use, in words."""
    parts = [f"{usd_text(budget.hard_micros)} USD" if budget.hard_micros >= 0 else ""]
    parts += [f"told of from {usd_text(budget.soft_micros)} USD on" if budget.soft_micros >= 0 else ""]
    parts += [f"{budget.tokens:,} tokens" if budget.tokens >= 0 else ""]
    parts += [f"{budget.calls:,} calls" if budget.calls >= 0 else ""]
    return ", ".join(part for part in parts if part)


def spending_text(table: ProfileTable) -> str:
    """Return what all runs of a profile may spend, in words."""
    told = (("day", table.spending.day_usd), ("month", table.spending.month_usd), ("in all", table.spending.total_usd))
    return ", ".join(f"{usd} USD {'a ' if name != 'in all' else ''}{name}" for name, usd in told if usd)
