"""How often a job had to wait for the service."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("wait_count", sa.Integer(), nullable=False, server_default="0"))
