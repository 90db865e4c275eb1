"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make them."""
    for make in MAKERS:
        make()
    op.execute(
        "CREATE VIRTUAL TABLE memory_words USING fts5(id UNINDEXED, text, tokenize = 'unicode61 remove_diacritics 2')"
    )
    op.execute(
        "CREATE VIRTUAL TABLE artifact_words USING fts5(id UNINDEXED, text, tokenize = 'unicode61 remove_diacritics 2')"
    )


def downgrade() -> None:
    """Remove them."""
    for table in ("memory_words", "artifact_words"):
        op.drop_table(table)
    for make in reversed(MAKERS):
        op.drop_table(make.__name__.removeprefix("_"))


def _run() -> None:
    op.create_table(
        "run",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.LargeBinary(), server_default=sa.text("x''"), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("goal", sa.Text(), server_default="", nullable=False),
        sa.Column("profile", sa.Text(), server_default="default", nullable=False),
        sa.Column("profile_version", NUMBER, server_default=sa.text("1"), nullable=False),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("lineage", sa.Text(), nullable=False),
        sa.Column("root_id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("relation", sa.Text(), server_default="", nullable=False),
        sa.Column("parent_tick", NUMBER, server_default=sa.text("-1"), nullable=False),
        sa.Column("plan_digest", sa.LargeBinary(), server_default=sa.text("x''"), nullable=False),
        sa.Column("inputs", sa.LargeBinary(), server_default=sa.text("x'7b7d'"), nullable=False),
        sa.Column("tags", sa.LargeBinary(), server_default=sa.text("x'5b5d'"), nullable=False),
        sa.Column("priority", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("lease_owner", sa.Text(), server_default="", nullable=False),
        sa.Column("lease_until_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("fence", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("attempts", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("due_us", NUMBER, nullable=True),
        sa.Column("awake", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("ticks", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("degraded", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("cost_micros", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("tokens_in", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("tokens_out", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("calls", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("created_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("started_us", NUMBER, nullable=True),
        sa.Column("ended_us", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_run_tenant_id_key")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_run_lease_owner"), "run", ["lease_owner"], sqlite_where=sa.text("lease_owner != ''"))
    op.create_index(op.f("ix_run_root_id"), "run", ["root_id"])
    op.create_index(
        op.f("ix_run_tenant_id_status_priority_created_us"), "run", ["tenant_id", "status", "priority", "created_us"]
    )


def _dead_letter() -> None:
    op.create_table(
        "dead_letter",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("first_error", sa.Text(), server_default="", nullable=False),
        sa.Column("last_error", sa.Text(), server_default="", nullable=False),
        sa.Column("attempts", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("head", sa.LargeBinary(), server_default=sa.text("x''"), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("created_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("settled_us", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letter")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_dead_letter_tenant_id_status"), "dead_letter", ["tenant_id", "status"])


def _idempotency() -> None:
    op.create_table(
        "idempotency",
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), server_default=sa.text("x''"), nullable=False),
        sa.Column("run_id", sa.Text(), server_default="", nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.Text(), server_default="done", nullable=False),
        sa.Column("created_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("expires_us", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "scope", "key", name=op.f("pk_idempotency")),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _wait() -> None:
    op.create_table(
        "wait",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), server_default=sa.text("x'7b7d'"), nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("opened_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("due_us", NUMBER, nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("answered_by", sa.Text(), server_default="", nullable=False),
        sa.Column("answered_us", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wait")),
        sa.UniqueConstraint("run_id", "effect", name=op.f("uq_wait_run_id_effect")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_wait_status_due_us"), "wait", ["status", "due_us"])
    op.create_index(
        op.f("ix_wait_tenant_id_status_kind_opened_us"), "wait", ["tenant_id", "status", "kind", "opened_us"]
    )


def _approval() -> None:
    op.create_table(
        "approval",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("skill", sa.Text(), server_default="", nullable=False),
        sa.Column("arguments", sa.LargeBinary(), server_default=sa.text("x'7b7d'"), nullable=False),
        sa.Column("arguments_hash", sa.LargeBinary(), server_default=sa.text("x''"), nullable=False),
        sa.Column("labels", sa.LargeBinary(), server_default=sa.text("x'5b5d'"), nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("cost_micros", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("need", NUMBER, server_default=sa.text("1"), nullable=False),
        sa.Column("allowed", sa.LargeBinary(), server_default=sa.text("x'5b5d'"), nullable=False),
        sa.Column("escalate_to", sa.LargeBinary(), server_default=sa.text("x'5b5d'"), nullable=False),
        sa.Column("escalated", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("on_timeout", sa.Text(), server_default="deny", nullable=False),
        sa.Column("decision", sa.Text(), server_default="", nullable=False),
        sa.Column("edited", sa.LargeBinary(), nullable=True),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
        sqlite_strict=True,
    )


def _vote() -> None:
    op.create_table(
        "vote",
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("approval_id", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("edited", sa.LargeBinary(), nullable=True),
        sa.Column("comment", sa.Text(), server_default="", nullable=False),
        sa.Column("delegated_to", sa.Text(), server_default="", nullable=False),
        sa.Column("at_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("approval_id", "by", name=op.f("pk_vote")),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _signal() -> None:
    op.create_table(
        "signal",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), server_default=sa.text("x'6e756c6c'"), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("received_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("wait_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signal")),
        sa.UniqueConstraint("run_id", "key", name=op.f("uq_signal_run_id_key")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_signal_run_id_name_received_us"), "signal", ["run_id", "name", "received_us"])


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), server_default=sa.text("x'7b7d'"), nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("given_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("taken_us", NUMBER, nullable=True),
        sa.Column("tick", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("run_id", "key", name=op.f("uq_orders_run_id_key")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_orders_run_id_taken_us"), "orders", ["run_id", "taken_us"])


def _budget() -> None:
    op.create_table(
        "budget",
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), server_default="", nullable=False),
        sa.Column("hard_micros", NUMBER, server_default=sa.text("-1"), nullable=False),
        sa.Column("soft_micros", NUMBER, server_default=sa.text("-1"), nullable=False),
        sa.Column("tokens", NUMBER, server_default=sa.text("-1"), nullable=False),
        sa.Column("calls", NUMBER, server_default=sa.text("-1"), nullable=False),
        sa.Column("reserved_micros", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("spent_micros", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("spent_tokens", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("spent_calls", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "subject", "period", name=op.f("pk_budget")),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("period", sa.Text(), server_default="", nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), server_default="", nullable=False),
        sa.Column("step", sa.Text(), server_default="", nullable=False),
        sa.Column("skill", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), server_default="reserved", nullable=False),
        sa.Column("reserved_micros", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("cost_micros", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("tokens_in", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("tokens_out", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("tokens_cached", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("requests", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("model", sa.Text(), server_default="", nullable=False),
        sa.Column("prices", sa.Text(), server_default="", nullable=False),
        sa.Column("at_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("settled_us", NUMBER, nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "subject", "period", "key", name=op.f("pk_ledger")),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_ledger_run_id"), "ledger", ["run_id"])
    op.create_index(op.f("ix_ledger_tenant_id_at_us"), "ledger", ["tenant_id", "at_us"])


def _rate() -> None:
    op.create_table(
        "rate",
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("due_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "subject", name=op.f("pk_rate")),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _profile() -> None:
    op.create_table(
        "profile",
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", NUMBER, server_default=sa.text("1"), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.Column("created_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("changed_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_profile")),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _profile_version() -> None:
    op.create_table(
        "profile_version",
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", NUMBER, nullable=False),
        sa.Column("body", sa.LargeBinary(), server_default=sa.text("x'7b7d'"), nullable=False),
        sa.Column("digest", sa.LargeBinary(), server_default=sa.text("x''"), nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("created_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", "version", name=op.f("pk_profile_version")),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _server_pin() -> None:
    op.create_table(
        "server_pin",
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), server_default=sa.text("x''"), nullable=False),
        sa.Column("body", sa.LargeBinary(), server_default=sa.text("x'7b7d'"), nullable=False),
        sa.Column("seen_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "server", "name", name=op.f("pk_server_pin")),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _memory_block() -> None:
    op.create_table(
        "memory_block",
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), server_default="", nullable=False),
        sa.Column("limit_bytes", NUMBER, server_default=sa.text("4096"), nullable=False),
        sa.Column("version", NUMBER, server_default=sa.text("1"), nullable=False),
        sa.Column("changed_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "profile", "label", name=op.f("pk_memory_block")),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )


def _memory_item() -> None:
    op.create_table(
        "memory_item",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), server_default=sa.text("x''"), nullable=False),
        sa.Column("embedding", sa.LargeBinary(), server_default=sa.text("x''"), nullable=False),
        sa.Column("model", sa.Text(), server_default="", nullable=False),
        sa.Column("importance", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("labels", sa.LargeBinary(), server_default=sa.text("x'5b5d'"), nullable=False),
        sa.Column("run_id", sa.Text(), server_default="", nullable=False),
        sa.Column("step", sa.Text(), server_default="", nullable=False),
        sa.Column("created_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("superseded_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memory_item")),
        sa.UniqueConstraint(
            "tenant_id", "profile", "kind", "digest", name=op.f("uq_memory_item_tenant_id_profile_kind_digest")
        ),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_memory_item_tenant_id_profile_created_us"), "memory_item", ["tenant_id", "profile", "created_us"]
    )


def _conversation() -> None:
    op.create_table(
        "conversation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text(), server_default="default", nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("labels", sa.LargeBinary(), server_default=sa.text("x'5b5d'"), nullable=False),
        sa.Column("run_id", sa.Text(), server_default="", nullable=False),
        sa.Column("created_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversation")),
        sqlite_strict=True,
    )
    op.create_index(
        op.f("ix_conversation_tenant_id_profile_thread_created_us"),
        "conversation",
        ["tenant_id", "profile", "thread", "created_us"],
    )


def _prompt_use() -> None:
    op.create_table(
        "prompt_use",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), server_default="", nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), server_default=sa.text("x''"), nullable=False),
        sa.Column("model", sa.Text(), server_default="", nullable=False),
        sa.Column("tokens_in", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("tokens_out", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("cost_micros", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("at_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompt_use")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_prompt_use_run_id"), "prompt_use", ["run_id"])


def _artifact() -> None:
    op.create_table(
        "artifact",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("run_id", sa.Text(), server_default="", nullable=False),
        sa.Column("step", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), server_default="file", nullable=False),
        sa.Column("mime", sa.Text(), server_default="", nullable=False),
        sa.Column("size", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("digest", sa.LargeBinary(), server_default=sa.text("x''"), nullable=False),
        sa.Column("tags", sa.LargeBinary(), server_default=sa.text("x'5b5d'"), nullable=False),
        sa.Column("labels", sa.LargeBinary(), server_default=sa.text("x'5b5d'"), nullable=False),
        sa.Column("text", sa.Text(), server_default="", nullable=False),
        sa.Column("created_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact")),
        sa.UniqueConstraint(
            "tenant_id", "run_id", "step", "name", "digest", name=op.f("uq_artifact_tenant_id_run_id_step_name_digest")
        ),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_artifact_digest"), "artifact", ["digest"])
    op.create_index(op.f("ix_artifact_tenant_id_created_us"), "artifact", ["tenant_id", "created_us"])


def _cache_entry() -> None:
    op.create_table(
        "cache_entry",
        sa.Column("tenant_id", sa.Text(), server_default="default", nullable=False),
        sa.Column("skill", sa.LargeBinary(), server_default=sa.text("x''"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("output", sa.LargeBinary(), server_default=sa.text("x'6e756c6c'"), nullable=False),
        sa.Column("labels", sa.LargeBinary(), server_default=sa.text("x'5b5d'"), nullable=False),
        sa.Column("created_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.Column("expires_us", NUMBER, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "skill", "key", name=op.f("pk_cache_entry")),
        sqlite_with_rowid=False,
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_cache_entry_expires_us"), "cache_entry", ["expires_us"])


MAKERS = (
    _run,
    _dead_letter,
    _idempotency,
    _wait,
    _approval,
    _vote,
    _signal,
    _orders,
    _budget,
    _ledger,
    _rate,
    _profile,
    _profile_version,
    _server_pin,
    _memory_block,
    _memory_item,
    _conversation,
    _prompt_use,
    _artifact,
    _cache_entry,
)
