"""What a job is: its states, the one table of transitions, and its rows as plain values.

A job is one import of one uploaded file; appends and migrations are jobs too, with less to them. Its row is the queue,
the state machine and the truth; nothing here knows how the row is stored or who asks for it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from assay.error_summary import SummaryRow


class Kind(StrEnum):
    """What a job does to its dataset. All kinds of a dataset stand in one line."""

    IMPORT = "import"
    # Records that came in a request's body. It is never in line: its row is there once it has ended.
    APPEND = "append"
    # All the dataset's records again, under another schema.
    MIGRATION = "migration"


class State(StrEnum):
    """The states of a job; the values are the API's `status` words."""

    UNINITIALISED = "uninitialised"
    PENDING_SCHEMA = "pending_schema"
    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


TRANSITIONS: dict[State, frozenset[State]] = {
    # The upload is seen, or the URL expires unused, or the job is cancelled.
    State.UNINITIALISED: frozenset({State.QUEUED, State.PENDING_SCHEMA, State.FAILED}),
    # The dataset's first schema is set, or the job is cancelled.
    State.PENDING_SCHEMA: frozenset({State.QUEUED, State.FAILED}),
    # A worker claims it, or the job is cancelled.
    State.QUEUED: frozenset({State.PROCESSING, State.FAILED}),
    # It ends, or its worker gives it back or is lost.
    State.PROCESSING: frozenset({State.COMPLETE, State.PARTIAL, State.FAILED, State.QUEUED}),
    State.COMPLETE: frozenset(),
    State.PARTIAL: frozenset(),
    State.FAILED: frozenset(),
}

TERMINAL = frozenset(state for state, following in TRANSITIONS.items() if not following)
# Where a client stops polling: the API counts `pending_schema` among them, since only a person can go on from there.
SETTLED = TERMINAL | {State.PENDING_SCHEMA}

INLINE_ERRORS = 1000  # how many first faults a job shows in itself; `/errors` has them all


@dataclass(frozen=True)
class NewImport:
    """An import that is about to be recorded: an upload URL will be handed out for it."""

    id: UUID
    dataset_id: UUID
    filename: str
    format: str
    content_type: str
    file_key: str
    expires_at: datetime


@dataclass(frozen=True)
class Counts:
    """How a job stands. `accepted` includes duplicates: what was newly written is `accepted - duplicate`."""

    accepted: int = 0
    rejected: int = 0
    duplicate: int = 0
    processed_offset: int = 0

    @property
    def written(self) -> int:
        return self.accepted - self.duplicate


@dataclass(frozen=True)
class RecordError:
    """The first failing field of one rejected record, as a job shows it."""

    record_index: int
    field: str
    reason: str


@dataclass(frozen=True)
class StoredParquet:
    """A Parquet file in the storage, as it was written.

    Its pages have checksums; `footer_hash` is for the rest. None where an older release wrote the file, or put it
    together and left its parts with the hashes of others.
    """

    key: str
    size_bytes: int
    footer_hash: str | None


@dataclass(frozen=True)
class NewPart:
    """A Parquet file of accepted records that a finished attempt hands over with its commit."""

    key: str
    record_count: int
    size_bytes: int
    footer_hash: str


@dataclass(frozen=True)
class NewAppend:
    """An append whose files are in the storage; it is recorded as ended, with its records, or not at all."""

    id: UUID
    dataset_id: UUID
    schema_version: int
    file_key: str
    size_bytes: int
    upload_hash: str
    counts: Counts
    errors: tuple[RecordError, ...]
    part: NewPart


@dataclass(frozen=True)
class Import:
    """A job as it stands in the database, with what an import has; of other kinds it is only what they share."""

    id: UUID
    dataset_id: UUID
    workspace_id: str
    kind: Kind
    state: State
    filename: str
    format: str
    content_type: str
    file_key: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    uploaded_at: datetime | None
    size_bytes: int | None
    upload_version: str | None
    upload_hash: str | None
    processing_started_at: datetime | None
    attempt: int
    schema_version: int | None
    counts: Counts
    errors: tuple[RecordError, ...]
    error_summary: tuple[SummaryRow, ...]
    reason: str | None


@dataclass(frozen=True)
class Lease:
    """A worker's hold on a job: every write it makes names the attempt, so that a lost lease can't write."""

    job: Import
    schema_version: int

    @property
    def attempt(self) -> int:
        return self.job.attempt


@dataclass(frozen=True)
class JobEvent:
    """One move of a job, as its history shows it."""

    at: datetime
    from_state: State | None
    to_state: State
    attempt: int
    reason: str | None


@dataclass(frozen=True)
class Part:
    """Committed records of a dataset: `record_count` rows, from `row_in_file` on, of a Parquet file.

    `first_row` counts the dataset's records before them; `size_bytes` and `footer_hash` are the file's.
    """

    key: str
    row_in_file: int
    import_id: UUID
    record_count: int
    size_bytes: int
    footer_hash: str | None
    first_row: int

    @property
    def file(self) -> StoredParquet:
        return StoredParquet(self.key, self.size_bytes, self.footer_hash)


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of a dataset's records: the rows of one or several parts that follow each other."""

    key: str
    first_row: int
    record_count: int
    part_count: int
    size_bytes: int
    footer_hash: str | None
    schema_version: int

    @property
    def file(self) -> StoredParquet:
        return StoredParquet(self.key, self.size_bytes, self.footer_hash)


@dataclass(frozen=True)
class RejectionPart:
    """A Parquet file of the faults of rejected records, in file order."""

    key: str
    fault_count: int
    footer_hash: str


@dataclass(frozen=True)
class Outcome:
    """What a finished attempt found; the commit makes it visible all at once."""

    counts: Counts
    errors: tuple[RecordError, ...]
    parts: tuple[NewPart, ...]
    rejections: tuple[RejectionPart, ...]
    error_summary: tuple[SummaryRow, ...] = ()


def final_state(counts: Counts) -> State:
    """The terminal state of a job whose whole file was read: all rejected means that nothing was ingested."""
    if counts.accepted == 0:
        return State.FAILED
    return State.PARTIAL if counts.rejected else State.COMPLETE
