"""The tables of the plane. What a run decided lies in its journal; here is what people and processes look up.

Invariants:
    * Every table has a tenant, and every unique key begins with one or with the id of a row that has one.
    * Ids are text, made by a clock. Money is integer micro-dollars, time integer microseconds since 1970. JSON is the
      bytes of RFC 8259, as ``calls`` has it.
    * What a run's journal says is truth; a column that repeats it may lag behind and never leads.
"""

from typing import Final

from .sql import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

TENANT: Final = "default"
"""The one tenant of a store that nobody has divided."""

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_Number = BigInteger().with_variant(Integer(), "sqlite")


def _words(name: str, default: str | None = "", *, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null, server_default=None if null or default is None else default)


def _number(name: str, default: int | None = 0, *, null: bool = False) -> Column[int]:
    return Column(name, _Number, nullable=null, server_default=None if null or default is None else text(str(default)))


def _bytes(name: str, *, null: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, nullable=null, server_default=None if null else text("x''"))


def _json(name: str, default: str | None = None) -> Column[bytes]:
    given = None if default is None else text(f"x'{default.encode().hex()}'")
    return Column(name, LargeBinary, nullable=default is None, server_default=given)


def _id(name: str = "id") -> Column[str]:
    return Column(name, Text, nullable=False, primary_key=True)


def _tenant() -> Column[str]:
    return Column("tenant_id", Text, nullable=False, server_default=TENANT)


def _table(name: str, *parts: Column[str] | Column[int] | Column[bytes] | Index | UniqueConstraint) -> Table:
    return Table(name, METADATA, *parts, sqlite_strict=True)


def _keyed(
    name: str, key: tuple[str, ...], *parts: Column[str] | Column[int] | Column[bytes] | Index | UniqueConstraint
) -> Table:
    return Table(name, METADATA, *parts, PrimaryKeyConstraint(*key), sqlite_strict=True, sqlite_with_rowid=False)


# Runs.

run: Final = _table(
    "run",
    _id(),
    _tenant(),
    _words("key", null=True),  # Idempotency key of its submission.
    _bytes("fingerprint"),  # SHA-256 of what was submitted under the key.
    _words("name"),  # Of its plan, or of its profile where a planner makes the plan.
    _words("goal"),
    _words("profile", "default"),
    _number("profile_version", 1),
    _words("status", "queued"),  # One of runs.STATUSES.
    _words("reason"),  # One line: what it waits for, or why it ended so.
    _words("lineage", None),  # The run whose idempotency keys it uses: its own id.
    _words("root_id", None),  # First run of the family of forks and reruns.
    _words("parent_id", null=True),
    _words("relation"),  # To its parent: fork, rerun or child; empty without one.
    _number("parent_tick", -1),
    _bytes("plan_digest"),
    _json("inputs", "{}"),
    _json("tags", "[]"),
    _number("priority"),
    _words("lease_owner"),
    _number("lease_until_us"),
    _number("fence"),
    _number("attempts"),  # Claims that ended without a word: crashes of whoever worked on it.
    _number("due_us", null=True),  # When to look at it again although nothing happened.
    _number("awake"),  # Raised when a row that it may wait for has changed; lowered by who looks.
    _number("ticks"),
    _number("degraded"),
    _number("cost_micros"),
    _number("tokens_in"),
    _number("tokens_out"),
    _number("calls"),
    _number("created_us"),
    _number("started_us", null=True),
    _number("ended_us", null=True),
    UniqueConstraint("tenant_id", "key"),
    Index(None, "tenant_id", "status", "priority", "created_us"),
    Index(None, "root_id"),
    Index("ix_run_lease_owner", "lease_owner", sqlite_where=text("lease_owner != ''")),
)

dead_letter: Final = _table(
    "dead_letter",
    _id(),
    _tenant(),
    _words("run_id", None),
    _words("reason"),
    _words("first_error"),
    _words("last_error"),
    _number("attempts"),
    _bytes("head"),
    _words("status", "open"),  # open, requeued or discarded
    _words("by"),
    _number("created_us"),
    _number("settled_us", null=True),
    Index(None, "tenant_id", "status"),
)

idempotency: Final = _keyed(
    "idempotency",
    ("tenant_id", "scope", "key"),
    _tenant(),
    _words("scope", None),  # goal, rerun, signal, call: what the key is for.
    _words("key", None),
    _bytes("fingerprint"),
    _words("run_id"),
    _json("answer"),
    _words("status", "done"),  # begun or done
    _number("created_us"),
    _number("expires_us", null=True),
)

# Waits and what people say.

wait: Final = _table(
    "wait",
    _id(),
    _tenant(),
    _words("run_id", None),
    _words("effect", None),  # Key of the effect that is parked.
    _words("step"),
    _words("kind", None),  # approval, input, signal or timer
    _json("request", "{}"),
    _words("message"),
    _words("name"),  # Of a signal.
    _words("status", "open"),  # open, answered, expired or cancelled
    _number("opened_us"),
    _number("due_us", null=True),
    _json("answer"),
    _words("answered_by"),
    _number("answered_us", null=True),
    UniqueConstraint("run_id", "effect"),
    Index(None, "tenant_id", "status", "kind", "opened_us"),
    Index(None, "status", "due_us"),
)

approval: Final = _table(
    "approval",
    _id(),  # Of its wait.
    _tenant(),
    _words("run_id", None),
    _words("kind"),  # step, escalation, taint, rule or lost
    _words("skill"),
    _json("arguments", "{}"),
    _bytes("arguments_hash"),
    _json("labels", "[]"),
    _words("error"),
    _number("cost_micros"),
    _number("need", 1),
    _json("allowed", "[]"),  # Who may decide; empty for anybody.
    _json("escalate_to", "[]"),
    _number("escalated"),
    _words("on_timeout", "deny"),
    _words("decision"),
    _json("edited"),
    _words("comment"),
)

vote: Final = _keyed(
    "vote",
    ("approval_id", "by"),
    _tenant(),
    _words("approval_id", None),
    _words("by", None),
    _words("decision", None),
    _json("edited"),
    _words("comment"),
    _words("delegated_to"),
    _number("at_us"),
)

signal: Final = _table(
    "signal",
    _id(),
    _tenant(),
    _words("run_id", None),
    _words("name", None),
    _json("body", "null"),
    _words("key", null=True),
    _words("by"),
    _number("received_us"),
    _words("wait_id", null=True),  # Which wait took it.
    UniqueConstraint("run_id", "key"),
    Index(None, "run_id", "name", "received_us"),
)

orders: Final = _table(
    "orders",
    _id(),
    _tenant(),
    _words("run_id", None),
    _json("body", "{}"),  # A calls.Order.
    _words("by"),
    _words("key", null=True),
    _number("given_us"),
    _number("taken_us", null=True),  # When it became an input of the run.
    _number("tick", null=True),
    UniqueConstraint("run_id", "key"),
    Index(None, "run_id", "taken_us"),
)

# Money.

budget: Final = _keyed(
    "budget",
    ("tenant_id", "subject", "period"),
    _tenant(),
    _words("subject", None),  # profile:NAME, run:ID or tenant.
    _words("period", ""),  # Such as 2026-01 for a month; empty for ever.
    _number("hard_micros", -1),
    _number("soft_micros", -1),
    _number("tokens", -1),
    _number("calls", -1),
    _number("reserved_micros"),
    _number("spent_micros"),
    _number("spent_tokens"),
    _number("spent_calls"),
)

ledger: Final = _keyed(
    "ledger",
    ("tenant_id", "subject", "period", "key"),
    _tenant(),
    _words("subject", None),
    _words("period", ""),
    _words("key", None),  # Of the call and its attempt: booked once, however often it is told.
    _words("run_id"),
    _words("step"),
    _words("skill"),
    _words("status", "reserved"),  # reserved, settled or released
    _number("reserved_micros"),
    _number("cost_micros"),
    _number("tokens_in"),
    _number("tokens_out"),
    _number("tokens_cached"),
    _number("requests"),
    _words("model"),
    _words("prices"),
    _number("at_us"),
    _number("settled_us", null=True),
    Index(None, "run_id"),
    Index(None, "tenant_id", "at_us"),
)

rate: Final = _keyed(
    "rate",
    ("tenant_id", "subject"),
    _tenant(),
    _words("subject", None),
    _number("due_us"),  # When the next would come, were all of them spaced evenly.
)

# Profiles.

profile: Final = _keyed(
    "profile",
    ("tenant_id", "name"),
    _tenant(),
    _words("name", None),
    _number("version", 1),  # The one that new runs get.
    _words("status", "active"),  # active, paused or disabled
    _words("owner"),
    _number("created_us"),
    _number("changed_us"),
)

profile_version: Final = _keyed(
    "profile_version",
    ("tenant_id", "name", "version"),
    _tenant(),
    _words("name", None),
    _number("version", None),
    _json("body", "{}"),
    _bytes("digest"),
    _words("by"),
    _number("created_us"),
)

server_pin: Final = _keyed(
    "server_pin",
    ("tenant_id", "server", "name"),
    _tenant(),
    _words("server", None),
    _words("name", None),  # A skill that the server offers.
    _bytes("digest"),
    _json("body", "{}"),
    _number("seen_us"),
)

# Memory.

memory_block: Final = _keyed(
    "memory_block",
    ("tenant_id", "profile", "label"),
    _tenant(),
    _words("profile", None),
    _words("label", None),
    _words("value"),
    _number("limit_bytes", 4096),
    _number("version", 1),
    _number("changed_us"),
)

memory_item: Final = _table(
    "memory_item",
    _id(),
    _tenant(),
    _words("profile", None),
    _words("kind", None),  # episodic, semantic or summary
    _words("text", None),
    _bytes("digest"),  # Of the text; the same text is kept once for a profile and kind.
    _bytes("embedding"),
    _words("model"),  # Which embedding.
    _number("importance"),
    _json("labels", "[]"),
    _words("run_id"),
    _words("step"),
    _number("created_us"),
    _words("superseded_by", null=True),
    UniqueConstraint("tenant_id", "profile", "kind", "digest"),
    Index(None, "tenant_id", "profile", "created_us"),
)

conversation: Final = _table(
    "conversation",
    _id(),
    _tenant(),
    _words("profile", None),
    _words("thread", "default"),
    _words("role", None),
    _words("text", None),
    _json("labels", "[]"),
    _words("run_id"),
    _number("created_us"),
    Index(None, "tenant_id", "profile", "thread", "created_us"),
)

prompt_use: Final = _table(
    "prompt_use",
    _id(),
    _tenant(),
    _words("run_id", None),
    _words("step"),
    _words("prompt", None),  # Name of its file.
    _bytes("digest"),
    _words("model"),
    _number("tokens_in"),
    _number("tokens_out"),
    _number("cost_micros"),
    _number("at_us"),
    Index(None, "run_id"),
)

# Results.

artifact: Final = _table(
    "artifact",
    _id(),
    _tenant(),
    _words("run_id"),
    _words("step"),
    _words("name", None),
    _words("type", "file"),
    _words("mime"),
    _number("size"),
    _bytes("digest"),
    _json("tags", "[]"),
    _json("labels", "[]"),
    _words("text"),  # What a search by text looks at.
    _number("created_us"),
    UniqueConstraint("tenant_id", "run_id", "step", "name", "digest"),
    Index(None, "digest"),
    Index(None, "tenant_id", "created_us"),
)

cache_entry: Final = _keyed(
    "cache_entry",
    ("tenant_id", "skill", "key"),
    _tenant(),
    _bytes("skill"),  # Digest of the skill.
    _words("key", None),
    _json("output", "null"),
    _json("labels", "[]"),
    _number("created_us"),
    _number("expires_us"),
    Index(None, "expires_us"),
)

WORDS: Final = (
    "CREATE VIRTUAL TABLE memory_words USING fts5(id UNINDEXED, text, tokenize = 'unicode61 remove_diacritics 2')",
    "CREATE VIRTUAL TABLE artifact_words USING fts5(id UNINDEXED, text, tokenize = 'unicode61 remove_diacritics 2')",
)
"""Full-text indices of ``memory_item`` and ``artifact``, written together with their rows. SQLite's own statements."""
