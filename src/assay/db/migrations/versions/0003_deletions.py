"""Deleted datasets whose files may still lie about."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "deletions",
        sa.Column("dataset_id", sa.String(36), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=False),
        sa.Column("sweep_at", sa.BigInteger(), nullable=False),
        sa.Column("last_sweep_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dataset_id"),
    )
    op.create_index("deletions_due", "deletions", ["sweep_at"], unique=False)
