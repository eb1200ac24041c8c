"""The tables, as SQLAlchemy Core knows them. What they look like on disk is said by the migrations alone."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text, text
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Time(TypeDecorator[datetime]):
    """A time as whole microseconds since 1970: exact, comparable and the same on both engines."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + timedelta(microseconds=int(value))


class Id(TypeDecorator[UUID]):
    """A UUID as its text, which sorts as the UUID does on both engines."""

    impl = String(36)
    cache_ok = True

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> UUID | None:
        return None if value is None else UUID(value)


metadata = MetaData()

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_at", Time, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", String(64), ForeignKey("workspaces.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("created_at", Time, nullable=False),
    Column("expires_at", Time),
    Column("revoked_at", Time),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", String(64), ForeignKey("workspaces.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("created_at", Time, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("schema_version", Integer),
    Column("record_count", BigInteger, nullable=False, default=0),
    # Fairness: the dataset that has waited longest since its last claim is served first.
    Column("last_claimed_at", Time, nullable=False, default=EPOCH),
    Index("datasets_of_workspace", "workspace_id", "id"),
)

schemas = Table(
    "schemas",
    metadata,
    Column("dataset_id", Id, ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("body", Text, nullable=False),
    Column("created_at", Time, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("dataset_id", Id, ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
    Column("workspace_id", String(64), nullable=False),
    Column("kind", String(16), nullable=False, default="import"),
    Column("state", String(16), nullable=False),
    Column("filename", Text, nullable=False),
    Column("format", String(16), nullable=False),
    Column("content_type", String(64), nullable=False),
    Column("file_key", Text, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("updated_at", Time, nullable=False),
    Column("expires_at", Time, nullable=False),
    # While a body is coming in, this lies in the future: the sweep leaves such a job alone.
    Column("upload_active_until", Time, nullable=False, default=EPOCH),
    Column("uploaded_at", Time),
    Column("size_bytes", BigInteger),
    # What the upload was when it was seen: a file that was replaced or damaged since is not taken for it.
    Column("upload_version", Text),
    Column("upload_hash", String(32)),
    Column("processing_started_at", Time),
    Column("attempt", Integer, nullable=False, default=0),
    Column("lost_attempts", Integer, nullable=False, default=0),
    # How often it had to wait for the service, to be tried again later.
    Column("wait_count", Integer, nullable=False, default=0),
    # While this lies in the future, a running job is its worker's, and a queued one has to wait.
    Column("lease_until", Time),
    Column("schema_version", Integer),
    Column("accepted_count", BigInteger, nullable=False, default=0),
    Column("rejected_count", BigInteger, nullable=False, default=0),
    Column("duplicate_count", BigInteger, nullable=False, default=0),
    Column("processed_offset", BigInteger, nullable=False, default=0),
    Column("errors", Text),
    Column("error_summary", Text),
    Column("reason", Text),
    Column("files_swept", Boolean, nullable=False, default=False),
    Index("jobs_of_dataset", "dataset_id", "id"),
    Index("jobs_in_line", "state", "dataset_id", "uploaded_at", "id"),
    Index("jobs_of_file", "file_key", unique=True),
    # Nearly all jobs have been swept; each engine finds the rest here if the query says the same in the same words.
    Index(
        "jobs_unswept",
        "state",
        sqlite_where=text("files_swept IS 0"),
        postgresql_where=text("files_swept IS false"),
    ),
    # Those whose file has not come: there may be very many of them, and the sweep looks every few seconds.
    Index(
        "jobs_without_upload",
        "workspace_id",
        "id",
        sqlite_where=text("state = 'uninitialised'"),
        postgresql_where=text("state = 'uninitialised'"),
    ),
    Index(
        "jobs_by_expiry",
        "expires_at",
        "id",
        sqlite_where=text("state = 'uninitialised'"),
        postgresql_where=text("state = 'uninitialised'"),
    ),
    # One job of a dataset runs at a time; the database itself holds to it.
    Index(
        "one_processing_job_per_dataset",
        "dataset_id",
        unique=True,
        sqlite_where=text("state = 'processing'"),
        postgresql_where=text("state = 'processing'"),
    ),
)

job_events = Table(
    "job_events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("at", Time, nullable=False),
    Column("from_state", String(16)),
    Column("to_state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("reason", Text),
    Index("events_of_job", "job_id", "id"),
)

parts = Table(
    "parts",
    metadata,
    Column("dataset_id", Id, ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True),
    # How many of the dataset's records lie before this part: its place in the stable order of the dataset.
    Column("first_row", BigInteger, primary_key=True, autoincrement=False),
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    # Small parts are put together: several then share a file, each with its own rows of it.
    Column("row_in_file", BigInteger, nullable=False, default=0),
    Column("record_count", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    # Of the file's end, which has no checksum of its own. The files of older releases have none.
    Column("footer_hash", String(32)),
    Column("schema_version", Integer, nullable=False),
    Index("parts_of_job", "job_id"),
)

rejection_parts = Table(
    "rejection_parts",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    # How many of the import's faults lie before this part: its place in the file order.
    Column("first_fault", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("fault_count", BigInteger, nullable=False),
    Column("footer_hash", String(32)),
)

# Files that no dataset has: not yet, while what writes them may still be cut short; or no longer, while readers may
# still be reading them. Of no dataset on purpose: they are to be removed even when that is gone.
loose_files = Table(
    "loose_files",
    metadata,
    Column("key", Text, primary_key=True),
    Column("delete_after", Time, nullable=False),
    Index("loose_files_due", "delete_after"),
)

# Deleted datasets. What was under way when one was deleted may write files after its rows are gone, so its folder is
# emptied again and again, at ever longer intervals, until nothing can come any more.
deletions = Table(
    "deletions",
    metadata,
    Column("dataset_id", Id, primary_key=True),
    Column("deleted_at", Time, nullable=False),
    Column("sweep_at", Time, nullable=False),
    Column("last_sweep_at", Time, nullable=False),
    Index("deletions_due", "sweep_at"),
)

# A cookie of the console is good until it is too old, wherever a copy of it is: those of whoever signed out are not.
ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("nonce_hash", String(64), primary_key=True),
    Column("forget_at", Time, nullable=False),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Id, primary_key=True),
    Column("workspace_id", String(64), ForeignKey("workspaces.id"), nullable=False),
    Column("url", Text, nullable=False),
    # In clear: it signs what is sent, so a hash of it would be of no use.
    Column("secret", Text, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("created_by", String(255), nullable=False),
    # Endpoints take turns, so that one which never answers doesn't hold up the others' deliveries with its own.
    Column("last_claimed_at", Time, nullable=False, default=EPOCH),
    Index("webhook_endpoints_of_workspace", "workspace_id", "id"),
)

# What is to be told, written by the transaction that ends the job. Of no job and no dataset on purpose: what ended is
# told of even when its dataset is gone by then.
webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("endpoint_id", Id, ForeignKey("webhook_endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("job_id", Id, nullable=False),
    Column("dataset_id", Id, nullable=False),
    Column("event_type", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Time, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_attempt_at", Time, nullable=False),
    # While this lies in the future, a worker has it in hand.
    Column("lease_until", Time, nullable=False, default=EPOCH),
    Column("last_attempt_at", Time),
    Column("last_status", Integer),
    Column("last_error", Text),
    # A job comes once to where it waits for a schema, and once to its end, so an endpoint hears of each in one
    # delivery; the database itself holds to it.
    Index("one_delivery_per_event", "endpoint_id", "job_id", "event_type", unique=True),
    Index("webhook_deliveries_of_endpoint", "endpoint_id", "id"),
    Index("webhook_deliveries_due", "state", "next_attempt_at"),
    Index("webhook_deliveries_due_of_endpoint", "endpoint_id", "state", "next_attempt_at"),
)
