"""Indices of the jobs whose file has not come, of which there may be very many."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

WITHOUT_UPLOAD = sa.text("state = 'uninitialised'")


def upgrade() -> None:
    for name, columns in (("jobs_without_upload", ["workspace_id", "id"]), ("jobs_by_expiry", ["expires_at", "id"])):
        op.create_index(name, "jobs", columns, sqlite_where=WITHOUT_UPLOAD, postgresql_where=WITHOUT_UPLOAD)
