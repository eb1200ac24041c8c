"""What a schema migration is: a job that brings a dataset's records under another schema, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import pyarrow as pa

from assay.jobs import RejectionPart, State


@dataclass(frozen=True)
class NulledValue:
    """A value that became null because the new schema refuses it, or a required one that is not there."""

    datapoint_id: UUID
    field: str
    reason: str


@dataclass(frozen=True)
class Migration:
    """A migration as it stands in the database. `nulled_count` of the `record_count` records lost a value."""

    id: UUID
    dataset_id: UUID
    state: State
    schema_version: int
    created_at: datetime
    updated_at: datetime
    record_count: int
    nulled_count: int
    first_nulled: tuple[NulledValue, ...]
    reason: str | None


@dataclass(frozen=True)
class MigratedPart:
    """Records of one job under the new schema: `record_count` rows, from `row_in_file` on, of a Parquet file."""

    job_id: UUID
    key: str
    row_in_file: int
    record_count: int
    size_bytes: int
    footer_hash: str


@dataclass(frozen=True)
class MigrationOutcome:
    """What a finished attempt has: all the dataset's records, in their order. The commit puts them in place at once."""

    record_count: int
    nulled_count: int
    first_nulled: tuple[NulledValue, ...]
    nulled: tuple[RejectionPart, ...]
    parts: tuple[MigratedPart, ...]


def nulled_values(table: pa.Table | pa.RecordBatch) -> list[NulledValue]:
    """The rows of a table of nulled values."""
    ids, *told = (table.column(name) for name in ("datapoint_id", "field", "reason"))
    ids = ids.cast(pa.binary(16)).to_pylist()  # ids are UUIDs in newer releases of Arrow alone
    columns = [column.to_pylist() for column in told]
    return [NulledValue(UUID(bytes=key), *row) for key, *row in zip(ids, *columns, strict=True)]
