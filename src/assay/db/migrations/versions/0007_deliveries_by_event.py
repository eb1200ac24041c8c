"""One delivery an event: an import that waits for a schema is told of, and so is its end. Endpoints take turns."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

DELIVERIES = "webhook_deliveries"


def upgrade() -> None:
    op.create_index("one_delivery_per_event", DELIVERIES, ["endpoint_id", "job_id", "event_type"], unique=True)
    op.drop_index("one_delivery_per_job", DELIVERIES)
    op.create_index("webhook_deliveries_due_of_endpoint", DELIVERIES, ["endpoint_id", "state", "next_attempt_at"])
    last_claimed_at = sa.Column("last_claimed_at", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("webhook_endpoints", last_claimed_at)
