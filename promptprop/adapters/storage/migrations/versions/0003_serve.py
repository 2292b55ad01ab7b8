"""What `serve` keeps: owners and lists of runs, limits of tokens, the inbox, progress, idempotency keys, the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time = sa.DateTime(timezone=True)


def of_run(table: str, *columns: sa.Column) -> None:  # type: ignore[type-arg]
    """A table with one row for each run at most."""
    op.create_table(
        table,
        sa.Column("run_id", sa.Text(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=f"fk_{table}_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", name=f"pk_{table}"),
    )


def upgrade() -> None:
    # The default stays: a process of the version before may be writing to this database, and knows no owners.
    with op.batch_alter_table("runs") as batch:
        batch.add_column(sa.Column("owner", sa.Text(), nullable=False, server_default=""))
        batch.drop_index("ix_runs_name")
        batch.drop_index("ix_runs_created_at")
    op.create_index("ix_runs_created_at_id", "runs", ["created_at", "id"], unique=False)
    for column in ("status", "activity", "name", "owner"):
        op.create_index(f"ix_runs_{column}_created_at_id", "runs", [column, "created_at", "id"], unique=False)
    op.create_index("ix_runs_owner_status", "runs", ["owner", "status"], unique=False)
    op.create_index("ix_evaluations_run_id_id", "evaluations", ["run_id", "id"], unique=False)
    op.create_index("ix_datasets_created_at_id", "datasets", ["created_at", "id"], unique=False)
    with op.batch_alter_table("api_tokens") as batch:
        batch.add_column(sa.Column("max_runs", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("expires_at", Time, nullable=True))
    op.create_table(
        "interventions",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("created_at", Time, nullable=False),
        sa.Column("taken_at", Time, nullable=True),
        sa.Column("refused", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_interventions_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_interventions"),
    )
    op.create_index(
        "ix_interventions_run_id_taken_at_id", "interventions", ["run_id", "taken_at", "id"], unique=False
    )
    for table in ("pending_reviews", "progress"):
        of_run(table, sa.Column("body", sa.Text(), nullable=False), sa.Column("at", Time, nullable=False))
    op.create_table(
        "idempotency",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("created_at", Time, nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"], unique=False)
    op.create_table(
        "audit",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("at", Time, nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
