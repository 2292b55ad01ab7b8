"""The tables. JSON lies in text columns, written by `records`; times are UTC; money is an integer of 10⁻¹² USD.

Every column is plain text, integer, float, boolean or time, so that the hot reads may bypass SQLAlchemy's types. A
change here needs a migration: a test compares the two.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    true,
)


class Utc(TypeDecorator[datetime]):
    """An aware time, stored in UTC. A naive one is refused: nobody knows what it means."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite keeps no zone, so the naive UTC time is stored there."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the time {value.isoformat()} has no time zone")
        moment = value.astimezone(timezone.utc)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """The zone is put back, whatever zone the server's session speaks."""
        if value is None:
            return None
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows by itself only where the key is exactly INTEGER; elsewhere ids and counts need 64 bits.
Number = BigInteger().with_variant(Integer(), "sqlite")


def _number() -> Column[int]:
    return Column("id", Number, primary_key=True, autoincrement=True)


def _run(**options: Any) -> Column[str]:
    return Column("run_id", Text, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, **options)


def _usage() -> list[Column[int]]:
    names = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
    return [Column(name, Number, nullable=False) for name in names]


runs = Table(
    "runs",
    metadata,
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("activity", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("updated_at", Utc, nullable=False),
    Column("snapshot", Text, nullable=False),
    Column("dataset_id", Text, nullable=False),
    Column("stop_reason", Text),
    Column("active_seconds", Float, nullable=False),
    Column("summary", Text, nullable=False),
    # the default is for processes of a version before owners; '' is who needs no token
    Column("owner", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("id"),
    # pages of lists, whichever filter they have; the columns behind the snapshot are slow to reach without an index
    Index(None, "created_at", "id"),
    Index(None, "status", "created_at", "id"),
    Index(None, "activity", "created_at", "id"),
    Index(None, "name", "created_at", "id"),
    Index(None, "owner", "created_at", "id"),
    Index(None, "owner", "status"),
)

events = Table(
    "events",
    metadata,
    _run(),
    Column("seq", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("meta", Text, nullable=False),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("run_id", "seq"),
)

calls = Table(
    "calls",
    metadata,
    _number(),
    Column("key", Text, nullable=False),
    # '' is the edition that runs have in common; a run that must not meet the others' writes one of its own. The
    # defaults are for processes of a version before editions, which may be writing to the same database.
    Column("edition", Text, nullable=False, server_default=""),
    Column("shared", Boolean, nullable=False, server_default=true()),
    Column("endpoint", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("reply", Text, nullable=False),
    *_usage(),
    Column("picousd", BigInteger),
    Column("finish_reason", Text, nullable=False),
    Column("reply_model", Text, nullable=False),
    Column("latency", Float, nullable=False),
    Column("simulated", Boolean, nullable=False),
    Column("created_at", Utc, nullable=False),
    UniqueConstraint("key", "edition"),
    Index(None, "key", "shared", "id"),
)

run_calls = Table(
    "run_calls",
    metadata,
    _run(),
    Column("key", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("call_id", Number, ForeignKey("calls.id")),
    Column("failure", Text),
    Column("sent", Integer, nullable=False),
    Column("unconfirmed", Integer, nullable=False),
    Column("unconfirmed_tokens", Number, nullable=False),
    Column("unconfirmed_picousd", BigInteger),
    Column("paid", Boolean, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    PrimaryKeyConstraint("run_id", "key", "generation"),
    Index(None, "call_id"),
)

evaluations = Table(
    "evaluations",
    metadata,
    _number(),
    _run(),
    Column("candidate_id", Text, nullable=False),
    Column("example_id", Text, nullable=False),
    Column("replicate", Integer, nullable=False),
    Column("metrics_fingerprint", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("output", Text, nullable=False),
    Column("trace", Text, nullable=False),
    Column("judgements", Text, nullable=False),
    Column("score", Float),
    *_usage(),
    Column("picousd", BigInteger),
    Column("latency", Float, nullable=False),
    Column("error", Text),
    UniqueConstraint(
        "run_id",
        "candidate_id",
        "example_id",
        "replicate",
        "metrics_fingerprint",
        "generation",
        name="uq_evaluations_cell",
    ),
    Index(None, "run_id", "id"),
)

candidates = Table(
    "candidates",
    metadata,
    _number(),
    _run(),
    Column("candidate_id", Text, nullable=False),
    Column("contents", Text, nullable=False),
    Column("critiques", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    UniqueConstraint("run_id", "candidate_id"),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("created_at", Utc, nullable=False),
    PrimaryKeyConstraint("id"),
    Index(None, "created_at", "id"),
)

examples = Table(
    "examples",
    metadata,
    Column("dataset_id", Text, ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("example_id", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("stratum", Text, nullable=False),
    Column("cluster", Text, nullable=False),
    Column("split", Text),
    PrimaryKeyConstraint("dataset_id", "position"),
    UniqueConstraint("dataset_id", "example_id"),
)

# A named prompt outlives the run that found it, so `run_id` is a note here and no foreign key.
prompts = Table(
    "prompts",
    metadata,
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("candidate_id", Text, nullable=False),
    Column("contents", Text, nullable=False),
    Column("run_id", Text),
    Column("created_at", Utc, nullable=False),
    PrimaryKeyConstraint("name", "version"),
)

prompt_aliases = Table(
    "prompt_aliases",
    metadata,
    Column("name", Text, nullable=False),
    Column("alias", Text, nullable=False),
    Column("version", Integer, nullable=False),
    PrimaryKeyConstraint("name", "alias"),
    ForeignKeyConstraint(["name", "version"], ["prompts.name", "prompts.version"], ondelete="CASCADE"),
)

baselines = Table(
    "baselines",
    metadata,
    Column("name", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("candidate_id", Text, nullable=False),
    Column("contents", Text, nullable=False),
    Column("run_id", Text),
    Column("created_at", Utc, nullable=False),
    PrimaryKeyConstraint("name"),
)

rubrics = Table(
    "rubrics",
    metadata,
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("contents", Text, nullable=False),
    Column("run_id", Text),
    Column("created_at", Utc, nullable=False),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("name", "version"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("used_at", Utc),
    Column("revoked_at", Utc),
    Column("max_runs", Integer),
    Column("expires_at", Utc),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("hash"),
)

# The inbox of a run: what people ask of it while it goes on.
interventions = Table(
    "interventions",
    metadata,
    _number(),
    _run(),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("taken_at", Utc),
    Column("refused", Text),
    Index(None, "run_id", "taken_at", "id"),
)

pending_reviews = Table(
    "pending_reviews",
    metadata,
    _run(primary_key=True),
    Column("body", Text, nullable=False),
    Column("at", Utc, nullable=False),
)

progress = Table(
    "progress",
    metadata,
    _run(primary_key=True),
    Column("body", Text, nullable=False),
    Column("at", Utc, nullable=False),
)

# A request that was made under a key; without a status it is being answered.
idempotency = Table(
    "idempotency",
    metadata,
    Column("owner", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("status", Integer),
    Column("location", Text),
    Column("body", Text),
    Column("created_at", Utc, nullable=False),
    PrimaryKeyConstraint("owner", "key"),
    Index(None, "created_at"),
)

audit = Table(
    "audit",
    metadata,
    _number(),
    Column("at", Utc, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("address", Text, nullable=False),
    Column("detail", Text, nullable=False),
)
