"""A hash of each Parquet file's footer, as it was written; the files of before have none."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("parts", sa.Column("footer_hash", sa.String(32), nullable=True))
    op.add_column("rejection_parts", sa.Column("footer_hash", sa.String(32), nullable=True))
