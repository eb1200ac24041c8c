"""Files that no dataset has, not yet or no longer, and when they may be removed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "loose_files",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("delete_after", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("loose_files_due", "loose_files", ["delete_after"], unique=False)
