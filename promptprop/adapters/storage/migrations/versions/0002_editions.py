"""Editions of calls: several replies to one request, and which of them other runs may have.

Every call there was is the shared edition `''`. What a run consumed of another run's calls had been stored without its
role; the endpoint's alias tells it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The defaults stay: a process of the version before may be writing to this database, and knows no editions.
    with op.batch_alter_table("calls") as batch:
        batch.add_column(sa.Column("edition", sa.Text(), nullable=False, server_default=""))
        batch.add_column(sa.Column("shared", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch.drop_constraint("uq_calls_key", type_="unique")
        batch.create_unique_constraint("uq_calls_key_edition", ["key", "edition"])
    op.create_index("ix_calls_key_shared_id", "calls", ["key", "shared", "id"], unique=False)
    op.execute(
        "UPDATE run_calls SET role = (SELECT CASE WHEN calls.endpoint LIKE 'step.%' THEN 'task' ELSE calls.endpoint END "
        "FROM calls WHERE calls.id = run_calls.call_id) WHERE role = '' AND call_id IS NOT NULL"
    )
