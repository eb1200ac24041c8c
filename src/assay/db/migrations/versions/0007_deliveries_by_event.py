"""One delivery an event: an import that waits for a schema is told of, and so is its end. Endpoints take turns."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_index(
        "one_delivery_per_event", "webhook_deliveries", ["endpoint_id", "job_id", "event_type"], unique=True
    )
    op.drop_index("one_delivery_per_job", "webhook_deliveries")
    op.add_column(
        "webhook_endpoints", sa.Column("last_claimed_at", sa.BigInteger(), nullable=False, server_default="0")
    )
